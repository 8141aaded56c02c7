//! The vocabulary that every other room speaks.
//!
//! ```text
//!  bytes ─▶ json ─▶ parse ─▶ batch::Event ─▶ duplicates ─▶ entities (merge rule) ─▶ rows of tables
//!                     └─▶ rejection                            text, stamp
//! ```

pub mod batch;
pub mod binary;
pub mod duplicates;
pub mod entity;
pub mod entity_changes;
pub mod entity_record;
pub mod entity_store;
pub mod event;
pub mod event_time;
pub mod field;
pub mod hash;
pub mod json;
pub mod json_writer;
pub mod merge;
pub mod messages;
pub mod names;
pub mod paged;
pub mod parse;
pub mod rejection;
pub mod rows;
pub mod shards;
pub mod table;
pub mod tables;
pub mod text;
pub mod time;
pub mod vin;
pub mod zone;
