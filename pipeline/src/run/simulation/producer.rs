//! Events of a few dealers as their systems send them: mostly good, some again, late, ahead of time, deleted or broken.

use connectors::log::{OutgoingRecords, TopicPartition, partition_of_key};
use operators::domain::time::format_rfc3339;

use super::storage::Storage;
use crate::simulate::random::Random;

const DEALERS: u64 = 4;
const ENTITIES: u64 = 12;
/// Events that may be sent again.
const REMEMBERED_MAX: usize = 64;

/// An event as it was sent.
#[derive(Clone)]
struct Sent {
    topic: &'static str,
    dealer: String,
    payload: Vec<u8>,
    time_ms: i64,
}

/// The dealers' systems.
#[derive(Default)]
pub(super) struct Producer {
    sent: Vec<Sent>,
    events: u64,
}

fn event(id: &str, event_type: &str, dealer: &str, time_ms: i64, data: &str) -> Vec<u8> {
    let time = format_rfc3339(time_ms);
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/{dealer}/crm","type":"{event_type}","time":"{time}","dealerid":"{dealer}","data":{data}}}"#
    )
    .into_bytes()
}

impl Producer {
    /// The next `count` events. They are sent at `now_ms`, which is true time and no pipeline's clock.
    pub(super) fn produce(
        &mut self,
        random: &mut Random,
        storage: &Storage,
        now_ms: i64,
        count: u64,
    ) -> OutgoingRecords {
        let mut records = OutgoingRecords::new();
        for _ in 0..count {
            let sent = self.next(random, now_ms);
            let partition = partition_of_key(sent.dealer.as_bytes(), storage.partitions(sent.topic) as u32);
            let place = records.place(&TopicPartition::new(sent.topic, partition));
            records.push(place, now_ms, Some(sent.dealer.as_bytes()), Some(&sent.payload), []);
        }
        records
    }

    fn next(&mut self, random: &mut Random, now_ms: i64) -> Sent {
        if !self.sent.is_empty() && random.chance(0.15) {
            let again = random.pick(&self.sent).clone();
            if random.chance(0.7) {
                return again;
            }
            // Other bytes under the same id, a moment later.
            let text = String::from_utf8_lossy(&again.payload);
            let (old, new) = (format_rfc3339(again.time_ms), format_rfc3339(again.time_ms + 1));
            return Sent { payload: text.replace(&old, &new).into_bytes(), time_ms: again.time_ms + 1, ..again };
        }
        self.events += 1;
        let sent = self.fresh(random, now_ms);
        if random.chance(0.1) {
            return Sent { payload: broken(random, &sent.payload), ..sent };
        }
        if self.sent.len() < REMEMBERED_MAX {
            self.sent.push(sent.clone());
        } else {
            let place = random.below(REMEMBERED_MAX as u64) as usize;
            self.sent[place] = sent.clone();
        }
        sent
    }

    fn fresh(&self, random: &mut Random, now_ms: i64) -> Sent {
        let dealer = format!("d-{}", random.below(DEALERS));
        let entity = random.below(ENTITIES);
        let time_ms = match random.below(20) {
            0..=2 => now_ms - random.between(0, 6 * 3_600_000),
            3 => now_ms + random.between(0, 2 * 3_600_000),
            _ => now_ms - random.between(0, 2_000),
        };
        let amount = random.below(100_000);
        let (topic, event_type, data) = match random.below(12) {
            0..=2 => (
                "leads",
                "lead.created",
                format!(r#"{{"leadId":"l{entity}","customerId":"c{entity}","channel":"web"}}"#),
            ),
            3 | 4 => ("leads", "lead.updated", format!(r#"{{"leadId":"l{entity}","visitCount":{}}}"#, amount % 50)),
            5 => ("leads", "lead.deleted", format!(r#"{{"leadId":"l{entity}"}}"#)),
            6 | 7 => (
                "deals",
                "deal.created",
                format!(
                    r#"{{"dealId":"e{entity}","leadId":"l{entity}","repId":"r{}","stage":"negotiating","priceCents":{amount}}}"#,
                    entity % 3
                ),
            ),
            8 => ("deals", "deal.closed", format!(r#"{{"dealId":"e{entity}","frontGrossCents":{amount}}}"#)),
            9 => ("inventory", "vehicle.acquired", format!(r#"{{"vehicleId":"v{entity}","costCents":{amount}}}"#)),
            10 => ("reps", "rep.added", format!(r#"{{"repId":"r{}","name":"Rep {amount}"}}"#, entity % 3)),
            _ => ("dealers", "dealer.updated", format!(r#"{{"name":"Dealer {amount}","timeZone":"America/Chicago"}}"#)),
        };
        let payload = event(&format!("e-{}", self.events), event_type, &dealer, time_ms, &data);
        Sent { topic, dealer, payload, time_ms }
    }
}

/// A record that no parser can accept, made of one that it would.
fn broken(random: &mut Random, payload: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(payload);
    match random.below(4) {
        0 => payload[..payload.len() - 1 - random.below(payload.len() as u64 / 2) as usize].to_vec(),
        1 => text.replacen("\"1.0\"", "\"0.3\"", 1).into_bytes(),
        2 => Vec::new(),
        _ => text.replacen("\"data\":{", "\"data\":[{", 1).into_bytes(),
    }
}
