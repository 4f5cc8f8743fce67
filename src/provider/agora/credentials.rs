//! Authentication at Agora: Basic with the project's customer id and secret, or an RTM token.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::domain::lock::lock;
use crate::provider::credentials_fingerprint::CredentialsParts;
use crate::provider::error::ProviderError;
use crate::provider::redaction::register_secret;

/// The names of the headers that hold a token and its uid.
#[derive(Clone, Debug)]
pub struct TokenHeaders {
    pub token: HeaderName,
    pub uid: HeaderName,
}

/// The names in the contract.
impl Default for TokenHeaders {
    fn default() -> Self {
        Self {
            token: HeaderName::from_static("x-agora-token"),
            uid: HeaderName::from_static("x-agora-uid"),
        }
    }
}

/// The credentials of a project.
#[derive(Debug)]
pub enum Credentials {
    /// Customer ID and secret, for the whole project (contract, "Basic Authentication").
    Basic {
        customer_id: String,
        customer_secret: SecretString,
    },
    /// An RTM token and the uid it was made for (contract, "Token Authentication").
    Token {
        token: RenewableToken,
        uid: String,
        headers: TokenHeaders,
    },
    /// An AccessToken2, which names its user itself (newer Signaling documents).
    Bearer { token: RenewableToken },
    /// None: this process sends no requests.
    Unavailable,
}

/// A token, which is valid for a day at most. It is read again from where it came from, after it was
/// renewed there; or it is made here, and made anew before it expires.
pub struct RenewableToken {
    current: Mutex<CurrentToken>,
    reload: Box<dyn Fn() -> Option<SecretString> + Send + Sync>,
    signed: Option<SignedTokens>,
}

/// The properties of tokens that are made here.
struct SignedTokens {
    /// The secret that they are made with.
    certificate: SecretString,
    /// The age at which a token is made anew.
    max_age: Duration,
}

struct CurrentToken {
    token: SecretString,
    since: Instant,
    /// The number of times it was renewed.
    renewals: u64,
}

impl RenewableToken {
    /// `reload` reads the token that is there now; `None` if it cannot be read.
    pub fn new(
        token: SecretString,
        reload: impl Fn() -> Option<SecretString> + Send + Sync + 'static,
    ) -> Self {
        let current = CurrentToken {
            token,
            since: Instant::now(),
            renewals: 0,
        };
        Self {
            current: Mutex::new(current),
            reload: Box::new(reload),
            signed: None,
        }
    }

    /// `sign` makes a token with the certificate. It is made anew at the age `max_age`, which is less
    /// than its lifetime, and after a refusal.
    pub fn signed(
        certificate: SecretString,
        max_age: Duration,
        sign: impl Fn() -> SecretString + Send + Sync + 'static,
    ) -> Self {
        let token = sign();
        Self {
            signed: Some(SignedTokens {
                certificate,
                max_age,
            }),
            ..Self::new(token, move || Some(sign()))
        }
    }

    /// Returns the token to send now.
    fn token(&self) -> SecretString {
        let (token, age, renewals) = {
            let current = self.lock();
            (
                current.token.clone(),
                current.since.elapsed(),
                current.renewals,
            )
        };
        let is_old = |signed: &SignedTokens| age >= signed.max_age;
        if self.signed.as_ref().is_some_and(is_old) && self.renew(renewals) {
            return self.lock().token.clone();
        }
        token
    }

    /// Returns the secret that changes if the credentials do: the certificate of a token that is made
    /// here, or the token.
    fn root(&self) -> SecretString {
        match &self.signed {
            Some(signed) => signed.certificate.clone(),
            None => self.lock().token.clone(),
        }
    }

    fn renewals(&self) -> u64 {
        self.lock().renewals
    }

    /// Reads the token again. True if it is another one than after `known_renewals` renewals. Of
    /// many requests that are refused together, the first reads the new token, and the others use
    /// it.
    fn renew(&self, known_renewals: u64) -> bool {
        if self.renewals() > known_renewals {
            return true;
        }
        let Some(found) = (self.reload)() else {
            return false;
        };
        let mut current = self.lock();
        if found.expose_secret() != current.token.expose_secret() {
            register_secret(found.expose_secret());
            *current = CurrentToken {
                token: found,
                since: Instant::now(),
                renewals: current.renewals + 1,
            };
        }
        current.renewals > known_renewals
    }

    fn lock(&self) -> MutexGuard<'_, CurrentToken> {
        // It is replaced as a whole: no panic leaves it half-written.
        lock(&self.current)
    }
}

impl std::fmt::Debug for RenewableToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RenewableToken([REDACTED])")
    }
}

