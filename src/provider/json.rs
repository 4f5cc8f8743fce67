//! Tolerant reading of JSON, shared by both adapters: strings, counts, lists and objects with unknown
//! fields. Times are in `wire_time.rs`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::limits::{MAX_COUNT, MAX_ITEMS_PER_ANSWER};
use crate::domain::message::{Message, UnparsableMessage, name_error};
use crate::provider::redaction::redact;

/// The reason for which a sound message of another stream or time is kept raw.
const NOT_REQUESTED: &str = "its names or its time are not those that were asked for";

/// The most characters of a provider's error text that are shown.
const MAX_ERROR_TEXT_CHARS: usize = 200;

/// The exact content of a JSON string, in generalised UTF-8. `String` would refuse a lone
/// surrogate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wtf8(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Wtf8 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringVisitor;
        impl Visitor<'_> for StringVisitor {
            type Value = Wtf8;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Wtf8, E> {
                Ok(Wtf8(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Wtf8, E> {
                Ok(Wtf8(bytes))
            }
        }
        deserializer.deserialize_byte_buf(StringVisitor)
    }
}

/// A number of messages in any form: an integer, a float or text. `None` if it says nothing: it is
/// negative, no number, or larger than any stream ([`MAX_COUNT`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WireCount(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for WireCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw.trim_matches('"').trim();
        let count = text.parse().ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            (number >= 0.0).then_some(number.ceil() as u64)
        });
        Ok(Self(count.filter(|count| *count <= MAX_COUNT)))
    }
}

/// A result code in any form: an integer, a float or text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WireCode(pub(super) i64);

impl<'de> Deserialize<'de> for WireCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw.trim_matches('"').trim();
        let is_whole = |number: &f64| number.fract() == 0.0;
        let code = text.parse().ok().or_else(|| {
            let number: f64 = text.parse().ok().filter(is_whole)?;
            Some(number as i64)
        });
        code.map(Self)
            .ok_or_else(|| de::Error::custom("a code that is no whole number"))
    }
}

/// Reads a field that may be null and is still present.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The unknown fields of an object, as the text of a JSON object. Values are kept as they were
/// sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ExtraFields(String);

impl ExtraFields {
    pub(super) fn add(&mut self, key: &str, value: &RawValue) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&serde_json::Value::from(key).to_string());
        self.0.push(':');
        self.0.push_str(value.get());
    }

    /// Returns the object; `None` if there were no unknown fields.
    pub(super) fn into_json(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(self.0)
    }
}

/// An object that reads its fields one by one: a message, whose unknown fields are kept, and whose
/// known ones have more than one name.
pub(super) trait ObjectFields<'de>: Default {
    /// The object's name in errors.
    const TYPE_NAME: &'static str;
    /// Takes the value of the field `key` from `map`.
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads an object into its [`ObjectFields`].
pub(super) fn read_object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: ObjectFields<'de>,
    D: Deserializer<'de>,
{
    struct ObjectVisitor<T>(PhantomData<T>);
    impl<'de, T: ObjectFields<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            write!(f, "{}, an object", T::TYPE_NAME)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
            let mut fields = T::default();
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                fields.read_field(&key, &mut map)?;
            }
            Ok(fields)
        }
    }
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

/// Parses each item of a JSON list; an item that cannot be parsed is kept raw and costs no other.
/// `None` and `null` are empty lists. A list of more than [`MAX_ITEMS_PER_ANSWER`] items is an
/// error: it is no page that was asked for.
pub(super) fn parse_list<'a, W: Deserialize<'a>, T, E: Into<Refusal>>(
    list: Option<&'a RawValue>,
    convert: impl Fn(W) -> Result<T, E>,
) -> Result<Vec<Result<T, UnparsableMessage>>, serde_json::Error> {
    let mut items = Vec::new();
    for_each_item(list, |item| {
        if items.len() == MAX_ITEMS_PER_ANSWER {
            return Err(format!("more than {MAX_ITEMS_PER_ANSWER} items"));
        }
        items.push(parse_item(item.get(), &convert));
        Ok(())
    })?;
    Ok(items)
}

