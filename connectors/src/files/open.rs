//! Random access to the bytes of input files, packed or not.
//!
//! ```text
//!  plain       ──► positioned reads of the file itself
//!  .gz, .zst   ──► decompressed once ──► in memory, while all files together stay within the replay buffer
//!                                   └──► in an unnamed temporary file beyond that
//! ```
//! Files are never mapped into memory: a file that shrinks under a mapping kills the process, under a read it is an error.
//!
//! A packed file that is cut off or corrupt gives what could be unpacked, and a [`Damage`] beside it: bad input is data.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::error::FilesError;
use crate::files::parallel::in_parallel;
use crate::files::{Compression, InputFile};

/// How much is unpacked at once.
const BLOCK_BYTES: usize = 256 << 10;

/// How to open input files.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions<'a> {
    /// How much unpacked input may be kept in memory, over all files, in bytes.
    pub replay_buffer_bytes: u64,
    /// An existing folder for what goes beyond that. Nothing there outlives the process, not even a name.
    pub scratch: &'a Path,
    /// How many files are unpacked at once; 0 counts as 1.
    pub threads: usize,
}

/// Why a packed file could not be unpacked to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Index among the files.
    pub file: u32,
    /// How many unpacked bytes came before the damage; all of them are used.
    pub at_byte: u64,
    /// What the decoder said, in one sentence.
    pub reason: String,
}

/// An input file, open for reading anywhere.
#[derive(Debug)]
pub struct ByteSource {
    file: InputFile,
    length: u64,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    InFile(File),
    InMemory(Vec<u8>),
}

impl ByteSource {
    /// The file's topic, partition and path.
    pub fn file(&self) -> &InputFile {
        &self.file
    }

    /// Unpacked size in bytes, when it was opened.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills `target` with the bytes from `offset` on. Safe to call from many threads at once.
    ///
    /// # Errors
    /// If the file cannot be read, or has no longer as many bytes as that.
    pub fn read_exact_at(&self, target: &mut [u8], offset: u64) -> Result<(), FilesError> {
        let changed = || FilesError::Changed { path: self.file.path.clone(), offset };
        match &self.bytes {
            Bytes::InMemory(bytes) => {
                let start = usize::try_from(offset).map_err(|_| changed())?;
                let end = start.checked_add(target.len()).ok_or_else(changed)?;
                target.copy_from_slice(bytes.get(start..end).ok_or_else(changed)?);
                Ok(())
            }
            Bytes::InFile(file) => file.read_exact_at(target, offset).map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => changed(),
                _ => FilesError::Read { path: self.file.path.clone(), offset, source },
            }),
        }
    }
}

/// Opens `files`, unpacking those that are packed. The sources come in the order of the files; the damages too.
///
/// # Errors
/// If a file cannot be opened or read, or if unpacked bytes cannot be spilled. A damaged packed file is no error.
pub fn open_all(files: Vec<InputFile>, options: OpenOptions<'_>) -> Result<(Vec<ByteSource>, Vec<Damage>), FilesError> {
    let buffer_left = AtomicU64::new(options.replay_buffer_bytes);
    let work = |(): &mut (), item: usize| open(&files[item], options.scratch, &buffer_left);
    let (opened, _) = in_parallel(options.threads, files.len(), || (), work)?;

    let mut sources = Vec::with_capacity(files.len());
    let mut damages = Vec::new();
    for (index, (file, opened)) in (0..).zip(files.into_iter().zip(opened)) {
        damages.extend(opened.damage.map(|reason| Damage { file: index, at_byte: opened.length, reason }));
        sources.push(ByteSource { file, length: opened.length, bytes: opened.bytes });
    }
    Ok((sources, damages))
}

struct Opened {
    bytes: Bytes,
    length: u64,
    damage: Option<String>,
}

fn decoder(input: &InputFile) -> io::Result<Box<dyn Read>> {
    let file = File::open(&input.path)?;
    Ok(match input.compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        Compression::Zstandard => Box::new(zstd::stream::read::Decoder::new(file)?),
    })
}

