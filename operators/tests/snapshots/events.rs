//! A seeded world of few dealers with small numbers of ids, so that everything meets everything: copies, reused ids, deletions and
//! revivals, zones that change, entities that expire, late events, records of no use.

use operators::domain::event::Topic;
use operators::domain::time::format_rfc3339;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) topic: Topic,
    pub(crate) json: String,
    pub(crate) offset: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct EpochRecords {
    pub(crate) epoch: i64,
    pub(crate) records: Vec<Record>,
}

pub(crate) const START_MS: i64 = 1_771_254_245_123;
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// Epochs with their records.
pub(crate) fn world(random: &mut Random, epochs: usize, dealers: u64) -> Vec<EpochRecords> {
    let (mut now_ms, mut offset) = (START_MS, 0);
    let mut sent: Vec<Record> = Vec::new();
    (0..epochs)
        .map(|_| {
            now_ms += 50 + random.below(3 * HOUR_MS as u64) as i64;
            let count = random.below(14);
            let records = (0..count)
                .map(|_| {
                    offset += 1;
                    let mut record = record(random, now_ms, offset, dealers, &sent);
                    record.offset = offset;
                    sent.push(record.clone());
                    record
                })
                .collect();
            EpochRecords { epoch: now_ms, records }
        })
        .collect()
}

fn record(random: &mut Random, now_ms: i64, offset: u64, dealers: u64, sent: &[Record]) -> Record {
    if !sent.is_empty() && random.chance(8) {
        let from = sent.len().saturating_sub(80);
        let mut again = random.pick(&sent[from..]).clone();
        if random.chance(30) {
            again.json = again.json.replace("\"data\"", "\"extra\":1,\"data\"");
        }
        return again;
    }
    if random.chance(3) {
        let json = *random.pick(&["{", "{\"dealerid\":\"d-1\",\"specversion\":\"1.0\"}", "[]", "\"x\""]);
        return Record { topic: Topic::Deals, json: json.to_owned(), offset };
    }
    let late_ms = match random.below(20) {
        0 => random.below(8 * 24 * HOUR_MS as u64) as i64,
        1..4 => random.below(2 * HOUR_MS as u64) as i64,
        _ => random.below(50) as i64,
    };
    let (topic, event_type, data) = event(random);
    let time = format_rfc3339(now_ms - late_ms);
    let source = random.pick(&["/crm", "/dms/a rather long source", "/web"]);
    let dealer = random.below(dealers);
    let sequence = random.below(3);
    let json = format!(
        r#"{{"specversion":"1.0","id":"event-{offset}","source":"{source}","type":"{event_type}","time":"{time}","dealerid":"d-{dealer}","sequence":"{sequence}","data":{data}}}"#
    );
    Record { topic, json, offset }
}

fn optional(random: &mut Random, name: &str, value: impl std::fmt::Display) -> String {
    match random.below(10) {
        0..5 => format!(",\"{name}\":{value}"),
        5 => format!(",\"{name}\":null"),
        _ => String::new(),
    }
}

