//! Reps and deals to the oscillators, and what their phases say to the topic.
//!
//! ```text
//!   rep, deal ─▶ network ─▶ band, bottlenecks, mentoring ─(changed, or a tick with somebody on duty)─▶ team.status.changed
//! ```

use xxhash_rust::xxh3::Xxh3;

use super::dealership::{Seat, TeamShown};
use super::observation::{DealFacts, RepSeen};
use super::turn::Turn;
use crate::domain::json_writer::JsonWriter;
use crate::domain::messages::MessageType;
use crate::models::oscillators::kuramoto::{Order, Workspace, wrapped};
use crate::models::oscillators::member::{Member, RepStatus};
use crate::models::oscillators::network::{Counters, Network, Objective};
use crate::models::oscillators::rhythm::{Band, Bottleneck, MemberStatus, Mentoring};

impl Turn<'_, '_> {
    /// Moves the network to the cause's instant, if the oscillators are on.
    pub fn move_network(&mut self) {
        if self.shared.settings.oscillators.is_some() {
            self.dealership.network.begin_event(self.cause.time_ms, self.shared.workspace);
        }
    }

    /// Changes what a rep has to do.
    pub fn change_load(&mut self, number: u32, change: impl FnOnce(&mut Counters<'_>)) {
        if let Some(seat) = self.dealership.seat_of(number) {
            self.dealership.network.change_at(seat, change);
        }
    }

    /// A rep as an event left it. Those who are not there any more, or off, lose their leads.
    pub fn take_rep(&mut self, seen: RepSeen) {
        self.move_network();
        self.may_place = true;
        let RepSeen { number, id, known } = seen;
        let known_seat = self.dealership.seat_of(number);
        let Some((profile, status, terms)) = known else {
            if let Some(seat) = known_seat {
                self.dealership.network.remove(&id);
                self.dealership.roster.remove(seat);
                self.lose_leads(number, true);
            }
            return;
        };
        self.dealership.network.put(&id, profile);
        let Some(place) = self.dealership.network.members().iter().position(|member| member.id == id) else { return };
        if known_seat.is_none() {
            self.dealership.roster.insert(place, Seat { number, terms, shown_phase: 0.0 });
            let active_deals = self.dealership.workloads.get(&number).copied().unwrap_or(0);
            self.dealership.network.change_at(place, |counters| *counters.active_deals = active_deals);
        } else {
            self.dealership.roster[place].terms = terms;
        }
        self.dealership.network.set_status(&id, status);
        let phase = self.dealership.network.phase(&id).unwrap_or_default();
        self.dealership.roster[place].shown_phase = phase;
        if status == RepStatus::Off {
            self.lose_leads(number, false);
        }
    }

    /// A deal that was one thing is another now.
    pub fn take_deal(&mut self, before: &DealFacts, now: &DealFacts) {
        self.move_network();
        let time_ms = self.cause.time_ms.max(self.dealership.network.time_ms());
        let today = self.dealership.zone.local_day(time_ms);
        let mut is_of_today = |closed_ms: Option<i64>| {
            closed_ms.is_some_and(|closed_ms| self.dealership.zone.local_day(closed_ms) == today)
        };
        let (was_today, is_today) = (is_of_today(before.closed_ms), is_of_today(now.closed_ms));
        let workloads = &mut self.dealership.workloads;
        if let Some(rep) = before.rep.filter(|_| before.is_active)
            && let Some(deals) = workloads.get_mut(&rep)
        {
            *deals -= 1;
            if *deals == 0 {
                workloads.remove(&rep);
            }
        }
        if let Some(rep) = now.rep.filter(|_| now.is_active) {
            *workloads.entry(rep).or_default() += 1;
        }
        if let Some(rep) = before.rep {
            self.change_load(rep, |counters| {
                *counters.active_deals = counters.active_deals.saturating_sub(u32::from(before.is_active));
                *counters.closed_today = counters.closed_today.saturating_sub(u32::from(was_today));
            });
        }
        if let Some(rep) = now.rep {
            self.change_load(rep, |counters| {
                *counters.active_deals = counters.active_deals.saturating_add(u32::from(now.is_active));
                *counters.closed_today = counters.closed_today.saturating_add(u32::from(is_today));
            });
            if before.closed_ms.is_none()
                && now.closed_ms.is_some()
                && let Some(seat) = self.dealership.seat_of(rep)
            {
                self.dealership.network.turn_at(seat);
            }
        }
    }

    /// Local midnight: the day's counters begin anew.
    pub fn begin_day(&mut self) {
        let now_ms = self.cause.time_ms;
        let minute = i64::from(self.dealership.zone.local_minute(now_ms));
        let roster = &self.dealership.roster;
        let mut seats = roster.iter();
        self.dealership.network.begin_day(|member| {
            let shift = seats.next().and_then(|seat| seat.terms.shift);
            // A known shift begins on the clock; one who is on duty without a shift begins with the day.
            let begins_ms = shift.map(|shift| now_ms + (i64::from(shift.begin_minute) - minute) * 60_000);
            begins_ms.or_else(|| member.status.is_on_duty().then_some(now_ms))
        });
    }

    /// Tells of the team: if it is to be reported while somebody is on duty, and else if band, bottlenecks or mentoring are others than
    /// were told last.
    pub fn tell_team(&mut self, reports: bool) {
        let Some(settings) = self.shared.settings.oscillators else { return };
        let team = Team::of(&self.dealership.network, self.shared.workspace);
        let fingerprint = team.fingerprint();
        let is_other = fingerprint != self.dealership.team_fingerprint;
        if !(is_other || reports && team.on_duty > 0) {
            return;
        }
        let shown = TeamShown {
            coherence: team.order.map(|order| order.coherence),
            mean_phase: team.order.map(|order| wrapped(order.mean_phase)),
            reps: team.on_duty as u32,
            coverage: self.dealership.network.coverage().share(),
            updated_ms: self.cause.time_ms,
        };
        let mut data = Vec::new();
        team.write(&self.dealership.network, &shown, settings.objective, &mut data);
        self.send(MessageType::TeamStatusChanged, None, None, |json, _, _| json.members(&data));
        self.dealership.team_fingerprint = fingerprint;
        self.dealership.shown_team = Some(shown);
        self.dealership.is_team_dirty = true;
    }
}

/// What the phases of a team say.
struct Team<'a> {
    on_duty: usize,
    /// None while nobody is on duty.
    order: Option<Order>,
    bottlenecks: Vec<Bottleneck<'a>>,
    mentoring: Vec<Mentoring<'a>>,
}

