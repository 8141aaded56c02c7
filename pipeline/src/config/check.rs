//! Tries what a configuration names on this machine, before anything runs: folders, ports and token files.
//!
//! Each trial is real (a file is written, a port is bound, a token is read) and leaves nothing behind. Buckets are tried where
//! buckets are opened, not here.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::Config;
use super::store_url::StoreUrl;

/// What was tried and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key and the thing tried, such as `data_dir ./dealerflow-data`.
    pub what: String,
    /// How it went.
    pub outcome: Outcome,
}

/// How a trial went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Ok,
    /// One sentence: what is wrong and how to mend it.
    Problem(String),
}

/// Tries every folder, port and token file that the configuration names, in its order; all are tried, whatever the first ones say.
/// A port that a running dealerflow holds counts as taken.
pub fn check_storage(config: &Config) -> Vec<Finding> {
    let mut findings = vec![finding("data_dir", &config.data_dir.display(), try_folder(&config.data_dir))];
    for (key, url) in [("checkpoint.url", &config.checkpoint.url), ("parquet.url", &config.parquet.url)] {
        if let StoreUrl::Folder(folder) = url {
            findings.push(finding(key, url, try_folder(folder)));
        }
    }
    for (key, listen) in [("http.listen", config.http.listen), ("sql.listen", config.sql.listen)] {
        findings.push(finding(key, &listen, try_listen(listen)));
    }
    for (index, token) in config.security.token.iter().enumerate() {
        let key = format!("security.token[{index}].token_file");
        findings.push(finding(&key, &token.token_file.display(), try_token(&token.token_file)));
    }
    findings
}

fn finding(key: &str, thing: &dyn std::fmt::Display, trial: Result<(), String>) -> Finding {
    Finding { what: format!("{key} {thing}"), outcome: trial.map_or_else(Outcome::Problem, |()| Outcome::Ok) }
}

/// Creates the folder if need be, writes a file into it, and removes again whatever was not there before.
fn try_folder(folder: &Path) -> Result<(), String> {
    let missing: Vec<PathBuf> =
        folder.ancestors().take_while(|part| is_named(part) && !part.exists()).map(Path::to_owned).collect();
    let created = fs::create_dir_all(folder).map_err(|cause| {
        format!("the folder cannot be created ({cause}): choose another, or let this user write above it")
    });
    let tried = created.and_then(|()| write_probe(folder));
    for part in missing {
        // Only an empty folder goes: one that another process has begun to use stays, and so do those around it. If the creation
        // stopped half way, the deepest are not there.
        if fs::remove_dir(&part).is_err() && part.exists() {
            break;
        }
    }
    tried
}

