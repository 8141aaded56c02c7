//! Transactions of one transactional id, with the group in hand before the first byte is sent.
//!
//! ```text
//!  open    init_transactions ────────────────────────────────────────────► Ready
//!  commit  begin ─► send all, wait for all ─► offsets ─► commit_transaction ─► Committed
//!                        │ refused, too late    │            │ no answer ─► asked again until too late ─► InDoubt
//!                        └──────────┬───────────┘            │ fenced     ─► Fenced
//!                                   ▼ abort_transaction ─► Aborted, TimedOut
//! ```
//! We wait `commit_timeout` and the broker ten seconds longer, so that it is we who abort: a transaction that the broker aborts looks
//! to the client library like another instance.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::context::KafkaContext;
use super::error::is_fencing;
use super::producing::{Produced, Producing};
use crate::log::{CommitGroup, CommitOutcome, LogError};

/// How long one call into the client library may block before its events are served.
const CALL_STEP: Duration = Duration::from_millis(500);

/// How long an abort waits for what is on its way: the library would end a transaction whose beginning has not reached the broker yet,
/// which the broker refuses and which ends the client.
const ABORT_DRAIN: Duration = Duration::from_secs(2);

/// How many of the client's events are served before a transaction begins.
const EVENTS_BEFORE_COMMIT_MAX: usize = 16;

/// A producer of one transactional id.
pub(super) struct TransactionalProducer {
    config: KafkaConfig,
    id: String,
    producer: Option<BaseProducer<KafkaContext>>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Ready,
    /// A transaction is open that must be aborted before the next begins.
    Unsettled,
    /// No more of any use.
    Ended,
}

/// Why a step of a transaction did not succeed.
enum Obstacle {
    /// Abort, then send again.
    Abort(LogError),
    Late(LogError),
    Fenced,
    Fatal(LogError),
}

impl TransactionalProducer {
    pub(super) fn new(config: KafkaConfig, id: String) -> Self {
        Self { config, id, producer: None, state: State::Closed }
    }

    fn producing<'a>(&'a self, producer: &'a BaseProducer<KafkaContext>) -> Producing<'a> {
        Producing { config: &self.config, producer, what: "committing", timeout: self.config.limits.commit_timeout }
    }

    fn create(&mut self) -> Result<(), LogError> {
        let context = KafkaContext::new(self.config.oauth_token_file.clone());
        let settings = self.config.transactional_producer(&self.id);
        let producer = settings.create_with_context(context).map_err(|error| refused(&error))?;
        self.producer = Some(producer);
        Ok(())
    }

    /// Repeats a call until it succeeds, is refused for good, or the time is up. Between calls the client's events are served.
    fn until(
        &self,
        deadline: Instant,
        call: impl Fn(&BaseProducer<KafkaContext>, Duration) -> Result<(), KafkaError>,
    ) -> Result<(), Obstacle> {
        let Some(producer) = &self.producer else {
            return Err(Obstacle::Fatal(LogError::Misuse {
                what: "a committer was used before it was open".to_owned(),
            }));
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Err(error) = call(producer, left.clamp(Duration::from_millis(1), CALL_STEP)) else {
                return Ok(());
            };
            producer.poll(Duration::ZERO);
            let typed = self.producing(producer).error(&error);
            if let Some(obstacle) = obstacle(producer, &error, &typed) {
                return Err(obstacle);
            }
            if matches!(typed, LogError::AuthenticationFailed { .. } | LogError::NotAuthorized { .. }) {
                return Err(Obstacle::Fatal(typed));
            }
            if left.is_zero() {
                return Err(Obstacle::Late(typed));
            }
        }
    }

    /// Settles a transaction that will not be committed. Afterwards the producer is ready, or will try again at the next commit.
    fn abort(&mut self) -> Result<(), Obstacle> {
        let deadline = Instant::now() + self.config.limits.commit_timeout.min(Duration::from_secs(10));
        if let Some(producer) = &self.producer {
            let producing = self.producing(producer);
            if self.state == State::Ready {
                producing.drain(deadline.min(Instant::now() + ABORT_DRAIN));
            }
            producing.purge(deadline);
        }
        self.state = State::Unsettled;
        self.until(deadline, Producer::abort_transaction)?;
        self.state = State::Ready;
        Ok(())
    }

