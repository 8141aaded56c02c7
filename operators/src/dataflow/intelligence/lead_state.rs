//! What the models know of each lead, by its place in the entity store, and of the deals that name leads.

use hashbrown::HashTable;

use crate::domain::messages::MessageId;
use crate::models::whaco::features::Features;
use crate::models::whaco::segment::Segment;

/// What WHACO said of a lead last.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmented {
    /// The cluster, 0 to 4.
    pub cluster: u8,
    /// The segment that it was then.
    pub segment: Segment,
    /// The probability that the cluster is the right one.
    pub confidence: f64,
    /// How unusual the lead is.
    pub score: f64,
    /// How soon to serve it.
    pub priority: f64,
    /// The same without credit data.
    pub routing_priority: f64,
    /// When it was scored.
    pub scored_ms: i64,
    /// The message that said so.
    pub message: MessageId,
    /// What is unusual, of an outlier.
    pub anomaly: Option<Box<Anomaly>>,
}

/// Why a lead is an outlier.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// The three features that are furthest off, in words.
    pub reason: String,
    /// The features.
    pub features: Features,
    /// Since when it is one.
    pub detected_ms: i64,
    /// The message that said so last.
    pub message: MessageId,
}

/// Who has a lead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assigned {
    /// The rep's number.
    pub rep: u32,
    /// What the pair was worth.
    pub score: f64,
    /// Since when.
    pub assigned_ms: i64,
    /// The epoch in which that was decided.
    pub epoch: i64,
    /// The message that said so.
    pub message: MessageId,
}

/// What a lead asks of a rep, if it asks for anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// The language that the customer prefers.
    pub language: Option<Box<str>>,
    /// Skills that it needs.
    pub skills: Vec<Box<str>>,
}

/// One lead.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude one another")]
pub struct LeadState {
    /// Whether anything was seen of it.
    pub is_known: bool,
    /// Number of its dealer.
    pub dealer: u32,
    /// Hash of its id within the dealer: the order among equals, since it does not depend on arrival.
    pub hash: u64,
    /// Whether it was created and is there.
    pub is_created: bool,
    /// Whether somebody answered.
    pub is_answered: bool,
    /// Whether seven days have passed since its last event.
    pub is_idle: bool,
    /// Whether it waits for a rep.
    pub is_waiting: bool,
    /// Whether it counts among its rep's active leads.
    pub is_active: bool,
    /// The greatest event applied.
    pub touched_ms: i64,
    /// Since when it waits.
    pub waiting_since_ms: i64,
    /// Deals that name it.
    pub deals: u32,
    /// How often a rep lost it for being too slow.
    pub reassignments: u32,
    /// What WHACO says.
    pub segmented: Option<Segmented>,
    /// Who has it.
    pub assigned: Option<Assigned>,
    /// Who had it, while it goes to another: never beyond one cause.
    pub moving: Option<Assigned>,
    /// What it asks for.
    pub wishes: Option<Box<Wishes>>,
    /// When its timers look at it, if they do.
    pub inactivity_due_ms: Option<i64>,
    /// The same of its rep's answer.
    pub response_due_ms: Option<i64>,
    /// Which rows of it stand: member, anomaly, assignment.
    pub shown: [bool; 3],
    /// Whether the epoch has changed it.
    pub is_dirty: bool,
    /// Whether it changed since it was last written down.
    pub is_unwritten: bool,
}

impl LeadState {
    /// Whether the lead is to count among its rep's active ones.
    pub fn is_active_with_a_rep(&self) -> bool {
        self.assigned.is_some() && self.is_created && self.deals == 0 && !self.is_idle
    }
}

/// A deal, by its place in the entity store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DealState {
    /// The facts that were counted.
    pub facts: super::observation::DealFacts,
    /// The lead that it names, as an entry of [`NamedLeads`].
    pub lead: Option<u32>,
    /// The greatest event applied.
    pub touched_ms: i64,
    /// When a timer looks whether it leaves memory, and the hash of its id.
    pub timer: Option<(i64, u64)>,
}

#[derive(Debug)]
struct Named {
    hash: u64,
    dealer: u32,
    id: Box<[u8]>,
    deals: u32,
}

/// The leads that deals name, whether or not they are known: as many as there are live deals at most.
#[derive(Debug, Default)]
pub struct NamedLeads {
    index: HashTable<u32>,
    entries: Vec<Named>,
    free: Vec<u32>,
}

impl NamedLeads {
    /// Counts a deal that names a lead. Gives its entry.
    pub fn add(&mut self, dealer: u32, hash: u64, id: &[u8]) -> u32 {
        let entries = &self.entries;
        let is_it = |entry: &u32| {
            let named = &entries[*entry as usize];
            named.hash == hash && named.dealer == dealer && *named.id == *id
        };
        if let Some(entry) = self.index.find(hash, is_it).copied() {
            self.entries[entry as usize].deals += 1;
            return entry;
        }
        let named = Named { hash, dealer, id: id.into(), deals: 1 };
        let entry = if let Some(entry) = self.free.pop() {
            self.entries[entry as usize] = named;
            entry
        } else {
            self.entries.push(named);
            self.entries.len() as u32 - 1
        };
        let entries = &self.entries;
        self.index.insert_unique(hash, entry, |entry| entries[*entry as usize].hash);
        entry
    }

    /// One deal less names the lead of an entry.
    pub fn remove(&mut self, entry: u32) {
        let named = &mut self.entries[entry as usize];
        named.deals -= 1;
        if named.deals == 0 {
            let hash = named.hash;
            named.id = Box::default();
            if let Ok(found) = self.index.find_entry(hash, |other| *other == entry) {
                found.remove();
            }
            self.free.push(entry);
        }
    }

    /// Dealer, hash and id of an entry, with the number of deals.
    pub fn entry(&self, entry: u32) -> (u32, u64, &[u8], u32) {
        let Named { hash, dealer, id, deals } = &self.entries[entry as usize];
        (*dealer, *hash, id, *deals)
    }

    /// How many deals name a lead.
    pub fn deals(&self, dealer: u32, hash: u64, id: &[u8]) -> u32 {
        let found = self.index.find(hash, |entry| {
            let named = &self.entries[*entry as usize];
            named.hash == hash && named.dealer == dealer && *named.id == *id
        });
        found.map_or(0, |entry| self.entries[*entry as usize].deals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_leads_are_counted_and_their_entries_given_out_again() {
        let mut named = NamedLeads::default();
        let first = named.add(1, 77, b"l-1");
        assert_eq!(named.add(1, 77, b"l-1"), first);
        // The same hash of another lead, and the same id of another dealer.
        let (other, elsewhere) = (named.add(1, 77, b"l-2"), named.add(2, 77, b"l-1"));
        assert_eq!((named.deals(1, 77, b"l-1"), named.deals(1, 77, b"l-2"), named.deals(2, 77, b"l-1")), (2, 1, 1));
        named.remove(first);
        named.remove(first);
        assert_eq!((named.deals(1, 77, b"l-1"), named.deals(1, 77, b"l-2")), (0, 1));
        assert_eq!(named.add(3, 5, b"x"), first);
        assert_eq!(named.entry(first), (3, 5, b"x".as_slice(), 1));
        assert!(other != elsewhere);
    }
}
