//! A pull scanner over one JSON text: checks the grammar, gives tokens as positions, copies nothing.
//!
//! RFC 8259, with two rules of ours: a key may stand once in an object, at every depth, and nesting ends at 64. The bytes must be
//! UTF-8 already.

use std::collections::BTreeSet;

/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 64;

/// Why a text is not acceptable JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// The grammar is broken at this byte.
    Syntax(usize),
    /// The key that starts at this byte stands twice.
    DuplicateKey(usize),
    /// Nesting is too deep at this byte.
    Depth(usize),
}

/// A string token: the bytes between the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringToken {
    /// First byte after the opening quote.
    pub start: usize,
    /// The closing quote.
    pub end: usize,
    /// Whether escapes stand in it.
    pub escaped: bool,
}

/// A number token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberToken {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// Whether it has neither fraction nor exponent.
    pub whole: bool,
}

/// One value. Arrays and objects are skipped, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// A number.
    Number(NumberToken),
    /// A string.
    String(StringToken),
    /// An array from its bracket to behind the other.
    Array(usize, usize),
    /// An object from its brace to behind the other.
    Object(usize, usize),
}

/// Scans `bytes` from a position.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bytes of `word` that are a quote, a backslash or a control character have their high bit set; lower false hits never precede
/// the first true one.
#[inline]
fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    let zero_quote = quote.wrapping_sub(ONES) & !quote;
    let zero_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero_quote | zero_backslash | control) & HIGHS
}

impl<'a> Scanner<'a> {
    /// A scanner at byte `at`.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Scanner { bytes, at }
    }

    /// The next byte's position.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Goes over white space.
    #[inline]
    pub fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes `byte`, or says that it is not there.
    ///
    /// # Errors
    /// [`JsonFault::Syntax`] if another byte, or none, comes next.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(JsonFault::Syntax(self.at))
        }
    }

    /// Takes a string whose opening quote comes next.
    ///
    /// # Errors
    /// [`JsonFault::Syntax`] if it is none, holds control characters or bad escapes, or does not end.
    #[inline]
    pub fn string(&mut self) -> Result<StringToken, JsonFault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            while let Some(chunk) = self.bytes.get(self.at..self.at + 8) {
                let mut word = [0; 8];
                word.copy_from_slice(chunk);
                let special = special_bytes(u64::from_le_bytes(word));
                if special != 0 {
                    self.at += special.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(StringToken { start, end: self.at - 1, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(byte) if byte >= 0x20 => self.at += 1,
                _ => return Err(JsonFault::Syntax(self.at)),
            }
        }
    }

    fn hex4(&mut self) -> Result<u32, JsonFault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or(JsonFault::Syntax(self.at))?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// Takes one escape and gives its character.
    fn escape(&mut self) -> Result<char, JsonFault> {
        let start = self.at;
        self.at += 1;
        let kind = self.peek().ok_or(JsonFault::Syntax(start))?;
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut code = self.hex4()?;
                if (0xd800..0xdc00).contains(&code) {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    let low = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(JsonFault::Syntax(start));
                    }
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(code).ok_or(JsonFault::Syntax(start))?
            }
            _ => return Err(JsonFault::Syntax(start)),
        })
    }

    fn number(&mut self) -> Result<NumberToken, JsonFault> {
        let start = self.at;
        let mut whole = true;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(JsonFault::Syntax(self.at)),
        }
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits_required()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits_required()?;
        }
        Ok(NumberToken { start, end: self.at, whole })
    }

    #[inline]
    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn digits_required(&mut self) -> Result<(), JsonFault> {
        let before = self.at;
        self.digits();
        if self.at == before { Err(JsonFault::Syntax(before)) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonFault> {
        if self.bytes.get(self.at..self.at + word.len()) == Some(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(JsonFault::Syntax(self.at))
        }
    }

    /// Takes any value that starts at the next byte.
    ///
    /// # Errors
    /// A [`JsonFault`] if it is not well-formed, nests too deeply or repeats a key.
    #[inline]
    pub fn value(&mut self, depth: usize) -> Result<Token, JsonFault> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => Ok(Token::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Token::Number(self.number()?)),
            Some(b'{') => {
                self.skip_object(depth)?;
                Ok(Token::Object(start, self.at))
            }
            Some(b'[') => {
                self.skip_array(depth)?;
                Ok(Token::Array(start, self.at))
            }
            Some(b'n') => self.word(b"null").map(|()| Token::Null),
            Some(b't') => self.word(b"true").map(|()| Token::Boolean(true)),
            Some(b'f') => self.word(b"false").map(|()| Token::Boolean(false)),
            _ => Err(JsonFault::Syntax(self.at)),
        }
    }

    /// Goes over an object, calling `member` at the start of each value with the key; `member` takes the value.
    ///
    /// # Errors
    /// A [`JsonFault`] of the object or from `member`.
    #[inline]
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, StringToken) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
        self.expect(b'{')?;
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_whitespace();
            let key = self.string()?;
            self.skip_whitespace();
            self.expect(b':')?;
            self.skip_whitespace();
            member(self, key)?;
            self.skip_whitespace();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(JsonFault::Syntax(self.at)),
            }
        }
    }

    fn skip_object(&mut self, depth: usize) -> Result<(), JsonFault> {
        if depth >= DEPTH_MAX {
            return Err(JsonFault::Depth(self.at));
        }
        let bytes = self.bytes;
        let mut keys = BTreeSet::new();
        self.object(|scanner, key| {
            if !keys.insert(unescape(bytes, key)) {
                return Err(JsonFault::DuplicateKey(key.start));
            }
            scanner.value(depth + 1).map(|_| ())
        })
    }

    fn skip_array(&mut self, depth: usize) -> Result<(), JsonFault> {
        if depth >= DEPTH_MAX {
            return Err(JsonFault::Depth(self.at));
        }
        self.array(depth, |_| ())
    }

    /// Goes over an array whose bracket comes next, calling `element` with each value.
    ///
    /// # Errors
    /// A [`JsonFault`] of the array.
    pub fn array(&mut self, depth: usize, mut element: impl FnMut(Token)) -> Result<(), JsonFault> {
        self.expect(b'[')?;
        self.skip_whitespace();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_whitespace();
            element(self.value(depth + 1)?);
            self.skip_whitespace();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(JsonFault::Syntax(self.at)),
            }
        }
    }
}

