//! Key, payload and headers of many records in one buffer.
//!
//! ```text
//!  bytes   │ key │ payload │ headers: (name length u16, name, value length u32 or NO_BYTES, value)* │ key │ …
//!            ▲
//!  spans   {start, key_bytes, payload_bytes, headers}
//! ```

/// The length that says "there is none", as opposed to "it is empty".
const NO_BYTES: u32 = u32::MAX;

/// A header to write or one that was read: names may repeat, and a value may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name, at most 65,535 bytes: what is beyond is cut off.
    pub name: &'a str,
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// What a record carries. An absent payload (a tombstone) differs from an empty one, and so with keys.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The payload.
    pub payload: Option<&'a [u8]>,
    /// The headers, in the order they were written.
    pub headers: Headers<'a>,
}

impl Body<'_> {
    /// The bytes of key, payload and headers, as limits count them.
    pub fn bytes(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.payload.map_or(0, <[u8]>::len) + self.headers.encoded.len()
    }
}

/// Headers in their order.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    encoded: &'a [u8],
    remaining: u32,
}

impl<'a> Headers<'a> {
    /// The value of the last header called `name`, if there is one that has a value.
    pub fn last(self, name: &str) -> Option<&'a [u8]> {
        self.iter().filter(|header| header.name == name).last().and_then(|header| header.value)
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.remaining as usize
    }

    /// True if there are none.
    pub fn is_empty(self) -> bool {
        self.remaining == 0
    }

    /// The headers as buffers hold them.
    pub(crate) fn encoded(self) -> &'a [u8] {
        self.encoded
    }

    /// Headers from what [`Headers::encoded`] gave.
    pub(crate) fn from_encoded(encoded: &'a [u8], remaining: u32) -> Self {
        Self { encoded, remaining }
    }

    /// The headers in their order.
    pub fn iter(self) -> HeadersIter<'a> {
        HeadersIter { encoded: self.encoded, remaining: self.remaining }
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

/// The iterator of [`Headers`].
#[derive(Clone, Debug)]
pub struct HeadersIter<'a> {
    encoded: &'a [u8],
    remaining: u32,
}

impl<'a> HeadersIter<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.encoded.split_at_checked(length).unwrap_or((self.encoded, &[]));
        self.encoded = rest;
        taken
    }

    fn take_u32(&mut self) -> u32 {
        self.take(4).try_into().map_or(NO_BYTES, u32::from_le_bytes)
    }
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.remaining = self.remaining.checked_sub(1)?;
        let name_bytes = self.take(2).try_into().map_or(0, u16::from_le_bytes);
        let name = std::str::from_utf8(self.take(usize::from(name_bytes))).unwrap_or_default();
        let value_bytes = self.take_u32();
        let value = (value_bytes != NO_BYTES).then(|| self.take(value_bytes as usize));
        Some(Header { name, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining as usize, Some(self.remaining as usize))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}

/// The buffer. Bounded by its owner: a buffer holds less than 4 GiB.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    key_bytes: u32,
    payload_bytes: u32,
    headers: u32,
}

impl Bodies {
    /// Empties the buffer and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// The bytes held, without bookkeeping.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Copies one body in.
    ///
    /// # Panics
    /// If the buffer would hold 4 GiB: owners keep it below by their limits.
    pub(crate) fn push<'h>(
        &mut self,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(payload.unwrap_or_default());
        let mut count = 0;
        for header in headers {
            let name = cut_name(header.name);
            self.bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(&length_of(header.value).to_le_bytes());
            self.bytes.extend_from_slice(header.value.unwrap_or_default());
            count += 1;
        }
        self.close(start, key, payload, count);
    }

    /// Copies one body in, headers and all, without looking into them.
    ///
    /// # Panics
    /// As [`Bodies::push`].
    pub(crate) fn push_body(&mut self, body: Body<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body.key.unwrap_or_default());
        self.bytes.extend_from_slice(body.payload.unwrap_or_default());
        self.bytes.extend_from_slice(body.headers.encoded);
        self.close(start, body.key, body.payload, body.headers.remaining);
    }

    fn close(&mut self, start: usize, key: Option<&[u8]>, payload: Option<&[u8]>, headers: u32) {
        assert!(self.bytes.len() < NO_BYTES as usize, "a buffer of records holds less than 4 GiB");
        self.spans.push(Span {
            start: start as u32,
            key_bytes: length_of(key),
            payload_bytes: length_of(payload),
            headers,
        });
    }

    /// The body at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<Body<'_>> {
        let span = self.spans.get(index)?;
        let end = self.spans.get(index + 1).map_or(self.bytes.len(), |next| next.start as usize);
        let held = self.bytes.get(span.start as usize..end)?;
        let (key, rest) = split_optional(held, span.key_bytes);
        let (payload, encoded) = split_optional(rest, span.payload_bytes);
        Some(Body { key, payload, headers: Headers { encoded, remaining: span.headers } })
    }
}

fn length_of(bytes: Option<&[u8]>) -> u32 {
    bytes.map_or(NO_BYTES, |bytes| bytes.len() as u32)
}

fn split_optional(bytes: &[u8], length: u32) -> (Option<&[u8]>, &[u8]) {
    if length == NO_BYTES {
        return (None, bytes);
    }
    let (taken, rest) = bytes.split_at_checked(length as usize).unwrap_or((bytes, &[]));
    (Some(taken), rest)
}

/// The longest beginning of `name` that a u16 can count and that ends between characters.
fn cut_name(name: &str) -> &str {
    &name[..name.floor_char_boundary(usize::from(u16::MAX))]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

    fn owned() -> impl Strategy<Value = Owned> {
        let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20));
        (bytes(), bytes(), proptest::collection::vec(("[a-z\u{e4}]{0,6}", bytes()), 0..4))
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(records in proptest::collection::vec(owned(), 0..20)) {
            let mut bodies = Bodies::default();
            for (key, payload, headers) in &records {
                let headers = headers.iter().map(|(name, value)| Header { name, value: value.as_deref() });
                bodies.push(key.as_deref(), payload.as_deref(), headers);
            }
            for (index, (key, payload, headers)) in records.iter().enumerate() {
                let body = bodies.get(index).unwrap();
                prop_assert_eq!(body.key, key.as_deref());
                prop_assert_eq!(body.payload, payload.as_deref());
                let read: Vec<_> = body.headers.iter().map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
                prop_assert_eq!(&read, headers);
            }
            prop_assert!(bodies.get(records.len()).is_none());
        }
    }

    #[test]
    fn the_last_header_of_a_name_counts_and_long_names_are_cut_between_characters() {
        let long = "\u{e4}".repeat(40_000);
        let mut bodies = Bodies::default();
        bodies.push(
            None,
            Some(b""),
            [
                Header { name: "epoch", value: Some(b"1") },
                Header { name: "epoch", value: Some(b"2") },
                Header { name: &long, value: None },
            ],
        );
        let headers = bodies.get(0).unwrap().headers;
        assert_eq!(headers.last("epoch"), Some(b"2".as_slice()));
        assert_eq!(headers.last("absent"), None);
        let cut = headers.last_name();
        assert_eq!(cut, &long[..65_534]);
    }

    impl<'a> Headers<'a> {
        fn last_name(self) -> &'a str {
            self.iter().map(|header| header.name).last().unwrap_or_default()
        }
    }
}
