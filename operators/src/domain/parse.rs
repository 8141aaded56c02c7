//! One record's bytes into an [`Event`], or the reason why not.
//!
//! ```text
//!   bytes ─▶ UTF-8? ─▶ JSON, no key twice? ─▶ envelope in order ─▶ topic ─▶ fields of data ─▶ Event
//!                └───────────┴─────────────────────┴──────────────┴─────────────┴──────▶ Rejection
//! ```
//! A single pass over the bytes. Where several things are wrong, the leftmost of the diagram is named, so the reason does not
//! depend on the order of keys in the record. Texts are positions in the raw bytes unless they had escapes.

use super::batch::{Event, EventBatch, FieldValue, Place, Rejected, Span, Value, text_of};
use super::event::{EventSpec, EventType, Topic};
use super::field::{FieldRule, SHORT_TEXT_BYTES_MAX};
use super::hash::{hash_identity, hash_text, hash_within};
use super::json::{JsonFault, NumberToken, Scanner, StringToken, Token, unescape};
use super::rejection::{ReasonCode, Rejection};
use super::text::TEXT_BYTES_MAX;
use super::time::{EVENT_TIME_END_MS, EVENT_TIME_MIN_MS, parse_rfc3339_ms};
use super::zone::Zone;

/// Longest record that is parsed, in bytes.
pub const RECORD_BYTES_MAX: usize = TEXT_BYTES_MAX;

type Fault = (ReasonCode, String);

/// Keys of one object that no specification knows, to find one that stands twice.
#[derive(Debug, Default)]
struct UnknownKeys {
    few: Vec<StringToken>,
    many: std::collections::BTreeSet<Vec<u8>>,
}

impl UnknownKeys {
    const FEW: usize = 16;

    /// Whether the key was not there before.
    fn insert(&mut self, raw: &[u8], key: StringToken) -> bool {
        let name = unescape(raw, key);
        if self.few.len() < Self::FEW {
            if self.few.iter().any(|other| unescape(raw, *other) == name) {
                return false;
            }
            self.few.push(key);
            return true;
        }
        if self.many.is_empty() {
            self.many = self.few.iter().map(|other| unescape(raw, *other).into_owned()).collect();
        }
        self.many.insert(name.into_owned())
    }

    fn len(&self) -> usize {
        self.few.len().max(self.many.len())
    }

    fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }
}

const ENVELOPE: [&[u8]; 9] =
    [b"specversion", b"id", b"source", b"type", b"dealerid", b"time", b"sequence", b"subject", b"data"];
const SPECVERSION: usize = 0;
const ID: usize = 1;
const SOURCE: usize = 2;
const TYPE: usize = 3;
const DEALER_ID: usize = 4;
const TIME: usize = 5;
const SEQUENCE: usize = 6;
const SUBJECT: usize = 7;
const DATA: usize = 8;

/// Parses records. Holds nothing between records but the memory it reuses.
#[derive(Debug, Default)]
pub struct Parser {
    values: Vec<FieldValue>,
    extra: Vec<u8>,
    unknown_envelope: UnknownKeys,
    unknown_data: UnknownKeys,
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, length: (end - start) as u32 }
}

fn fault<T>(code: ReasonCode, sentence: impl Into<String>) -> Result<T, Fault> {
    Err((code, sentence.into()))
}