fn event(random: &mut Random) -> (Topic, &'static str, String) {
    let id = |random: &mut Random, kind: &str, count: u64| {
        let number = random.below(count);
        // Some ids fit into eight bytes, others do not.
        if number.is_multiple_of(2) { format!("{kind}{number}") } else { format!("{kind}-with-a-long-name-{number}") }
    };
    let lead = id(random, "lead", 9);
    let customer = id(random, "cust", 5);
    let deal = id(random, "deal", 7);
    let vehicle = id(random, "car", 6);
    let rep = id(random, "rep", 4);
    let cents = |random: &mut Random| random.below(5_000_000).to_string();
    match random.below(40) {
        0..6 => {
            let mut data = format!(r#"{{"leadId":"{lead}","customerId":"{customer}","channel":"web""#);
            let (score, price) = (300 + random.below(500), cents(random));
            data += &optional(random, "creditScore", score.to_string());
            data += &optional(random, "vehiclePriceCents", price);
            (Topic::Leads, "lead.created", data + "}")
        }
        6..10 => {
            let mut data = format!(r#"{{"leadId":"{lead}""#);
            let minutes = format!("{}.5", random.below(100));
            data += &optional(random, "customerId", format!("\"{customer}\""));
            data += &optional(random, "timeOnLotMinutes", minutes);
            data += &optional(random, "skills", r#"["spanish","trucks and vans"]"#.to_owned());
            (Topic::Leads, "lead.updated", data + "}")
        }
        10..14 => (Topic::Leads, "lead.responded", format!(r#"{{"leadId":"{lead}"}}"#)),
        14..16 => (Topic::Leads, "lead.deleted", format!(r#"{{"leadId":"{lead}"}}"#)),
        16..18 => {
            let mut data = format!(r#"{{"customerId":"{customer}","engagement":0.{}"#, random.below(1_000));
            if random.chance(50) {
                data += ",\"leadId\":\"";
                data += &lead;
                data += "\"";
            }
            (Topic::Leads, "customer.engagement.detected", data + "}")
        }
        18..23 => {
            let mut data = format!(r#"{{"dealId":"{deal}""#);
            let gross = format!("-{}", cents(random));
            data += &optional(random, "customerId", format!("\"{customer}\""));
            data += &optional(random, "repId", format!("\"{rep}\""));
            data += &optional(random, "leadId", format!("\"{lead}\""));
            data += &optional(random, "frontGrossCents", gross);
            let event_type = if random.chance(60) { "deal.created" } else { "deal.updated" };
            let stage = *random.pick(&["prospect", "negotiating", "contracted", "delivered", "lost"]);
            data += &optional(random, "stage", format!("\"{stage}\""));
            (Topic::Deals, event_type, data + "}")
        }
        23..26 => {
            let mut data = format!(r#"{{"dealId":"{deal}""#);
            let (front, back) = (cents(random), cents(random));
            data += &optional(random, "frontGrossCents", front);
            data += &optional(random, "backGrossCents", back);
            (Topic::Deals, *random.pick(&["deal.closed", "deal.lost", "deal.unwound"]), data + "}")
        }
        26..29 => {
            let mut data = format!(r#"{{"vehicleId":"{vehicle}""#);
            data += &optional(random, "vin", "\"1M8GDM9AXKP042788\"".to_owned());
            data += &optional(random, "make", "\"Some Make with a Name\"".to_owned());
            (Topic::Inventory, "vehicle.acquired", data + "}")
        }
        29..31 => {
            let phase = *random.pick(&["detail", "frontline", "photos"]);
            (Topic::Inventory, "vehicle.phase.moved", format!(r#"{{"vehicleId":"{vehicle}","phase":"{phase}"}}"#))
        }
        31..33 => {
            let event_type = *random.pick(&["vehicle.sold", "vehicle.removed"]);
            (Topic::Inventory, event_type, format!(r#"{{"vehicleId":"{vehicle}"}}"#))
        }
        33..35 => {
            let mut data = format!(r#"{{"repId":"{rep}","name":"Rep {}""#, random.below(3));
            let skill = format!("0.{}", random.below(100));
            data += &optional(random, "skillLevel", skill);
            let cap = random.below(4).to_string();
            data += &optional(random, "leadCap", cap);
            data += &optional(random, "shiftStart", r#""09:00","shiftEnd":"18:30""#.to_owned());
            (Topic::Reps, "rep.added", data + "}")
        }
        35 => {
            let status = *random.pick(&["available", "busy", "break", "off"]);
            (Topic::Reps, "rep.status.changed", format!(r#"{{"repId":"{rep}","status":"{status}"}}"#))
        }
        36 => (Topic::Reps, "rep.removed", format!(r#"{{"repId":"{rep}"}}"#)),
        37 => (Topic::Leads, "something.unheard.of", "{}".to_owned()),
        _ => {
            let zone = *random.pick(&["\"America/New_York\"", "\"Asia/Kathmandu\"", "\"UTC\"", "null"]);
            (Topic::Dealers, "dealer.updated", format!(r#"{{"timeZone":{zone},"name":"Dealer {}"}}"#, random.below(9)))
        }
    }
}
