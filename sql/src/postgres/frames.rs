//! Messages of clients, cut from the stream and checked before the protocol's library sees them: it takes what they say of their own
//! lengths for true, and panics where that is not so.
//!
//! ```text
//!   before the startup  length (4, itself included) │ code (4) │ …
//!   afterwards          kind (1) │ length (4, itself included) │ body, by kind
//! ```
//! Message formats: PostgreSQL documentation, "Message Formats".

use bytes::{Buf, BytesMut};

/// Bytes of a message, at most: a query with all its values.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a message of somebody who is not known yet, at most. PostgreSQL's own bound for the first one.
const UNKNOWN_BYTES_MAX: usize = 10_000;
/// The library takes a secret of a cancellation that is longer for rubbish.
const CANCEL_BYTES_MAX: usize = 12 + 256;
const CANCEL_CODE: u32 = 80_877_102;

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has to say who it is, or what to cancel.
    Startup,
    /// It has to prove it.
    Authentication {
        /// Whether the next answer is the first one.
        is_first: bool,
    },
    /// It asks.
    Session,
}

/// Why a client is not listened to any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// The length is less than itself.
    #[error("a message says that it is shorter than its own head")]
    TooShort,
    /// The length is beyond what is taken.
    #[error("a message of {bytes} bytes is beyond the {bytes_max} that are taken here")]
    TooLong {
        /// What it says.
        bytes: usize,
        /// What is taken.
        bytes_max: usize,
    },
    /// The body is not what its kind demands.
    #[error("the body of a message is not what its kind {0:?} demands")]
    Malformed(char),
    /// Something else than the proof that was asked for.
    #[error("a message of kind {0:?} came where the proof of a token was asked for")]
    Unproved(char),
    /// The kind is none of a client's.
    #[error("a message has the unknown kind {0:?}")]
    Unknown(char),
}

/// Takes the next whole message off the front; `None` if there is no whole one yet.
///
/// # Errors
/// A [`FrameError`]: what follows cannot be told apart any more.
pub(crate) fn take(inbound: &mut BytesMut, phase: Phase) -> Result<Option<BytesMut>, FrameError> {
    let head = usize::from(phase != Phase::Startup);
    let Some(length) = inbound.get(head..head + 4) else { return Ok(None) };
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
    let (bytes_min, bytes_max) = match phase {
        Phase::Startup => (8, UNKNOWN_BYTES_MAX),
        Phase::Authentication { .. } => (4, UNKNOWN_BYTES_MAX),
        Phase::Session => (4, MESSAGE_BYTES_MAX),
    };
    if length < bytes_min {
        return Err(FrameError::TooShort);
    }
    if length > bytes_max {
        return Err(FrameError::TooLong { bytes: length, bytes_max });
    }
    if inbound.len() < head + length {
        return Ok(None);
    }
    let frame = inbound.split_to(head + length);
    match phase {
        Phase::Startup => check_startup(&frame)?,
        // Nothing else is heard of somebody who has not proved who it is.
        Phase::Authentication { .. } if frame[0] != b'p' => return Err(FrameError::Unproved(char::from(frame[0]))),
        Phase::Authentication { is_first } => check(frame[0], &frame[5..], is_first)?,
        Phase::Session => check(frame[0], &frame[5..], false)?,
    }
    Ok(Some(frame))
}

fn check_startup(frame: &[u8]) -> Result<(), FrameError> {
    let is_cancel = frame[4..8] == CANCEL_CODE.to_be_bytes();
    let fits = if is_cancel { (16..=CANCEL_BYTES_MAX).contains(&frame.len()) } else { frame.len() > 8 };
    if fits { Ok(()) } else { Err(FrameError::Malformed(if is_cancel { 'c' } else { 's' })) }
}

/// Checks a body: every count and length in it is borne out, and nothing is left.
fn check(kind: u8, body: &[u8], is_first_answer: bool) -> Result<(), FrameError> {
    let mut body = Body(body);
    let whole = match kind {
        b'Q' | b'f' => body.text(),
        b'P' => body.text().and_then(|()| body.text()).and_then(|()| body.counted(4)),
        b'B' => bind(&mut body),
        b'C' | b'D' => body.skip(1).and_then(|()| body.text()),
        b'E' => body.text().and_then(|()| body.skip(4)),
        b'p' if is_first_answer => body.text().and_then(|()| body.value()),
        b'd' | b'p' => return Ok(()),
        b'H' | b'S' | b'X' | b'c' => Some(()),
        other => return Err(FrameError::Unknown(char::from(other))),
    };
    whole.filter(|()| body.0.is_empty()).ok_or(FrameError::Malformed(char::from(kind)))
}

