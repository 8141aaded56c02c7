//! One value against the rule of its field.

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;

use super::event::Reason;
use super::json::Json;
use super::number::{self, Integer};
use super::schema::Kind;

/// The longest name of a thing, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1_024;

/// The value of a required field; absence and null are `missing_field`.
pub(super) fn required(value: Option<&Json>) -> Result<&Json, Reason> {
    value.filter(|value| **value != Json::Null).ok_or(Reason::MissingField)
}

/// Checks a value that is present and not null.
pub(super) fn check(kind: Kind, value: &Json) -> Result<(), Reason> {
    match kind {
        Kind::Id => text(value, |text| (1..=TEXT_BYTES_MAX).contains(&text.len())),
        Kind::Text => text(value, |_| true),
        Kind::OneOf(words) => text(value, |text| words.contains(&text)),
        Kind::Currency => text(value, |text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())),
        Kind::ClockTime => {
            text(value, |text| has_form(text, "00:00") && NaiveTime::parse_from_str(text, "%H:%M").is_ok())
        }
        Kind::Date => {
            text(value, |text| has_form(text, "0000-00-00") && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok())
        }
        Kind::TimeZone => text(value, |text| text.parse::<Tz>().is_ok()).map_err(|reason| match reason {
            Reason::OutOfRange => Reason::UnknownTimeZone,
            other => other,
        }),
        Kind::TextList => match value {
            Json::List(items) if items.iter().all(|item| matches!(item, Json::Text(_))) => Ok(()),
            _ => Err(Reason::WrongType),
        },
        Kind::Boolean => match value {
            Json::Boolean(_) => Ok(()),
            _ => Err(Reason::WrongType),
        },
        Kind::Count | Kind::Cents => integer(value, 0, i64::MAX),
        Kind::Gross => integer(value, i64::MIN, i64::MAX),
        Kind::Between(least, greatest) => integer(value, least, greatest),
        Kind::Share(least, greatest) => double(value, |value| (least..=greatest).contains(&value)),
        Kind::Frequency => double(value, |value| value >= 0.0),
        Kind::Anything => Ok(()),
    }
}

/// Whether `text` has a digit wherever `form` has one and equals it elsewhere.
fn has_form(text: &str, form: &str) -> bool {
    let same = |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(same)
}

fn text(value: &Json, in_range: impl Fn(&str) -> bool) -> Result<(), Reason> {
    match value {
        Json::Text(text) if in_range(text) => Ok(()),
        Json::Text(_) => Err(Reason::OutOfRange),
        _ => Err(Reason::WrongType),
    }
}

fn integer(value: &Json, least: i64, greatest: i64) -> Result<(), Reason> {
    let Json::Number(text) = value else {
        return Err(Reason::WrongType);
    };
    match number::integer(text) {
        Integer::Value(value) if (i128::from(least)..=i128::from(greatest)).contains(&value) => Ok(()),
        Integer::Value(_) | Integer::Huge => Err(Reason::OutOfRange),
        Integer::Fraction => Err(Reason::WrongType),
    }
}

fn double(value: &Json, in_range: impl Fn(f64) -> bool) -> Result<(), Reason> {
    let Json::Number(text) = value else {
        return Err(Reason::WrongType);
    };
    if number::double(text).is_some_and(in_range) { Ok(()) } else { Err(Reason::OutOfRange) }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn check_kind(kind: Kind, good: &[&str], out_of_range: &[&str], wrong_type: &[&str]) {
        let result = |text: &str| check(kind, &json::parse(text).unwrap().value);
        for text in good {
            assert_eq!(result(text), Ok(()), "{kind:?} {text}");
        }
        for text in out_of_range {
            assert_eq!(result(text), Err(Reason::OutOfRange), "{kind:?} {text}");
        }
        for text in wrong_type {
            assert_eq!(result(text), Err(Reason::WrongType), "{kind:?} {text}");
        }
    }

    #[test]
    fn each_kind_has_its_bounds_and_its_type() {
        check_kind(Kind::Id, &["\"a\""], &["\"\""], &["1"]);
        check_kind(Kind::Text, &["\"\""], &[], &["true", "[]"]);
        check_kind(Kind::OneOf(&["a", "b"]), &["\"b\""], &["\"A\"", "\"\""], &["0"]);
        check_kind(Kind::Currency, &["\"EUR\""], &["\"eur\"", "\"EURO\"", "\"ÄÖ\""], &["1"]);
        check_kind(
            Kind::ClockTime,
            &["\"09:30\"", "\"23:59\""],
            &["\"9:30\"", "\" 9:30\"", "\"24:00\"", "\"09:3x\""],
            &["930"],
        );
        check_kind(Kind::Date, &["\"2026-02-28\""], &["\"2026-02-30\"", "\"2026-2-28\""], &["20260228"]);
        check_kind(Kind::TextList, &["[]", "[\"a\"]"], &[], &["\"a\"", "[1]", "[null]"]);
        check_kind(Kind::Boolean, &["true"], &[], &["1", "\"true\""]);
        check_kind(
            Kind::Cents,
            &["0", "3.0", "3e2", "9223372036854775807"],
            &["-1", "9223372036854775808", "1e999"],
            &["0.5", "\"3\""],
        );
        check_kind(Kind::Gross, &["-3e2", "-9223372036854775808"], &["-9223372036854775809"], &["-0.5"]);
        check_kind(Kind::Between(300, 850), &["300", "850.0"], &["299", "851"], &["300.5"]);
        check_kind(Kind::Share(0.0, 1.0), &["0", "1", "1.0", "5e-1"], &["-0.1", "1.1", "1e999"], &["\"0.5\""]);
        check_kind(Kind::Frequency, &["0", "1e300"], &["-1e-9", "1e999"], &["null"]);
    }

    #[test]
    fn an_unknown_time_zone_has_a_reason_of_its_own() {
        let result = |text: &str| check(Kind::TimeZone, &Json::Text(text.to_owned()));
        assert_eq!(result("Europe/Amsterdam"), Ok(()));
        assert_eq!(result("Mars/Olympus"), Err(Reason::UnknownTimeZone));
        assert_eq!(check(Kind::TimeZone, &Json::Boolean(true)), Err(Reason::WrongType));
    }

    #[test]
    fn null_and_absence_are_missing() {
        assert_eq!(required(None), Err(Reason::MissingField));
        assert_eq!(required(Some(&Json::Null)), Err(Reason::MissingField));
        assert_eq!(required(Some(&Json::Boolean(false))), Ok(&Json::Boolean(false)));
    }
}
