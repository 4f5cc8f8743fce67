//! AccessToken2: a token that names its project, its user and its end, signed with the project's App
//! certificate. Whoever has the certificate can make one, so the daemon renews its own.
//!
//! The format is that of Agora's own builders: `007`, and the base64 of the zlib-compressed bytes. All
//! integers are little-endian; a text is its length in two bytes, and its bytes.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::domain::time::Second;

/// Begins every AccessToken2.
const VERSION: &str = "007";
/// The service that a token is for: RTM, which Agora now calls Signaling.
const RTM_SERVICE: u16 = 2;
/// The right to log in to that service.
const LOGIN: u16 = 1;

/// The App certificate of a project, and the user that its tokens name.
#[derive(Debug)]
pub struct TokenSigner {
    /// The App ID, 32 hexadecimal digits.
    pub app_id: String,
    /// The App certificate, 32 hexadecimal digits. Both are signed as text.
    pub certificate: SecretString,
    pub uid: String,
}

impl TokenSigner {
    /// Returns a token that is valid for `lifetime`, at most a day, from `issued` on. `salt` tells
    /// tokens of one second apart.
    pub fn sign(&self, issued: Second, lifetime: Duration, salt: u32) -> SecretString {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        let compressed = encoder
            .write_all(&self.signed(issued, lifetime, salt))
            .and_then(|()| encoder.finish())
            .unwrap_or_else(|_| unreachable!("memory can be written"));
        format!("{VERSION}{}", STANDARD.encode(compressed)).into()
    }

    fn signed(&self, issued: Second, lifetime: Duration, salt: u32) -> Vec<u8> {
        let issued = u32::try_from(issued.0).unwrap_or(0).to_le_bytes();
        let lifetime = u32::try_from(lifetime.as_secs())
            .unwrap_or(u32::MAX)
            .to_le_bytes();
        let salt = salt.to_le_bytes();
        let mut body = text(self.app_id.as_bytes());
        for part in [
            &issued[..],
            &lifetime,
            &salt,
            &1_u16.to_le_bytes(),
            &RTM_SERVICE.to_le_bytes(),
            &1_u16.to_le_bytes(),
            &LOGIN.to_le_bytes(),
            &lifetime,
            &text(self.uid.as_bytes()),
        ] {
            body.extend_from_slice(part);
        }
        let certificate = self.certificate.expose_secret().as_bytes();
        let key = hmac_sha256(&salt, &hmac_sha256(&issued, certificate));
        [text(&hmac_sha256(&key, &body)), body].concat()
    }
}

/// Returns a text with its length before it.
fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let bytes = &bytes[..length.into()];
    [&length.to_le_bytes(), bytes].concat()
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;

    /// Made with Agora's builder (npm `agora-token` 2.0.6). Compressors differ, so the bytes before
    /// compression are compared.
    const OFFICIAL: &str = "20000d9a1df8a4e60649a82d4a68fb1f49581fb4d227b8f0b65773b79f1c89e7eb7c\
         2000393730434133356465363063343436343562626165386132313530363162333347f41000580200000100\
         00000100020001000100580200000900746573745f75736572";

    #[test]
    fn token_equals_that_of_the_official_builder() {
        let signer = TokenSigner {
            app_id: "970CA35de60c44645bbae8a215061b33".to_owned(),
            certificate: "5CFd2fd1755d40ecb72977518be15d3b".into(),
            uid: "test_user".to_owned(),
        };
        let token = signer.sign(Second(1_111_111), Duration::from_mins(10), 1);
        let compressed = token.expose_secret().strip_prefix("007").unwrap();
        let mut signed = Vec::new();
        ZlibDecoder::new(&STANDARD.decode(compressed).unwrap()[..])
            .read_to_end(&mut signed)
            .unwrap();
        assert_eq!(hex::encode(signed), OFFICIAL);
        assert!(!format!("{signer:?}").contains("5CFd"));
    }
}
