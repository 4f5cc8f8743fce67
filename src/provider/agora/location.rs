//! Where Agora says that an answer will be.

use reqwest::Url;

use crate::provider::error::ProviderError;

/// The place that a `location` names, on the host where the handle was made and nowhere else. `~` stands for the
/// project.
pub(super) fn resolve_location(project: &Url, location: &str) -> Result<Url, ProviderError> {
    const WHAT: &str = "query";
    let unreadable = || ProviderError::Malformed {
        what: WHAT,
        fault: "the `location` is no address".to_owned(),
    };
    let place = match location.strip_prefix('~') {
        Some(rest) => format!(
            "{}/{}",
            project.as_str().trim_end_matches('/'),
            rest.trim_start_matches('/')
        ),
        None => project
            .join(location)
            .map_err(|_| unreadable())?
            .to_string(),
    };
    let place = Url::parse(&place).map_err(|_| unreadable())?;
    if place.origin() != project.origin() {
        let host = place.host_str().unwrap_or("none").to_owned();
        return Err(ProviderError::ForeignLocation { what: WHAT, host });
    }
    Ok(place)
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
        for foreign in [
            "https://evil.example/x",
            "http://api.agora.io/x",
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
