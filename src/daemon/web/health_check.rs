//! The question of `backscroll healthcheck`: does a running service answer `/healthz`?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;

use super::limits::HEALTH_CHECK_TIMEOUT;
use crate::provider::client_builder;

/// The service is not alive.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    #[error("no answer from http://{0}/healthz: is the service running?")]
    NoAnswer(SocketAddr),
    #[error("{0}")]
    Unhealthy(String),
}

/// Asks the service that listens at this address on this machine if it is alive.
pub async fn check_health(listen: SocketAddr) -> Result<(), HealthError> {
    let address = reachable(listen);
    let no_answer = || HealthError::NoAnswer(address);
    let url = Url::parse(&format!("http://{address}/healthz")).map_err(|_| no_answer())?;
    let client = client_builder(&url).timeout(HEALTH_CHECK_TIMEOUT).build();
    let request = client.map_err(|_| no_answer())?.get(url);
    let response = request.send().await.map_err(|_| no_answer())?;
    if response.status().is_success() {
        return Ok(());
    }
    let status = response.status();
    let text = response.text().await.map_err(|_| no_answer())?;
    Err(HealthError::Unhealthy(match text.trim() {
        "" => format!("status {status}"),
        text => text.to_owned(),
    }))
}

/// Returns an address at which a service that listens at `listen` is reached. "All addresses" is
/// none to connect to.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_on_all_addresses_is_asked_on_loopback() {
        let cases = [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ];
        for (listen, asked) in cases {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
