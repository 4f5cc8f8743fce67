//! JSON for Postgres, which takes less than the standard allows.

use serde_json::Value;

/// A JSON text in a form that Postgres takes as JSONB; nothing where it takes it as it is.
///
/// What it does not take: U+0000, lone surrogates, numbers beyond all bounds. U+FFFD stands for the first two; an
/// object with any of the others becomes one text.
pub(super) fn jsonb_compatible(text: &str) -> Option<String> {
    // Everything that it might refuse is written with an escape or an exponent, or nested deeply.
    let has_exponent = text
        .as_bytes()
        .windows(2)
        .any(|pair| pair[0].is_ascii_digit() && matches!(pair[1], b'e' | b'E'));
    let is_deep = text.matches(['[', '{']).count() > 100;
    if !(text.contains("\\u") || has_exponent || is_deep) {
        return None;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if contains_nul(&value) => Some(replace_nul(value).to_string()),
        Ok(_) => None,
        // Escapes stay as they were written, and within a string they do no harm.
        Err(_) => Some(Value::from_iter([("raw", text)]).to_string()),
    }
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
    let mend = |text: String| text.replace('\0', "\u{FFFD}");
    match value {
        Value::String(text) => Value::String(mend(text)),
        Value::Array(items) => items.into_iter().map(replace_nul).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (mend(key), replace_nul(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_postgres_refuses_is_written_otherwise() {
        assert_eq!(jsonb_compatible(r#"{"version":1,"from_sign":"abc"}"#), None);
        assert_eq!(
            jsonb_compatible(r#"{"a":"x\u0000y"}"#).unwrap(),
            "{\"a\":\"x\u{FFFD}y\"}"
        );
        assert_eq!(
            jsonb_compatible(r#"{"a":"\ud800"}"#).unwrap(),
            r#"{"raw":"{\"a\":\"\\ud800\"}"}"#
        );
        assert_eq!(
            jsonb_compatible(r#"{"a":1e999999}"#).unwrap(),
            r#"{"raw":"{\"a\":1e999999}"}"#
        );
        assert_eq!(
            jsonb_compatible(r#"{"z":"3e5","a":1e5,"e":"\u00e9"}"#),
            None
        );
    }
}
