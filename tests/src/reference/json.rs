//! A plain JSON reader (RFC 8259) that keeps what a library would smooth over.
//!
//! ```text
//!  text ──► parse ──► Parsed { value, duplicate_key }      numbers stay as they were written,
//!                 └─► None: not JSON                       repeated keys are noticed at every depth
//! ```
//!
//! The rules of the events need both: `1e999` is JSON but out of range, and of two equal keys nobody knows which one was
//! meant. Keys are compared after their escapes are resolved.

/// Values nested deeper than this count as invalid JSON, so that a hostile line cannot exhaust the stack.
pub(super) const DEPTH_MAX: usize = 128;

/// A JSON value. Objects keep their keys in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Boolean(bool),
    /// The number exactly as written.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value under `key` of an object; `None` for another key or for what is no object.
    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// A whole text read as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) value: Json,
    /// Whether an object at any depth repeats a key.
    pub(super) duplicate_key: bool,
}

/// Reads `text`, which must hold one JSON value and nothing else but white space. `None` if it does not.
pub(super) fn parse(text: &str) -> Option<Parsed> {
    let mut reader = Reader { bytes: text.as_bytes(), text, at: 0, duplicate_key: false };
    reader.skip_white_space();
    let value = reader.value(0)?;
    reader.skip_white_space();
    (reader.at == text.len()).then_some(Parsed { value, duplicate_key: reader.duplicate_key })
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    duplicate_key: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes `expected` or fails.
    fn take(&mut self, expected: &str) -> Option<()> {
        self.bytes[self.at..].starts_with(expected.as_bytes()).then(|| self.at += expected.len())
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        match self.peek()? {
            b'n' => self.take("null").map(|()| Json::Null),
            b't' => self.take("true").map(|()| Json::Boolean(true)),
            b'f' => self.take("false").map(|()| Json::Boolean(false)),
            b'"' => self.string().map(Json::Text),
            b'[' if depth < DEPTH_MAX => self.list(depth + 1),
            b'{' if depth < DEPTH_MAX => self.object(depth + 1),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        self.take("[")?;
        self.skip_white_space();
        let mut items = Vec::new();
        if self.take("]").is_some() {
            return Some(Json::List(items));
        }
        loop {
            self.skip_white_space();
            items.push(self.value(depth)?);
            self.skip_white_space();
            if self.take("]").is_some() {
                return Some(Json::List(items));
            }
            self.take(",")?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.take("{")?;
        self.skip_white_space();
        let mut members: Vec<(String, Json)> = Vec::new();
        if self.take("}").is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.skip_white_space();
            let key = self.string()?;
            self.skip_white_space();
            self.take(":")?;
            self.skip_white_space();
            let value = self.value(depth)?;
            members.push((key, value));
            self.skip_white_space();
            if self.take("}").is_some() {
                let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
                keys.sort_unstable();
                self.duplicate_key |= keys.windows(2).any(|pair| pair[0] == pair[1]);
                return Some(Json::Object(members));
            }
            self.take(",")?;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        let _sign = self.take("-");
        if self.take("0").is_none() {
            self.digits()?;
        }
        if self.take(".").is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(Json::Number(self.text[start..self.at].to_owned()))
    }

    fn string(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut content = String::new();
        let mut plain_from = self.at;
        loop {
            match self.peek()? {
                b'"' => {
                    content.push_str(&self.text[plain_from..self.at]);
                    self.at += 1;
                    return Some(content);
                }
                b'\\' => {
                    content.push_str(&self.text[plain_from..self.at]);
                    self.at += 1;
                    content.push(self.escape()?);
                    plain_from = self.at;
                }
                0x00..=0x1f => return None,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return None,
        })
    }

    /// What follows `\u`: one code unit, or two that form a surrogate pair. A lone surrogate is no character.
    fn unicode_escape(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        self.take("\\u")?;
        let second = self.hex4()?;
        if !(0xdc00..0xe000).contains(&second) {
            return None;
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, valid: bool, duplicate_key: bool) {
        let parsed = parse(text);
        assert_eq!(parsed.is_some(), valid, "{text}");
        assert_eq!(parsed.is_some_and(|parsed| parsed.duplicate_key), duplicate_key, "{text}");
    }

    #[test]
    fn syntax_is_that_of_rfc_8259() {
        for text in ["{}", " [1, -0.5e+3, \"a\\u00e9\\ud83d\\ude00\"] ", "null", "1e999", r#"{"a":{"b":[]}}"#] {
            check(text, true, false);
        }
        for text in [
            "",
            "{",
            "{a:1}",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            "+1",
            ".5",
            "NaN",
            "tru",
            "\"\\x\"",
            "\"\\ud800\"",
            "1 2",
            "\"\t\"",
            "\u{feff}{}",
        ] {
            check(text, false, false);
        }
    }

    #[test]
    fn repeated_keys_are_seen_at_every_depth_and_through_escapes() {
        check(r#"{"a":1,"a":1}"#, true, true);
        check(r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#, true, true);
        check(r#"{"a":1,"\u0061":2}"#, true, true);
        check(r#"{"a":{"a":{"a":1}}}"#, true, false);
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        check(&nested(DEPTH_MAX), true, false);
        check(&nested(DEPTH_MAX + 1), false, false);
        check(&nested(100_000), false, false);
    }

    #[test]
    fn strings_are_unescaped_and_numbers_kept_as_written() {
        let value = parse(r#"{"text":"a\"\\\/\n\u20ac\ud83d\ude00é","number":-3.10E2}"#).unwrap().value;
        assert_eq!(value.get("text"), Some(&Json::Text("a\"\\/\n€😀é".to_owned())));
        assert_eq!(value.get("number"), Some(&Json::Number("-3.10E2".to_owned())));
        assert_eq!(value.get("other"), None);
    }
}
