//! The models: plain numeric code, one room each, without timely.

pub mod whaco;