fn open(input: &InputFile, scratch: &Path, buffer_left: &AtomicU64) -> Result<Opened, FilesError> {
    let cannot_open = |source| FilesError::Open { path: input.path.clone(), source };
    if input.compression == Compression::None {
        let file = File::open(&input.path).map_err(cannot_open)?;
        let length = file.metadata().map_err(cannot_open)?.len();
        return Ok(Opened { bytes: Bytes::InFile(file), length, damage: None });
    }
    unpack(input, scratch, buffer_left)
}

/// What a decoder had unpacked behind `length` bytes in the very call that met the damage, and kept to itself: read again with a
/// target so small that nothing is kept.
fn rescue(input: &InputFile, length: u64) -> Vec<u8> {
    let mut rescued = Vec::new();
    let Ok(decoder) = decoder(input) else { return rescued };
    let mut decoder = decoder;
    if io::copy(&mut (&mut decoder).take(length), &mut io::sink()).is_ok_and(|count| count == length) {
        let mut byte = [0];
        while rescued.len() < BLOCK_BYTES && matches!(decoder.read(&mut byte), Ok(1)) {
            rescued.push(byte[0]);
        }
    }
    rescued
}

fn unpack(input: &InputFile, scratch: &Path, buffer_left: &AtomicU64) -> Result<Opened, FilesError> {
    let mut decoder = decoder(input).map_err(|source| FilesError::Open { path: input.path.clone(), source })?;
    let cannot_spill = |source| FilesError::Spill { path: input.path.clone(), folder: scratch.to_path_buf(), source };
    let mut block = vec![0; BLOCK_BYTES];
    let mut in_memory = Vec::new();
    let mut spilled: Option<File> = None;
    let mut length = 0;
    let mut damage = None;
    while damage.is_none() {
        let count = match decoder.read(&mut block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The operating system's errors carry a number; those of the decoders do not, and are about the bytes.
            Err(source) if source.raw_os_error().is_some() => {
                return Err(FilesError::Read { path: input.path.clone(), offset: length, source });
            }
            Err(error) => {
                let rescued = rescue(input, length);
                damage = Some(damage_in_words(&error, length + rescued.len() as u64));
                block[..rescued.len()].copy_from_slice(&rescued);
                rescued.len()
            }
        };
        if spilled.is_none() && !take(buffer_left, count as u64) {
            let mut file = tempfile::tempfile_in(scratch).map_err(cannot_spill)?;
            file.write_all(&in_memory).map_err(cannot_spill)?;
            buffer_left.fetch_add(length, Ordering::Relaxed);
            in_memory = Vec::new();
            spilled = Some(file);
        }
        match &mut spilled {
            Some(file) => file.write_all(&block[..count]).map_err(cannot_spill)?,
            None => in_memory.extend_from_slice(&block[..count]),
        }
        length += count as u64;
    }
    let bytes = spilled.map_or(Bytes::InMemory(in_memory), Bytes::InFile);
    Ok(Opened { bytes, length, damage })
}

/// Takes `bytes` of what is left of the replay buffer, if that much is left.
fn take(buffer_left: &AtomicU64, bytes: u64) -> bool {
    buffer_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
}

