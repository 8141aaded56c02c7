//! New records about entities of old ones, and old records in new forms.

use super::bad::{replace_value, value_range};
use crate::simulate::calendar::{HOUR_MS, MINUTE_MS};
use crate::simulate::catalog::TOWNS;
use crate::simulate::event::EventType;
use crate::simulate::hour::{Line, dealer_id};
use crate::simulate::random::Random;
use crate::simulate::text::{push_escaped, push_time, push_ulid};

/// Writes added records, with ids of their own.
#[derive(Debug)]
pub(super) struct Patcher {
    nonce: u64,
}

impl Patcher {
    /// Its ids come after those of the last dealer.
    pub(super) fn new(seed: u64, dealers: u32) -> Self {
        Patcher { nonce: seed.wrapping_add(u64::from(dealers) << 40) }
    }

    fn id(&mut self, time_ms: i64) -> Vec<u8> {
        self.nonce = self.nonce.wrapping_add(1);
        let mut id = Vec::new();
        push_ulid(&mut id, time_ms, self.nonce);
        id
    }

    /// A whole record without newline; `data` is the inside of its braces.
    pub(super) fn record(
        &mut self,
        system: &str,
        event_type: &str,
        dealer: u32,
        subject: &str,
        time_ms: i64,
        data: &[u8],
    ) -> Vec<u8> {
        let dealer = dealer_id(dealer);
        let mut record = b"{\"specversion\":\"1.0\",\"id\":\"".to_vec();
        record.extend_from_slice(&self.id(time_ms));
        record.extend_from_slice(
            format!("\",\"source\":\"/dealers/{dealer}/{system}\",\"type\":\"{event_type}\",\"subject\":\"").as_bytes(),
        );
        push_escaped(&mut record, subject);
        record.extend_from_slice(b"\",\"time\":\"");
        push_time(&mut record, time_ms);
        record.extend_from_slice(format!("\",\"dealerid\":\"{dealer}\",\"data\":{{").as_bytes());
        record.extend_from_slice(data);
        record.extend_from_slice(b"}}");
        record
    }

    /// A correction of the lead or deal that `record` is about.
    pub(super) fn update(
        &mut self,
        line: &Line,
        record: &[u8],
        is_deal: bool,
        time_ms: i64,
        random: &mut Random,
    ) -> Vec<u8> {
        let entity = subject_of(record);
        let cents = random.between(8_000, 45_000) * 100;
        let (event_type, key, change) = if is_deal {
            let change = match random.below(5) {
                0 => format!("\"priceCents\":{cents}"),
                1 => "\"lender\":null".to_owned(),
                2 => format!(
                    "\"frontGrossCents\":{},\"backGrossCents\":{}",
                    random.between(-90_000, 400_000),
                    random.between(0, 250_000)
                ),
                3 => "\"stage\":\"negotiating\",\"strategy\":null".to_owned(),
                _ => format!("\"downPaymentCents\":{},\"termMonths\":{}", cents / 10, random.pick(&[48, 60, 72])),
            };
            ("deal.updated", "dealId", change)
        } else {
            let change = match random.below(5) {
                0 => format!("\"creditScore\":{}", random.between(420, 840)),
                1 => "\"downPaymentCents\":null,\"tradeValueCents\":null".to_owned(),
                2 => format!("\"engagement\":0.{:03},\"visitCount\":{}", random.below(1_000), random.below(9)),
                3 => format!("\"vehiclePriceCents\":{cents},\"vehicleId\":null"),
                _ => format!("\"annualIncomeCents\":{},\"coBuyer\":true", cents * 3),
            };
            ("lead.updated", "leadId", change)
        };
        let data = format!("\"{key}\":\"{entity}\",{change}");
        self.record(line.event_type.topic().system(), event_type, line.dealer, &entity, time_ms, data.as_bytes())
    }

    /// The dealer corrects its time zone.
    pub(super) fn dealer_moved(&mut self, dealer: u32, time_ms: i64, random: &mut Random) -> Vec<u8> {
        let data = format!("\"timeZone\":\"{}\"", random.pick(TOWNS).zone.name);
        self.record("dms", "dealer.updated", dealer, &dealer_id(dealer), time_ms, data.as_bytes())
    }

    /// The end of the entity that `record` is about.
    pub(super) fn deletion(&mut self, line: &Line, record: &[u8], event_type: &str, time_ms: i64) -> Vec<u8> {
        let entity = subject_of(record);
        let data = match event_type {
            "lead.deleted" => format!("\"leadId\":\"{entity}\""),
            "vehicle.removed" => format!("\"vehicleId\":\"{entity}\",\"reason\":\"entered by mistake\""),
            _ => format!("\"repId\":\"{entity}\""),
        };
        self.record(line.event_type.topic().system(), event_type, line.dealer, &entity, time_ms, data.as_bytes())
    }

    /// The entity of `record` comes into the world again: the record with another id and time, or a rep's of its own.
    pub(super) fn revival(&mut self, line: &Line, record: &[u8], time_ms: i64) -> Vec<u8> {
        if line.event_type == EventType::RepStatusChanged {
            let entity = subject_of(record);
            let data = format!("\"repId\":\"{entity}\",\"name\":\"Back {entity}\",\"skillLevel\":0.5");
            return self.record("roster", "rep.added", line.dealer, &entity, time_ms, data.as_bytes());
        }
        let id = self.id(time_ms);
        let mut time = Vec::new();
        push_time(&mut time, time_ms);
        replace_value(&replace_value(record, b"\"id\":\"", &id), b"\"time\":\"", &time)
    }
}

fn subject_of(record: &[u8]) -> String {
    let range = value_range(record, b"\"subject\":\"").unwrap_or_default();
    String::from_utf8_lossy(&record[range]).into_owned()
}

const DATA: &[u8] = b"\"data\":{";

fn with(record: &[u8], offset: usize, inserted: &[u8]) -> Vec<u8> {
    let at = record.windows(DATA.len()).position(|window| window == DATA).map_or(0, |at| at + offset);
    [&record[..at], inserted, &record[at..]].concat()
}

/// The record with a field (and its comma) before the others of `data`.
pub(super) fn with_field(record: &[u8], field: &[u8]) -> Vec<u8> {
    with(record, DATA.len(), field)
}

/// The record with an attribute (and its comma) in the envelope.
pub(super) fn with_envelope(record: &[u8], attribute: &str) -> Vec<u8> {
    with(record, 0, attribute.as_bytes())
}

/// The record with the same moment at the offset of India.
pub(super) fn with_offset(record: &[u8], time_ms: i64) -> Vec<u8> {
    let mut time = Vec::new();
    push_time(&mut time, time_ms + 5 * HOUR_MS + 30 * MINUTE_MS);
    time.pop();
    time.extend_from_slice(b"+05:30");
    replace_value(record, b"\"time\":\"", &time)
}

/// The record with digits below the millisecond, which are cut off when it is read.
pub(super) fn with_finer_time(record: &[u8], number: u64) -> Vec<u8> {
    let range = value_range(record, b"\"time\":\"").unwrap_or_default();
    let mut time = record[range].to_vec();
    time.pop();
    time.extend_from_slice(format!("{number}47Z").as_bytes());
    replace_value(record, b"\"time\":\"", &time)
}
