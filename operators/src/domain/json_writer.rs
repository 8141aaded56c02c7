//! JSON written straight into bytes, once: commas, escapes and brackets, nothing else.
//!
//! ```text
//!   object(|json| { json.key("id"); json.text(b"l-1"); json.key("score"); json.double(0.5); })  ─▶  {"id":"l-1","score":0.5}
//! ```
//! The caller keeps to the grammar: a key before each value of an object, none in a list. Texts have to be UTF-8.

use std::io::Write;

/// Appends JSON to bytes.
#[derive(Debug)]
pub struct JsonWriter<'a> {
    bytes: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> JsonWriter<'a> {
    /// Writes behind what the bytes hold.
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        let start = bytes.len();
        JsonWriter { bytes, start }
    }

    /// Number of bytes that stand before this writer's end, those of others among them.
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// A comma, unless nothing stands before on this level.
    fn separate(&mut self) {
        let is_first = self.bytes.len() == self.start || matches!(self.bytes.last(), Some(b'{' | b'[' | b':'));
        if !is_first {
            self.bytes.push(b',');
        }
    }

    /// The name of the value that follows. It has to need no escapes.
    pub fn key(&mut self, name: &str) {
        self.separate();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    /// An object.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.separate();
        self.bytes.push(b'{');
        members(self);
        self.bytes.push(b'}');
    }

    /// A list.
    pub fn list(&mut self, elements: impl FnOnce(&mut Self)) {
        self.separate();
        self.bytes.push(b'[');
        elements(self);
        self.bytes.push(b']');
    }

    /// Begins an object that [`JsonWriter::end`] ends.
    pub fn begin(&mut self) {
        self.separate();
        self.bytes.push(b'{');
    }

    /// Ends an object.
    pub fn end(&mut self) {
        self.bytes.push(b'}');
    }

    /// Members of an object that another writer has written.
    pub fn members(&mut self, members: &[u8]) {
        if !members.is_empty() {
            self.separate();
            self.bytes.extend_from_slice(members);
        }
    }

    /// A text.
    pub fn text(&mut self, text: &[u8]) {
        self.separate();
        self.bytes.push(b'"');
        escape(self.bytes, text);
        self.bytes.push(b'"');
    }

    /// What a value displays, as a text.
    pub fn display(&mut self, value: impl std::fmt::Display) {
        self.separate();
        self.bytes.push(b'"');
        let start = self.bytes.len();
        // Writing into a vector cannot fail.
        let _ = write!(self.bytes, "{value}");
        let needs_escape = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        if self.bytes[start..].iter().any(needs_escape) {
            let plain = self.bytes.split_off(start);
            escape(self.bytes, &plain);
        }
        self.bytes.push(b'"');
    }

    /// A whole number.
    pub fn integer(&mut self, value: i64) {
        self.separate();
        let _ = write!(self.bytes, "{value}");
    }

    /// A double in the fewest digits that read back as the same bits; null if it is not finite.
    pub fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.separate();
            let _ = write!(self.bytes, "{value}");
        } else {
            self.null();
        }
    }

    /// A text, or null where there is none.
    pub fn text_or_null(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// A double, or null where there is none.
    pub fn double_or_null(&mut self, value: Option<f64>) {
        match value {
            Some(value) => self.double(value),
            None => self.null(),
        }
    }

    /// True or false.
    pub fn boolean(&mut self, value: bool) {
        self.separate();
        self.bytes.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Null.
    pub fn null(&mut self) {
        self.separate();
        self.bytes.extend_from_slice(b"null");
    }
}

fn escape(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut plain = 0;
    for (at, byte) in text.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"",
            _ => continue,
        };
        bytes.extend_from_slice(&text[plain..at]);
        if escaped.is_empty() {
            let _ = write!(bytes, "\\u{byte:04x}");
        } else {
            bytes.extend_from_slice(escaped);
        }
        plain = at + 1;
    }
    bytes.extend_from_slice(&text[plain..]);
}

#[cfg(test)]
mod tests {
    use super::super::json::{Scanner, Token, unescape};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_separated_and_nested() {
        let mut bytes = b"before ".to_vec();
        let mut json = JsonWriter::new(&mut bytes);
        json.object(|json| {
            json.key("a");
            json.integer(-3);
            json.key("b");
            json.list(|json| {
                json.double(0.1);
                json.double(f64::NAN);
                json.boolean(true);
                json.object(|_| {});
                json.list(|_| {});
            });
            json.key("c");
            json.text(b"\"\\\n\x01 \xc3\xa9");
            json.key("d");
            json.display("a \"quoted\" word");
        });
        let expected = r#"before {"a":-3,"b":[0.1,null,true,{},[]],"c":"\"\\\n\u0001 é","d":"a \"quoted\" word"}"#;
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in any::<String>()) {
            for displayed in [false, true] {
                let mut bytes = Vec::new();
                let mut json = JsonWriter::new(&mut bytes);
                if displayed { json.display(&text) } else { json.text(text.as_bytes()) }
                let token = Scanner::new(&bytes, 0).value(0);
                let Ok(Token::String(token)) = token else { return Err(TestCaseError::fail(format!("{token:?}"))) };
                let read = unescape(&bytes, token);
                prop_assert_eq!(read.as_ref(), text.as_bytes());
            }
        }
    }
}
