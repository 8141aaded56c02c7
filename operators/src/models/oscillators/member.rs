//! A rep as the network knows one.

use super::kuramoto::wrapped;

/// Greatest natural frequency, either way, in radians per hour: two turns. A step then moves nobody by more than a quarter turn.
pub const FREQUENCY_MAX: f64 = 12.0;
/// How much each active lead or deal slows a rep.
const SLOWDOWN_PER_LOAD: f64 = 0.1;
const SKILL_DEFAULT: f64 = 0.7;
const FREQUENCY_DEFAULT: f64 = 1.0;

/// Whether a rep is at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RepStatus {
    /// Waits for a customer.
    #[default]
    Available,
    /// Is with a customer.
    Busy,
    /// Will be back soon.
    Break,
    /// Not at work: neither moves, nor couples, nor counts.
    Off,
}

impl RepStatus {
    /// The status of a code, which is its place in [`crate::domain::entity::REP_STATUSES`].
    pub fn of_code(code: u64) -> Option<Self> {
        [RepStatus::Available, RepStatus::Busy, RepStatus::Break, RepStatus::Off]
            .get(usize::try_from(code).ok()?)
            .copied()
    }

    /// Whether the rep takes part in the network.
    pub fn is_on_duty(self) -> bool {
        self != RepStatus::Off
    }
}

/// What is known of a rep beside the day's work.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Name for people.
    pub name: Box<str>,
    /// Skill in [0, 1]; what lies outside is brought to the edge, no number is 0.7.
    pub skill: f64,
    /// ω without load, in radians per hour; brought into ±[`FREQUENCY_MAX`], no number is 1.
    pub natural_frequency: f64,
}

impl Profile {
    /// The profile with every number inside its bounds.
    #[must_use]
    pub fn bounded(self) -> Self {
        let number = |value: f64, default, least, greatest| {
            if value.is_nan() { default } else { value.clamp(least, greatest) }
        };
        Profile {
            // Adding zero makes one zero of two, so that order and bits of equal skills agree.
            skill: number(self.skill, SKILL_DEFAULT, 0.0, 1.0) + 0.0,
            natural_frequency: number(self.natural_frequency, FREQUENCY_DEFAULT, -FREQUENCY_MAX, FREQUENCY_MAX) + 0.0,
            ..self
        }
    }
}

/// One rep of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Id, unique in the network.
    pub id: Box<str>,
    /// Name, skill and natural frequency.
    pub profile: Profile,
    /// Whether the rep is at work.
    pub status: RepStatus,
    /// Leads that the rep has to answer.
    pub active_leads: u32,
    /// Deals that the rep works on.
    pub active_deals: u32,
    /// Deals closed on the present local day.
    pub closed_today: u32,
    /// When the rep's shift of the present local day began, in milliseconds; `None` if that is not known.
    pub shift_began_ms: Option<i64>,
    /// Phase in [0, 2π); while the rep is on duty the network holds the true one.
    pub(super) phase: f64,
}

impl Member {
    /// A rep who has done nothing yet, at phase 0.
    pub(super) fn new(id: &str, profile: Profile) -> Self {
        Member {
            id: id.into(),
            profile: profile.bounded(),
            status: RepStatus::default(),
            active_leads: 0,
            active_deals: 0,
            closed_today: 0,
            shift_began_ms: None,
            phase: wrapped(0.0),
        }
    }

    /// ω under the present load, `ω / (1 + 0.1 · (active leads + active deals))`, in radians per hour.
    pub fn frequency(&self) -> f64 {
        let load = f64::from(self.active_leads) + f64::from(self.active_deals);
        self.profile.natural_frequency / (1.0 + SLOWDOWN_PER_LOAD * load)
    }
}