impl Parser {
    /// Parses the record at `record` in `raw`. Texts of the result are valid once [`Parser::push`] has put it into a batch.
    ///
    /// # Errors
    /// The [`Rejection`] that says why the record is not accepted.
    pub fn parse(&mut self, raw: &[u8], record: Span, place: Place, epoch: i64) -> Result<Event, Rejection> {
        self.values.clear();
        self.extra.clear();
        self.unknown_envelope.clear();
        self.unknown_data.clear();
        let bytes = &raw[..(record.start + record.length) as usize];
        let reject = |(code, sentence): Fault| Rejection { code, sentence, dealer: None };
        if record.length as usize > RECORD_BYTES_MAX {
            return Err(too_large(u64::from(record.length)));
        }
        if let Err(error) = std::str::from_utf8(&bytes[record.start as usize..]) {
            return Err(reject((ReasonCode::InvalidUtf8, format!("Byte {} is not UTF-8.", error.valid_up_to() + 1))));
        }
        let mut tokens = [None; 9];
        let mut known = None;
        let mut data_fault = None;
        let mut scanner = Scanner::new(bytes, record.start as usize);
        self.envelope(bytes, &mut scanner, &mut tokens, &mut known, &mut data_fault)
            .map_err(|json| reject(sentence_of(bytes, record, json)))?;
        self.check(bytes, record, place, epoch, &tokens, known, data_fault).map_err(|(code, sentence)| {
            let dealer = match tokens[DEALER_ID] {
                Some(Token::String(token)) if token.end > token.start => Some(self.text(bytes, token)),
                _ => None,
            };
            Rejection { code, sentence, dealer }
        })
    }

    /// Takes the whole record apart. `data` is read by its type's specification if the type came before it.
    fn envelope(
        &mut self,
        bytes: &[u8],
        scanner: &mut Scanner<'_>,
        tokens: &mut [Option<Token>; 9],
        known: &mut Option<EventType>,
        data_fault: &mut Option<Fault>,
    ) -> Result<(), JsonFault> {
        let mut cursor = 0;
        scanner.skip_whitespace();
        scanner.object(|scanner, key| {
            let plain = &bytes[key.start..key.end];
            let unescaped;
            let name = if key.escaped {
                unescaped = unescape(bytes, key);
                &*unescaped
            } else {
                plain
            };
            let index = if ENVELOPE.get(cursor) == Some(&name) {
                Some(cursor)
            } else {
                ENVELOPE.iter().position(|own| *own == name)
            };
            let Some(index) = index else {
                return if self.unknown_envelope.insert(bytes, key) {
                    scanner.value(1).map(|_| ())
                } else {
                    Err(JsonFault::DuplicateKey(key.start))
                };
            };
            cursor = index + 1;
            if tokens[index].is_some() {
                return Err(JsonFault::DuplicateKey(key.start));
            }
            if index == DATA
                && scanner.peek() == Some(b'{')
                && let Some(Token::String(token)) = tokens[TYPE]
            {
                let event_type = EventType::parse(&unescape(bytes, token));
                if event_type != EventType::Unknown {
                    let start = scanner.position();
                    *known = Some(event_type);
                    *data_fault = self.data(bytes, scanner, event_type.spec())?;
                    tokens[DATA] = Some(Token::Object(start, scanner.position()));
                    return Ok(());
                }
            }
            tokens[index] = Some(scanner.value(1)?);
            Ok(())
        })?;
        scanner.skip_whitespace();
        if scanner.peek().is_some() { Err(JsonFault::Syntax(scanner.position())) } else { Ok(()) }
    }

