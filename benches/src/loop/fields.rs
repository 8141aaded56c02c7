//! The fields of each kind of entity, as plain structs.

use operators::domain::batch::{EventBatch, Value};
use operators::domain::entity::{customer, deal, dealer, lead, rep, vehicle};

use super::stamps::NONE;
use super::texts::{Text, Texts};

/// The fields of one kind of entity: a value, a bit that says it is not null, and the stamp of its writer.
pub(super) trait Fields: Default {
    /// Writes a value, null included.
    fn set(&mut self, slot: u8, writer: u32, value: Value, batch: &EventBatch, texts: &mut Texts);

    /// The stamp of a slot's last writer, [`NONE`] if nobody wrote.
    fn writer(&self, slot: u8) -> u32;

    /// Whether the slot has a value that is not null.
    fn is_present(&self, slot: u8) -> bool;
}

macro_rules! fields {
    ($(#[$doc:meta])* $name:ident, $slots:ident: $($slot:ident $field:ident $kind:ident),+) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name {
            writers: [u32; $slots::SLOTS],
            present: u32,
            $(pub(super) $field: fields!(@type $kind),)+
        }

        impl Default for $name {
            fn default() -> Self {
                $name { writers: [NONE; $slots::SLOTS], present: 0, $($field: Default::default(),)+ }
            }
        }

        impl Fields for $name {
            #[inline]
            #[allow(unused_variables, reason = "a kind without texts keeps none")]
            fn set(&mut self, slot: u8, writer: u32, value: Value, batch: &EventBatch, texts: &mut Texts) {
                self.writers[usize::from(slot)] = writer;
                if matches!(value, Value::Null) {
                    self.present &= !(1 << slot);
                    return;
                }
                self.present |= 1 << slot;
                match (slot, value) {
                    $(($slots::$slot, fields!(@pattern $kind value)) => self.$field = fields!(@keep $kind value batch texts),)+
                    _ => {}
                }
            }

            fn writer(&self, slot: u8) -> u32 {
                self.writers[usize::from(slot)]
            }

            fn is_present(&self, slot: u8) -> bool {
                self.present & (1 << slot) != 0
            }
        }
    };
    (@type text) => { Text };
    (@type integer) => { i64 };
    (@type small) => { i32 };
    (@type double) => { f64 };
    (@pattern text $value:ident) => { Value::Text($value) };
    (@pattern integer $value:ident) => { Value::Integer($value) };
    (@pattern small $value:ident) => { Value::Integer($value) };
    (@pattern double $value:ident) => { Value::Double($value) };
    (@keep text $value:ident $batch:ident $texts:ident) => { $texts.keep($batch.text($value)) };
    (@keep integer $value:ident $batch:ident $texts:ident) => { $value };
    (@keep small $value:ident $batch:ident $texts:ident) => { $value as i32 };
    (@keep double $value:ident $batch:ident $texts:ident) => { $value };
}

fields!(
    /// A dealer.
    Dealer, dealer: NAME name text, TIME_ZONE time_zone text, STATE state text, CURRENCY currency text
);
fields!(
    /// An enquiry.
    Lead, lead:
    CUSTOMER_ID customer_id text, CHANNEL channel text, CREDIT_SCORE credit_score small, ANNUAL_INCOME_CENTS annual_income_cents integer,
    VEHICLE_PRICE_CENTS vehicle_price_cents integer, DOWN_PAYMENT_CENTS down_payment_cents integer,
    TRADE_VALUE_CENTS trade_value_cents integer, VISIT_COUNT visit_count integer, TIME_ON_LOT_MINUTES time_on_lot_minutes double,
    ENGAGEMENT engagement double, CO_BUYER co_buyer small, TERM_MONTHS term_months integer,
    PAYMENT_SENSITIVITY payment_sensitivity double, VEHICLE_ID vehicle_id text, LANGUAGE language text, SKILLS skills text
);
fields!(
    /// A negotiation over one vehicle.
    Deal, deal:
    LEAD_ID lead_id text, CUSTOMER_ID customer_id text, REP_ID rep_id text, STAGE stage small, VEHICLE_ID vehicle_id text,
    PRICE_CENTS price_cents integer, COST_CENTS cost_cents integer, DOWN_PAYMENT_CENTS down_payment_cents integer,
    TRADE_ALLOWANCE_CENTS trade_allowance_cents integer, TRADE_ACV_CENTS trade_acv_cents integer,
    AMOUNT_FINANCED_CENTS amount_financed_cents integer, TERM_MONTHS term_months integer, APR_PERCENT apr_percent double,
    FRONT_GROSS_CENTS front_gross_cents integer, BACK_GROSS_CENTS back_gross_cents integer, LENDER lender text, STATE state text,
    STRATEGY strategy text, REASON reason text
);
fields!(
    /// A unit of inventory.
    Vehicle, vehicle:
    VIN vin text, YEAR year small, MAKE make text, MODEL model text, TRIM trim text, MILEAGE mileage integer, CONDITION condition small,
    COST_CENTS cost_cents integer, MARKET_PRICE_CENTS market_price_cents integer, PHASE phase small, PRICE_CENTS price_cents integer
);
fields!(
    /// A salesperson.
    Rep, rep:
    NAME name text, SKILL_LEVEL skill_level double, NATURAL_FREQUENCY natural_frequency double, ROLE role text, TEAM team text,
    LEAD_CAP lead_cap integer, SKILLS skills text, SHIFT_START shift_start text, SHIFT_END shift_end text, STATUS status small
);
fields!(
    /// A person who enquires or buys.
    Customer, customer: ENGAGEMENT engagement double
);
