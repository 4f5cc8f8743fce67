//! The location that Agora names for the result of a query.

use reqwest::Url;

use crate::provider::error::ProviderError;
use crate::provider::json::printable;

/// Returns the address that a `location` names. It must be on the host where the handle was made:
/// any other would get the credentials. `~` stands for the project. A location that says `http` for
/// the very host is asked for over `https`: a provider behind a proxy may not know its own scheme.
pub(super) fn resolve_location(project: &Url, location: &str) -> Result<Url, ProviderError> {
    const OPERATION: &str = "query";
    let unreadable = || {
        let fault = "the `location` is no address".to_owned();
        ProviderError::Malformed {
            operation: OPERATION,
            fault,
        }
    };
    let address = match location.strip_prefix('~') {
        Some(path) => {
            let project = project.as_str().trim_end_matches('/');
            format!("{project}/{}", path.trim_start_matches('/'))
        }
        None => project
            .join(location)
            .map_err(|_| unreadable())?
            .to_string(),
    };
    let mut address = Url::parse(&address).map_err(|_| unreadable())?;
    if address.scheme() == "http" && project.scheme() == "https" {
        // It fails for no address that has a host.
        let _ = address.set_scheme("https");
    }
    if address.origin() != project.origin() {
        let host = printable(address.host_str().unwrap_or("none"));
        return Err(ProviderError::ForeignLocation {
            operation: OPERATION,
            host,
        });
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(location: &str) -> Option<String> {
        let project = Url::parse("https://api.agora.io/dev/v2/project/app").unwrap();
        resolve_location(&project, location).ok().map(String::from)
    }

    #[test]
    fn location_is_followed_on_the_same_host_only() {
        let handle = "https://api.agora.io/dev/v2/project/app/rtm/message/history/query/a==";
        assert_eq!(
            resolved("~/rtm/message/history/query/a==").as_deref(),
            Some(handle)
        );
        assert_eq!(
            resolved("/dev/v2/project/app/rtm/message/history/query/a==").as_deref(),
            Some(handle)
        );
        assert_eq!(resolved(handle).as_deref(), Some(handle));
        for plain in [
            handle.replace("https:", "http:"),
            handle.replace("https://api.agora.io", "HTTP://API.agora.io:443"),
        ] {
            assert_eq!(resolved(&plain).as_deref(), Some(handle), "{plain}");
        }
        for foreign in [
            "https://evil.example/x",
            "http://evil.example/x",
            "http://api.agora.io:8080/x",
            "https://api.agora.io:8443/x",
            "//evil.example/x",
            "\\\\evil.example/x",
            "https://api.agora.io@evil.example/x",
            "data:text/plain,x",
            "file:///etc/passwd",
        ] {
            assert_eq!(resolved(foreign), None, "{foreign}");
        }
    }
}
