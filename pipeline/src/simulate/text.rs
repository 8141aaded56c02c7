//! Bytes by hand: numbers, times, ids and JSON strings straight into a buffer.

use super::calendar::{DAY_MS, HOUR_MS, MINUTE_MS, civil_from_days};
use super::event::EntityId;
use super::random::mix;

/// Appends a whole number.
#[inline]
pub(super) fn push_integer(bytes: &mut Vec<u8>, value: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    bytes.extend_from_slice(&digits[at..]);
}

/// Appends thousandths as a decimal number with three places: 1,250 as `1.250`.
#[inline]
pub(super) fn push_thousandths(bytes: &mut Vec<u8>, thousandths: u32) {
    push_integer(bytes, i64::from(thousandths / 1_000));
    let rest = thousandths % 1_000;
    bytes.extend_from_slice(&[
        b'.',
        b'0' + (rest / 100) as u8,
        b'0' + (rest / 10 % 10) as u8,
        b'0' + (rest % 10) as u8,
    ]);
}

/// Appends the two digits of a number below 100.
#[inline]
pub(super) fn push_two_digits(bytes: &mut Vec<u8>, value: i64) {
    bytes.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
}

/// Appends `2026-02-16T15:`.
pub(super) fn push_hour(bytes: &mut Vec<u8>, time_ms: i64) {
    let (year, month, day) = civil_from_days(time_ms.div_euclid(DAY_MS));
    push_integer(bytes, year);
    bytes.push(b'-');
    push_two_digits(bytes, month);
    bytes.push(b'-');
    push_two_digits(bytes, day);
    bytes.push(b'T');
    push_two_digits(bytes, time_ms.rem_euclid(DAY_MS) / HOUR_MS);
    bytes.push(b':');
}

/// Appends `04:05.123`, the part of a time after its hour.
#[inline]
pub(super) fn push_within_hour(bytes: &mut Vec<u8>, time_ms: i64) {
    let within = time_ms.rem_euclid(HOUR_MS);
    push_two_digits(bytes, within / MINUTE_MS);
    bytes.push(b':');
    push_two_digits(bytes, within / 1_000 % 60);
    let rest = within % 1_000;
    bytes.extend_from_slice(&[
        b'.',
        b'0' + (rest / 100) as u8,
        b'0' + (rest / 10 % 10) as u8,
        b'0' + (rest % 10) as u8,
    ]);
}

/// Appends `2026-02-16T15:04:05.123Z`.
pub(super) fn push_time(bytes: &mut Vec<u8>, time_ms: i64) {
    push_hour(bytes, time_ms);
    push_within_hour(bytes, time_ms);
    bytes.push(b'Z');
}

/// Appends `2026-02-16`.
pub(super) fn push_date(bytes: &mut Vec<u8>, time_ms: i64) {
    let start = bytes.len();
    push_hour(bytes, time_ms);
    bytes.truncate(start + 10);
}

/// Appends an entity's id.
#[inline]
pub(super) fn push_id(bytes: &mut Vec<u8>, id: EntityId) {
    bytes.extend_from_slice(id.kind.as_bytes());
    push_integer(bytes, i64::from(id.number));
}

/// Appends the inside of a JSON string: quotes, backslashes and control characters escaped.
#[inline]
pub(super) fn push_escaped(bytes: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        bytes.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => bytes.extend_from_slice(&[b'\\', byte]),
            0..0x20 => bytes.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => bytes.push(byte),
        }
    }
}

/// Appends a ULID: 48 bits of time, then 80 that are unique because `mix` is a bijection of `nonce`.
#[inline]
pub(super) fn push_ulid(bytes: &mut Vec<u8>, time_ms: i64, nonce: u64) {
    const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let unique = mix(nonce);
    let mut text = [0_u8; 26];
    let mut time = time_ms as u64;
    for slot in text[..10].iter_mut().rev() {
        *slot = CROCKFORD[(time & 31) as usize];
        time >>= 5;
    }
    let mut chance = (u128::from(unique) << 16) | u128::from(unique.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 48);
    for slot in text[10..].iter_mut().rev() {
        *slot = CROCKFORD[(chance & 31) as usize];
        chance >>= 5;
    }
    bytes.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(push: impl Fn(&mut Vec<u8>), expected: &str) {
        let mut bytes = Vec::new();
        push(&mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn texts_are_exact() {
        check(|bytes| push_integer(bytes, 0), "0");
        check(|bytes| push_integer(bytes, i64::MIN), "-9223372036854775808");
        check(|bytes| push_thousandths(bytes, 1_005), "1.005");
        check(|bytes| push_time(bytes, 1_771_254_245_123), "2026-02-16T15:04:05.123Z");
        check(|bytes| push_date(bytes, 1_771_254_245_123), "2026-02-16");
        check(|bytes| push_escaped(bytes, "a\"b\\c\n"), "a\\\"b\\\\c\\u000a");
        check(|bytes| push_ulid(bytes, 1_469_918_176_385, 0), "01ARYZ6S410000000000000000");
    }
}