    /// Asks whether the brokers are back if all were told to be gone. A transaction is not begun while they are: one whose beginning
    /// never reached them cannot be aborted there, which ends the client.
    fn reachable(&self) -> Result<(), LogError> {
        let Some(producer) = &self.producer else {
            return Ok(());
        };
        for _ in 0..EVENTS_BEFORE_COMMIT_MAX {
            producer.poll(Duration::ZERO);
        }
        if !producer.context().told().all_brokers_down {
            return Ok(());
        }
        match producer.client().fetch_metadata(None, CALL_STEP) {
            Ok(_) => {
                producer.context().told().all_brokers_down = false;
                Ok(())
            }
            Err(error) => Err(self.producing(producer).request(None).unreachable(&error.to_string())),
        }
    }

    /// Everything of a transaction but its end.
    fn fill(
        &self,
        group: &CommitGroup,
        consumers: Option<&ConsumerGroupMetadata>,
        deadline: Instant,
    ) -> Result<(), Obstacle> {
        self.until(deadline, |producer, _| producer.begin_transaction())?;
        let Some(producer) = &self.producer else {
            return Ok(());
        };
        let late = || LogError::TimedOut { what: "committing".to_owned(), timeout: self.config.limits.commit_timeout };
        match self.producing(producer).produce(&group.records, deadline) {
            Produced::All => {}
            Produced::TimedOut => return Err(Obstacle::Late(late())),
            Produced::Refused(error) => return Err(Obstacle::Abort(error)),
            Produced::Broken => {
                let (code, reason) =
                    producer.client().fatal_error().unwrap_or((RDKafkaErrorCode::Fatal, String::new()));
                return Err(if is_fencing(code) {
                    Obstacle::Fenced
                } else {
                    Obstacle::Fatal(LogError::Refused { what: "committing".to_owned(), reason })
                });
            }
        }
        let Some(consumers) = consumers.filter(|_| !group.mirrored_offsets.is_empty()) else {
            return Ok(());
        };
        let mut offsets = TopicPartitionList::with_capacity(group.mirrored_offsets.len());
        for mirrored in &group.mirrored_offsets {
            let topic = self.config.topic_on_cluster(&mirrored.topic_partition.topic);
            let offset = Offset::Offset(mirrored.next_offset as i64);
            offsets
                .add_partition_offset(&topic, mirrored.topic_partition.partition as i32, offset)
                .map_err(|error| Obstacle::Abort(self.producing(producer).error(&error)))?;
        }
        self.until(deadline, |producer, timeout| producer.send_offsets_to_transaction(&offsets, consumers, timeout))
    }

    /// The topics that a group goes to, as the cluster calls them.
    fn topics_of(&self, group: &CommitGroup) -> String {
        let names: BTreeSet<&str> = group.records.places().iter().map(|place| &*place.topic).collect();
        let names: Vec<String> = names.into_iter().map(|name| self.config.topic_on_cluster(name)).collect();
        names.join(" or ")
    }

    fn check(&self, group: &CommitGroup) -> Result<(), LogError> {
        let limits = &self.config.limits;
        let (records, bytes) = (group.records.len(), group.records.bytes());
        let (records_max, bytes_max) = (limits.commit_records_max, limits.commit_bytes_max);
        if records > records_max || bytes > bytes_max {
            return Err(LogError::GroupTooLarge { records, bytes, records_max, bytes_max });
        }
        group.records.check_records(limits)
    }

    fn ended(&mut self, outcome: CommitOutcome) -> CommitOutcome {
        self.state = State::Ended;
        outcome
    }
}

/// The client library refuses its settings.
pub(super) fn refused(error: &KafkaError) -> LogError {
    LogError::Configuration { setting: "kafka".into(), reason: error.to_string() }
}

/// What the client library's verdict on a transaction means; `None` if the call may be repeated.
fn obstacle(producer: &BaseProducer<KafkaContext>, error: &KafkaError, typed: &LogError) -> Option<Obstacle> {
    let fatal = producer.client().fatal_error();
    let fenced = |code: Option<RDKafkaErrorCode>| code.is_some_and(is_fencing);
    if fenced(error.rdkafka_error_code()) || fenced(fatal.as_ref().map(|(code, _)| *code)) {
        return Some(Obstacle::Fenced);
    }
    if let Some((_, reason)) = fatal {
        return Some(Obstacle::Fatal(LogError::Refused { what: "committing".to_owned(), reason }));
    }
    let (requires_abort, retriable) = match error {
        KafkaError::Transaction(error) => (error.txn_requires_abort(), error.is_retriable()),
        _ => (false, false),
    };
    match (requires_abort, retriable, error.rdkafka_error_code()) {
        (true, ..) => {
            if let LogError::NotAuthorized { what } = typed {
                return Some(Obstacle::Abort(LogError::NotAuthorized { what: what.clone() }));
            }
            let reason = error.to_string();
            let retry_after = Duration::from_millis(10);
            let what = "committing".to_owned();
            Some(Obstacle::Abort(LogError::Busy { what, reason, retry_after }))
        }
        (_, true, _) | (.., Some(RDKafkaErrorCode::OperationTimedOut)) => None,
        _ if typed.is_retriable() => None,
        _ => Some(Obstacle::Fatal(LogError::Refused { what: "committing".to_owned(), reason: error.to_string() })),
    }
}

