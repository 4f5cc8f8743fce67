//! Conversion of JSON for Postgres, whose JSONB accepts less than the standard.

use serde::de::IgnoredAny;
use serde_json::Value;

/// The nesting depth of a JSON text up to which it becomes JSONB. Postgres limits the depth by the
/// size of its stack, serde by 128 levels.
const MAX_DEPTH: usize = 100;
/// The digits and the exponent of a number up to which it becomes JSONB. Postgres holds 131,072
/// digits before the point and 16,383 behind it.
const MAX_DIGITS: usize = 1000;

/// True if a text is a JSON object or array that Postgres accepts as JSONB.
pub(super) fn is_jsonb_container(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '['])
        && is_within_limits(text)
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Returns a form of a JSON text that Postgres accepts as JSONB. `None` if it accepts the text as
/// it is.
///
/// JSONB rejects U+0000, lone surrogates, and numbers out of range. U+0000 is replaced by U+FFFD.
/// An object with one of the others becomes an object with one text, `raw`.
pub(super) fn jsonb_compatible(text: &str) -> Option<String> {
    if is_within_limits(text) {
        return None;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if contains_nul(&value) => {
            let replaced = replace_nul(value).to_string();
            Some(replaced).filter(|replaced| is_within_limits(replaced))
        }
        _ => None,
    }
    // Escapes keep their original form. Inside a string they are accepted.
    .or_else(|| Some(Value::from_iter([("raw", text)]).to_string()))
}

/// True if a JSON text contains nothing that JSONB rejects: U+0000, a lone surrogate, a number out
/// of range, or deep nesting. The text may be malformed.
fn is_within_limits(text: &str) -> bool {
    let mut rest = text.as_bytes();
    let mut depth = 0_usize;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match first {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => match skip_string(behind) {
                Some(behind) => rest = behind,
                None => return false,
            },
            b'-' | b'0'..=b'9' => match skip_number(behind) {
                Some(behind) => rest = behind,
                None => return false,
            },
            _ => {}
        }
        if depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

/// Returns the text behind a string whose opening quote was read. `None` if it contains U+0000 or a
/// lone surrogate, or does not end.
fn skip_string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', b'u', behind @ ..] => match (escaped_unit(behind)?, &behind[4..]) {
                (0xD800..=0xDBFF, [b'\\', b'u', low @ ..]) => match escaped_unit(low)? {
                    0xDC00..=0xDFFF => &low[4..],
                    _ => return None,
                },
                (0 | 0xD800..=0xDFFF, _) => return None,
                (_, behind) => behind,
            },
            [b'\\', _, behind @ ..] | [_, behind @ ..] => behind,
            [] => return None,
        };
    }
}

/// Returns the number that the four hexadecimal digits of an escape stand for.
fn escaped_unit(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(..4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// Returns the text behind a number whose first character was read. `None` if it may be out of
/// range.
fn skip_number(text: &[u8]) -> Option<&[u8]> {
    let is_part =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let length = text
        .iter()
        .position(|byte| !is_part(byte))
        .unwrap_or(text.len());
    let (number, behind) = text.split_at(length);
    let exponent = number.rsplit(|byte| matches!(byte, b'e' | b'E')).next()?;
    let has_exponent = exponent.len() < number.len();
    let exponent = std::str::from_utf8(exponent).ok()?;
    let is_small = !has_exponent
        || exponent
            .parse::<i64>()
            .is_ok_and(|exponent| exponent.unsigned_abs() <= MAX_DIGITS as u64);
    (length <= MAX_DIGITS && is_small).then_some(behind)
}

fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(contains_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains('\0') || contains_nul(value)),
        _ => false,
    }
}

fn replace_nul(value: Value) -> Value {
    let replaced = |text: String| text.replace('\0', "\u{FFFD}");
    match value {
        Value::String(text) => Value::String(replaced(text)),
        Value::Array(items) => items.into_iter().map(replace_nul).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (replaced(key), replace_nul(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_that_postgres_rejects_is_converted() {
        assert_eq!(jsonb_compatible(r#"{"version":1,"from_sign":"abc"}"#), None);
        assert_eq!(
            jsonb_compatible(r#"{"a":"x\u0000y"}"#).unwrap(),
            "{\"a\":\"x\u{FFFD}y\"}"
        );
        let surrogate = r#"{"raw":"{\"a\":\"\\ud800\"}"}"#;
        assert_eq!(jsonb_compatible(r#"{"a":"\ud800"}"#).unwrap(), surrogate);
        let number = r#"{"raw":"{\"a\":1e999999}"}"#;
        assert_eq!(jsonb_compatible(r#"{"a":1e999999}"#).unwrap(), number);
        assert_eq!(
            jsonb_compatible(r#"{"z":"3e5","a":1e5,"e":"\u00e9"}"#),
            None
        );
    }

    /// Numbers near the limits of Postgres' NUMERIC, which serde reads without complaint.
    #[test]
    fn numbers_out_of_range_are_kept_as_text() {
        let digits = "1".repeat(140_000);
        for number in [
            "1e-20000",
            &digits,
            &format!("0.{digits}"),
            "1E+99999999999999999999",
        ] {
            let text = format!(r#"{{"a":{number}}}"#);
            let readable = jsonb_compatible(&text).unwrap();
            assert!(readable.starts_with(r#"{"raw":"#), "{readable:.40}");
            assert!(!is_jsonb_container(&text), "{text:.40}");
        }
        assert_eq!(jsonb_compatible(r#"{"a":[1e400,-0.5E-3]}"#), None);
    }

    #[test]
    fn json_objects_and_arrays_are_told_from_other_text() {
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        for text in [
            r#"{"a":1}"#,
            "[]",
            " \n[1, {\"b\": null}] ",
            r#"["\ud83d\ude00","\\ud800"]"#,
            &deep,
        ] {
            assert!(is_jsonb_container(text), "{text:.40}");
        }
        let too_deep = format!("[{deep}]");
        for text in [
            "",
            "1",
            "null",
            "\"text\"",
            "{",
            "{a:1}",
            "[1,]",
            "[1]x",
            "[\"\t\"]",
            r#"["\u0000"]"#,
            r#"["\ud800"]"#,
            r#"["\ude00\ud83d"]"#,
            r#"["\ud83dx"]"#,
            r#"["\u00"#,
            "[1e+]",
            "[1e1001]",
            &too_deep,
        ] {
            assert!(!is_jsonb_container(text), "{text:.40}");
        }
    }
}
