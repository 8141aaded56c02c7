//! Helps for the tests of the configuration.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ten thousand reproducible numbers of every magnitude, and the ends of the range (xorshift, shifted by 0 to 63 bits).
pub(super) fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let drawn = (0..10_000_u32).map(move |index| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> (index % 64)
    });
    [0, 1, u64::MAX].into_iter().chain(drawn)
}

/// A folder that is removed with all in it at the end of a test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dealerflow-config-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns its path.
    pub(super) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the system's temporary folder harms no other test.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
