//! Rubbish on the wire: whatever comes, the server goes on and nothing panics.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
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
        message(b'p', b"SCRAM-SHA-256\0\0\0\0\x20n,,n=*,r=fyko+d2lbbFgONRv9qkxdaw"),
        message(b'p', b"c=biws,r=fyko+d2lbbFgONRv9qkxdaw3r,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="),
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

/// A pipeline that lets nobody in without a token.
fn guarded(folder: &Path) -> Served {
    let first = Served::demo(folder, 500, &[]);
    first.wait_for_records(500);
    first.kill();
    Served::guarded(folder, &[("chief", "alpha-secret", "admin", "*")])
}

/// Spoiled conversations, as many as `WIRE_CASES` says.
fn talk_rubbish(served: &Served) {
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
    let complaints = served.stderr();
    assert!(!complaints.contains("panicked"), "{complaints}");
}

#[test]
fn rubbish_ends_a_connection_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::demo(folder.path(), 500, &[]);
    served.wait_for_records(500);
    talk_rubbish(&served);
    assert!(served.number("select count(*) from leads") > 0, "it still answers");
}

#[test]
fn rubbish_before_a_proof_ends_a_connection_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let served = guarded(folder.path());
    talk_rubbish(&served);
    assert!(TcpStream::connect(&served.address).is_ok(), "it still listens");
}

/// Who fails to prove who it is has no more to say, whatever it has sent along already.
#[test]
fn nothing_is_done_for_who_proved_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = guarded(folder.path());
    let chief = format!("postgres://chief:alpha-secret@{}/dealerflow", served.address);
    let ask = |query: &str| tests::dealerflow::dealerflow(["sql", "--url", &chief, "--format", "json", query]);
    let parameters = b"user\0chief\0database\0dealerflow\0\0";
    let begin = [&((parameters.len() + 8) as u32).to_be_bytes()[..], &[0, 3, 0, 0], parameters].concat();
    let first = message(b'p', b"SCRAM-SHA-256\0\0\0\0\x20n,,n=*,r=fyko+d2lbbFgONRv9qkxdaw");
    for proof in
        [message(b'p', b"NOTHING\0\xff\xff\xff\xff"), [first, message(b'p', b"c=biws,r=x,p=eA==")].concat(), vec![]]
    {
        let theft = message(b'Q', b"create view stolen as select 1\0");
        let mut socket = TcpStream::connect(&served.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(&[begin.clone(), proof, theft].concat()).unwrap();
        let mut answer = Vec::new();
        // It may be cut off with what it sent unread.
        let _ = socket.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("CREATE VIEW"), "{answer}");
        let _ = ask("select * from stolen").failed(1);
    }
    let _ = ask("create view own as select 1 as one").succeeded();
    assert_eq!(ask("select * from own").succeeded().rows()[0]["one"], 1);
}

/// Rubbish of a client that is not known yet is told apart in time and in bytes.
#[test]
fn what_is_no_message_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::demo(folder.path(), 500, &[]);
    for (rubbish, words) in [
        (message(b'B', b"\0\0\0\x09"), "the body of a message is not what its kind 'B' demands"),
        (message(b'?', b""), "a message has the unknown kind '?'"),
        (b"Q\xff\xff\xff\xff".to_vec(), "beyond the 16777216 that are taken here"),
    ] {
        let mut socket = TcpStream::connect(&served.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(&[hello(), rubbish].concat()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("08P01") && answer.contains(words), "{answer}");
    }
}
