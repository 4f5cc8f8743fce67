//! JSON for Postgres, which takes less than the standard allows.

use serde_json::Value;

/// A JSON text in a form that Postgres takes as JSONB; nothing where it takes it as it is.
///
/// What it does not take: U+0000, lone surrogates, numbers beyond all bounds. U+FFFD stands for the first two; an
/// object with any of the others becomes one text.
pub(super) fn readable_json(text: &str) -> Option<String> {
    // Everything that it might refuse is written with an escape, an exponent, or at great depth.
    let is_plain = !text.contains("\\u") && !text.contains(['e', 'E']);
    if is_plain && text.len() < 100_000 && text.matches(['[', '{']).count() < 100 {
        return None;
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => Value::from_iter([("raw", without_surrogates(text))]),
    };
    let readable = mended(value).to_string();
    (readable != text).then_some(readable)
}

fn mended(value: Value) -> Value {
    let mend = |text: String| text.replace('\0', "\u{FFFD}");
    match value {
        Value::String(text) => Value::String(mend(text)),
        Value::Array(items) => items.into_iter().map(mended).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (mend(key), mended(value))).collect(),
        other => other,
    }
}

/// The text as a string: escapes stay as they were written, and so do no harm.
fn without_surrogates(text: &str) -> Value {
    Value::from(text.replace('\0', "\u{FFFD}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_postgres_refuses_is_written_otherwise() {
        assert_eq!(readable_json(r#"{"version":1,"from_sign":"abc"}"#), None);
        assert_eq!(readable_json(r#"{"a":"x\u0000y"}"#).unwrap(), "{\"a\":\"x\u{FFFD}y\"}");
        assert_eq!(readable_json(r#"{"a":"\ud800"}"#).unwrap(), r#"{"raw":"{\"a\":\"\\ud800\"}"}"#);
        assert_eq!(readable_json(r#"{"a":1e999999}"#).unwrap(), r#"{"raw":"{\"a\":1e999999}"}"#);
        assert_eq!(readable_json(r#"{"e":true}"#), None);
    }
}
