//! Bytes that are no events, among events: each becomes a dead letter with its reason, and nothing good is lost.

use std::fs;

use serde_json::{Value, json};
use tests::dealerflow::rows;

use crate::summary::{Summary, assert_summary};
use crate::tables::{assert_as_reference, base64, payload};
use crate::world::{Replayed, World, good_lead, write_events};

/// The longest record that is read, in bytes.
const RECORD_BYTES_MAX: usize = (1 << 23) - 1;

/// Replays a file `leads` of the given bytes between two good leads, and expects these lines of it, by number, to be dead
/// letters for these reasons, and all other lines to be accepted. Every table is compared with the reference.
fn check(rubbish: &[u8], expected: &[(u64, &str)]) -> (World, Replayed) {
    let (world, replayed, summary) = among_good_leads(rubbish);
    let letters = rows(&replayed.output, "select log_offset, reason_code, payload from dead_letters order by 1");
    let told: Vec<(u64, &str)> = letters
        .iter()
        .map(|letter| (letter["log_offset"].as_u64().unwrap(), letter["reason_code"].as_str().unwrap()))
        .collect();
    assert_eq!(told, expected);
    for letter in &letters {
        let line =
            rubbish.split(|byte| *byte == b'\n').nth(letter["log_offset"].as_u64().unwrap() as usize - 1).unwrap();
        assert_eq!(letter["payload"], payload(line), "the original bytes");
    }
    assert_eq!(summary.accepted + summary.duplicates + expected.len() as u64, summary.records);
    let judged = assert_as_reference(&world.input(), &replayed.output);
    assert_summary(&replayed, &judged);
    (world, replayed)
}

/// The same, without a word on what becomes of the rubbish.
fn among_good_leads(rubbish: &[u8]) -> (World, Replayed, Summary) {
    let world = World::empty();
    let folder = world.input().join("leads");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("0 before.jsonl"), good_lead("before").line()).unwrap();
    fs::write(folder.join("1 rubbish.jsonl"), rubbish).unwrap();
    fs::write(folder.join("2 after.jsonl"), good_lead("after").line() + "\n").unwrap();
    let replayed = world.replay("output", &[]);
    let summary = Summary::of(&replayed.outcome.stdout);
    let good = rows(&replayed.output, "select lead_id from leads where lead_id in ('before', 'after') order by 1");
    assert_eq!(good, [json!({"lead_id": "after"}), json!({"lead_id": "before"})], "the good leads are accepted");
    let total = "select sum(records) as records, sum(accepted + duplicates + rejected) as judged from sources";
    let total = &rows(&replayed.output, total)[0];
    assert_eq!(total["records"], total["judged"], "nothing is lost");
    (world, replayed, summary)
}

/// A good lead with more in its data.
fn lead_with(lead_id: &str, more: &str) -> String {
    let line = good_lead(lead_id).line();
    let at = line.find("\"data\":{").unwrap() + "\"data\":{".len();
    format!("{}{more},{}", &line[..at], &line[at..])
}

fn lines(lines: &[String]) -> Vec<u8> {
    (lines.join("\n") + "\n").into_bytes()
}

#[test]
fn a_line_cut_off_at_the_end_is_invalid_json_and_the_lines_before_it_count() {
    let line = good_lead("whole").line();
    for cut in [1, line.len() / 2, line.len() - 1] {
        let bytes = format!("{line}\n{}", &line[..cut]);
        check(bytes.as_bytes(), &[(2, "invalid_json")]);
    }
    // Without its newline, a last line is whole.
    check(line.as_bytes(), &[]);
}

#[test]
fn other_encodings_than_utf8_are_refused_line_by_line() {
    let line = good_lead("é").line();
    let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    // Of its newline, half is left behind for the next line.
    let plain = utf16(&format!("{}\n", good_lead("e").line()));
    check(&plain, &[(1, "invalid_json"), (2, "invalid_json")]);
    check(&[&[0xff, 0xfe][..], &plain].concat(), &[(1, "invalid_utf8"), (2, "invalid_json")]);
    check(&utf16(&line), &[(1, "invalid_utf8")]);
    let latin1: Vec<u8> = line.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    check(&[&latin1[..], b"\n", line.as_bytes(), b"\n"].concat(), &[(1, "invalid_utf8")]);
    let bom = format!("\u{feff}{line}\n{}\n", good_lead("second").line());
    check(bom.as_bytes(), &[(1, "invalid_json")]);
    // Overlong, a lone surrogate, beyond Unicode.
    let mut bytes = Vec::new();
    for wrong in [&b"\xc0\x80"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let (before, after) = line.split_once('é').unwrap();
        bytes.extend_from_slice(&[before.as_bytes(), wrong, after.as_bytes(), b"\n"].concat());
    }
    check(&bytes, &[(1, "invalid_utf8"), (2, "invalid_utf8"), (3, "invalid_utf8")]);
}

