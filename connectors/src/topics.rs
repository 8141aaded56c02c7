//! Output topics as files, one message a line.

mod jsonl;

pub use jsonl::{JsonLinesSink, TopicNumber, WrittenTopic};