impl TransactionalProducer {
    /// See [`LogCommitter::open`](crate::log::LogCommitter::open).
    pub(super) fn open(&mut self) -> Result<(), LogError> {
        match self.state {
            State::Ready | State::Unsettled => return Ok(()),
            State::Ended => {
                return Err(LogError::Misuse { what: "a committer that has ended was opened again".to_owned() });
            }
            State::Closed => {}
        }
        if self.producer.is_none() {
            self.create()?;
        }
        let deadline = Instant::now() + self.config.limits.open_timeout;
        match self.until(deadline, Producer::init_transactions) {
            Ok(()) => {
                self.state = State::Ready;
                Ok(())
            }
            Err(Obstacle::Late(error)) if error.is_retriable() => Err(error),
            Err(obstacle) => {
                self.producer = None;
                Err(match obstacle {
                    Obstacle::Fenced => LogError::Fenced { name: self.id.clone(), by: None },
                    Obstacle::Abort(error) | Obstacle::Late(error) | Obstacle::Fatal(error) => error,
                })
            }
        }
    }

    /// See [`LogCommitter::commit`](crate::log::LogCommitter::commit). Offsets are mirrored to the group of `consumers`.
    pub(super) fn commit(&mut self, group: &CommitGroup, consumers: Option<&ConsumerGroupMetadata>) -> CommitOutcome {
        if let Err(error) = self.check(group) {
            return CommitOutcome::Fatal { error };
        }
        if !self.is_open() {
            let what = "a group was committed before the committer was open, or after it had ended".to_owned();
            return CommitOutcome::Fatal { error: LogError::Misuse { what } };
        }
        let started = Instant::now();
        let deadline = started + self.config.limits.commit_timeout;
        if self.state == State::Unsettled {
            if let Err(error) = self.reachable() {
                return CommitOutcome::Aborted { error };
            }
            match self.abort() {
                Ok(()) => {}
                Err(Obstacle::Abort(error) | Obstacle::Late(error)) => return CommitOutcome::Aborted { error },
                Err(Obstacle::Fenced) => return self.ended(CommitOutcome::Fenced { by: None }),
                Err(Obstacle::Fatal(error)) => return self.ended(CommitOutcome::Fatal { error }),
            }
        }
        if let Err(error) = self.reachable() {
            return CommitOutcome::Aborted { error };
        }
        let filled = self.fill(group, consumers, deadline).map_err(|obstacle| match obstacle {
            // The library does not say which topic it was.
            Obstacle::Abort(LogError::NotAuthorized { what }) if what == "committing" => {
                Obstacle::Abort(LogError::NotAuthorized { what: format!("writing {}", self.topics_of(group)) })
            }
            other => other,
        });
        let (error, late) = match filled {
            Ok(()) => match self.until(deadline, Producer::commit_transaction) {
                Ok(()) => return CommitOutcome::Committed,
                Err(Obstacle::Abort(error)) => (error, false),
                Err(Obstacle::Fenced) => return self.ended(CommitOutcome::Fenced { by: None }),
                Err(Obstacle::Late(error) | Obstacle::Fatal(error)) => {
                    return self.ended(CommitOutcome::InDoubt { error });
                }
            },
            Err(Obstacle::Abort(error)) => (error, false),
            Err(Obstacle::Late(error)) => (error, true),
            Err(Obstacle::Fenced) => return self.ended(CommitOutcome::Fenced { by: None }),
            Err(Obstacle::Fatal(error)) => return self.ended(CommitOutcome::Fatal { error }),
        };
        match self.abort() {
            Err(Obstacle::Fenced) => self.ended(CommitOutcome::Fenced { by: None }),
            // A transaction that was refused before it began cannot be undone either: what counts is why.
            Err(Obstacle::Fatal(_)) if matches!(error, LogError::NotAuthorized { .. }) => {
                self.ended(CommitOutcome::Fatal { error })
            }
            Err(Obstacle::Fatal(error)) => self.ended(CommitOutcome::Fatal { error }),
            // Nothing asked for its commit, so nothing of it will be read; what is left of the abort comes before the next group.
            Ok(()) | Err(_) if late => CommitOutcome::TimedOut { error },
            Ok(()) | Err(_) => CommitOutcome::Aborted { error },
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Ready | State::Unsettled)
    }
}
