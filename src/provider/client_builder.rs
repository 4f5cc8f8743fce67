//! The rules of all HTTP clients of this program: no redirects, one TLS library, and the authorities
//! that a connection is verified by.

use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, Url};
use rustls::crypto::ring;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Returns the builder of a client for one address. It speaks plain HTTP only if the address does,
/// and then uses no proxy.
///
/// A connection is verified by the certificate authorities of this system. A system without any, such
/// as an empty container, uses the bundled ones of Mozilla.
pub fn client_builder(address: &Url) -> ClientBuilder {
    // An error says that this was done before.
    let _installed_before = ring::default_provider().install_default();
    let is_plain = address.scheme() == "http";
    let builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .https_only(!is_plain)
        .user_agent(concat!("backscroll/", env!("CARGO_PKG_VERSION")));
    if is_plain {
        // Without this, a system without authorities could not even speak plain HTTP.
        builder.no_proxy().tls_certs_only([])
    } else if has_authorities() {
        builder
    } else {
        builder.tls_certs_only(bundled_authorities())
    }
}

/// True if this system has certificate authorities, or its user names some: then no other is trusted.
fn has_authorities() -> bool {
    let is_named = |name| std::env::var_os(name).is_some();
    // macOS has its own way to verify a certificate.
    cfg!(target_vendor = "apple")
        || is_named("SSL_CERT_FILE")
        || is_named("SSL_CERT_DIR")
        || !rustls_native_certs::load_native_certs().certs.is_empty()
}

fn bundled_authorities() -> impl Iterator<Item = Certificate> {
    let certificates = TLS_SERVER_ROOT_CERTS.iter();
    certificates.filter_map(|certificate| Certificate::from_der(certificate).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundled_authorities_are_complete_and_make_a_client() {
        assert!(TLS_SERVER_ROOT_CERTS.len() > 100);
        assert_eq!(bundled_authorities().count(), TLS_SERVER_ROOT_CERTS.len());
        let address = Url::parse("https://host.test").unwrap();
        let client = client_builder(&address).tls_certs_only(bundled_authorities());
        client.build().unwrap();
    }
}