    /// Reads an object by a specification. Gives the first fault in its meaning; faults of grammar are errors.
    fn data(&mut self, bytes: &[u8], scanner: &mut Scanner<'_>, spec: &EventSpec) -> Result<Option<Fault>, JsonFault> {
        let mut first_fault = None;
        let mut seen = 0_u32;
        let mut given = 0_u32;
        let mut cursor = 0;
        scanner.object(|scanner, key| {
            let unescaped;
            let name = if key.escaped {
                unescaped = unescape(bytes, key);
                &*unescaped
            } else {
                &bytes[key.start..key.end]
            };
            let index = match spec.fields.get(cursor) {
                Some(field) if field.name.as_bytes() == name => Some(cursor),
                _ => spec.fields.iter().position(|field| field.name.as_bytes() == name),
            };
            let Some(index) = index else {
                return if self.unknown_data.insert(bytes, key) {
                    scanner.value(2).map(|_| ())
                } else {
                    Err(JsonFault::DuplicateKey(key.start))
                };
            };
            cursor = index + 1;
            if seen & (1 << index) != 0 {
                return Err(JsonFault::DuplicateKey(key.start));
            }
            seen |= 1 << index;
            let token = scanner.value(2)?;
            let field = &spec.fields[index];
            match self.value_of(bytes, field.rule, token) {
                Ok(Value::Null) if field.required => {}
                Ok(value) => {
                    given |= 1 << index;
                    self.values.push(FieldValue { field: index as u8, value });
                }
                Err((code, what)) => {
                    given |= 1 << index;
                    if first_fault.is_none() {
                        first_fault = Some((code, format!("data.{} {what}.", field.name)));
                    }
                }
            }
            Ok(())
        })?;
        for (index, field) in spec.fields.iter().enumerate() {
            if field.required && given & (1 << index) == 0 {
                return Ok(Some((
                    ReasonCode::MissingField,
                    format!("data.{} is missing; {} needs it.", field.name, spec.name),
                )));
            }
        }
        Ok(first_fault)
    }

    /// The value of a token by its field's rule.
    fn value_of(&mut self, bytes: &[u8], rule: FieldRule, token: Token) -> Result<Value, Fault> {
        if token == Token::Null {
            return Ok(Value::Null);
        }
        match rule {
            FieldRule::Id => self.short_text(bytes, token, 1),
            FieldRule::Text => self.short_text(bytes, token, 0),
            FieldRule::Cents | FieldRule::Count => integer(bytes, token, 0, i64::MAX),
            FieldRule::SignedCents => integer(bytes, token, i64::MIN, i64::MAX),
            FieldRule::CreditScore => integer(bytes, token, 300, 850),
            FieldRule::Year => integer(bytes, token, 1900, 2100),
            FieldRule::Share => double(bytes, token, 0.0, 1.0),
            FieldRule::Percent => double(bytes, token, 0.0, 100.0),
            FieldRule::Frequency | FieldRule::Minutes => double(bytes, token, 0.0, f64::MAX),
            FieldRule::Boolean => match token {
                Token::Boolean(value) => Ok(Value::Integer(i64::from(value))),
                _ => fault(ReasonCode::WrongType, "is not true or false"),
            },
            FieldRule::TextList => text_list(bytes, token),
            FieldRule::Word(words) => {
                let Token::String(text) = token else { return fault(ReasonCode::WrongType, "is not a text") };
                let text = unescape(bytes, text);
                match words.iter().position(|word| word.as_bytes() == &*text) {
                    Some(code) => Ok(Value::Integer(code as i64)),
                    None => fault(ReasonCode::OutOfRange, format!("is none of {}", words.join(", "))),
                }
            }
            FieldRule::ZoneName => {
                let Token::String(text) = token else { return fault(ReasonCode::WrongType, "is not a text") };
                match std::str::from_utf8(&unescape(bytes, text)).ok().and_then(Zone::parse) {
                    Some(_) => self.short_text(bytes, token, 1),
                    None => fault(
                        ReasonCode::UnknownTimeZone,
                        "is not a time zone of the IANA database, such as America/Chicago",
                    ),
                }
            }
            FieldRule::Currency => match token {
                Token::String(text)
                    if text.end - text.start == 3 && bytes[text.start..text.end].iter().all(u8::is_ascii_uppercase) =>
                {
                    self.short_text(bytes, token, 3)
                }
                Token::String(_) => {
                    fault(ReasonCode::OutOfRange, "is not a currency code of three capital letters, such as USD")
                }
                _ => fault(ReasonCode::WrongType, "is not a text"),
            },
            FieldRule::TimeOfDay => match token {
                Token::String(text) if is_time_of_day(&bytes[text.start..text.end]) => self.short_text(bytes, token, 5),
                Token::String(_) => fault(ReasonCode::OutOfRange, "is not a time of day such as 09:30"),
                _ => fault(ReasonCode::WrongType, "is not a text"),
            },
            FieldRule::Date => match token {
                Token::String(text) => {
                    let text = &unescape(bytes, text);
                    let midnight = [text, b"T00:00:00Z".as_slice()].concat();
                    match parse_rfc3339_ms(text).or_else(|| parse_rfc3339_ms(&midnight)) {
                        Some(time_ms) => Ok(Value::Integer(time_ms)),
                        None => fault(ReasonCode::OutOfRange, "is not a date such as 2026-02-16"),
                    }
                }
                _ => fault(ReasonCode::WrongType, "is not a text"),
            },
        }
    }