/// A relative path's last ancestor is empty: the present folder, which is there.
fn is_named(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn write_probe(folder: &Path) -> Result<(), String> {
    let probe = folder.join(format!(".dealerflow-check-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .and_then(|mut file| file.write_all(b"written by dealerflow check\n").and_then(|()| file.sync_all()));
    // Even a probe that could not be filled has to go.
    let removed = fs::remove_file(&probe);
    written.map_err(|cause| {
        format!("no file can be written there ({cause}): let this user write, and free space if it is full")
    })?;
    removed.map_err(|cause| {
        format!("the file {} cannot be removed ({cause}): let this user delete files", probe.display())
    })
}

fn try_listen(listen: SocketAddr) -> Result<(), String> {
    let remedy = |cause: &io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => "stop the program that has the port (a running dealerflow?), or choose another",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or allow this user the low ones",
        _ => "choose another address",
    };
    TcpListener::bind(listen)
        .map(drop)
        .map_err(|cause| format!("the address cannot be listened on ({cause}): {}", remedy(&cause)))
}

fn try_token(file: &Path) -> Result<(), String> {
    let token = fs::read_to_string(file)
        .map_err(|cause| format!("the token cannot be read ({cause}): check the path, and let this user read it"))?;
    match token.trim() {
        "" => return Err("the file holds no token: write one into it".to_owned()),
        token if token.contains(char::is_whitespace) => {
            return Err("the file holds more than one word: leave the token alone in it".to_owned());
        }
        _ => {}
    }
    refuse_readable_by_all(file)
}

#[cfg(unix)]
fn refuse_readable_by_all(file: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        fs::metadata(file).map_err(|cause| format!("its permissions cannot be read ({cause}): check the path"))?;
    let others = metadata.permissions().mode() & 0o007;
    if others == 0 {
        return Ok(());
    }
    Err(format!(
        "every user of this machine may use the file: run `chmod o= {}`, or give a mounted secret mode 0440",
        file.display()
    ))
}

/// Elsewhere who may read is not told by a mode.
#[cfg(not(unix))]
fn refuse_readable_by_all(_file: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Folder;
    use crate::config::{Role, Token};

    /// A configuration whose every place lies in the folder, with free ports.
    fn placed_in(folder: &Folder) -> Config {
        let mut config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        config.checkpoint.url = StoreUrl::Folder(folder.path().join("data/deep/checkpoints"));
        config.parquet.url = StoreUrl::S3 { bucket: "bucket".to_owned(), prefix: String::new() };
        config.http.listen.set_port(0);
        config.sql.listen.set_port(0);
        config
    }

    fn problem_of(config: &Config, key: &str) -> String {
        let found = check_storage(config).into_iter().find(|finding| finding.what.starts_with(key)).unwrap();
        match found.outcome {
            Outcome::Problem(sentence) => sentence,
            Outcome::Ok => panic!("{} has no problem", found.what),
        }
    }

    #[test]
    fn trials_succeed_and_leave_nothing_behind() {
        let folder = Folder::new();
        let findings = check_storage(&placed_in(&folder));
        assert_eq!(findings.len(), 4, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.outcome == Outcome::Ok), "{findings:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_creation_that_stops_half_way_leaves_nothing_behind() {
        let folder = Folder::new();
        let mut config = placed_in(&folder);
        config.data_dir = folder.path().join("new").join("n".repeat(300));
        assert!(problem_of(&config, "data_dir").starts_with("the folder cannot be created ("));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn folders_that_are_files_and_taken_ports_are_found() {
        let folder = Folder::new();
        let mut config = placed_in(&folder);
        config.data_dir = folder.write("file", "");
        config.checkpoint.url = StoreUrl::Folder(folder.path().join("file/inside"));
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        config.sql.listen = taken.local_addr().unwrap();
        config.http.listen = "192.0.2.1:0".parse().unwrap();
        assert!(problem_of(&config, "data_dir").starts_with("the folder cannot be created ("));
        assert!(problem_of(&config, "checkpoint.url").starts_with("the folder cannot be created ("));
        assert!(
            problem_of(&config, "sql.listen")
                .ends_with("stop the program that has the port (a running dealerflow?), or choose another")
        );
        assert!(problem_of(&config, "http.listen").ends_with("choose an address of this machine"));
    }

    #[cfg(unix)]
    #[test]
    fn token_files_must_be_readable_by_us_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let mut config = placed_in(&folder);
        let mut outcome = |content: Option<&str>, mode: u32| {
            let path = folder.path().join("token");
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            config.security.token = vec![Token { token_file: path, role: Role::Viewer, dealers: vec!["*".into()] }];
            check_storage(&config).pop().unwrap().outcome
        };
        let mut check = |content, mode, expect: &str| match outcome(content, mode) {
            Outcome::Ok => assert_eq!("", expect),
            Outcome::Problem(sentence) => assert!(!expect.is_empty() && sentence.starts_with(expect), "{sentence}"),
        };
        check(None, 0, "the token cannot be read (");
        check(Some("secret\n"), 0o640, "");
        check(Some("secret\n"), 0o644, "every user of this machine may use the file: run `chmod o= ");
        check(Some(" \n"), 0o600, "the file holds no token");
        check(Some("two words"), 0o600, "the file holds more than one word");
    }
}
