use std::sync::Arc;

use super::*;
use crate::domain::batch::RawBytes;

fn parse_on(topic: Topic, record: &[u8]) -> Result<(Event, EventBatch), Rejection> {
    let mut batch = EventBatch { raw: RawBytes(Arc::new(record.to_vec())), ..EventBatch::default() };
    let mut parser = Parser::default();
    let place = Place { topic: topic as u8, partition: 0, offset: 1 };
    let event = parser.parse(record, span(0, record.len()), place, 0)?;
    parser.push(event, &mut batch);
    Ok((batch.events[0], batch))
}

fn parse(record: &str) -> Result<(Event, EventBatch), Rejection> {
    parse_on(Topic::Leads, record.as_bytes())
}

/// A good lead.created with `from` replaced by `to`.
fn changed(from: &str, to: &str) -> String {
    let good = concat!(
        r#"{"specversion":"1.0","id":"e1","source":"/crm","type":"lead.created","subject":"l1","time":"2026-02-16T15:04:05.123Z","#,
        r#""dealerid":"d1","sequence":"7","data":{"leadId":"l1","customerId":"c1","channel":"web","creditScore":700,"engagement":0.5}}"#
    );
    assert!(good.contains(from), "{from}");
    good.replacen(from, to, 1)
}

#[track_caller]
fn check_code(record: &str, code: ReasonCode) {
    match parse(record) {
        Err(rejection) => assert_eq!(rejection.code, code, "{record}: {}", rejection.sentence),
        Ok(_) => panic!("accepted: {record}"),
    }
}

#[test]
fn a_good_event_keeps_its_meaning() {
    let (event, batch) = parse(&changed("l1", "l1")).unwrap();
    assert_eq!(event.time_ms, 1_771_254_245_123);
    assert_eq!(event.sequence, 7);
    assert_eq!(batch.text(event.dealer), b"d1");
    assert_eq!(batch.text(event.entity), b"l1");
    assert_eq!(event.event_type.event_type(), EventType::LeadCreated);
    let values = batch.values_of(&event);
    assert_eq!(values.len(), 5);
    assert!(values.contains(&FieldValue { field: 3, value: Value::Integer(700) }));
    assert!(values.contains(&FieldValue { field: 10, value: Value::Double(0.5) }));
}

#[test]
fn keys_may_come_in_any_order_and_with_escapes() {
    let shuffled = concat!(
        r#"{"data":{"channel":"w\u0065b","\u006ceadId":"l\u0031","customerId":"c1"},"dealerid":"d\u0031","time":"2026-02-16T15:04:05.123Z","#,
        r#""type":"lead.created","source":"/crm","id":"e1","specversion":"1.0"}"#
    );
    let (event, batch) = parse(shuffled).unwrap();
    assert_eq!(batch.text(event.dealer), b"d1");
    assert_eq!(batch.text(event.entity), b"l1");
    let channel = batch.values_of(&event).iter().find(|value| value.field == 2).unwrap();
    assert!(matches!(channel.value, Value::Text(text) if batch.text(text) == b"web"));
    let (plain, _) = parse(&changed("l1", "l1")).unwrap();
    assert_eq!(event.identity, plain.identity);
    assert_eq!(event.entity_hash, plain.entity_hash);
}

