//! Rubbish on the wire: whatever comes, the server goes on and nothing panics.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use tests::random::Random;

use crate::served::Served;

/// How a client begins: protocol 3.0, a user.
fn hello() -> Vec<u8> {
    let parameters = b"user\0dealerflow\0database\0dealerflow\0\0";
    let mut bytes = ((parameters.len() + 8) as u32).to_be_bytes().to_vec();
    bytes.extend([0, 3, 0, 0]);
    bytes.extend(parameters);
    bytes
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(((body.len() + 4) as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A well-formed conversation, for others to spoil.
fn conversation() -> Vec<Vec<u8>> {
    vec![
        hello(),
        message(b'Q', b"select 1; select count(*) from leads\0"),
        message(b'P', b"s\0select * from leads where lead_id = $1\0\0\0"),
        message(b'D', b"Ss\0"),
        message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x01x\0\0"),
        message(b'E', b"\0\0\0\0\x05"),
        message(b'C', b"Ss\0"),
        message(b'S', b""),
        message(b'Q', b"copy (select 1) to stdout\0"),
        message(b'd', b"data"),
        message(b'c', b""),
        message(b'F', b"\0\0\0\0"),
        message(b'p', b"secret\0"),
    ]
}

fn spoiled(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    let parts = conversation();
    let count = 1 + random.below(parts.len());
    for step in 0..count {
        let part = if step == 0 && random.below(4) > 0 { 0 } else { random.below(parts.len()) };
        bytes.extend(&parts[part]);
    }
    for _ in 0..random.below(6) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes.truncate(at.max(1)),
            2 => bytes.insert(at, random.below(256) as u8),
            _ => bytes.splice(at..at, (0..random.below(64)).map(|byte| byte as u8)).for_each(drop),
        }
    }
    bytes
}

#[test]
fn rubbish_ends_a_connection_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::demo(folder.path(), 500, &[]);
    served.wait_for_records(500);
    let cases = std::env::var("WIRE_CASES").map_or(400, |text| text.parse().expect("WIRE_CASES is a number"));
    for seed in 1..=cases {
        let mut random = Random(seed);
        let bytes = spoiled(&mut random);
        let mut socket = TcpStream::connect(&served.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(if seed % 20 == 0 { 200 } else { 5 }))).unwrap();
        // The server may have hung up already.
        let _ = socket.write_all(&bytes);
        if random.below(2) == 0 {
            let _ = socket.shutdown(Shutdown::Write);
        }
        let mut answer = [0; 4_096];
        while socket.read(&mut answer).is_ok_and(|count| count > 0) {}
    }
    assert!(served.number("select count(*) from leads") > 0, "it still answers");
    let complaints = served.stderr();
    // The protocol's library panics over some truncated messages: that ends their connection's task, and nothing else.
    let panics = complaints.lines().filter(|line| line.contains("panicked") && !line.contains("thread 'postgres'"));
    assert_eq!(panics.count(), 0, "{complaints}");
}
