//! What the models see of an event: its entity as the merge rule has it at that moment.
//!
//! ```text
//!   event ─▶ merge ─▶ Observation { number of the event, what its entity is now } ─▶ in content order ─▶ models
//! ```
//! So there is one merge rule and one memory of duplicates: an event that changes nothing is not observed, and a value that loses is
//! not seen. The entity machine merges a block kind by kind; observations bring it back into content order.

use crate::domain::entity::{STAGE_CONTRACTED, STAGE_DELIVERED, deal, lead, rep};
use crate::domain::entity_store::EntityView;
use crate::domain::json::{Scanner, Token, unescape};
use crate::domain::merge::Mark;
use crate::models::assignment::candidate::Terms;
use crate::models::assignment::shift::Shift;
use crate::models::oscillators::member::{Profile, RepStatus};
use crate::models::whaco::features::LeadFields;

use super::super::entity_rows::{NATURAL_FREQUENCY_DEFAULT, SKILL_LEVEL_DEFAULT};

/// The slots of a lead that its features are made of, a bit each.
pub const FEATURE_SLOTS: u32 = 1 << lead::CREDIT_SCORE
    | 1 << lead::ANNUAL_INCOME_CENTS
    | 1 << lead::VEHICLE_PRICE_CENTS
    | 1 << lead::DOWN_PAYMENT_CENTS
    | 1 << lead::TRADE_VALUE_CENTS
    | 1 << lead::VISIT_COUNT
    | 1 << lead::TIME_ON_LOT_MINUTES
    | 1 << lead::ENGAGEMENT
    | 1 << lead::CO_BUYER
    | 1 << lead::TERM_MONTHS
    | 1 << lead::PAYMENT_SENSITIVITY;

/// A text of the block's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaText {
    start: u32,
    /// One more than its length; 0: there is none.
    length: u32,
}

/// The texts of one block's observations.
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
}

impl Arena {
    /// Forgets the texts and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Keeps the text of a slot, if there is one.
    pub fn keep(&mut self, entity: EntityView<'_>, slot: u8) -> ArenaText {
        let start = self.bytes.len() as u32;
        let kept = entity.with_text(slot, |text| self.bytes.extend_from_slice(text));
        ArenaText { start, length: kept.map_or(0, |()| self.bytes.len() as u32 - start + 1) }
    }

    /// A text that was kept.
    pub fn text(&self, text: ArenaText) -> Option<&[u8]> {
        let length = text.length.checked_sub(1)? as usize;
        Some(&self.bytes[text.start as usize..][..length])
    }
}

/// A lead as an event left it.
#[derive(Clone, Copy, Debug)]
pub struct LeadSeen {
    /// Its place.
    pub place: u32,
    /// Whether it is there, and was created and not only updated.
    pub is_created: bool,
    /// Whether somebody answered.
    pub is_answered: bool,
    /// The greatest event applied.
    pub touched_ms: i64,
    /// Whether the event created it or wrote what its features are made of.
    pub is_news: bool,
    /// What its features are made of; always there if it is news, or if the lead was not segmented when the block began.
    pub fields: Option<LeadFields>,
    /// Who enquires.
    pub customer: ArenaText,
    /// The language that the customer prefers.
    pub language: ArenaText,
    /// The skills that it needs, as a JSON list.
    pub skills: ArenaText,
}

impl LeadSeen {
    /// Looks at a lead after an event that wrote these slots, or created it. `is_segmented` may lag behind.
    pub fn of(
        entity: EntityView<'_>,
        place: u32,
        (slots, is_creation): (u32, bool),
        is_segmented: bool,
        arena: &mut Arena,
    ) -> Self {
        let is_created = entity.is_alive() && entity.first_at(Mark::Created).is_some();
        let is_news = is_creation || slots & FEATURE_SLOTS != 0;
        let has_fields = is_created && (is_news || !is_segmented);
        LeadSeen {
            place,
            is_created,
            is_answered: entity.first_at(Mark::Reached).is_some(),
            touched_ms: entity.touched_at(),
            is_news,
            fields: has_fields.then(|| lead_fields(entity)),
            customer: arena.keep(entity, lead::CUSTOMER_ID),
            language: arena.keep(entity, lead::LANGUAGE),
            skills: arena.keep(entity, lead::SKILLS),
        }
    }
}

/// What a lead says about itself.
pub fn lead_fields(entity: EntityView<'_>) -> LeadFields {
    let double = |slot| entity.bits(slot).map(f64::from_bits);
    LeadFields {
        credit_score: entity.bits(lead::CREDIT_SCORE),
        annual_income_cents: entity.bits(lead::ANNUAL_INCOME_CENTS),
        vehicle_price_cents: entity.bits(lead::VEHICLE_PRICE_CENTS),
        down_payment_cents: entity.bits(lead::DOWN_PAYMENT_CENTS),
        trade_value_cents: entity.bits(lead::TRADE_VALUE_CENTS),
        visit_count: entity.bits(lead::VISIT_COUNT),
        time_on_lot_minutes: double(lead::TIME_ON_LOT_MINUTES),
        engagement: double(lead::ENGAGEMENT),
        co_buyer: entity.bits(lead::CO_BUYER).map(|bits| bits != 0),
        term_months: entity.bits(lead::TERM_MONTHS),
        payment_sensitivity: double(lead::PAYMENT_SENSITIVITY),
    }
}