/// Calls `visit` with each item of a JSON list, one after the other. The items are not held in
/// memory together: an answer of tiny items would take a hundred times its own size. `None` and
/// `null` are empty lists. An error of `visit` ends the list.
pub(super) fn for_each_item<'a>(
    list: Option<&'a RawValue>,
    visit: impl FnMut(&'a RawValue) -> Result<(), String>,
) -> Result<(), serde_json::Error> {
    struct ItemVisitor<F>(F);
    impl<'a, F: FnMut(&'a RawValue) -> Result<(), String>> Visitor<'a> for ItemVisitor<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a sequence")
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(item) = list.next_element()? {
                (self.0)(item).map_err(de::Error::custom)?;
            }
            Ok(())
        }
    }
    let Some(list) = list else { return Ok(()) };
    let mut json = serde_json::Deserializer::from_str(list.get());
    json.deserialize_any(ItemVisitor(visit))?;
    json.end()
}

/// Parses one item of a list, or keeps it raw with the reason.
pub(super) fn parse_item<'a, W: Deserialize<'a>, T, E: Into<Refusal>>(
    raw: &'a str,
    convert: impl Fn(W) -> Result<T, E>,
) -> Result<T, UnparsableMessage> {
    if let Some(text) = damaged_text(raw) {
        return Err(UnparsableMessage::new(
            text,
            "the message is not valid JSON",
        ));
    }
    let refusal = match serde_json::from_str(raw) {
        Ok(item) => match convert(item) {
            Ok(parsed) => return Ok(parsed),
            Err(refusal) => refusal.into(),
        },
        Err(error) => Refusal::Fault(parse_error_text(&error)),
    };
    Err(match refusal {
        Refusal::Fault(reason) => UnparsableMessage::new(raw, reason),
        Refusal::NotRequested(message) => UnparsableMessage {
            sound: Some(message),
            ..UnparsableMessage::new(raw, NOT_REQUESTED)
        },
    })
}

/// The reason why an item is kept raw.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Something is missing or wrong.
    Fault(String),
    /// It is a sound message of another stream or time.
    NotRequested(Box<Message>),
}

impl From<String> for Refusal {
    fn from(fault: String) -> Self {
        Self::Fault(fault)
    }
}

/// Returns the text of an item that [`super::damaged_items`] has isolated: an object in a string.
fn damaged_text(raw: &str) -> Option<String> {
    raw.starts_with("\"{")
        .then(|| serde_json::from_str(raw).ok())
        .flatten()
}

/// Keeps a message only if it was asked for.
pub(super) fn require_requested(message: Message, is_requested: bool) -> Result<Message, Refusal> {
    if is_requested {
        Ok(message)
    } else {
        Err(Refusal::NotRequested(Box::new(message)))
    }
}

/// True if an item is a sound message that was not asked for.
pub(super) fn is_not_requested(item: &Result<Message, UnparsableMessage>) -> bool {
    item.as_ref()
        .is_err_and(|unparsable| unparsable.sound.is_some())
}

/// Returns the raw texts of the items that could not be parsed or were not asked for.
pub(super) fn odd_items(items: &[Result<Message, UnparsableMessage>]) -> Vec<String> {
    let odd = items.iter().filter_map(|item| item.as_ref().err());
    odd.map(|unparsable| unparsable.raw.clone()).collect()
}

/// Checks that a name is present and valid.
pub(super) fn require_name(name: Option<String>, field: &str) -> Result<String, String> {
    let name = name.ok_or_else(|| format!("no `{field}`"))?;
    match name_error(&name) {
        Some(fault) => Err(format!("`{field}`: {fault}")),
        None => Ok(name),
    }
}

