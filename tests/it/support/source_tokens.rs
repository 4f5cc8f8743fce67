//! Splits Rust source text into tokens, and leaves out test code.

/// Leaves out items under `#[cfg(test)]`. Also returns the names of modules in files of their own
/// that are test code.
pub(crate) fn without_test_code(tokens: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !is_test_attribute(&tokens[at..]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        while tokens.get(at).is_some_and(|token| token == "#") {
            at = end_of_group(tokens, at + 1);
        }
        let end = end_of_item(tokens, at);
        let item = &tokens[at..end];
        if let [.., keyword, name, semicolon] = item
            && keyword == "mod"
            && semicolon == ";"
        {
            modules.push(name.clone());
        }
        at = end;
    }
    (kept, modules)
}

fn is_test_attribute(tokens: &[String]) -> bool {
    const ATTRIBUTE: [&str; 5] = ["#", "[", "cfg", "(", "test"];
    tokens
        .iter()
        .zip(ATTRIBUTE)
        .filter(|(token, expected)| token == expected)
        .count()
        == ATTRIBUTE.len()
}

/// The position after the group that opens at `at`.
fn end_of_group(tokens: &[String], at: usize) -> usize {
    let mut depth = 0;
    for (offset, token) in tokens[at..].iter().enumerate() {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + offset + 1;
        }
    }
    tokens.len()
}

/// The position after the item that begins at `at`: behind its `;` or its block.
fn end_of_item(tokens: &[String], mut at: usize) -> usize {
    let is_use = tokens[at..].iter().take(5).any(|token| token == "use");
    while at < tokens.len() {
        match tokens[at].as_str() {
            ";" => return at + 1,
            "{" if !is_use => return end_of_group(tokens, at),
            "(" | "[" | "{" => at = end_of_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// Splits a source file into names, `::` and single characters. Comments, lifetimes and the
/// contents of literals are left out.
pub(crate) fn tokenize(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let (c, next) = (chars[at], chars.get(at + 1).copied());
        match c {
            '/' if next == Some('/') => {
                at += chars[at..].iter().take_while(|c| **c != '\n').count();
            }
            '/' if next == Some('*') => at = end_of_comment(&chars, at),
            '"' => {
                tokens.push("\"\"".to_owned());
                at = end_of_string(&chars, at + 1);
            }
            '\'' => at = end_of_char_or_lifetime(&chars, at),
            ':' if next == Some(':') => {
                tokens.push("::".to_owned());
                at += 2;
            }
            _ if c.is_alphanumeric() || c == '_' => {
                let word: String = chars[at..]
                    .iter()
                    .take_while(|c| c.is_alphanumeric() || **c == '_')
                    .collect();
                at += word.chars().count();
                let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
                if matches!(word.as_str(), "r" | "br") && chars.get(at + hashes) == Some(&'"') {
                    at = end_of_raw_string(&chars, at + hashes + 1, hashes);
                } else {
                    tokens.push(word);
                }
            }
            _ => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                at += 1;
            }
        }
    }
    tokens
}

fn end_of_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn end_of_raw_string(chars: &[char], mut at: usize, hashes: usize) -> usize {
    let is_end = |at: usize| {
        chars[at] == '"'
            && chars[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    while at < chars.len() && !is_end(at) {
        at += 1;
    }
    at + 1 + hashes
}

/// A quote begins a character if another ends it; otherwise a lifetime, whose name is left out.
fn end_of_char_or_lifetime(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        return at + 3 + chars[at + 3..].iter().take_while(|c| **c != '\'').count() + 1;
    }
    if chars.get(at + 2) == Some(&'\'') {
        return at + 3;
    }
    at + 1
        + chars[at + 1..]
            .iter()
            .take_while(|c| c.is_alphanumeric() || **c == '_')
            .count()
}