/// The text of a string token, borrowed where it has no escapes.
pub fn unescape(bytes: &[u8], token: StringToken) -> std::borrow::Cow<'_, [u8]> {
    let raw = &bytes[token.start..token.end];
    if !token.escaped {
        return raw.into();
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut scanner = Scanner::new(raw, 0);
    while let Some(byte) = scanner.peek() {
        if byte == b'\\' {
            // The scanner checked every escape when it took the token, so this cannot fail.
            if let Ok(character) = scanner.escape() {
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        } else {
            text.push(byte);
            scanner.at += 1;
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<Token, JsonFault> {
        let mut scanner = Scanner::new(text.as_bytes(), 0);
        scanner.skip_whitespace();
        let token = scanner.value(0)?;
        scanner.skip_whitespace();
        if scanner.position() == text.len() { Ok(token) } else { Err(JsonFault::Syntax(scanner.position())) }
    }

    #[test]
    fn accepts_the_grammar() {
        for text in [
            "null",
            " true ",
            "0",
            "-0",
            "-12.5e+3",
            "1E9",
            r#""""#,
            r#""a\"\\\/\b\f\n\r\té😀z""#,
            "[]",
            "[1, [2], {}]",
            r#"{"a":1,"b":{"a":[null]}}"#,
            r#""ünïcödé and more than eight bytes""#,
        ] {
            assert!(whole(text).is_ok(), "{text}: {:?}", whole(text));
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "nul",
            "01",
            "+1",
            ".5",
            "1.",
            "1e",
            "NaN",
            "Infinity",
            r#"""#,
            r#""\x""#,
            r#""\ud800""#,
            r#""\ud800A""#,
            "\"\n\"",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "]",
            "\"a\\u00g0\"",
        ] {
            assert!(matches!(whole(text), Err(JsonFault::Syntax(_))), "{text}: {:?}", whole(text));
        }
        assert!(matches!(whole(r#"{"a":{"b":1,"b":2}}"#), Err(JsonFault::DuplicateKey(_))));
        assert!(matches!(whole(r#"{"ab":1,"\u0061b":2}"#), Err(JsonFault::DuplicateKey(_))));
        assert!(matches!(whole(&"[".repeat(100_000)), Err(JsonFault::Depth(_))));
    }

    #[test]
    fn unescapes() {
        let text = r#""a\u00e9\ud83d\ude00\n""#;
        match whole(text) {
            Ok(Token::String(token)) => assert_eq!(&*unescape(text.as_bytes(), token), "aé😀\n".as_bytes()),
            other => panic!("{other:?}"),
        }
    }
}
