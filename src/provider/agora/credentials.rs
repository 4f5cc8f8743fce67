//! Who we are, to Agora: Basic with the project's customer id and secret, or an RTM token.

use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::provider::error::ProviderError;

const TOKEN: HeaderName = HeaderName::from_static("x-agora-token");
const UID: HeaderName = HeaderName::from_static("x-agora-uid");

/// One of the ways in.
#[derive(Debug)]
pub enum Credentials {
    /// Customer ID and secret, for the whole project (contract, "Basic Authentication").
    Basic {
        customer_id: String,
        customer_secret: SecretString,
    },
    /// An RTM token and the uid for which it was made (contract, "Token Authentication").
    Token { token: RenewableToken, uid: String },
    /// An AccessToken2, which names its user itself (newer Signaling documents).
    Bearer { token: RenewableToken },
}

/// A token that lives for a day at most: whoever renews it leaves the new one where this one came from.
pub struct RenewableToken {
    /// With how often it was renewed.
    current: Mutex<(SecretString, u64)>,
    reread: Box<dyn Fn() -> Option<SecretString> + Send + Sync>,
}

impl RenewableToken {
    /// `reread` looks where the token came from, and says what is there now.
    pub fn new(
        token: SecretString,
        reread: impl Fn() -> Option<SecretString> + Send + Sync + 'static,
    ) -> Self {
        Self {
            current: Mutex::new((token, 0)),
            reread: Box::new(reread),
        }
    }

    fn current(&self) -> SecretString {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    fn renewals(&self) -> u64 {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
    }

    /// Whether there is another token now than the one that had been renewed so often: of many requests that are
    /// refused together, the first brings the new token, and the others are to use it.
    fn renew(&self, known: u64) -> bool {
        if self.renewals() > known {
            return true;
        }
        let Some(found) = (self.reread)() else {
            return false;
        };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if found.expose_secret() != current.0.expose_secret() {
            *current = (found, current.1 + 1);
        }
        current.1 > known
    }
}

impl std::fmt::Debug for RenewableToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token([REDACTED])")
    }
}

impl Credentials {
    /// The headers that say who we are.
    pub(super) fn headers(&self) -> Result<HeaderMap, ProviderError> {
        let mut headers = HeaderMap::new();
        match self {
            Self::Basic {
                customer_id,
                customer_secret,
            } => {
                let pair =
                    STANDARD.encode(format!("{customer_id}:{}", customer_secret.expose_secret()));
                headers.insert(AUTHORIZATION, secret(&format!("Basic {pair}"))?);
            }
            Self::Token { token, uid } => {
                headers.insert(TOKEN, secret(token.current().expose_secret())?);
                headers.insert(UID, secret(uid)?);
            }
            Self::Bearer { token } => {
                let value = format!("agora token={}", token.current().expose_secret());
                headers.insert(AUTHORIZATION, secret(&value)?);
            }
        }
        Ok(headers)
    }

    /// How often they were renewed.
    pub(super) fn renewals(&self) -> u64 {
        match self {
            Self::Basic { .. } => 0,
            Self::Token { token, .. } | Self::Bearer { token } => token.renewals(),
        }
    }

    /// After a 401 to credentials that had been renewed so often: whether others are at hand now.
    pub(super) fn renew(&self, known: u64) -> bool {
        match self {
            Self::Basic { .. } => false,
            Self::Token { token, .. } | Self::Bearer { token } => token.renew(known),
        }
    }
}

fn secret(text: &str) -> Result<HeaderValue, ProviderError> {
    let mut value =
        HeaderValue::from_bytes(text.as_bytes()).map_err(|_| ProviderError::Credentials {
            what: "credentials",
            status: 401,
            said: Some("a token or uid holds characters that no HTTP header can".to_owned()),
        })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_credential_kind_sends_its_documented_headers() {
        let token = || RenewableToken::new("tok".into(), || None);
        let shown = |credentials: Credentials| {
            let mut headers: Vec<_> = credentials
                .headers()
                .unwrap()
                .iter()
                .map(|(k, v)| format!("{k}: {}", v.to_str().unwrap()))
                .collect();
            headers.sort();
            headers
        };
        let basic = Credentials::Basic {
            customer_id: "id".into(),
            customer_secret: "secret".into(),
        };
        assert_eq!(shown(basic), ["authorization: Basic aWQ6c2VjcmV0"]);
        let rtm = Credentials::Token {
            token: token(),
            uid: "me".into(),
        };
        assert_eq!(shown(rtm), ["x-agora-token: tok", "x-agora-uid: me"]);
        assert_eq!(
            shown(Credentials::Bearer { token: token() }),
            ["authorization: agora token=tok"]
        );
    }

    #[test]
    fn renewed_token_serves_all_requests_refused_with_the_old_one() {
        let credentials = Credentials::Token {
            token: RenewableToken::new("old".into(), || Some("new".into())),
            uid: "me".into(),
        };
        assert!(credentials.renew(0) && credentials.renew(0));
        assert!(!credentials.renew(1), "the new one was refused as well");
        assert_eq!(credentials.headers().unwrap()["x-agora-token"], "new");
    }

    #[test]
    fn debug_output_hides_secrets() {
        let basic = Credentials::Basic {
            customer_id: "id".into(),
            customer_secret: "hush".into(),
        };
        let rtm = Credentials::Token {
            token: RenewableToken::new("hush".into(), || None),
            uid: "me".into(),
        };
        let headers = rtm.headers().unwrap();
        for shown in [
            format!("{basic:?}"),
            format!("{rtm:?}"),
            format!("{headers:?}"),
        ] {
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}