/// Portal, statement, formats, values, formats of the answer.
fn bind(body: &mut Body<'_>) -> Option<()> {
    body.text()?;
    body.text()?;
    body.counted(2)?;
    for _ in 0..body.count()? {
        body.value()?;
    }
    body.counted(2)
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    /// A text that ends with a zero.
    fn text(&mut self) -> Option<()> {
        self.skip(memchr::memchr(0, self.0)? + 1)
    }

    fn count(&mut self) -> Option<usize> {
        self.0.try_get_u16().ok().map(usize::from)
    }

    /// A count, and so many of some bytes each.
    fn counted(&mut self, bytes: usize) -> Option<()> {
        let count = self.count()?;
        self.skip(count * bytes)
    }

    /// A length and so many bytes; -1 and none for null.
    fn value(&mut self) -> Option<()> {
        match self.0.try_get_i32().ok()? {
            -1 => Some(()),
            length => self.skip(usize::try_from(length).ok()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::from(&[kind][..]);
        bytes.extend(((body.len() + 4) as u32).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn whole_messages_come_off_one_by_one_and_halves_wait() {
        let mut inbound = message(b'Q', b"select 1\0");
        inbound.extend(message(b'S', b""));
        inbound.extend(&message(b'E', b"\0\0\0\0\x05")[..4]);
        assert_eq!(take(&mut inbound, Phase::Session).unwrap().unwrap(), message(b'Q', b"select 1\0"));
        assert_eq!(take(&mut inbound, Phase::Session).unwrap().unwrap(), message(b'S', b""));
        assert_eq!(take(&mut inbound, Phase::Session), Ok(None));
        inbound.extend(&message(b'E', b"\0\0\0\0\x05")[4..]);
        assert_eq!(take(&mut inbound, Phase::Session).unwrap().unwrap(), message(b'E', b"\0\0\0\0\x05"));
        assert!(inbound.is_empty());
    }

    #[test]
    fn bodies_bear_out_what_they_count() {
        let good: [(u8, &[u8]); 9] = [
            (b'P', b"s\0select $1\0\0\x01\0\0\0\x19"),
            (b'B', b"\0s\0\0\x01\0\0\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0"),
            (b'D', b"Ss\0"),
            (b'C', b"P\0"),
            (b'f', b"no\0"),
            (b'd', b"\0any\0"),
            (b'c', b""),
            (b'X', b""),
            (b'p', b"\0\0 any"),
        ];
        for (kind, body) in good {
            assert!(take(&mut message(kind, body), Phase::Session).is_ok_and(|frame| frame.is_some()), "{kind}");
            // One byte less or more is not borne out; what may be anything is left out.
            if b"PBDCf".contains(&kind) {
                for wrong in [&body[..body.len() - 1], &[body, b"x"].concat()] {
                    let refused = take(&mut message(kind, wrong), Phase::Session);
                    assert_eq!(refused, Err(FrameError::Malformed(char::from(kind))), "{wrong:?}");
                }
            }
        }
        let first = Phase::Authentication { is_first: true };
        assert!(take(&mut message(b'p', b"SCRAM-SHA-256\0\0\0\0\x02n,"), first).is_ok());
        assert_eq!(take(&mut message(b'p', b"SCRAM-SHA-256\0\0\0\0\x03n,"), first), Err(FrameError::Malformed('p')));
        assert_eq!(take(&mut message(b'Q', b"select 1\0"), first), Err(FrameError::Unproved('Q')));
        assert_eq!(take(&mut message(b'?', b""), Phase::Session), Err(FrameError::Unknown('?')));
    }

    #[test]
    fn lengths_are_bounded_by_what_is_known_of_the_client() {
        let long = |length: u32| BytesMut::from(&[&b"Q"[..], &length.to_be_bytes()].concat()[..]);
        assert_eq!(take(&mut long(3), Phase::Session), Err(FrameError::TooShort));
        assert_eq!(take(&mut long(20_000), Phase::Session), Ok(None));
        for (bytes, phase, bytes_max) in [
            (u32::MAX, Phase::Session, MESSAGE_BYTES_MAX),
            (20_000, Phase::Authentication { is_first: false }, UNKNOWN_BYTES_MAX),
        ] {
            let bytes_said = bytes as usize;
            assert_eq!(take(&mut long(bytes), phase), Err(FrameError::TooLong { bytes: bytes_said, bytes_max }));
        }
        let startup = |length: u32| BytesMut::from(&[&length.to_be_bytes()[..], &[0, 3, 0, 0]].concat()[..]);
        assert_eq!(take(&mut startup(7), Phase::Startup), Err(FrameError::TooShort));
        assert_eq!(take(&mut startup(8), Phase::Startup), Err(FrameError::Malformed('s')));
        assert_eq!(take(&mut startup(9), Phase::Startup), Ok(None));
    }
}
