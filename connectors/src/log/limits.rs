//! The bounds of every buffer, batch and wait of a log.

use std::time::Duration;

/// Bounds that a log keeps. The defaults suit a machine with some GiB; every one may be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// The largest record that is read or written: key, payload and headers, in bytes. Default 8 MiB.
    pub record_bytes_max: usize,
    /// How much a reader holds fetched ahead of its polls, in bytes. Default 32 MiB.
    pub read_ahead_bytes_max: usize,
    /// The largest group of one commit, in bytes. Default 32 MiB.
    pub commit_bytes_max: usize,
    /// The most records of one commit. Default 200,000.
    pub commit_records_max: usize,
    /// How long [`super::LogCommitter::open`] tries. Default 60 s.
    pub open_timeout: Duration,
    /// How long one commit may take before it is aborted. Default 30 s.
    pub commit_timeout: Duration,
    /// How long an administrative request may take. Default 15 s.
    pub admin_timeout: Duration,
    /// How long an append may wait for its acknowledgement. Default 30 s.
    pub append_timeout: Duration,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            record_bytes_max: 8 << 20,
            read_ahead_bytes_max: 32 << 20,
            commit_bytes_max: 32 << 20,
            commit_records_max: 200_000,
            open_timeout: Duration::from_mins(1),
            commit_timeout: Duration::from_secs(30),
            admin_timeout: Duration::from_secs(8),
            append_timeout: Duration::from_secs(30),
        }
    }
}

/// How much one poll hands out at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollLimits {
    /// The most records.
    pub records_max: usize,
    /// The most bytes of bodies; one record larger than this is handed out alone.
    pub bytes_max: usize,
}

impl Default for PollLimits {
    /// 10,000 records and 4 MiB.
    fn default() -> Self {
        Self { records_max: 10_000, bytes_max: 4 << 20 }
    }
}
