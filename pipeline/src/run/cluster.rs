//! Several processes that are one pipeline: they find each other, make sure that they mean the same, and end together.
//!
//! ```text
//!   process i ──connects──▶ every process before it          hello { pipeline, settings, workers, i } ─▶ welcome, or why not
//!             ◀─accepts──── every process behind it          then: timely's own traffic
//!   one is gone ─▶ its connections end ─▶ the others end with a sentence ─▶ all are started again, and process 0 recovers
//! ```
//! Process 0 reads the log, closes epochs, commits and writes the stores; the others keep the state of their share of the dealers and
//! write nothing. So what a lost process knew is lost with all the others' knowledge, and recovery is that of one process.
//! Connections carry no credentials and no encryption: they belong into a network of their own.

use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket2::{SockRef, TcpKeepalive};
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{AllocatorBuilder, Hooks};

/// How long the processes may take to find each other.
const GATHER_MAX: Duration = Duration::from_mins(1);
/// How long one attempt to connect, or one answer, may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Pause between attempts.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// The longest hello, in bytes.
const HELLO_BYTES_MAX: usize = 4 << 10;
/// A connection without traffic is probed after this long, and is lost when nothing answers for twice as long.
const PROBE_AFTER: Duration = Duration::from_secs(5);
/// The answer to a hello that is in order.
const WELCOME: &str = "welcome";

/// What all processes of a cluster have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterIdentity {
    /// The pipeline's name.
    pub pipeline: String,
    /// Fingerprint of the settings that decide results.
    pub settings: String,
    /// Version of the logic.
    pub logic: String,
    /// Worker threads of each process.
    pub workers: usize,
    /// Number of processes.
    pub processes: usize,
}

impl fmt::Display for ClusterIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClusterIdentity { pipeline, settings, logic, workers, processes } = self;
        write!(
            formatter,
            "pipeline {pipeline:?}, version {logic}, settings {settings}, {workers} workers, {processes} processes"
        )
    }
}

/// One process's view of its cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// `host:port` of every process, by its number.
    pub addresses: Vec<String>,
    /// The number of this one.
    pub process: usize,
}

/// Why a cluster did not come together.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The own address cannot be listened on.
    #[error(
        "process {process} cannot listen on {address}: {source}; correct its line of the hostfile, or free the port"
    )]
    Listen {
        /// The process.
        process: usize,
        /// Its address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others did not come.
    #[error(
        "process {missing} ({address}) did not come within {seconds} s: start it with -p {missing}, or correct the hostfile"
    )]
    Missing {
        /// The first process that is missing.
        missing: usize,
        /// Its address.
        address: String,
        /// How long was waited.
        seconds: u64,
    },
    /// One that had come is gone.
    #[error("process {gone} ({address}) ended before all had come: start all of them again")]
    Gone {
        /// The process.
        gone: usize,
        /// Its address.
        address: String,
    },
    /// Another process means something else.
    #[error(
        "process {other} ({address}) refuses this one: {reason}; give all processes the same configuration, -w and -n"
    )]
    Refused {
        /// The other process.
        other: usize,
        /// Its address.
        address: String,
        /// What it said.
        reason: String,
    },
    /// The connections cannot be used.
    #[error("the connections of process {process} cannot be used: {reason}")]
    Connections {
        /// The process.
        process: usize,
        /// What the engine or the system said.
        reason: String,
    },
    /// Whoever started this asked it to end, or another process ended before all had come.
    #[error("{0}")]
    GivenUp(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    process: usize,
    identity: ClusterIdentity,
}

/// Connections with every other process.
#[derive(Debug)]
pub struct Connected {
    process: usize,
    sockets: Vec<Option<TcpStream>>,
}

impl Connected {
    /// The number of this process.
    pub fn process(&self) -> usize {
        self.process
    }

    /// Number of processes.
    pub fn processes(&self) -> usize {
        self.sockets.len()
    }

