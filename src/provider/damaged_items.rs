//! Isolates damaged items of an answer that is not valid JSON, so that one message never costs its page.
//!
//! A provider may serve an item with a raw control character in a string, an invalid escape or an invalid byte. The
//! body then fails to parse as a whole, although its other items are sound. [`isolate_damaged_items`] finds the items
//! of the outermost list and replaces each damaged one by a JSON string that holds its text. The result parses
//! strictly, and [`super::json::parse_item`] keeps such a string as an unparsable message.
//!
//! A body that ends too early stays as it is: the list must close, or nothing is known about the items behind the
//! damage.

use serde_json::value::RawValue;

use super::limits::MAX_ITEMS_PER_ANSWER;

/// The most places that are tried as the end of one damaged item. It bounds the time for a body
/// that is damaged on purpose.
const MAX_TRIED_ENDS: usize = 10_000;

/// The body as valid JSON in which every damaged item of the outermost list is a string that holds the item's text.
///
/// `None` if there is no list, if the list does not close or is too long, or if the damage lies outside of the list.
pub(super) fn isolate_damaged_items(body: &[u8]) -> Option<String> {
    let list_start = outermost_list(body)? + 1;
    let mut text = String::from_utf8(body[..list_start].to_vec()).ok()?;
    let mut position = skip_blanks(body, list_start);
    if body.get(position) == Some(&b']') {
        return None;
    }
    for _ in 0..MAX_ITEMS_PER_ANSWER {
        let end = item_end(body, position)?;
        push_item(&mut text, &body[position..end]);
        position = skip_blanks(body, end);
        match body.get(position)? {
            b',' => {
                text.push(',');
                position = skip_blanks(body, position + 1);
            }
            b']' => return closed(text, &body[position..]),
            _ => return None,
        }
    }
    None
}

/// The text with the rest of the body, if that makes it valid JSON.
fn closed(mut text: String, rest: &[u8]) -> Option<String> {
    text.push_str(std::str::from_utf8(rest).ok()?);
    serde_json::from_str::<&RawValue>(&text)
        .is_ok()
        .then_some(text)
}

/// The text of a damaged item. Invalid UTF-8 and NUL, which Postgres does not store, are kept as
/// `\xNN`, so that no byte is lost.
fn damaged_text(item: &[u8]) -> String {
    let mut text = String::with_capacity(item.len());
    for chunk in item.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\0', "\\x00"));
        for byte in chunk.invalid() {
            text.push_str("\\x");
            text.push_str(&hex::encode([*byte]));
        }
    }
    text
}

fn push_item(text: &mut String, item: &[u8]) {
    match std::str::from_utf8(item) {
        Ok(sound) if is_json(item) => text.push_str(sound),
        _ => text.push_str(&serde_json::Value::from(damaged_text(item)).to_string()),
    }
}

fn is_json(item: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(item).is_ok()
}

/// The position of the first `[` outside of any string.
fn outermost_list(body: &[u8]) -> Option<usize> {
    let mut scanner = Scanner::default();
    body.iter()
        .position(|&byte| scanner.is_outside_strings(byte) && byte == b'[')
}

/// The end of the item that begins at `start`.
///
/// A sound item ends where its JSON ends. Of a damaged one any sign may be missing or too many: it ends where its
/// braces balance, or before an item that begins with the same key, whichever comes first; else before the first sound
/// item; else where the list ends.
fn item_end(body: &[u8], start: usize) -> Option<usize> {
    sound_end(body, start).or_else(|| {
        let balanced = balanced_end(body, start).filter(|&end| is_boundary(body, end));
        let before_alike = end_before_alike(&body[..balanced.unwrap_or(body.len())], start);
        before_alike
            .or(balanced)
            .or_else(|| end_before_sound(body, start))
            .or_else(|| list_end(body, start))
    })
}

fn sound_end(body: &[u8], start: usize) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_slice(&body[start..]).into_iter::<&RawValue>();
    values.next()?.ok()?;
    Some(start + values.byte_offset())
}

