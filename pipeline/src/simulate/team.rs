//! The reps of a dealer: hired, on shift, available, busy, on a break or off, better with time, gone.

use super::agenda::Action;
use super::calendar::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, weekday};
use super::catalog::{FIRST_NAMES, LAST_NAMES};
use super::dealer::Dealer;
use super::event::{EventType, Topic, rep_id};
use super::hour::Hour;
use super::random::Random;
use super::truth::{Cells, TruthTable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Available,
    Busy,
    Break,
    Off,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Status::Available => "available",
            Status::Busy => "busy",
            Status::Break => "break",
            Status::Off => "off",
        }
    }
}

/// One rep.
#[derive(Debug)]
pub(super) struct Rep {
    /// True skill, 0 to 1.
    pub(super) skill: f64,
    /// Median minutes until an enquiry is answered while on shift.
    pub(super) response_minutes_median: f64,
    believed_skill_thousandths: u32,
    shift_start_hour: i64,
    shift_hours: i64,
    first_day_off: usize,
    status: Status,
    shift_end_ms: i64,
    gone: bool,
}

impl Rep {
    fn works_on(&self, local_day: i64) -> bool {
        let since = (weekday(local_day) + 7 - self.first_day_off) % 7;
        since >= 2
    }

    /// Whether the roster has the rep at work at a local time.
    pub(super) fn is_on_shift(&self, local_ms: i64) -> bool {
        let hour = local_ms.rem_euclid(DAY_MS) / HOUR_MS;
        self.works_on(local_ms.div_euclid(DAY_MS))
            && (self.shift_start_hour..self.shift_start_hour + self.shift_hours).contains(&hour)
    }

    /// The local time from which the rep is at work, at or after a local time.
    pub(super) fn next_on_shift(&self, local_ms: i64) -> i64 {
        if self.is_on_shift(local_ms) {
            return local_ms;
        }
        let today = local_ms.div_euclid(DAY_MS);
        // Two days off in a row at most, so one of four days has a shift that begins later.
        (today..today + 4)
            .filter(|day| self.works_on(*day))
            .map(|day| day * DAY_MS + self.shift_start_hour * HOUR_MS)
            .find(|start| *start > local_ms)
            .unwrap_or(local_ms + DAY_MS)
    }
}

/// The reps of one dealer.
#[derive(Debug, Default)]
pub(super) struct Team {
    /// Everyone who ever worked here; a rep's number is the position + 1.
    pub(super) reps: Vec<Rep>,
    active: Vec<u32>,
}

impl Team {
    /// Who takes an enquiry: somebody on shift if a few glances find one. The position among `reps`.
    pub(super) fn choose(&self, local_ms: i64, random: &mut Random) -> Option<u32> {
        const GLANCES: usize = 6;
        let mut chosen = None;
        for _ in 0..GLANCES {
            if self.active.is_empty() {
                break;
            }
            let rep = *random.pick(&self.active);
            chosen = Some(rep);
            if self.reps[rep as usize].is_on_shift(local_ms) {
                break;
            }
        }
        chosen
    }
}

impl Dealer {
    /// A rep starts.
    pub(super) fn hire(&mut self, now_ms: i64, hour: &mut Hour) {
        let random = &mut self.random;
        let index = self.team.reps.len() as u32;
        let skill = random.normal_within(0.66, 0.15, 0.2, 0.98);
        let (shift_start_hour, shift_hours) = *random.pick(&[(8, 9), (9, 9), (10, 9), (11, 9), (12, 8)]);
        let rep = Rep {
            skill,
            response_minutes_median: random.log_normal(14.0, 0.6).clamp(2.0, 180.0),
            believed_skill_thousandths: (1_000.0 * (skill + 0.08 * random.normal()).clamp(0.0, 1.0)) as u32,
            shift_start_hour,
            shift_hours,
            // Nobody has Saturday off: it is the busiest day.
            first_day_off: *random.pick(&[6, 0, 1, 2, 3]),
            status: Status::Off,
            shift_end_ms: 0,
            gone: false,
        };
        let name = format!("{} {}", random.pick(FIRST_NAMES), random.pick(LAST_NAMES));
        let frequency = random.normal_within(1.0, 0.12, 0.6, 1.5);
        let mut skills = vec!["en"];
        if random.chance(self.town.spanish_share * 1.5) {
            skills.push("es");
        }
        if random.chance(0.25) {
            skills.push(*random.pick::<&str>(&["trucks", "ev", "fleet", "finance"]));
        }
        let role = *random.pick(&["sales", "sales", "sales", "internet"]);
        let team = *random.pick(&["new", "used"]);
        let lead_cap = random.between(10, 15);
        let (shift_start, shift_end) = (clock(shift_start_hour), clock(shift_start_hour + shift_hours));
        hour.event(&mut self.sender, EventType::RepAdded, now_ms, rep_id(index + 1))
            .id("repId", rep_id(index + 1))
            .text("name", &name)
            .thousandths("skillLevel", rep.believed_skill_thousandths)
            .thousandths("naturalFrequency", (frequency * 1_000.0) as u32)
            .text("role", role)
            .text("team", team)
            .integer("leadCap", lead_cap)
            .list("skills", &skills)
            .text("shiftStart", &shift_start)
            .text("shiftEnd", &shift_end)
            .end();
        hour.truth_row(TruthTable::Reps, Topic::Reps, |bytes| {
            let mut cells = Cells::of_dealer(bytes, &self.sender.id);
            cells.id(rep_id(index + 1)).time(Some(now_ms)).decimal(rep.skill).decimal(rep.response_minutes_median);
            cells.text(&shift_start).text(&shift_end);
        });
        self.team.reps.push(rep);
        self.team.active.push(index);
        self.plan_shift(index, now_ms);
    }