/// What is counted of a deal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DealFacts {
    /// The rep who works it, by number.
    pub rep: Option<u32>,
    /// Whether its stage is one from prospect to contracted.
    pub is_active: bool,
    /// When it was delivered, if it is.
    pub closed_ms: Option<i64>,
}

/// A deal as an event left it.
#[derive(Clone, Copy, Debug)]
pub struct DealSeen {
    /// Its place.
    pub place: u32,
    /// What is counted.
    pub facts: DealFacts,
    /// The lead that it names.
    pub lead: ArenaText,
    /// The greatest event applied.
    pub touched_ms: i64,
}

impl DealSeen {
    /// Looks at a deal.
    pub fn of(entity: EntityView<'_>, place: u32, rep: impl FnOnce(&[u8]) -> u32, arena: &mut Arena) -> Self {
        let lead = if entity.is_alive() { arena.keep(entity, deal::LEAD_ID) } else { ArenaText::default() };
        DealSeen { place, facts: DealFacts::of(entity, rep), lead, touched_ms: entity.touched_at() }
    }
}

impl DealFacts {
    /// Looks at a deal; nothing if it is not there.
    pub fn of(entity: EntityView<'_>, rep: impl FnOnce(&[u8]) -> u32) -> Self {
        if !entity.is_alive() {
            return DealFacts::default();
        }
        let stage = entity.bits(deal::STAGE);
        let is_closed = stage == Some(STAGE_DELIVERED);
        DealFacts {
            rep: entity.with_text(deal::REP_ID, rep),
            is_active: stage.is_some_and(|stage| stage <= STAGE_CONTRACTED),
            closed_ms: entity.slot_time(deal::STAGE).filter(|_| is_closed),
        }
    }
}

/// A rep as an event left it.
#[derive(Clone, Debug)]
pub struct RepSeen {
    /// Number of the rep.
    pub number: u32,
    /// Id of the rep.
    pub id: Box<str>,
    /// What is known; nothing if the rep is gone.
    pub known: Option<(Profile, RepStatus, Terms)>,
}

impl RepSeen {
    /// Looks at a rep. `lead_cap` is that of reps who have none of their own.
    pub fn of(entity: EntityView<'_>, number: u32, lead_cap: u32) -> Self {
        let id: Box<str> = entity.with_key(|id| String::from_utf8_lossy(id).into());
        let known = entity.is_alive().then(|| {
            let number = |slot, default: f64| entity.bits(slot).map_or(default, f64::from_bits);
            let text = |slot| entity.with_text(slot, |text| String::from_utf8_lossy(text).into_owned());
            let profile = Profile {
                name: text(rep::NAME).map_or_else(|| id.clone(), String::into_boxed_str),
                skill: number(rep::SKILL_LEVEL, SKILL_LEVEL_DEFAULT),
                natural_frequency: number(rep::NATURAL_FREQUENCY, NATURAL_FREQUENCY_DEFAULT),
            };
            // Who never said otherwise is there.
            let status = entity.bits(rep::STATUS).and_then(RepStatus::of_code).unwrap_or_default();
            let shift = text(rep::SHIFT_START).zip(text(rep::SHIFT_END));
            let terms = Terms {
                lead_cap: entity.bits(rep::LEAD_CAP).map_or(lead_cap, |cap| u32::try_from(cap).unwrap_or(u32::MAX)),
                shift: shift.and_then(|(begin, end)| Shift::parse(&begin, &end)),
                skills: entity.with_text(rep::SKILLS, text_list).unwrap_or_default(),
            };
            (profile, status, terms)
        });
        RepSeen { number, id, known }
    }
}

/// The texts of a JSON list. The parser lets nothing else through; of what is none the rest is left out.
pub fn text_list(json: &[u8]) -> Vec<Box<str>> {
    let mut texts = Vec::new();
    let _ = Scanner::new(json, 0).array(0, |element| {
        if let Token::String(token) = element {
            texts.push(String::from_utf8_lossy(&unescape(json, token)).into());
        }
    });
    texts
}

/// What an event was about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A dealer, with the zone that it names.
    Dealer(Option<Vec<u8>>),
    /// A lead.
    Lead(LeadSeen),
    /// A lead whose retention had ended before: what follows is another life.
    LeadExpired(u32),
    /// A deal.
    Deal(DealSeen),
    /// A rep.
    Rep(Box<RepSeen>),
    /// The command that its dealer's models begin anew.
    Reset,
}

/// One thing that was seen.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The event's number in its epoch.
    pub index: u32,
    /// The dealer's number.
    pub dealer: u32,
    /// What it was about.
    pub subject: Subject,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_texts_are_read_with_their_escapes() {
        let texts = text_list(br#"[ "spanish", "tr\"ucks", "\u00e9" ]"#);
        assert_eq!(texts.iter().map(|text| &**text).collect::<Vec<_>>(), ["spanish", "tr\"ucks", "é"]);
        assert!(text_list(b"[]").is_empty());
    }
}
