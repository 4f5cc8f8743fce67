//! The secrets of all accounts, kept out of what providers say.
//!
//! A provider, or a gateway before it, may repeat a request in an error: its headers, its address.
//! Every text of a provider that is shown passes [`redact`], where it enters the program. Messages
//! are not such texts: they are archived as they are.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::RwLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::domain::format::counted;
use crate::domain::lock::{read_lock, write_lock};

/// A text longer than this, in bytes, is not shown at all. No error text is as long.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// Shorter secrets are not looked for: they would occur by accident.
const MIN_SECRET_BYTES: usize = 4;
/// A secret may be encoded several times over, for example as JSON in a URL.
const MAX_ENCODINGS: usize = 4;
const REDACTED: &str = "[REDACTED]";
const WITHHELD: &str = "[an error text that repeats a secret]";
/// A parameter whose value signs a request. It is made anew for each request.
const SIGNATURE: &str = "web3mq_signature";

/// The forms in which known secrets may appear, the longest first.
static KNOWN_FORMS: RwLock<BTreeSet<SecretForm>> = RwLock::new(BTreeSet::new());

/// A form of a secret, in lower case. The longest come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SecretForm {
    rank: usize,
    text: String,
}

/// Remembers a secret for as long as the process lives.
pub(super) fn register_secret(secret: &str) {
    if secret.len() < MIN_SECRET_BYTES {
        return;
    }
    let forms = forms_of(secret);
    write_lock(&KNOWN_FORMS).extend(forms.into_iter().map(|text| {
        let text = text.to_lowercase();
        SecretForm {
            rank: usize::MAX - text.len(),
            text,
        }
    }));
}

/// Returns a text without the known secrets, in whatever encoding.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    if text.len() > MAX_TEXT_BYTES {
        let size = counted(text.len() as u64, "byte", "bytes");
        return format!("[an error text of {size}]").into();
    }
    let known = read_lock(&KNOWN_FORMS);
    let mut redacted = Cow::Borrowed(text);
    for form in known.iter() {
        if let Some(without) = replace_ignoring_case(&redacted, &form.text) {
            redacted = without.into();
        }
    }
    if let Some(without) = without_signature(&redacted) {
        redacted = without.into();
    }
    let is_hidden_in = |text: &str| {
        let text = text.to_lowercase();
        let has_secret = known.iter().any(|form| text.contains(&form.text));
        has_secret || without_signature(&text).is_some()
    };
    if decodings(&redacted).any(|decoded| is_hidden_in(&decoded)) {
        return WITHHELD.into();
    }
    redacted
}

/// Returns the forms in which a secret is recognised inside a text.
fn forms_of(secret: &str) -> BTreeSet<String> {
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"').to_owned();
    let mut forms = BTreeSet::from([
        secret.to_owned(),
        percent.replace("%20", "+"),
        percent,
        json.replace('/', "\\/"),
        json,
        hex::encode(secret),
    ]);
    forms.extend((0..3).filter_map(|offset| base64_core(secret, offset, &STANDARD_NO_PAD)));
    forms.extend((0..3).filter_map(|offset| base64_core(secret, offset, &URL_SAFE_NO_PAD)));
    forms
}

/// Returns the base64 digits that depend on the secret alone if it stands behind `offset` other
/// bytes, modulo three. `None` if they are too few.
fn base64_core(secret: &str, offset: usize, engine: &impl Engine) -> Option<String> {
    let bytes = [vec![0; offset], secret.as_bytes().to_vec()].concat();
    let digits = engine.encode(&bytes);
    let (first, end) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    let core = digits.get(first..end)?;
    (core.len() > MIN_SECRET_BYTES).then(|| core.to_owned())
}

/// Replaces a form, which is in lower case. `None` if the text does not hold it.
fn replace_ignoring_case(text: &str, form: &str) -> Option<String> {
    // The length of an ASCII letter does not depend on its case, so the positions are the same.
    let lower = text.to_ascii_lowercase();
    let mut rest = 0;
    let mut result = String::new();
    for (at, found) in lower.match_indices(form) {
        result.push_str(text.get(rest..at)?);
        result.push_str(REDACTED);
        rest = at + found.len();
    }
    if rest == 0 {
        return None;
    }
    result.push_str(text.get(rest..)?);
    Some(result)
}

/// Removes the values of signatures. `None` if there are none.
fn without_signature(text: &str) -> Option<String> {
    let (before, after) = text.split_once(SIGNATURE)?;
    let value = after.trim_start_matches(['"', '\'', ' ']);
    let Some(value) = value.strip_prefix(['=', ':']) else {
        let rest = without_signature(after)?;
        return Some(format!("{before}{SIGNATURE}{rest}"));
    };
    let value = value.trim_start_matches(['"', '\'', ' ']);
    let rest = value.trim_start_matches(is_signature_char);
    let rest = without_signature(rest).unwrap_or_else(|| rest.to_owned());
    Some(format!("{before}[signature {REDACTED}]{rest}"))
}

