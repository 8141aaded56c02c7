//! Customers, rolled up over the leads and deals that name them.
//!
//! ```text
//!   lead, deal ─(customer_id)─▶ roll-up { leads, deals, last seen }        members of a roll-up form two linked lists
//! ```
//! Counts follow each change. The greatest `updated_at` of the members is kept; only when its holder leaves is the list walked.

use super::intelligence::Intelligence;
use crate::domain::entity::{EntityKind, customer};
use crate::domain::entity_store::EntityStore;
use crate::domain::rows::{Cell, RowBatch, RowChange};

const NONE: u32 = u32::MAX;

/// The two kinds of member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Member {
    /// A lead.
    Lead,
    /// A deal.
    Deal,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    customer: u32,
    next: u32,
    previous: u32,
    seen_at: i64,
}

const UNLINKED: Link = Link { customer: NONE, next: NONE, previous: NONE, seen_at: i64::MIN };

#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that do not exclude one another")]
struct RollUp {
    counts: [u32; 2],
    heads: [u32; 2],
    last_seen_at: i64,
    stale: bool,
    dirty: bool,
    shown: bool,
    /// Whether the customer had an event of its own.
    engaged: bool,
}

const EMPTY: RollUp = RollUp {
    counts: [0; 2],
    heads: [NONE; 2],
    last_seen_at: i64::MIN,
    stale: false,
    dirty: false,
    shown: false,
    engaged: false,
};

/// Roll-ups by the place of the customer in the store.
#[derive(Debug, Default)]
pub struct Customers {
    roll_ups: Vec<RollUp>,
    links: [Vec<Link>; 2],
    dirty: Vec<u32>,
    shown: u64,
}

impl Customers {
    fn roll_up(&mut self, customer: u32) -> &mut RollUp {
        if self.roll_ups.len() <= customer as usize {
            self.roll_ups.resize(customer as usize + 1, EMPTY);
        }
        &mut self.roll_ups[customer as usize]
    }

    /// Reads what [`Customers::set`] will read, so that a batch of them waits for memory once. The value says nothing.
    #[inline]
    pub fn warm(&self, member: Member, place: u32) -> u64 {
        let customer = self.links[member as usize].get(place as usize).map_or(NONE, |link| link.customer);
        self.roll_ups.get(customer as usize).map_or(0, |roll_up| roll_up.last_seen_at as u64)
    }

    /// Says that the customer had an event of its own.
    pub fn engage(&mut self, customer: u32) {
        self.roll_up(customer).engaged = true;
        self.touch(customer);
    }

    fn touch(&mut self, customer: u32) {
        let roll_up = self.roll_up(customer);
        if !roll_up.dirty {
            roll_up.dirty = true;
            self.dirty.push(customer);
        }
    }

    /// The customer of a member.
    pub fn customer_of(&self, member: Member, place: u32) -> Option<u32> {
        self.links[member as usize].get(place as usize).map(|link| link.customer).filter(|customer| *customer != NONE)
    }

    /// Makes a lead or deal a member of `customer` (of none: it is gone or names nobody), last touched at `seen_at`.
    pub fn set(&mut self, member: Member, place: u32, customer: Option<u32>, seen_at: i64) {
        let which = member as usize;
        if self.links[which].len() <= place as usize {
            if customer.is_none() {
                return;
            }
            self.links[which].resize(place as usize + 1, UNLINKED);
        }
        let link = self.links[which][place as usize];
        let customer = customer.unwrap_or(NONE);
        if link.customer != customer {
            if link.customer != NONE {
                self.unlink(which, link);
            }
            self.links[which][place as usize] = UNLINKED;
            if customer != NONE {
                let head = std::mem::replace(&mut self.roll_up(customer).heads[which], place);
                self.roll_up(customer).counts[which] += 1;
                if head != NONE {
                    self.links[which][head as usize].previous = place;
                }
                self.links[which][place as usize] = Link { customer, next: head, previous: NONE, seen_at: i64::MIN };
            }
        }
        if customer != NONE {
            let before = std::mem::replace(&mut self.links[which][place as usize].seen_at, seen_at);
            let roll_up = self.roll_up(customer);
            if seen_at >= roll_up.last_seen_at {
                roll_up.last_seen_at = seen_at;
            } else if before == roll_up.last_seen_at {
                roll_up.stale = true;
            }
            self.touch(customer);
        }
    }