    /// Plans the rep's next shift that the roster reports.
    fn plan_shift(&mut self, index: u32, now_ms: i64) {
        const DAYS_MAX: i64 = 60;
        let rep = &self.team.reps[index as usize];
        let today = (now_ms + self.offset_ms).div_euclid(DAY_MS);
        for day in today + 1..today + DAYS_MAX {
            if rep.works_on(day) && self.random.chance(self.scale.reported_shift_share) {
                let lateness_ms = self.random.between(-8 * MINUTE_MS, 12 * MINUTE_MS);
                let start_ms = day * DAY_MS + rep.shift_start_hour * HOUR_MS + lateness_ms - self.offset_ms;
                self.agenda.plan(start_ms, Action::Shift(index));
                return;
            }
        }
        self.agenda.plan(now_ms + DAYS_MAX * DAY_MS, Action::Shift(index));
    }

    /// The rep's status changes.
    pub(super) fn change_status(&mut self, index: u32, now_ms: i64, hour: &mut Hour) {
        let rep = &mut self.team.reps[index as usize];
        if rep.gone {
            return;
        }
        let begins = rep.status == Status::Off;
        if begins {
            rep.shift_end_ms =
                now_ms + rep.shift_hours * HOUR_MS + self.random.between(-15 * MINUTE_MS, 40 * MINUTE_MS);
        }
        rep.status = match rep.status {
            _ if now_ms >= rep.shift_end_ms => Status::Off,
            Status::Available if self.random.chance(0.8) => Status::Busy,
            Status::Available => Status::Break,
            Status::Off | Status::Busy | Status::Break => Status::Available,
        };
        hour.event(&mut self.sender, EventType::RepStatusChanged, now_ms, rep_id(index + 1))
            .id("repId", rep_id(index + 1))
            .text("status", rep.status.name())
            .end();
        if rep.status == Status::Off {
            self.plan_shift(index, now_ms);
        } else {
            let mean_ms = (rep.shift_hours * HOUR_MS) as f64 / (self.scale.status_changes_per_shift + 1.0);
            let pause_ms = self.random.exponential(mean_ms) as i64 + 20 * SECOND_MS;
            let without_changes = self.scale.status_changes_per_shift <= 0.0;
            let next_ms = if without_changes { rep.shift_end_ms } else { (now_ms + pause_ms).min(rep.shift_end_ms) };
            self.agenda.plan(next_ms.max(now_ms + 1), Action::Shift(index));
        }
    }

    /// Some rep's skill is reviewed: belief moves towards the truth.
    pub(super) fn review_skill(&mut self, now_ms: i64, hour: &mut Hour) {
        if self.team.active.is_empty() {
            return;
        }
        let index = *self.random.pick(&self.team.active);
        let rep = &mut self.team.reps[index as usize];
        let seen = (rep.skill + 0.04 * self.random.normal()).clamp(0.0, 1.0) * 1_000.0;
        rep.believed_skill_thousandths = rep.believed_skill_thousandths.midpoint(seen as u32);
        hour.event(&mut self.sender, EventType::RepSkillUpdated, now_ms, rep_id(index + 1))
            .id("repId", rep_id(index + 1))
            .thousandths("skillLevel", rep.believed_skill_thousandths)
            .end();
    }

    /// Some rep leaves, unless too few would stay.
    pub(super) fn dismiss(&mut self, now_ms: i64, hour: &mut Hour) {
        if self.team.active.len() < 3 || self.team.active.len() * 4 < self.scale.reps as usize * 3 {
            return;
        }
        let position = self.random.below(self.team.active.len() as u64) as usize;
        let index = self.team.active.remove(position);
        self.team.reps[index as usize].gone = true;
        hour.event(&mut self.sender, EventType::RepRemoved, now_ms, rep_id(index + 1))
            .id("repId", rep_id(index + 1))
            .end();
    }
}

fn clock(hour: i64) -> String {
    format!("{:02}:00", hour % 24)
}
