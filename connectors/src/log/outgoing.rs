//! Records on their way into a log.

use super::body::{Bodies, Body, Header};
use super::error::LogError;
use super::limits::LogLimits;
use super::record::TopicPartition;

/// One record to be written, borrowed from the list that holds it.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingRecord<'a> {
    /// Where it goes, by its number in the list.
    pub place: OutgoingPlace,
    /// Where it goes.
    pub topic_partition: &'a TopicPartition,
    /// Its time, milliseconds since 1970 UTC. Given by the caller, so that it is the same in every run.
    pub timestamp_ms: i64,
    /// Key, payload and headers.
    pub body: Body<'a>,
}

/// Records to be written, in one buffer. Within a partition they are written in the order of [`OutgoingRecords::push`].
#[derive(Clone, Debug, Default)]
pub struct OutgoingRecords {
    places: Vec<TopicPartition>,
    entries: Vec<(u32, i64)>,
    bodies: Bodies,
}

impl OutgoingRecords {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// The handle of a partition for [`OutgoingRecords::push`]: take it once and push many.
    pub fn place(&mut self, topic_partition: &TopicPartition) -> OutgoingPlace {
        let known = self.places.iter().position(|place| place == topic_partition);
        let index = known.unwrap_or_else(|| {
            self.places.push(topic_partition.clone());
            self.places.len() - 1
        });
        OutgoingPlace(index as u32)
    }

    /// Adds one record.
    ///
    /// # Panics
    /// If `place` is of another list, or the list would hold 4 GiB.
    pub fn push<'h>(
        &mut self,
        place: OutgoingPlace,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
    ) {
        assert!((place.0 as usize) < self.places.len(), "a place belongs to the list that gave it");
        self.bodies.push(key, payload, headers);
        self.entries.push((place.0, timestamp_ms));
    }

    /// The records held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if no record is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all bodies.
    pub fn bytes(&self) -> usize {
        self.bodies.bytes()
    }

    /// Empties the list and keeps its memory and its places.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bodies.clear();
    }

    /// The records in the order they were pushed.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = OutgoingRecord<'_>> {
        (0..self.entries.len()).map(|index| {
            let (place, timestamp_ms) = self.entries[index];
            let topic_partition = &self.places[place as usize];
            let body = self.bodies.get(index).unwrap_or_else(|| unreachable!("each entry has its body"));
            OutgoingRecord { place: OutgoingPlace(place), topic_partition, timestamp_ms, body }
        })
    }

    /// The partitions that were ever named.
    pub fn places(&self) -> &[TopicPartition] {
        &self.places
    }

    /// Refuses a record that the log could not take.
    ///
    /// # Errors
    /// [`LogError::RecordTooLarge`], naming the first.
    pub fn check_records(&self, limits: &LogLimits) -> Result<(), LogError> {
        self.iter().try_for_each(|record| {
            let bytes = record.body.bytes();
            if bytes <= limits.record_bytes_max {
                return Ok(());
            }
            Err(LogError::RecordTooLarge {
                partition: record.topic_partition.clone(),
                bytes,
                bytes_max: limits.record_bytes_max,
            })
        })
    }
}

/// A partition in a list of outgoing records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingPlace(u32);

impl OutgoingPlace {
    /// The index of the partition in [`OutgoingRecords::places`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