    fn short_text(&mut self, bytes: &[u8], token: Token, length_min: usize) -> Result<Value, Fault> {
        let Token::String(token) = token else { return fault(ReasonCode::WrongType, "is not a text") };
        if token.end - token.start < length_min {
            return fault(ReasonCode::OutOfRange, "is empty");
        }
        if token.end - token.start > SHORT_TEXT_BYTES_MAX && unescape(bytes, token).len() > SHORT_TEXT_BYTES_MAX {
            return fault(ReasonCode::OutOfRange, format!("is longer than {SHORT_TEXT_BYTES_MAX} bytes"));
        }
        Ok(Value::Text(self.text(bytes, token)))
    }

    /// The span of a string: in the raw bytes, or in `extra` if it has escapes. Spans in `extra` count from the top bit until
    /// [`Parser::push`] knows where the batch's own texts end.
    fn text(&mut self, bytes: &[u8], token: StringToken) -> Span {
        if !token.escaped {
            return span(token.start, token.end);
        }
        let text = unescape(bytes, token);
        let start = EXTRA_MARK + self.extra.len() as u32;
        self.extra.extend_from_slice(&text);
        Span { start, length: text.len() as u32 }
    }

    /// The meaning of a well-formed record: envelope in order, topic, data.
    #[expect(clippy::too_many_arguments, reason = "the state of one pass over one record")]
    fn check(
        &mut self,
        bytes: &[u8],
        record: Span,
        place: Place,
        epoch: i64,
        tokens: &[Option<Token>; 9],
        known: Option<EventType>,
        data_fault: Option<Fault>,
    ) -> Result<Event, Fault> {
        match tokens[SPECVERSION] {
            Some(Token::String(token)) if &*unescape(bytes, token) == b"1.0" => {}
            None | Some(Token::Null) => {
                return fault(ReasonCode::MissingField, "specversion is missing; it has to be \"1.0\".");
            }
            _ => return fault(ReasonCode::InvalidSpecversion, "specversion is not \"1.0\"."),
        }
        let mut texts = [Span::default(); 4];
        for (text, index) in texts.iter_mut().zip([ID, SOURCE, TYPE, DEALER_ID]) {
            let name = String::from_utf8_lossy(ENVELOPE[index]);
            *text = match tokens[index] {
                Some(Token::String(token)) if token.end > token.start => {
                    let text = self.text(bytes, token);
                    if text.length as usize > SHORT_TEXT_BYTES_MAX {
                        return fault(
                            ReasonCode::OutOfRange,
                            format!("{name} is longer than {SHORT_TEXT_BYTES_MAX} bytes."),
                        );
                    }
                    text
                }
                Some(Token::String(_)) => return fault(ReasonCode::OutOfRange, format!("{name} is empty.")),
                None | Some(Token::Null) => return fault(ReasonCode::MissingField, format!("{name} is missing.")),
                Some(_) => return fault(ReasonCode::WrongType, format!("{name} is not a text.")),
            };
        }
        let [id, source, type_name, dealer] = texts;
        let time_ms = match tokens[TIME] {
            Some(Token::String(token)) => parse_rfc3339_ms(&unescape(bytes, token)),
            None | Some(Token::Null) => return fault(ReasonCode::MissingField, "time is missing."),
            Some(_) => return fault(ReasonCode::WrongType, "time is not a text."),
        };
        let Some(time_ms) = time_ms else {
            return fault(
                ReasonCode::InvalidTime,
                "time is not an RFC 3339 date-time such as 2026-02-16T15:04:05.123Z.",
            );
        };
        if !(EVENT_TIME_MIN_MS..EVENT_TIME_END_MS).contains(&time_ms) {
            return fault(ReasonCode::OutOfRange, "time is not between 1990 and 2100.");
        }
        let sequence = sequence_of(bytes, tokens[SEQUENCE])?;
        if !matches!(tokens[SUBJECT], None | Some(Token::Null | Token::String(_))) {
            return fault(ReasonCode::WrongType, "subject is not a text.");
        }
        let event_type = match known {
            Some(known) => known,
            None => EventType::parse(self.resolve(bytes, type_name)),
        };
        let spec = event_type.spec();
        if event_type != EventType::Unknown {
            if usize::from(place.topic) != spec.topic as usize && usize::from(place.topic) != Topic::Commands as usize {
                let topic = Topic::ALL.get(usize::from(place.topic)).map_or("", |topic| topic.name());
                return fault(
                    ReasonCode::WrongTopic,
                    format!("{} belongs on topic {}, not on {topic}.", spec.name, spec.topic.name()),
                );
            }
            if known.is_none() {
                // `data` stood before `type`: its grammar is checked, its meaning is read now.
                match tokens[DATA] {
                    Some(Token::Object(start, _)) => {
                        let outcome = self.data(bytes, &mut Scanner::new(bytes, start), spec);
                        match outcome {
                            Ok(None) => {}
                            Ok(Some(fault)) => return Err(fault),
                            Err(json) => return Err(sentence_of(bytes, record, json)),
                        }
                    }
                    None | Some(Token::Null) => return fault(ReasonCode::MissingField, "data is missing."),
                    Some(_) => return fault(ReasonCode::WrongType, "data is not an object."),
                }
            } else if let Some(fault) = data_fault {
                return Err(fault);
            }
        }
        let entity = match (spec.key, spec.entity) {
            (Some(key), _) => self.values.iter().find(|value| value.field == key).map_or(Span::default(), |value| {
                if let Value::Text(text) = value.value { text } else { Span::default() }
            }),
            (None, Some(_)) => dealer,
            (None, None) => Span::default(),
        };
        let dealer_hash = hash_text(self.resolve(bytes, dealer));
        Ok(Event {
            epoch,
            time_ms,
            sequence,
            identity: hash_identity(self.resolve(bytes, dealer), self.resolve(bytes, source), self.resolve(bytes, id)),
            content: hash_text(&bytes[record.start as usize..]),
            dealer_hash,
            entity_hash: hash_within(dealer_hash, self.resolve(bytes, entity)),
            record,
            dealer,
            source,
            id,
            entity,
            place,
            values_start: 0,
            values_count: self.values.len() as u16,
            event_type: event_type.into(),
        })
    }