#[test]
fn nul_bytes_are_invalid_json_but_a_nul_that_is_written_out_is_text() {
    let line = good_lead("n").line();
    let raw = line.replace("\"n\"", "\"n\0\"");
    let written = good_lead("written").line().replace("\"written\"", "\"\\u0000\"");
    let file = lines(&["\0\0\0\0".to_owned(), raw, format!("\0{line}"), written]);
    let (_world, replayed) = check(&file, &[(1, "invalid_json"), (2, "invalid_json"), (3, "invalid_json")]);
    assert_eq!(
        rows(&replayed.output, "select length(lead_id) as n from leads where lead_id = chr(0)"),
        [json!({"n": 1})]
    );
}

#[test]
fn blank_lines_are_skipped_and_counted_as_places() {
    let file = format!("\n\n  \t\r\n{}\r\n\n{{}}\n\n", good_lead("fourth").line());
    check(file.as_bytes(), &[(6, "missing_field")]);
}

#[test]
fn lines_of_a_megabyte_are_read_and_those_beyond_the_limit_are_refused() {
    let padded = |lead_id: &str, bytes: usize| {
        let line = lead_with(lead_id, "\"pad\":\"\"");
        let padding = "x".repeat(bytes - line.len());
        line.replace("\"pad\":\"\"", &format!("\"pad\":\"{padding}\""))
    };
    let sizes = [1 << 20, RECORD_BYTES_MAX, RECORD_BYTES_MAX + 1, 3 * RECORD_BYTES_MAX];
    let names = ["mega", "limit", "over", "far over"];
    let file = lines(&[0, 1, 2, 3].map(|at| padded(names[at], sizes[at])));
    let (_world, replayed, summary) = among_good_leads(&file);
    assert_eq!((summary.accepted, summary.dead_letters), (4, 2));
    let known = rows(&replayed.output, "select lead_id from leads order by 1");
    assert_eq!(known, ["after", "before", "limit", "mega"].map(|name| json!({"lead_id": name})));
    let letters =
        rows(&replayed.output, "select log_offset, reason_code, length(payload) as kept from dead_letters order by 1");
    let refused = |line: u64| json!({"log_offset": line, "reason_code": "record_too_large", "kept": 256 << 10});
    assert_eq!(letters, [refused(3), refused(4)]);
}

#[test]
fn a_line_that_is_too_long_is_told_its_own_length() {
    let bytes = 2 * RECORD_BYTES_MAX;
    let (_world, replayed, _) = among_good_leads("x".repeat(bytes).as_bytes());
    let letters = rows(&replayed.output, "select reason from dead_letters");
    let sentence = letters[0]["reason"].as_str().unwrap();
    assert!(sentence.contains(&bytes.to_string()), "the record has {bytes} bytes, but: {sentence}");
}

#[test]
fn nesting_ends_at_its_limit_and_not_in_the_stack() {
    let nested =
        |open: &str, close: &str, depth: usize| format!("\"x\":{}1{}", open.repeat(depth), close.repeat(depth));
    let file = lines(&[
        lead_with("arrays", &nested("[", "]", 100_000)),
        lead_with("objects", &nested("{\"a\":", "}", 100_000)),
        lead_with("open", &format!("\"x\":{}", "[".repeat(100_000))),
        lead_with("fine", &nested("[", "]", 60)),
    ]);
    check(&file, &[(1, "invalid_json"), (2, "invalid_json"), (3, "invalid_json")]);
}

/// A lead for each of the words, in three fields each: cents, a share, and one that nobody knows.
fn leads_with_numbers(words: &[&str]) -> Vec<u8> {
    let fields = ["annualIncomeCents", "engagement", "unknown"];
    let leads = words.iter().flat_map(|word| {
        fields.map(|field| lead_with(&format!("{field} {}", word.replace('"', "")), &format!("\"{field}\":{word}")))
    });
    lines(&leads.collect::<Vec<_>>())
}