    /// What timely builds workers from, and what it holds on to as long as they live.
    ///
    /// # Errors
    /// If the system gives no threads for the connections.
    pub fn builders(self, workers: usize) -> Result<(Vec<AllocatorBuilder>, Box<dyn std::any::Any + Send>), String> {
        let hooks = Hooks::default();
        let local = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
        let (builders, guard) = initialize_networking_from_sockets(local, self.sockets, self.process, workers, hooks)
            .map_err(|error| {
            ClusterError::Connections { process: self.process, reason: error.to_string() }.to_string()
        })?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
    }
}

/// Waits for all processes and connects with each. `given_up` is asked again and again whether to go on waiting; a sentence ends it.
///
/// # Errors
/// If another process does not come, or means something else.
pub fn gather(
    settings: &ClusterSettings,
    identity: &ClusterIdentity,
    given_up: &mut dyn FnMut() -> Option<String>,
) -> Result<Connected, ClusterError> {
    let ClusterSettings { addresses, process } = settings;
    let process = *process;
    let own = addresses.get(process).cloned().unwrap_or_default();
    let listen = |source| ClusterError::Listen { process, address: own.clone(), source };
    let listener = TcpListener::bind(&own).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let mut sockets: Vec<Option<TcpStream>> = addresses.iter().map(|_| None).collect();
    let hello = Hello { process, identity: identity.clone() };
    let started = Instant::now();
    loop {
        let missing = (0..sockets.len()).find(|other| *other != process && sockets[*other].is_none());
        let Some(missing) = missing else { return Ok(Connected { process, sockets }) };
        if let Some(reason) = given_up() {
            return Err(ClusterError::GivenUp(reason));
        }
        if let Some(gone) = (0..sockets.len()).find(|other| sockets[*other].as_ref().is_some_and(has_ended)) {
            return Err(ClusterError::Gone { gone, address: addresses[gone].clone() });
        }
        if started.elapsed() > GATHER_MAX {
            let address = addresses[missing].clone();
            return Err(ClusterError::Missing { missing, address, seconds: GATHER_MAX.as_secs() });
        }
        for other in 0..process {
            if sockets[other].is_none() {
                sockets[other] = connect(other, &addresses[other], &hello)?;
            }
        }
        while let Ok((stream, _)) = listener.accept() {
            if let Some((other, stream)) = welcome(stream, process, identity)
                && let Some(socket) = sockets.get_mut(other)
            {
                *socket = Some(stream);
            }
        }
        std::thread::sleep(RETRY_AFTER);
    }
}

/// Connects with a process before this one; `None` if it is not there yet.
fn connect(other: usize, address: &str, hello: &Hello) -> Result<Option<TcpStream>, ClusterError> {
    let Ok(mut resolved) = address.to_socket_addrs() else { return Ok(None) };
    let connected = resolved.find_map(|address| TcpStream::connect_timeout(&address, ANSWER_MAX).ok());
    let Some(mut stream) = connected else { return Ok(None) };
    let asked = prepare(&stream).and_then(|()| write_line(&mut stream, &serde_json::to_string(hello)?));
    let Ok(answer) = asked.and_then(|()| read_line(&mut stream)) else { return Ok(None) };
    if answer == WELCOME {
        return Ok(finish(stream));
    }
    Err(ClusterError::Refused { other, address: address.to_owned(), reason: answer })
}

/// Takes a process behind this one in; `None` if whoever connected is none, or means something else.
fn welcome(mut stream: TcpStream, process: usize, identity: &ClusterIdentity) -> Option<(usize, TcpStream)> {
    prepare(&stream).ok()?;
    let hello: Hello = serde_json::from_str(&read_line(&mut stream).ok()?).ok()?;
    if hello.identity != *identity || hello.process <= process || hello.process >= identity.processes {
        tracing::warn!(theirs = %hello.identity, ours = %identity, process = hello.process, "a process was refused");
        let _ = write_line(&mut stream, &format!("here it is {identity}, there {}", hello.identity));
        return None;
    }
    write_line(&mut stream, WELCOME).ok()?;
    finish(stream).map(|stream| (hello.process, stream))
}

/// For the hello: bounded waits. For later: no delays, and word of a peer whose machine is gone.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER).with_retries(2);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(PROBE_AFTER * 3))?;
    Ok(())
}