    fn resolve<'a>(&'a self, bytes: &'a [u8], span: Span) -> &'a [u8] {
        if span.start >= EXTRA_MARK {
            text_of(&[], &self.extra, Span { start: span.start - EXTRA_MARK, length: span.length })
        } else {
            text_of(bytes, &[], span)
        }
    }

    /// Hash of the dealer of a rejection, to route it; zero where the dealer is not known.
    pub fn dealer_hash(&self, raw: &[u8], rejection: &Rejection) -> u64 {
        rejection.dealer.map_or(0, |dealer| hash_text(self.resolve(raw, dealer)))
    }

    /// Puts the event that the last [`Parser::parse`] gave into a batch of the same raw bytes.
    pub fn push(&self, mut event: Event, batch: &mut EventBatch) {
        let start = batch.values.len();
        event.values_start = start as u32;
        batch.values.extend_from_slice(&self.values);
        batch.unknown_fields += (self.unknown_envelope.len() + self.unknown_data.len()) as u64;
        if !self.extra.is_empty() {
            let base = (batch.raw.0.len() + batch.extra.len()) as u32;
            let place = |span: &mut Span| {
                if span.start >= EXTRA_MARK {
                    span.start = span.start - EXTRA_MARK + base;
                }
            };
            for value in &mut batch.values[start..] {
                if let Value::Text(text) = &mut value.value {
                    place(text);
                }
            }
            for text in [&mut event.dealer, &mut event.source, &mut event.id, &mut event.entity] {
                place(text);
            }
            batch.extra.extend_from_slice(&self.extra);
        }
        batch.events.push(event);
    }

