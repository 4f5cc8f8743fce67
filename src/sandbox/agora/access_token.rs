//! Checks AccessToken2, as strictly as Agora: the signature, the project, the user, and the time.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::time::Second;

/// The maximum size of an unpacked token, in bytes.
const MAX_BYTES: u64 = 4096;
/// The longest lifetime of a token, in seconds.
const MAX_LIFETIME_S: u32 = 86_400;

/// Returns the user that a token names. `None` unless the token is signed with the certificate, is for
/// the project and its message service, and has neither expired nor been issued in the future.
pub(super) fn user_of(token: &str, certificate: &str, app_id: &str, now: Second) -> Option<String> {
    let compressed = STANDARD.decode(token.strip_prefix("007")?).ok()?;
    let mut unpacked = Vec::new();
    ZlibDecoder::new(&compressed[..])
        .take(MAX_BYTES)
        .read_to_end(&mut unpacked)
        .ok()?;
    let mut fields = Fields(&unpacked);
    let signature = fields.text()?;
    let body = fields.0;
    let (app, issued, lifetime, salt) =
        (fields.text()?, fields.u32()?, fields.u32()?, fields.u32()?);
    let key = hmac_sha256(
        &salt.to_le_bytes(),
        &hmac_sha256(&issued.to_le_bytes(), certificate.as_bytes())?,
    )?;
    let has_service = (fields.u16()?, fields.u16()?, fields.u16()?, fields.u16()?) == (1, 2, 1, 1);
    let login_lifetime = fields.u32()?;
    let user = std::str::from_utf8(fields.text()?).ok()?;
    let age = now.0.checked_sub(i64::from(issued))?;
    let is_valid = signature == hmac_sha256(&key, body)?
        && fields.0.is_empty()
        && has_service
        && app == app_id.as_bytes()
        && (0..i64::from(lifetime.min(login_lifetime).min(MAX_LIFETIME_S))).contains(&age);
    is_valid.then(|| user.to_owned())
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().to_vec())
}

/// The fields of a token that are not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::provider::agora::TokenSigner;

    const CERTIFICATE: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn token_is_accepted_only_as_it_was_signed_and_until_it_expires() {
        let signer = TokenSigner {
            app_id: "app".to_owned(),
            certificate: CERTIFICATE.into(),
            uid: "archivist".to_owned(),
        };
        let token = signer.sign(Second(1000), Duration::from_mins(10), 7);
        let user = |certificate: &str, app: &str, now: i64| {
            user_of(token.expose_secret(), certificate, app, Second(now))
        };
        for now in [1000, 1599] {
            assert_eq!(user(CERTIFICATE, "app", now).as_deref(), Some("archivist"));
        }
        for now in [999, 1600] {
            assert_eq!(user(CERTIFICATE, "app", now), None, "{now}");
        }
        assert_eq!(user(CERTIFICATE, "other", 1000), None);
        assert_eq!(user("ffffffffffffffffffffffffffffffff", "app", 1000), None);
        for text in ["", "007", "007!", "006eJw", &token.expose_secret()[..40]] {
            assert_eq!(
                user_of(text, CERTIFICATE, "app", Second(1000)),
                None,
                "{text}"
            );
        }
    }
}