/// Ends the bounded waits: from now on silence means that there is nothing to say.
fn finish(stream: TcpStream) -> Option<TcpStream> {
    stream.set_read_timeout(None).and_then(|()| stream.set_write_timeout(None)).ok().map(|()| stream)
}

/// Whether the other side has ended: nothing is said while not all are there, so what can be read is the end.
fn has_ended(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let is_open = stream.set_nonblocking(false).is_ok();
    let silent = looked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    !is_open || !silent
}

fn write_line(stream: &mut TcpStream, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes())
}

fn read_line(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    // Byte by byte: what follows the line is not ours.
    while line.len() < HELLO_BYTES_MAX {
        stream.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            break;
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).map_err(|_| std::io::ErrorKind::InvalidData.into())
}

/// Ends this process when the connection with another breaks: the engine's threads panic then, and what the workers hold is worth
/// nothing without the others' share.
pub fn end_with_the_others() {
    /// How the engine's panics about connections begin; it promises to keep these words.
    const BROKEN: &str = "timely communication error:";
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panicked| {
        let said = panicked.payload();
        let said = said.downcast_ref::<String>().map(String::as_str).or_else(|| said.downcast_ref::<&str>().copied());
        if said.is_some_and(|said| said.starts_with(BROKEN)) {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            let other = name.rsplit('-').next().unwrap_or_default().to_owned();
            eprintln!(
                "dealerflow: process {other} of this cluster is gone, so this one ends, too: start all of them again; nothing is lost"
            );
            std::process::exit(1);
        }
        before(panicked);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(settings: &str) -> ClusterIdentity {
        let text = |text: &str| text.to_owned();
        ClusterIdentity { pipeline: text("p"), settings: text(settings), logic: text("1"), workers: 1, processes: 3 }
    }

    /// Ports that were free a moment ago, held together so that they differ.
    fn addresses() -> Vec<String> {
        let held = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        held.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
    }

    fn gathered(process: usize, addresses: &[String], settings: &str) -> Result<Connected, ClusterError> {
        let settings_of = ClusterSettings { addresses: addresses.to_vec(), process };
        gather(&settings_of, &identity(settings), &mut || None)
    }

    #[test]
    fn processes_that_mean_the_same_find_each_other_in_any_order() {
        let addresses = addresses();
        let all: Vec<Connected> = std::thread::scope(|scope| {
            let started: Vec<_> = [2, 0, 1]
                .into_iter()
                .map(|process| {
                    let addresses = &addresses;
                    scope.spawn(move || gathered(process, addresses, "same").unwrap())
                })
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for connected in all {
            let others: Vec<usize> = (0..3).filter(|other| connected.sockets[*other].is_some()).collect();
            assert_eq!(others, (0..3).filter(|other| *other != connected.process()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_that_ends_before_all_have_come_is_told() {
        let addresses = addresses();
        let ended = std::thread::scope(|scope| {
            let first = scope.spawn(|| gathered(0, &addresses, "same"));
            // Says hello as process 1, and is gone.
            let hello = Hello { process: 1, identity: identity("same") };
            while connect(0, &addresses[0], &hello).unwrap().is_none() {}
            first.join().unwrap()
        });
        assert!(matches!(ended, Err(ClusterError::Gone { gone: 1, .. })), "{ended:?}");
    }

    #[test]
    fn a_process_with_other_settings_is_refused_and_told_why() {
        let addresses = addresses();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let settings = ClusterSettings { addresses: addresses.clone(), process: 0 };
                let mut given_up =
                    || stop.load(std::sync::atomic::Ordering::Acquire).then(|| "the test is over".to_owned());
                let waited = gather(&settings, &identity("ours"), &mut given_up);
                assert!(matches!(waited, Err(ClusterError::GivenUp(_))), "{waited:?}");
            });
            let refused = gathered(1, &addresses, "theirs").unwrap_err().to_string();
            stop.store(true, std::sync::atomic::Ordering::Release);
            assert!(
                refused.contains("process 0") && refused.contains("ours") && refused.contains("theirs"),
                "{refused}"
            );
        });
    }
}