    fn unlink(&mut self, which: usize, link: Link) {
        if link.previous == NONE {
            self.roll_ups[link.customer as usize].heads[which] = link.next;
        } else {
            self.links[which][link.previous as usize].next = link.next;
        }
        if link.next != NONE {
            self.links[which][link.next as usize].previous = link.previous;
        }
        let roll_up = &mut self.roll_ups[link.customer as usize];
        roll_up.counts[which] -= 1;
        roll_up.stale |= link.seen_at == roll_up.last_seen_at;
        self.touch(link.customer);
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.shown
    }

    fn refresh(&mut self, customer: u32) {
        let mut last = i64::MIN;
        for (which, links) in self.links.iter().enumerate() {
            let mut place = self.roll_ups[customer as usize].heads[which];
            while place != NONE {
                last = last.max(links[place as usize].seen_at);
                place = links[place as usize].next;
            }
        }
        let roll_up = &mut self.roll_ups[customer as usize];
        roll_up.last_seen_at = last;
        roll_up.stale = false;
    }

    /// The segment of the lead that was scored last, of equals the one with the greater hash.
    fn segment(&self, roll_up: &RollUp, models: Option<&Intelligence>) -> Option<&'static str> {
        let (models, mut place) = (models?, roll_up.heads[Member::Lead as usize]);
        let mut last = None;
        while place != NONE {
            if let Some(lead) = models.lead(place)
                && let Some(segmented) = &lead.segmented
            {
                last = last.max(Some((segmented.scored_ms, lead.hash, segmented.segment)));
            }
            place = self.links[Member::Lead as usize][place as usize].next;
        }
        last.map(|(.., segment)| segment.name())
    }

    /// Adds a customer's row, or the end of it if nothing names the customer any more.
    pub fn write_row(
        &self,
        epoch: i64,
        customer: u32,
        store: &EntityStore,
        models: Option<&Intelligence>,
        rows: &mut RowBatch,
    ) {
        let Some(roll_up) = self.roll_ups.get(customer as usize) else { return };
        let exists = roll_up.shown;
        rows.start(epoch, if exists { RowChange::Upsert } else { RowChange::Delete });
        let entity = store.entity(EntityKind::Customer, customer);
        rows.cell(Cell::Text(store.dealer_name(entity.dealer())));
        entity.with_key(|key| rows.cell(Cell::Text(key)));
        if exists {
            let own = if roll_up.engaged && entity.is_alive() { entity.touched_at() } else { i64::MIN };
            rows.cell(Cell::Integer(i64::from(roll_up.counts[0])));
            rows.cell(Cell::Integer(i64::from(roll_up.counts[1])));
            rows.cell(Cell::Integer(roll_up.last_seen_at.max(own)));
            let engagement = entity.bits(customer::ENGAGEMENT);
            rows.cell(engagement.map_or(Cell::Null, |bits| Cell::Double(f64::from_bits(bits))));
            let segment = self.segment(roll_up, models);
            rows.cell(segment.map_or(Cell::Null, |segment| Cell::Text(segment.as_bytes())));
        }
        rows.finish();
    }

    /// Whether a customer has a row.
    pub fn is_shown(&self, customer: u32) -> bool {
        self.roll_ups.get(customer as usize).is_some_and(|roll_up| roll_up.shown)
    }

    /// Ends the epoch: changed rows go to `rows`, if anybody wants them, and customers that nothing names any more are forgotten.
    pub fn close(
        &mut self,
        epoch: i64,
        store: &mut EntityStore,
        models: Option<&Intelligence>,
        mut rows: Option<&mut RowBatch>,
    ) {
        for customer in std::mem::take(&mut self.dirty) {
            if self.roll_ups[customer as usize].stale {
                self.refresh(customer);
            }
            let kind = EntityKind::Customer;
            let roll_up = &mut self.roll_ups[customer as usize];
            let engaged = roll_up.engaged && store.entity(kind, customer).is_alive();
            roll_up.dirty = false;
            let exists = engaged || roll_up.counts != [0; 2];
            let shown = std::mem::replace(&mut roll_up.shown, exists);
            self.shown = self.shown + u64::from(exists) - u64::from(shown);
            if let Some(rows) = rows.as_deref_mut().filter(|_| exists || shown) {
                self.write_row(epoch, customer, store, models, rows);
            }
            if !exists {
                self.roll_ups[customer as usize] = EMPTY;
                store.remove(kind, customer);
            }
        }
    }
}