/// Checks that a name is valid if it is present.
pub(super) fn optional_name(name: Option<String>, field: &str) -> Result<Option<String>, String> {
    name.map(|name| require_name(Some(name), field)).transpose()
}

/// Returns `serde_json`'s error text without the position and without the offending value, which
/// may be the text of a message.
pub(super) fn parse_error_text(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    match text.split_once("invalid type: ") {
        Some((_, rest)) => {
            let found = rest.split([' ', ',']).next().unwrap_or_default();
            let expected = rest
                .rsplit_once("expected ")
                .map_or("something else", |(_, e)| e);
            format!("found {found} where {expected} was expected")
        }
        None => printable(text),
    }
}

/// Returns a body as text, or the reason why it is empty, a page for people, or not UTF-8.
pub(super) fn utf8_body(body: &[u8]) -> Result<&str, String> {
    let content = body.trim_ascii_start();
    if content.is_empty() {
        return Err("the answer is empty".to_owned());
    }
    if content.starts_with(b"<") {
        return Err("the answer is a web page, and not the provider's JSON".to_owned());
    }
    std::str::from_utf8(body)
        .map_err(|e| format!("the answer is not UTF-8 from byte {} on", e.valid_up_to()))
}

/// Returns a provider's error text without secrets and control characters, shortened to 200
/// characters.
pub(super) fn printable(text: &str) -> String {
    redact(text)
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_ERROR_TEXT_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_is_read_in_every_form_and_says_nothing_if_it_is_none() {
        let read = |json: &str| serde_json::from_str::<WireCount>(json).unwrap().0;
        for form in ["250", "250.0", "\"250\"", "\" 250 \"", "2.5e2", "249.5"] {
            assert_eq!(read(form), Some(250), "{form}");
        }
        assert_eq!((read("0"), read("-0.0")), (Some(0), Some(0)));
        for nothing in [
            "-1",
            "\"-1\"",
            "1e300",
            "18446744073709551616",
            "1000000000001",
            "\"many\"",
            "\"inf\"",
            "\"NaN\"",
            "\"\"",
            "null",
            "true",
            "{}",
            "[250]",
        ] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn list_is_read_up_to_its_bound() {
        let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        let parse = |json: &str| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            parse_list(Some(raw), |item: u32| Ok::<_, String>(item)).map(|items| items.len())
        };
        assert_eq!(
            parse(&list(MAX_ITEMS_PER_ANSWER)).unwrap(),
            MAX_ITEMS_PER_ANSWER
        );
        let error = parse(&list(MAX_ITEMS_PER_ANSWER + 1)).unwrap_err();
        assert_eq!(parse_error_text(&error), "more than 1000 items");
        assert_eq!(parse("null").unwrap(), 0);
        for other in ["{}", "7", "\"[]\"", "true"] {
            assert!(parse(other).is_err(), "{other}");
        }
    }

    #[test]
    fn strings_keep_nul_and_lone_surrogates() {
        let read = |json: &str| serde_json::from_str::<Wtf8>(json).unwrap().0;
        assert_eq!(read(r#""a\u0000b""#), b"a\0b");
        assert_eq!(read(r#""\ud83d""#), [0xED, 0xA0, 0xBD]);
        assert_eq!(read(r#""\ude00x""#), [0xED, 0xB8, 0x80, b'x']);
        assert_eq!(read(r#""\ud83d\ude00""#), "😀".as_bytes());
        assert!(serde_json::from_str::<Wtf8>("5").is_err());
        assert!(serde_json::from_str::<Wtf8>("[1]").is_err());
    }

    #[test]
    fn parse_error_never_quotes_the_value() {
        let error = serde_json::from_str::<Vec<u8>>("\"my secret, expected\"").unwrap_err();
        assert!(
            !parse_error_text(&error).contains("secret"),
            "{}",
            parse_error_text(&error)
        );
    }
}