    /// Puts the rejection that the last [`Parser::parse`] gave into a batch of the same raw bytes.
    pub fn push_rejection(
        &self,
        rejection: Rejection,
        record: Span,
        place: Place,
        (epoch, time_ms, unread_bytes): (i64, i64, u64),
        batch: &mut EventBatch,
    ) {
        let base = (batch.raw.0.len() + batch.extra.len()) as u32;
        let dealer = rejection.dealer.map(|mut dealer| {
            if dealer.start >= EXTRA_MARK {
                dealer.start = dealer.start - EXTRA_MARK + base;
            }
            dealer
        });
        batch.extra.extend_from_slice(&self.extra);
        batch.rejected.push(Rejected {
            epoch,
            time_ms,
            dealer,
            record,
            unread_bytes,
            place,
            code: rejection.code as u8,
            sentence: rejection.sentence,
        });
    }
}

/// Spans from here on lie in the parser's own texts. Chunks are far smaller.
const EXTRA_MARK: u32 = 1 << 31;

fn sentence_of(bytes: &[u8], record: Span, fault: JsonFault) -> Fault {
    let first = record.start as usize;
    match fault {
        JsonFault::Syntax(at) if at >= bytes.len() => {
            (ReasonCode::InvalidJson, "The record ends before its JSON does.".into())
        }
        JsonFault::Syntax(at) => {
            (ReasonCode::InvalidJson, format!("The record is not a JSON object: unexpected byte {}.", at - first + 1))
        }
        JsonFault::Depth(at) => {
            (ReasonCode::InvalidJson, format!("The JSON nests too deeply at byte {}.", at - first + 1))
        }
        JsonFault::DuplicateKey(at) => {
            let name = Scanner::new(bytes, at - 1)
                .string()
                .map_or(String::new(), |key| String::from_utf8_lossy(&unescape(bytes, key)).chars().take(64).collect());
            (ReasonCode::DuplicateKey, format!("The key \"{name}\" stands twice in one object."))
        }
    }
}

/// Why a record of so many bytes is not accepted.
pub fn too_large(bytes: u64) -> Rejection {
    let sentence = format!("The record has {bytes} bytes; the limit is {RECORD_BYTES_MAX}.");
    Rejection { code: ReasonCode::RecordTooLarge, sentence, dealer: None }
}

