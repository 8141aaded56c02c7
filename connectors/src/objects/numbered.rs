//! Numbered objects: a chain that one writer extends, and where it learns that another one took over.
//!
//! ```text
//!   00000000000000000041.json   00000000000000000042.json ◀─ put_new ─ incarnation a
//!                                                          ✗─ put_new ─ incarnation b: taken
//! ```

use bytes::Bytes;

use super::{Objects, ObjectsError};

const DIGITS: usize = 20;

/// A number that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberedObject {
    /// The number.
    pub number: u64,
    /// When it was put, by the store's own clock: UTC milliseconds.
    pub modified_ms: i64,
}

/// Numbered objects in one folder.
#[derive(Clone, Debug)]
pub struct NumberedObjects {
    objects: Objects,
    folder: &'static str,
}

impl NumberedObjects {
    /// Those in a folder of `objects`.
    pub fn new(objects: &Objects, folder: &'static str) -> Self {
        Self { objects: objects.clone(), folder }
    }

    fn path(&self, number: u64) -> String {
        format!("{}/{number:0DIGITS$}.json", self.folder)
    }

    /// Where the folder lies, for people.
    pub fn place(&self) -> String {
        self.objects.place_of(self.folder)
    }

    /// Where a number lies, for people.
    pub fn place_of(&self, number: u64) -> String {
        self.objects.place_of(&self.path(number))
    }

    /// All numbers that are taken, in order.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn list(&self) -> Result<Vec<NumberedObject>, ObjectsError> {
        let number = |name: &str| name.strip_suffix(".json").filter(|digits| digits.len() == DIGITS)?.parse().ok();
        let objects = self.objects.list(self.folder)?.into_iter();
        Ok(objects
            .filter_map(|object| {
                Some(NumberedObject { number: number(&object.name)?, modified_ms: object.modified_ms })
            })
            .collect())
    }

    /// The highest number.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn highest(&self) -> Result<Option<u64>, ObjectsError> {
        Ok(self.list()?.last().map(|object| object.number))
    }

    /// Takes a number, unless it or a higher one is taken; then says which. Putting the very same object again is no error, so a
    /// lost answer can be asked for again.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn take(&self, number: u64, bytes: &Bytes) -> Result<Option<u64>, ObjectsError> {
        // Old numbers are deleted in time, which frees them: a writer that slept that long is fenced here.
        if let Some(higher) = self.highest()?.filter(|highest| *highest > number) {
            return Ok(Some(higher));
        }
        let path = self.path(number);
        let is_ours = self.objects.put_new(&path, bytes.clone())? || self.objects.get(&path)? == *bytes;
        Ok((!is_ours).then_some(number))
    }

    /// Reads a number's object.
    ///
    /// # Errors
    /// If it is not there, or the store refuses.
    pub fn get(&self, number: u64) -> Result<Bytes, ObjectsError> {
        self.objects.get(&self.path(number))
    }

    /// Deletes a number's object.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn delete(&self, number: u64) -> Result<(), ObjectsError> {
        self.objects.delete(&self.path(number))
    }
}