fn is_signature_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '%' | '-' | '_')
}

/// Returns what a text may mean: without white space, and with its escapes decoded, repeatedly.
fn decodings(text: &str) -> impl Iterator<Item = String> {
    let joined: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let mut decoded = vec![joined];
    for _ in 0..MAX_ENCODINGS {
        let last = decoded.last().map_or("", String::as_str);
        let next = decode_html(&decode_json(&percent_decode_str(last).decode_utf8_lossy()));
        if next == last {
            break;
        }
        decoded.push(next);
    }
    decoded.into_iter()
}

/// Decodes the escapes of JSON strings; anything else stays.
fn decode_json(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        decoded.push_str(before);
        let hex = after.strip_prefix(['u', 'x']);
        let digits = hex.and_then(|hex| hex.get(..if after.starts_with('u') { 4 } else { 2 }));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match (code.and_then(char::from_u32), digits) {
            (Some(c), Some(digits)) => {
                decoded.push(c);
                rest = &after[1 + digits.len()..];
            }
            _ => rest = after,
        }
    }
    decoded.push_str(rest);
    decoded
}

/// Decodes the character references of HTML that a gateway's page may use.
fn decode_html(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        decoded.push_str(before);
        let reference = after.split_once(';').and_then(|(name, behind)| {
            let c = match name.to_ascii_lowercase().as_str() {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                number => {
                    let number = number.strip_prefix('#')?;
                    let code = match number.strip_prefix('x') {
                        Some(hex) => u32::from_str_radix(hex, 16),
                        None => number.parse(),
                    };
                    char::from_u32(code.ok()?)?
                }
            };
            Some((c, behind))
        });
        if let Some((c, behind)) = reference {
            decoded.push(c);
            rest = behind;
        } else {
            decoded.push('&');
            rest = after;
        }
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "s3cr3t/of+\"backscroll\"?~ää";

    /// Every encoding of a secret that a provider may echo.
    fn encodings() -> Vec<String> {
        let pair = format!("the-id:{SECRET}");
        let json = serde_json::Value::from(SECRET).to_string();
        let unicode: Vec<String> = SECRET
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect();
        let html: Vec<String> = SECRET.chars().map(|c| format!("&#{};", c as u32)).collect();
        let percent = utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        let all_percent: Vec<String> = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
        vec![
            SECRET.to_owned(),
            SECRET.to_uppercase(),
            STANDARD.encode(SECRET),
            URL_SAFE.encode(SECRET),
            STANDARD.encode(&pair),
            URL_SAFE_NO_PAD.encode(&pair),
            STANDARD.encode(format!("xy{pair}")),
            STANDARD.encode(format!("{{\"authorization\":\"{SECRET}\"}}")),
            utf8_percent_encode(&STANDARD.encode(&pair), NON_ALPHANUMERIC).to_string(),
            percent.to_lowercase(),
            utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
            percent,
            all_percent.concat(),
            hex::encode(SECRET),
            hex::encode_upper(SECRET),
            json.replace('/', "\\/"),
            serde_json::Value::from(json.as_str()).to_string(),
            json,
            unicode.concat(),
            html.concat(),
            SECRET.replace('"', "&quot;"),
            STANDARD.encode(&pair).split_at(9).0.to_owned()
                + "\r\n"
                + STANDARD.encode(&pair).split_at(9).1,
        ]
    }

    #[test]
    fn a_secret_is_redacted_in_every_encoding() {
        register_secret(SECRET);
        for echoed in encodings() {
            let text = format!("bad credentials: {echoed}, sorry");
            let redacted = redact(&text);
            assert!(!redacted.contains(&echoed), "{echoed}: {redacted}");
            let (secret, encoded) = (redacted.contains("s3cr3t"), redacted.len() >= text.len());
            assert!(
                !secret && !encoded || redacted == WITHHELD,
                "{echoed}: {redacted}"
            );
        }
    }

    #[test]
    fn other_text_stays() {
        register_secret("k3y-of-another-account");
        for text in ["status 401: expired", "50% of \\n &amp; more", "ä\u{0130}"] {
            assert_eq!(redact(text), text);
        }
        assert_eq!(redact("a k3y-of-another-account b"), "a [REDACTED] b");
        assert!(redact(&"x".repeat(MAX_TEXT_BYTES + 1)).len() < 100);
    }

    #[test]
    fn signatures_are_redacted() {
        let text = "no /api/?userid=u&web3mq_signature=aGVsbG8%3D&topic=t here";
        assert_eq!(
            redact(text),
            "no /api/?userid=u&[signature [REDACTED]]&topic=t here"
        );
        let harmless = "the web3mq_signature is invalid";
        assert_eq!(redact(harmless), harmless);
        assert_eq!(redact("%77eb3mq_signature%3Dabc"), WITHHELD);
    }
}
