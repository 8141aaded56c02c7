//! Arbitrary bytes into the parser, on every topic. What must hold stands in `parse_check`, shared with the plain test.

#![no_main]

#[path = "../../src/parse_check/mod.rs"]
mod parse_check;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use operators::domain::parse::Parser;

thread_local! {
    /// Reads one input after another, as a worker's does.
    static PARSER: RefCell<Parser> = RefCell::default();
}

fuzz_target!(|record: &[u8]| {
    PARSER.with_borrow_mut(|parser| parse_check::check(parser, record));
});
