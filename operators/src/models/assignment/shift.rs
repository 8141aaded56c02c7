//! Hours of the local day in which a rep works.

/// From a minute of the local day to another; over midnight if the end is before the begin, all day if both are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// First minute, in 0..1440.
    pub begin_minute: u16,
    /// First minute after it, in 0..=1440.
    pub end_minute: u16,
}

impl Shift {
    /// The shift between two times such as `09:00` and `17:30`; `None` if one of them is no time of day. `24:00` is an end.
    pub fn parse(begin: &str, end: &str) -> Option<Self> {
        let begin_minute = minute_of(begin).filter(|minute| *minute < 1_440)?;
        Some(Shift { begin_minute, end_minute: minute_of(end)? })
    }

    /// Whether the rep works in this minute of the local day.
    pub fn contains(self, minute: u16) -> bool {
        if self.begin_minute < self.end_minute {
            (self.begin_minute..self.end_minute).contains(&minute)
        } else {
            minute >= self.begin_minute || minute < self.end_minute
        }
    }
}

/// The minute of a local day of `HH:MM` or `HH:MM:SS`.
fn minute_of(text: &str) -> Option<u16> {
    let number = |part: &str| {
        let is_number = matches!(part.len(), 1..=2) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<u16>().ok()).flatten()
    };
    let mut parts = text.trim().split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let is_whole = parts.next().is_none_or(|second| number(second).is_some_and(|second| second < 60));
    let minutes = hour * 60 + minute;
    (is_whole && parts.next().is_none() && minute < 60 && minutes <= 1_440).then_some(minutes)
}
