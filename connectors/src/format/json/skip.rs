//! Goes over a value that no column takes, strictly, without looking for more than its end.

use super::NESTING_MAX;
use crate::format::number;
use crate::format::word::string_end;

/// Where the value at `at` ends. `None`: it is not plainly one; it may have an escape.
pub(super) fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    // A bit for each object or array around, the innermost lowest: it is an object.
    let (mut objects, mut depth) = (0u128, 0);
    loop {
        at = match *bytes.get(at)? {
            open @ (b'{' | b'[') => {
                depth += 1;
                if depth >= NESTING_MAX {
                    return None;
                }
                objects = objects << 1 | u128::from(open == b'{');
                let inside = space_end(bytes, at + 1);
                match (open, *bytes.get(inside)?) {
                    (b'{', b'}') | (b'[', b']') => inside,
                    (b'{', _) => {
                        at = key_end(bytes, inside)?;
                        continue;
                    }
                    _ => {
                        at = inside;
                        continue;
                    }
                }
            }
            b'"' => string_end(bytes, at + 1)? + 1,
            _ => scalar_end(bytes, at)?,
        };
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = space_end(bytes, at);
            match (*bytes.get(at)?, objects & 1 == 1) {
                (b',', true) => {
                    at = key_end(bytes, space_end(bytes, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at = space_end(bytes, at + 1);
                    break;
                }
                (b'}', true) | (b']', false) => at += 1,
                _ => return None,
            }
            depth -= 1;
            objects >>= 1;
        }
    }
}

/// Where the value behind the key at `at` starts.
fn key_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = (bytes.get(at) == Some(&b'"')).then(|| string_end(bytes, at + 1)).flatten()?;
    let colon = space_end(bytes, end + 1);
    (bytes.get(colon) == Some(&b':')).then(|| space_end(bytes, colon + 1))
}

fn scalar_end(bytes: &[u8], at: usize) -> Option<usize> {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    let end = at + bytes[at..].iter().take_while(is_part).count();
    let text = &bytes[at..end];
    (matches!(text, b"null" | b"true" | b"false") || number::is_json(text)).then_some(end)
}

fn space_end(bytes: &[u8], at: usize) -> usize {
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + bytes.get(at..).unwrap_or_default().iter().take_while(is_space).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn check(text: &str) {
        let bytes = format!("x{text},").into_bytes();
        let is_value = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text);
        match value_end(&bytes, 1) {
            Some(end) => assert_eq!((is_value, end), (true, 1 + text.len()), "{text}"),
            None => assert!(!is_value || text.contains('\\'), "{text}"),
        }
    }

    #[test]
    fn values_of_every_kind() {
        for text in [
            "{}",
            "[]",
            "[ ]",
            "{ }",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{\"a\"}",
            "{\"a\" : [ ] , \"b\":{}}",
            "{a:1}",
            "{1:2}",
            "[}",
            "{]",
            "[[]",
            "[1e5,-0.1,true,null]",
            "[01]",
            "[tru]",
            "\"a\"",
            "1",
            "[\"\\n\"]",
            "[\"\u{1}\"]",
        ] {
            check(text);
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
        assert_eq!(value_end(&nested(NESTING_MAX - 1), 0), Some(2 * (NESTING_MAX - 1)));
        assert_eq!(value_end(&nested(NESTING_MAX), 0), None);
    }

    proptest! {
        #[test]
        fn a_value_is_what_serde_says(text in "(\\[|\\{|\\{\"a\": ?|\\]|\\}|,|1|\"x\"|null| |:|\"b\":){1,12}") {
            let first = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>().next();
            let expected = first.and_then(Result::ok).filter(|raw| text.starts_with(raw.get()));
            let found = value_end(text.as_bytes(), 0);
            prop_assert_eq!(found, expected.map(|raw| raw.get().len()), "{}", text);
        }
    }
}