#[test]
fn numbers_that_json_does_not_know_are_invalid_wherever_they_stand() {
    let words = ["NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "1e", "--1", "1_000"];
    let expected: Vec<(u64, &str)> = (1..=3 * words.len() as u64).map(|line| (line, "invalid_json")).collect();
    check(&leads_with_numbers(&words), &expected);
}

#[test]
fn numbers_beyond_a_fields_bounds_are_out_of_range_and_in_unknown_fields_they_are_nobodys_business() {
    let words = ["1e999", "-1e999", "99999999999999999999", "-1"];
    let expected: Vec<(u64, &str)> =
        (0..words.len() as u64).flat_map(|word| [1, 2].map(|field| (3 * word + field, "out_of_range"))).collect();
    check(&leads_with_numbers(&words), &expected);
    let file = lines(&[
        lead_with("greatest", "\"annualIncomeCents\":9223372036854775807"),
        lead_with("one more", "\"annualIncomeCents\":9223372036854775808"),
        lead_with("half", "\"annualIncomeCents\":1.5"),
        lead_with("text", "\"annualIncomeCents\":\"5\""),
        lead_with("small", "\"engagement\":1e-999"),
    ]);
    check(&file, &[(2, "out_of_range"), (3, "wrong_type"), (4, "wrong_type")]);
}

#[test]
fn cents_are_integers_in_whatever_way_they_are_written() {
    let written = ["100", "100.0", "1e2", "1E+2", "10000e-2"];
    let file = lines(&written.map(|number| lead_with(number, &format!("\"annualIncomeCents\":{number}"))));
    let (_world, replayed) = check(&file, &[]);
    let cents = rows(
        &replayed.output,
        "select distinct annual_income_cents as cents from leads where channel = 'web' and annual_income_cents is not null",
    );
    assert_eq!(cents, [json!({"cents": 100})]);
}

/// They fit the column's 64 bits.
#[test]
fn ten_to_the_eighteenth_cents_are_in_range() {
    let (_world, replayed) = check(&lines(&[lead_with("rich", "\"annualIncomeCents\":1e18")]), &[]);
    let cents = rows(&replayed.output, "select annual_income_cents as cents from leads where lead_id = 'rich'");
    assert_eq!(cents, [json!({"cents": 1_000_000_000_000_000_000_i64})]);
}

#[test]
fn a_fraction_of_a_cent_is_no_integer_however_small() {
    check(&lines(&[lead_with("c", "\"annualIncomeCents\":1e-999")]), &[(1, "wrong_type")]);
}

#[test]
fn times_outside_1990_to_2099_are_out_of_range_and_what_is_no_time_is_invalid() {
    let at = |time: &str| good_lead(time).with("time", time).line();
    let (range, invalid) = ("out_of_range", "invalid_time");
    let times = [
        ("9999-12-31T23:59:59Z", range),
        ("0001-01-01T00:00:00Z", range),
        ("1989-12-31T23:59:59.999Z", range),
        ("2100-01-01T00:00:00Z", range),
        ("1990-01-01T00:30:00+01:00", range),
        ("10000-01-01T00:00:00Z", invalid),
        ("2026-02-30T00:00:00Z", invalid),
        ("2026-02-16T24:00:00Z", invalid),
        ("2026-02-16 10:00:00Z", invalid),
        ("2026-02-16T10:00:00", invalid),
        ("2026-02-16", invalid),
        ("", invalid),
    ];
    let file = lines(&times.map(|(time, _)| at(time)));
    let expected: Vec<(u64, &str)> = (1..).zip(times.map(|(_, reason)| reason)).collect();
    check(&file, &expected);
}

#[test]
fn the_first_and_the_last_millisecond_of_the_range_are_accepted() {
    let world =
        World::of(&["1990-01-01T00:00:00Z", "2099-12-31T23:59:59.999Z"].map(|time| good_lead(time).with("time", time)));
    let replayed = world.replay("output", &["--epoch-width", "1d"]);
    let summary = Summary::of(&replayed.outcome.stdout);
    assert_eq!((summary.accepted, summary.dead_letters), (2, 0));
    assert_as_reference(&world.input(), &replayed.output);
}

/// A line without a readable time takes its predecessor's.
#[test]
fn a_dead_letter_without_a_time_was_received_when_the_line_before_it_was() {
    let world = World::empty();
    let first = good_lead("a").with("time", "2026-02-01T00:00:00Z").line();
    let second = good_lead("b").with("time", "2026-02-02T00:00:00Z").line();
    let timed = good_lead("c").with("time", "2026-01-05T00:00:00Z").with("specversion", "2").line();
    fs::write(world.input().join("leads.jsonl"), lines(&[first, "x".into(), second, "y".into(), timed])).unwrap();
    let replayed = world.replay("output", &["--epoch-width", "1d"]);
    let letters = rows(&replayed.output, "select log_offset, received_at from dead_letters order by 1");
    let times: Vec<&Value> = letters.iter().map(|letter| &letter["received_at"]).collect();
    assert_eq!(times, ["2026-02-01T00:00:00.000Z", "2026-02-02T00:00:00.000Z", "2026-01-05T00:00:00.000Z"]);
}

/// The hash is that of 300,000 times `x`.
#[test]
fn a_payload_cut_at_256_kib_tells_the_records_length_and_its_hash() {
    const SHA_256: &str = "29927e273accc68286005017f7fa6e4f27bddb4db3083ff8b8d4c3667905b7fa";
    let world = World::empty();
    fs::write(world.input().join("leads.jsonl"), "x".repeat(300_000)).unwrap();
    write_events(&world.input(), &[good_lead("good").on_topic("commands")]);
    let replayed = world.replay("output", &[]);
    let letters = rows(&replayed.output, "select length(payload) as kept from dead_letters");
    assert_eq!(letters, [json!({"kept": 262_144})]);
    let message = fs::read_to_string(replayed.output.join("topics/dead-letters.jsonl")).unwrap();
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["data_base64"], base64("x".repeat(262_144).as_bytes()));
    let attributes = message.as_object().unwrap();
    assert!(attributes.values().any(|value| *value == 300_000), "no attribute tells the length");
    assert!(attributes.values().any(|value| *value == SHA_256), "no attribute tells the hash: {:?}", attributes.keys());
}
