//! The state of a network as bytes, and back, bit by bit.
//!
//! ```text
//!   version u16 │ time i64 │ awake until i64 │ coverage 4 × f64 │ members u32 │ per member: id, name, numbers
//! ```
//! Little-endian; a text is its length in u32 and its UTF-8. Settings are no state: a network is restored under those of the run.

use super::coverage::Coverage;
use super::kuramoto::wrapped;
use super::member::{Member, Profile, RepStatus};
use super::network::{Network, Settings};

/// Version of the layout.
const VERSION: u16 = 1;

/// Why bytes are no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by another version.
    #[error(
        "the snapshot of an oscillator network has version {found}, this build reads {VERSION}: replay the input instead"
    )]
    Version {
        /// The version found.
        found: u16,
    },
    /// The bytes end too early, or go on.
    #[error(
        "the snapshot of an oscillator network is damaged at byte {at} of {length}: {what}; take the checkpoint before it"
    )]
    Damaged {
        /// Where.
        at: usize,
        /// Of how many bytes.
        length: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

impl Network {
    /// Appends the state.
    pub fn snapshot(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.time_ms.to_le_bytes());
        bytes.extend_from_slice(&self.awake_until_ms.to_le_bytes());
        for coverage in [self.coverage, self.coverage_today] {
            bytes.extend_from_slice(&coverage.staffed_hours.to_le_bytes());
            bytes.extend_from_slice(&coverage.ready_hours.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.members.len() as u32).to_le_bytes());
        for (index, member) in self.members.iter().enumerate() {
            for text in [&member.id, &member.profile.name] {
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            for number in [member.profile.skill, member.profile.natural_frequency, self.phase_of(index)] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            for count in [member.active_leads, member.active_deals, member.closed_today] {
                bytes.extend_from_slice(&count.to_le_bytes());
            }
            bytes.push(member.status as u8);
            bytes.push(u8::from(member.shift_began_ms.is_some()));
            bytes.extend_from_slice(&member.shift_began_ms.unwrap_or(0).to_le_bytes());
        }
    }

    /// The network of a snapshot. It goes on exactly as the one that was saved.
    ///
    /// # Errors
    /// If the bytes are of another version, cut, or no snapshot.
    pub fn restore(settings: Settings, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader { bytes, at: 0 };
        let found = u16::from_le_bytes(reader.array()?);
        if found != VERSION {
            return Err(SnapshotError::Version { found });
        }
        let mut network = Network::new(settings, i64::from_le_bytes(reader.array()?));
        network.awake_until_ms = i64::from_le_bytes(reader.array()?);
        for coverage in [&mut network.coverage, &mut network.coverage_today] {
            *coverage = Coverage { staffed_hours: reader.number()?, ready_hours: reader.number()? };
        }
        for _ in 0..u32::from_le_bytes(reader.array()?) {
            let member = reader.member()?;
            if network.members.last().is_some_and(|before| before.id >= member.id) {
                return Err(reader.damaged("members are not in the order of their ids"));
            }
            network.members.push(member);
        }
        if reader.at != bytes.len() {
            return Err(reader.damaged("bytes follow the last member"));
        }
        network.build_columns();
        Ok(network)
    }
}

/// Reads from the front.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn damaged(&self, what: &'static str) -> SnapshotError {
        SnapshotError::Damaged { at: self.at, length: self.bytes.len(), what }
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], SnapshotError> {
        let array = self.bytes[self.at..].first_chunk().ok_or_else(|| self.damaged("the bytes end"))?;
        self.at += COUNT;
        Ok(*array)
    }

    fn number(&mut self) -> Result<f64, SnapshotError> {
        let number = f64::from_le_bytes(self.array()?);
        if number.is_finite() { Ok(number) } else { Err(self.damaged("a number is not finite")) }
    }

    fn text(&mut self) -> Result<Box<str>, SnapshotError> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let bytes = self.bytes[self.at..].get(..length).ok_or_else(|| self.damaged("a text ends behind the bytes"))?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.damaged("a text is not UTF-8"))?;
        self.at += length;
        Ok(text.into())
    }

    fn flag(&mut self) -> Result<bool, SnapshotError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(self.damaged("a flag is neither 0 nor 1")),
        }
    }

    fn member(&mut self) -> Result<Member, SnapshotError> {
        let (id, name) = (self.text()?, self.text()?);
        let (skill, natural_frequency, phase) = (self.number()?, self.number()?, self.number()?);
        if wrapped(phase).to_bits() != phase.to_bits() {
            return Err(self.damaged("a phase is not wrapped"));
        }
        let mut counts = [0; 3];
        for count in &mut counts {
            *count = u32::from_le_bytes(self.array()?);
        }
        let [active_leads, active_deals, closed_today] = counts;
        let [code] = self.array()?;
        let status = RepStatus::of_code(u64::from(code)).ok_or_else(|| self.damaged("a status has no such code"))?;
        let began = self.flag()?;
        let began_ms = i64::from_le_bytes(self.array()?);
        let profile = Profile { name, skill, natural_frequency };
        if profile.clone().bounded() != profile {
            return Err(self.damaged("a profile lies outside its bounds"));
        }
        Ok(Member {
            id,
            profile,
            status,
            active_leads,
            active_deals,
            closed_today,
            shift_began_ms: began.then_some(began_ms),
            phase,
        })
    }
}