fn damage_in_words(error: &io::Error, length: u64) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        format!("the compressed file is cut off after {length} readable bytes")
    } else {
        format!("the compressed file is corrupt after {length} readable bytes: {error}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::{gzip, zstandard};

    fn lines(count: usize) -> Vec<u8> {
        (0..count)
            .flat_map(|number| format!("{{\"line\":{number},\"noise\":{}}}\n", number * 7919).into_bytes())
            .collect()
    }

    fn open_one(
        folder: &Path,
        name: &str,
        packed: &[u8],
        replay_buffer_bytes: u64,
    ) -> Result<(ByteSource, Option<Damage>), FilesError> {
        let path = folder.join(name);
        std::fs::write(&path, packed).unwrap();
        let compression = match name.rsplit('.').next() {
            Some("gz") => Compression::Gzip,
            Some("zst") => Compression::Zstandard,
            _ => Compression::None,
        };
        let file = InputFile { topic: 0, partition: 0, path, compression };
        let options = OpenOptions { replay_buffer_bytes, scratch: folder, threads: 1 };
        let (mut sources, mut damages) = open_all(vec![file], options)?;
        Ok((sources.remove(0), damages.pop()))
    }

    fn all_bytes(source: &ByteSource) -> Vec<u8> {
        let mut bytes = vec![0; source.len() as usize];
        source.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn packed_files_equal_plain_ones_in_memory_and_spilled() {
        let folder = tempfile::tempdir().unwrap();
        let plain = lines(50_000);
        let (first, second) = plain.split_at(plain.len() / 3);
        let two_members = |pack: fn(&[u8]) -> Vec<u8>| [pack(first), pack(second)].concat();
        for (name, packed) in
            [("a.jsonl", plain.clone()), ("a.jsonl.gz", two_members(gzip)), ("a.jsonl.zst", two_members(zstandard))]
        {
            for buffer_bytes in [u64::MAX, 300_000, 0] {
                let (source, damage) = open_one(folder.path(), name, &packed, buffer_bytes).unwrap();
                assert_eq!(damage, None);
                assert!(all_bytes(&source) == plain, "{name} with a buffer of {buffer_bytes} bytes");
                let in_memory = matches!(source.bytes, Bytes::InMemory(_));
                assert_eq!(in_memory, name != "a.jsonl" && buffer_bytes == u64::MAX);
            }
        }
    }

    #[test]
    fn a_packed_file_that_is_cut_off_gives_its_head_and_the_damage() {
        let folder = tempfile::tempdir().unwrap();
        let plain = lines(50_000);
        for (name, packed) in [("a.jsonl.gz", gzip(&plain)), ("a.jsonl.zst", zstandard(&plain))] {
            let (source, damage) = open_one(folder.path(), name, &packed[..packed.len() / 2], u64::MAX).unwrap();
            let damage = damage.unwrap();
            assert_eq!((damage.file, damage.at_byte), (0, source.len()));
            assert!(damage.reason.contains("compressed file is"), "{}", damage.reason);
            assert!(source.len() > 100_000, "{name}: {} bytes were saved", source.len());
            assert!(plain.starts_with(&all_bytes(&source)));
        }
    }

    #[test]
    fn bytes_that_are_no_archive_are_damage_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jsonl.gz", "a.jsonl.zst"] {
            let (source, damage) = open_one(folder.path(), name, b"{\"not\":\"packed\"}\n", u64::MAX).unwrap();
            assert!(source.is_empty());
            assert_eq!(damage.unwrap().at_byte, 0);
        }
    }

    #[test]
    fn flipped_bits_never_panic() {
        let folder = tempfile::tempdir().unwrap();
        let plain = lines(2_000);
        for (name, packed) in [("a.jsonl.gz", gzip(&plain)), ("a.jsonl.zst", zstandard(&plain))] {
            for at in (0..packed.len()).step_by(packed.len() / 64 + 1) {
                let mut broken = packed.clone();
                broken[at] ^= 0x55;
                let (source, damage) = open_one(folder.path(), name, &broken, u64::MAX).unwrap();
                assert!(damage.is_some() || source.len() <= plain.len() as u64, "{name}, byte {at}");
            }
        }
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let (source, _) = open_one(folder.path(), "a.jsonl", &lines(100), 0).unwrap();
        File::options().write(true).open(folder.path().join("a.jsonl")).unwrap().set_len(10).unwrap();
        let error = source.read_exact_at(&mut [0; 20], 0).unwrap_err();
        assert!(matches!(error, FilesError::Changed { offset: 0, .. }));
        assert!(error.to_string().contains("a.jsonl"), "{error}");
    }

    #[test]
    fn a_scratch_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl.gz");
        std::fs::write(&path, gzip(&lines(10))).unwrap();
        let file = InputFile { topic: 0, partition: 0, path, compression: Compression::Gzip };
        let scratch = folder.path().join("absent");
        let options = OpenOptions { replay_buffer_bytes: 0, scratch: &scratch, threads: 1 };
        let error = open_all(vec![file], options).unwrap_err();
        assert!(matches!(error, FilesError::Spill { .. }));
        assert!(error.to_string().contains("absent") && error.to_string().contains("check the path"), "{error}");
    }
}