impl Credentials {
    /// Returns the headers that authenticate a request.
    pub(super) fn headers(&self) -> Result<HeaderMap, ProviderError> {
        let mut headers = HeaderMap::new();
        match self {
            Self::Basic {
                customer_id,
                customer_secret,
            } => {
                let pair = format!("{customer_id}:{}", customer_secret.expose_secret());
                let value = format!("Basic {}", STANDARD.encode(pair));
                headers.insert(AUTHORIZATION, secret_header(&value)?);
            }
            Self::Token {
                token,
                uid,
                headers: names,
            } => {
                let token = secret_header(token.token().expose_secret())?;
                headers.insert(names.token.clone(), token);
                headers.insert(names.uid.clone(), secret_header(uid)?);
            }
            Self::Bearer { token } => {
                let value = format!("agora token={}", token.token().expose_secret());
                headers.insert(AUTHORIZATION, secret_header(&value)?);
            }
            Self::Unavailable => return Err(ProviderError::without_credentials()),
        }
        Ok(headers)
    }

    /// Keeps the secrets out of what the provider says. A token that is read again is registered
    /// then.
    pub(super) fn register_secrets(&self) {
        match self {
            Self::Basic {
                customer_id,
                customer_secret,
            } => {
                let secret = customer_secret.expose_secret();
                register_secret(secret);
                let pair = format!("{customer_id}:{secret}");
                // The header holds it in base64, and may be encoded once more as a whole.
                register_secret(&STANDARD.encode(&pair));
                register_secret(&pair);
            }
            Self::Token { token, .. } | Self::Bearer { token } => {
                register_secret(token.token().expose_secret());
                register_secret(token.root().expose_secret());
            }
            Self::Unavailable => {}
        }
    }

    /// The parts that differ if the credentials do.
    pub(super) fn parts(&self) -> CredentialsParts {
        let parts = CredentialsParts::default();
        match self {
            Self::Basic {
                customer_id,
                customer_secret,
            } => parts
                .with(customer_id)
                .with(customer_secret.expose_secret()),
            Self::Token { token, uid, .. } => parts.with(uid).with(token.root().expose_secret()),
            Self::Bearer { token } => parts.with(token.root().expose_secret()),
            Self::Unavailable => parts,
        }
    }

    /// The number of times the credentials were renewed.
    pub(super) fn renewals(&self) -> u64 {
        match self {
            Self::Basic { .. } | Self::Unavailable => 0,
            Self::Token { token, .. } | Self::Bearer { token } => token.renewals(),
        }
    }

    /// Renews the credentials after a 401. True if there are others than after `known_renewals`
    /// renewals.
    pub(super) fn renew(&self, known_renewals: u64) -> bool {
        match self {
            Self::Basic { .. } | Self::Unavailable => false,
            Self::Token { token, .. } | Self::Bearer { token } => token.renew(known_renewals),
        }
    }
}

fn secret_header(text: &str) -> Result<HeaderValue, ProviderError> {
    let invalid = |_| ProviderError::Credentials {
        operation: "credentials",
        status: 401,
        message: Some("a token or uid holds characters that no HTTP header can".to_owned()),
    };
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(invalid)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

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
            headers: TokenHeaders::default(),
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
            headers: TokenHeaders::default(),
        };
        assert!(credentials.renew(0) && credentials.renew(0));
        assert!(!credentials.renew(1), "the new one was refused as well");
        assert_eq!(credentials.headers().unwrap()["x-agora-token"], "new");
    }

    #[tokio::test(start_paused = true)]
    async fn signed_token_is_made_anew_before_it_expires_and_after_a_refusal() {
        let made = AtomicU64::new(0);
        let sign = move || format!("token {}", made.fetch_add(1, Ordering::Relaxed)).into();
        let token = RenewableToken::signed("certificate".into(), Duration::from_hours(18), sign);
        let credentials = Credentials::Token {
            token,
            uid: "me".into(),
            headers: TokenHeaders {
                token: HeaderName::from_static("x-ar-token"),
                uid: HeaderName::from_static("x-ar-uid"),
            },
        };
        let sent = || {
            let headers = credentials.headers().unwrap();
            assert_eq!(headers["x-ar-uid"], "me");
            headers["x-ar-token"].to_str().unwrap().to_owned()
        };
        let fingerprint = credentials.parts().fingerprint();
        assert_eq!(
            (sent(), sent()),
            ("token 0".to_owned(), "token 0".to_owned())
        );
        tokio::time::advance(Duration::from_hours(18)).await;
        assert_eq!(
            (sent(), sent()),
            ("token 1".to_owned(), "token 1".to_owned())
        );
        assert!(credentials.renew(1) && credentials.renew(1));
        assert_eq!(sent(), "token 2");
        assert!(
            credentials.parts().have_fingerprint(&fingerprint),
            "the certificate is the same"
        );
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
            headers: TokenHeaders::default(),
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