fn balanced_end(body: &[u8], start: usize) -> Option<usize> {
    let mut scanner = Scanner::default();
    let mut open = Vec::new();
    for (offset, &byte) in body[start..].iter().enumerate() {
        if !scanner.is_outside_strings(byte) {
            continue;
        }
        match byte {
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => {
                if open.pop() != Some(byte) {
                    return None;
                }
                if open.is_empty() {
                    return Some(start + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The end of the item at `start`, if another with the same first key follows. The items of a list are alike; and
/// inside of a sound string the quotes of the key would be escaped.
fn end_before_alike(body: &[u8], start: usize) -> Option<usize> {
    let quote = skip_blanks(body, start + 1);
    let key = quoted(body, quote)?;
    object_starts(body, start)
        .find(|&(_, next)| quoted(body, skip_blanks(body, next + 1)) == Some(key))
        .map(|(end, _)| end)
}

/// The quoted text that begins at `quote`. `None` if there is none.
fn quoted(body: &[u8], quote: usize) -> Option<&[u8]> {
    let text = body.get(quote..)?.strip_prefix(b"\"")?;
    let length = text.iter().position(|&byte| byte == b'"')?;
    Some(&text[..length])
}

/// The end of the item at `start`, if a sound one follows.
fn end_before_sound(body: &[u8], start: usize) -> Option<usize> {
    object_starts(body, start)
        .take(MAX_TRIED_ENDS)
        .find(|&(_, next)| sound_end(body, next).is_some())
        .map(|(end, _)| end)
}

/// The places behind `start` where an object follows a comma: the comma, and the object's brace.
fn object_starts(body: &[u8], start: usize) -> impl Iterator<Item = (usize, usize)> {
    (start + 1..body.len())
        .filter(|&comma| body[comma] == b',')
        .map(|comma| (comma, skip_blanks(body, comma + 1)))
        .filter(|&(_, next)| body.get(next) == Some(&b'{'))
}

/// The end of the last item: the last bracket behind which nothing but the ends of enclosing objects and their other
/// fields follow. Whether these are sound is seen when the body is put together.
fn list_end(body: &[u8], start: usize) -> Option<usize> {
    let bracket = body.iter().rposition(|&byte| byte == b']')?;
    (bracket > start).then_some(bracket)
}

/// True if an item may end at `end`: the next sign is a comma or the end of the list.
fn is_boundary(body: &[u8], end: usize) -> bool {
    matches!(body.get(skip_blanks(body, end)), Some(b',' | b']'))
}

fn skip_blanks(body: &[u8], from: usize) -> usize {
    let blanks = body[from.min(body.len())..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    from + blanks
}

/// Follows strings and escapes through JSON text, byte by byte.
#[derive(Default)]
struct Scanner {
    in_string: bool,
    is_escaped: bool,
}

impl Scanner {
    /// True if the byte lies outside of all strings; the quotes belong to the string.
    fn is_outside_strings(&mut self, byte: u8) -> bool {
        if !self.in_string {
            self.in_string = byte == b'"';
            return !self.in_string;
        }
        let ends = byte == b'"' && !self.is_escaped;
        self.is_escaped = byte == b'\\' && !self.is_escaped;
        self.in_string = !ends;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of the isolated body: `Ok` for sound ones, `Err` with the text of damaged ones.
    fn items(body: &[u8]) -> Option<Vec<Result<String, String>>> {
        let text = isolate_damaged_items(body)?;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let list = value
            .pointer("/data/result")
            .or(value.pointer("/messages"))
            .unwrap();
        let item = |item: &serde_json::Value| match item.as_str() {
            Some(text) => Err(text.to_owned()),
            None => Ok(item.to_string()),
        };
        Some(list.as_array().unwrap().iter().map(item).collect())
    }

    fn page(item: &[u8]) -> Vec<u8> {
        let head: &[u8] = br#"{"result":"success","messages":[{"a":1}, "#;
        [head, item, br#",{"b":2}],"code":"ok"}"#].concat()
    }

    #[test]
    fn damaged_item_is_isolated_and_its_neighbours_are_kept() {
        let damaged: [&[u8]; 13] = [
            b"{\"p\":\"a\nb\"}",
            b"{\"p\":\"tab\there\"}",
            b"{\"p\":\"\x01\x00\"}",
            b"{\"p\":\"\\x41\"}",
            b"{\"p\":\"cut \\u12\"}",
            b"{\"p\":\"\xff\xfe\"}",
            b"{\"p\":\"an unescaped \" quote\"}",
            b"{\"p\":\"no quote}",
            b"{\"p\":\"no brace\"",
            b"{\"p\":\"no end",
            b"{\"p\":\"no end, {but} a \\",
            b"{\"p\":",
            b"{\"p\":{\"q\":[1,\"too deep\"}",
        ];
        for item in damaged {
            let found = items(&page(item)).unwrap_or_else(|| panic!("{}", item.escape_ascii()));
            assert_eq!(found.len(), 3, "{}", item.escape_ascii());
            assert_eq!(found[0], Ok("{\"a\":1}".to_owned()));
            assert_eq!(found[1], Err(damaged_text(item)));
            assert_eq!(found[2], Ok("{\"b\":2}".to_owned()));
            let last = [
                &b"{\"messages\":[{\"a\":1},"[..],
                item,
                b"],\"code\":\"ok\"}",
            ]
            .concat();
            let found = items(&last).unwrap_or_else(|| panic!("{}", last.escape_ascii()));
            assert_eq!(found.len(), 2, "{}", item.escape_ascii());
            assert_eq!(found[1], Err(damaged_text(item)));
        }
    }

    #[test]
    fn damaged_items_in_a_row_are_told_apart() {
        let body = b"{\"messages\":[{\"p\":\"no end,{\"p\":\"\n\"},{\"p\":\"{\"p\",{\"p\":2}]}";
        let found = items(body).unwrap();
        let damaged = |text: &str| Err(text.to_owned());
        assert_eq!(
            found,
            [
                damaged("{\"p\":\"no end"),
                damaged("{\"p\":\"\n\"}"),
                damaged("{\"p\":\"{\"p\""),
                Ok("{\"p\":2}".to_owned())
            ]
        );
    }

    #[test]
    fn list_below_another_object_is_found() {
        let body =
            b"{\"code\":0,\"data\":{\"total\":2,\"result\":[{\"p\":\"\n\"},{\"q\":[1,{}]}]}}";
        let found = items(body).unwrap();
        assert_eq!(
            found,
            [
                Err("{\"p\":\"\n\"}".to_owned()),
                Ok("{\"q\":[1,{}]}".to_owned())
            ]
        );
    }

    #[test]
    fn truncated_body_is_not_completed() {
        let body = page(b"{\"p\":\"\n\"}");
        for length in 0..body.len() {
            assert_eq!(isolate_damaged_items(&body[..length]), None, "{length}");
        }
    }

    #[test]
    fn body_without_a_list_or_with_damage_outside_of_it_stays_malformed() {
        for body in [
            &b"<html>"[..],
            b"{\"messages\":[]}",
            b"{\"m\n\":1,\"messages\":[{}]}",
            b"{\"messages\":[{}],\"code\":\"\n\"}",
            b"",
        ] {
            assert_eq!(isolate_damaged_items(body), None, "{}", body.escape_ascii());
        }
    }
}