#[test]
fn every_fault_has_its_code() {
    use ReasonCode as R;
    for (from, to, code) in [
        (r#""specversion":"1.0""#, r#""specversion":"0.3""#, R::InvalidSpecversion),
        (r#""specversion":"1.0","#, "", R::MissingField),
        (r#""id":"e1""#, r#""id":"""#, R::OutOfRange),
        (r#""id":"e1""#, r#""id":5"#, R::WrongType),
        (r#""id":"e1","#, "", R::MissingField),
        (r#""dealerid":"d1""#, r#""dealerid":null"#, R::MissingField),
        ("2026-02-16T15:04:05.123Z", "2026-02-16 15:04:05", R::InvalidTime),
        ("2026-02-16T15:04:05.123Z", "1989-02-16T15:04:05Z", R::OutOfRange),
        ("2026-02-16T15:04:05.123Z", "2100-01-01T00:00:00Z", R::OutOfRange),
        (r#""sequence":"7""#, r#""sequence":"x""#, R::WrongType),
        (r#""sequence":"7""#, r#""sequence":99999999999999999999"#, R::OutOfRange),
        (r#""subject":"l1""#, r#""subject":{}"#, R::WrongType),
        ("lead.created", "deal.created", R::WrongTopic),
        (r#""leadId":"l1","#, "", R::MissingField),
        (r#""leadId":"l1""#, r#""leadId":null"#, R::MissingField),
        (r#""leadId":"l1""#, r#""leadId":1"#, R::WrongType),
        ("700", "900", R::OutOfRange),
        ("700", "700.5", R::WrongType),
        ("700", "1e999", R::OutOfRange),
        ("700", "NaN", R::InvalidJson),
        ("700", "\"700\"", R::WrongType),
        ("0.5", "1.5", R::OutOfRange),
        ("0.5", "-0.1", R::OutOfRange),
        (r#""id":"e1""#, r#""id":"e1","id":"e2""#, R::DuplicateKey),
        (r#""leadId":"l1""#, r#""leadId":"l1","leadId":"l1""#, R::DuplicateKey),
        (r#""leadId":"l1""#, r#""leadId":"l1","x":{"y":1,"y":1}"#, R::DuplicateKey),
        (r#""leadId":"l1""#, r#""leadId":"l1","x":1,"x":1"#, R::DuplicateKey),
        ("0.5}}", "0.5}", R::InvalidJson),
        ("0.5}}", "0.5}} x", R::InvalidJson),
    ] {
        check_code(&changed(from, to), code);
    }
    for rubbish in ["", "[]", "null", "42", "\"text\"", "<adf/>"] {
        check_code(rubbish, ReasonCode::InvalidJson);
    }
    assert_eq!(parse_on(Topic::Leads, b"{\"id\":\"\xff\"}").unwrap_err().code, ReasonCode::InvalidUtf8);
}

#[test]
fn grammar_is_judged_before_meaning_and_a_dealer_is_named_when_known() {
    let record = changed("700", "900").replacen("\"id\":\"e1\"", "\"id\":\"e1\",\"x\":1,\"x\":2", 1);
    check_code(&record, ReasonCode::DuplicateKey);
    assert_eq!(parse(&record).unwrap_err().dealer, None);
    let record = changed("700", "900");
    let dealer = parse(&record).unwrap_err().dealer.unwrap();
    assert_eq!(&record.as_bytes()[dealer.start as usize..][..dealer.length as usize], b"d1");
}

#[test]
fn what_is_lenient_stays_lenient() {
    for (from, to) in [
        ("700", "7e2"),
        ("700", "700.0"),
        ("700", "null"),
        (r#""sequence":"7""#, r#""sequence":7"#),
        (r#""sequence":"7","#, ""),
        (r#""subject":"l1""#, r#""subject":"""#),
        (r#""subject":"l1""#, r#""subject":null"#),
        (r#""id":"e1""#, r#""id":"e1","traceparent":{"a":[1,2]}"#),
        ("lead.created", "lead.exploded"),
    ] {
        assert!(parse(&changed(from, to)).is_ok(), "{to}");
    }
    assert!(parse_on(Topic::Commands, changed("700", "701").as_bytes()).is_ok());
}

#[test]
fn many_unknown_keys_are_checked_without_quadratic_work() {
    let many = (0..50_000).map(|index| format!(r#""k{index}":{index},"#)).collect::<Vec<_>>().concat();
    let record = changed(r#""leadId""#, &format!("{many}\"leadId\""));
    assert!(parse(&record).is_ok());
    check_code(&record.replacen("\"k49999\"", "\"k3\"", 1), ReasonCode::DuplicateKey);
}
