//! Conversion of JSON for Postgres, whose JSONB accepts less than the standard.

use serde_json::Value;

/// The nesting depth from which a text is checked. Postgres limits the depth of JSONB.
const CHECKED_DEPTH: usize = 100;

/// Returns a form of a JSON text that Postgres accepts as JSONB. `None` if it accepts the text as
/// it is.
///
/// JSONB rejects U+0000, lone surrogates, and numbers out of range. U+0000 is replaced by U+FFFD.
/// An object with one of the others becomes an object with one text, `raw`.
pub(super) fn jsonb_compatible(text: &str) -> Option<String> {
    if !may_be_rejected(text) {
        return None;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if contains_nul(&value) => Some(replace_nul(value).to_string()),
        Ok(_) => None,
        // Escapes keep their original form. Inside a string they are accepted.
        Err(_) => Some(Value::from_iter([("raw", text)]).to_string()),
    }
}

/// True if a text may contain something that JSONB rejects: an escape, an exponent, or deep
/// nesting.
fn may_be_rejected(text: &str) -> bool {
    let is_exponent = |pair: &[u8]| pair[0].is_ascii_digit() && matches!(pair[1], b'e' | b'E');
    let has_exponent = text.as_bytes().windows(2).any(is_exponent);
    let is_deep = text.matches(['[', '{']).count() > CHECKED_DEPTH;
    text.contains("\\u") || has_exponent || is_deep
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
}