fn is_time_of_day(text: &[u8]) -> bool {
    matches!(text, [h1 @ b'0'..=b'2', h2 @ b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9'] if *h1 < b'2' || *h2 < b'4')
}

fn sequence_of(bytes: &[u8], token: Option<Token>) -> Result<u64, Fault> {
    let digits = match token {
        None | Some(Token::Null) => return Ok(0),
        Some(Token::Number(NumberToken { start, end, whole: true })) => &bytes[start..end],
        Some(Token::String(token)) => &bytes[token.start..token.end],
        Some(_) => return fault(ReasonCode::WrongType, "sequence is not a whole number."),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        let code = if digits.first() == Some(&b'-') { ReasonCode::OutOfRange } else { ReasonCode::WrongType };
        return fault(code, "sequence is not made of decimal digits.");
    }
    let mut value = 0_u64;
    for digit in digits {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .ok_or_else(|| (ReasonCode::OutOfRange, "sequence is beyond 64 bits.".to_owned()))?;
    }
    Ok(value)
}

/// A whole number in a range. `3.0` and `3e2` are whole too.
fn integer(bytes: &[u8], token: Token, least: i64, greatest: i64) -> Result<Value, Fault> {
    let Token::Number(number) = token else { return fault(ReasonCode::WrongType, "is not a number") };
    let text = &bytes[number.start..number.end];
    let value = if number.whole { whole_number(text) } else { integral_decimal(text)? };
    match value {
        Some(value) if (least..=greatest).contains(&value) => Ok(Value::Integer(value)),
        _ if least == 0 => fault(ReasonCode::OutOfRange, "is negative or too large"),
        _ if least == i64::MIN => fault(ReasonCode::OutOfRange, "is too large"),
        _ => fault(ReasonCode::OutOfRange, format!("is not between {least} and {greatest}")),
    }
}

fn whole_number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    };
    if digits.len() < 19 {
        let mut value = 0_i64;
        for digit in digits {
            value = value * 10 + i64::from(digit - b'0');
        }
        return Some(if negative { -value } else { value });
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The exact value of a number that is written with a point or an exponent, if it is whole and fits.
fn integral_decimal(text: &[u8]) -> Result<Option<i64>, Fault> {
    /// Beyond, no number that is not zero fits or is whole.
    const SHIFT_MAX: i64 = 1 << 32;
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b"0".as_slice()),
    };
    let negative = mantissa.first() == Some(&b'-');
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[usize::from(negative)..at], &mantissa[at + 1..]),
        None => (&mantissa[usize::from(negative)..], b"".as_slice()),
    };
    let digits = || whole.iter().chain(fraction).copied();
    let Some(last) = digits().enumerate().filter(|(_, digit)| *digit != b'0').map(|(at, _)| at).last() else {
        return Ok(Some(0));
    };
    let exponent_negative = exponent.first() == Some(&b'-');
    let magnitude = exponent
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0_i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(SHIFT_MAX));
    let exponent = if exponent_negative { -magnitude } else { magnitude };
    // The point stands behind this many digits.
    let point = whole.len() as i64 + exponent;
    if point <= last as i64 {
        return fault(ReasonCode::WrongType, "is not a whole number");
    }
    let zeros = (point - last as i64 - 1).min(20);
    let kept = digits().take(last + 1).chain(std::iter::repeat_n(b'0', zeros as usize));
    let sign = if negative { -1 } else { 1 };
    Ok(kept
        .map(|digit| i64::from(digit - b'0'))
        .try_fold(0_i64, |value, digit| value.checked_mul(10).and_then(|value| value.checked_add(sign * digit))))
}

fn double(bytes: &[u8], token: Token, least: f64, greatest: f64) -> Result<Value, Fault> {
    let Token::Number(number) = token else { return fault(ReasonCode::WrongType, "is not a number") };
    let text = &bytes[number.start..number.end];
    let value: f64 = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::INFINITY);
    if value >= least && value <= greatest {
        // -0.0 and 0.0 are one number; keep one.
        return Ok(Value::Double(value + 0.0));
    }
    if greatest >= f64::MAX {
        return fault(ReasonCode::OutOfRange, "is negative or too large");
    }
    fault(ReasonCode::OutOfRange, format!("is not between {least} and {greatest}"))
}

fn text_list(bytes: &[u8], token: Token) -> Result<Value, Fault> {
    let Token::Array(start, end) = token else { return fault(ReasonCode::WrongType, "is not a list") };
    let mut texts_only = true;
    let outcome = Scanner::new(bytes, start).array(0, |element| texts_only &= matches!(element, Token::String(_)));
    if outcome.is_err() || !texts_only {
        return fault(ReasonCode::WrongType, "is not a list of texts");
    }
    if end - start > SHORT_TEXT_BYTES_MAX {
        return fault(ReasonCode::OutOfRange, format!("is longer than {SHORT_TEXT_BYTES_MAX} bytes"));
    }
    Ok(Value::Text(span(start, end)))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