impl<'a> Team<'a> {
    fn of(network: &'a Network, workspace: &mut Workspace) -> Self {
        let on_duty = network.on_duty();
        Team {
            on_duty,
            order: (on_duty > 0).then(|| network.order(workspace)),
            bottlenecks: network.bottlenecks(workspace),
            mentoring: network.mentoring(),
        }
    }

    /// Of what is told at once when it changes. Zero before anything was told: no team has nobody's fingerprint.
    fn fingerprint(&self) -> u64 {
        let mut hasher = Xxh3::new();
        let mut text = |text: &str| {
            hasher.update(&(text.len() as u32).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        text(self.order.map_or("", |order| Band::of(order.coherence).name()));
        for bottleneck in &self.bottlenecks {
            text(&bottleneck.member.id);
            text(bottleneck.issue.sentence());
        }
        text("mentoring");
        for pair in &self.mentoring {
            text(&pair.mentor.id);
            text(&pair.mentee.id);
        }
        hasher.digest()
    }

    fn write(&self, network: &Network, shown: &TeamShown, objective: Objective, bytes: &mut Vec<u8>) {
        let mut json = JsonWriter::new(bytes);
        json.key("reasons");
        json.list(|json| {
            for bottleneck in &self.bottlenecks {
                json.display(format_args!("{}: {}", bottleneck.member.profile.name, bottleneck.issue.sentence()));
            }
        });
        let mut number = |name: &str, value: Option<f64>| {
            json.key(name);
            json.double_or_null(value);
        };
        number("coherence", shown.coherence);
        number("meanPhase", shown.mean_phase);
        number("coverage", shown.coverage);
        number("coverageToday", network.coverage_today().share());
        json.key("status");
        json.text_or_null(shown.coherence.map(|coherence| Band::of(coherence).name().as_bytes()));
        json.key("objective");
        json.text(match objective {
            Objective::Coherence => b"coherence",
            Objective::Coverage => b"coverage",
        });
        json.key("totalSalespeople");
        json.integer(network.members().len() as i64);
        json.key("onDuty");
        json.integer(self.on_duty as i64);
        json.key("bottlenecks");
        json.list(|json| self.bottlenecks.iter().for_each(|bottleneck| write_bottleneck(json, bottleneck)));
        json.key("mentoringOpportunities");
        json.list(|json| self.mentoring.iter().for_each(|pair| write_mentoring(json, pair)));
        json.key("teamMembers");
        json.list(|json| {
            for (index, member) in network.members().iter().enumerate() {
                write_member(json, member, network.phase_of(index));
            }
        });
    }
}

fn write_bottleneck(json: &mut JsonWriter<'_>, bottleneck: &Bottleneck<'_>) {
    json.object(|json| {
        json.key("salespersonId");
        json.text(bottleneck.member.id.as_bytes());
        json.key("name");
        json.text(bottleneck.member.profile.name.as_bytes());
        json.key("phaseDifference");
        json.double(bottleneck.phase_difference);
        json.key("activeDeals");
        json.integer(i64::from(bottleneck.member.active_deals));
        json.key("issue");
        json.text(bottleneck.issue.sentence().as_bytes());
    });
}

fn write_mentoring(json: &mut JsonWriter<'_>, pair: &Mentoring<'_>) {
    json.object(|json| {
        for (id, name, member) in [("mentorId", "mentorName", pair.mentor), ("menteeId", "menteeName", pair.mentee)] {
            json.key(id);
            json.text(member.id.as_bytes());
            json.key(name);
            json.text(member.profile.name.as_bytes());
        }
        json.key("skillGap");
        json.double(pair.skill_gap);
        json.key("phaseLead");
        json.double(pair.phase_lead);
        json.key("recommendation");
        json.display(pair.recommendation());
    });
}

fn write_member(json: &mut JsonWriter<'_>, member: &Member, phase: f64) {
    json.object(|json| {
        json.key("id");
        json.text(member.id.as_bytes());
        json.key("name");
        json.text(member.profile.name.as_bytes());
        json.key("phase");
        json.double(phase);
        json.key("activeDeals");
        json.integer(i64::from(member.active_deals));
        json.key("activeLeads");
        json.integer(i64::from(member.active_leads));
        json.key("dealsToday");
        json.integer(i64::from(member.closed_today));
        json.key("skillLevel");
        json.double(member.profile.skill);
        json.key("status");
        json.text(MemberStatus::of(member).name().as_bytes());
        json.key("availability");
        json.text(crate::domain::entity::REP_STATUSES[member.status as usize].as_bytes());
    });
}
