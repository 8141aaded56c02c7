//! Who gets a lead, with what reasons.

use proptest::prelude::*;

use super::candidate::{Candidate, LEAD_CAP_DEFAULT, Lead, Terms};
use super::choice::{Choice, choose, problem};
use super::eligibility::{Policy, Wish};
use super::score::Score;
use super::shift::Shift;
use crate::models::optimiser::optimise;
use crate::models::oscillators::member::RepStatus;

const NOON: u16 = 720;

fn rep<'a>(id: &'a str, terms: &'a Terms) -> Candidate<'a> {
    let status = RepStatus::Available;
    Candidate { id, name: id, phase: 0.0, skill: 0.7, status, active_leads: 0, active_deals: 0, terms }
}

fn lead<'a>(language: Option<&'a str>, skills: &'a [Box<str>]) -> Lead<'a> {
    Lead { priority: 0.7, language, skills }
}

fn terms(skills: &[&str]) -> Terms {
    Terms { skills: skills.iter().map(|skill| Box::from(*skill)).collect(), ..Terms::default() }
}

fn chosen<'a>(choice: &Choice<'a>) -> Option<&'a str> {
    choice.rep().map(|ranked| ranked.rep.id)
}

fn sentences(choice: &Choice<'_>) -> Vec<String> {
    choice.reasons().map(|reason| reason.to_string()).collect()
}

#[test]
fn the_score_is_the_definition() {
    let terms = Terms::default();
    let rep = Candidate { phase: 1.0, skill: 0.9, active_deals: 3, ..rep("a", &terms) };
    let score = Score::of(&Lead { priority: 0.6, language: None, skills: &[] }, &rep);
    // 0.4 · 0.5403023058681398 + 0.1 + 0.2 · 0.7
    assert!((score.total() - 0.456_120_922_347_255_9).abs() < 1e-15, "{}", score.total());
}

#[test]
fn the_best_score_wins_and_the_next_are_named() {
    let terms = Terms::default();
    let team = [
        Candidate { phase: 3.0, ..rep("closing", &terms) },
        Candidate { active_deals: 1, ..rep("one-deal", &terms) },
        Candidate { skill: 0.6, ..rep("free", &terms) },
        Candidate { active_deals: 4, ..rep("busy", &terms) },
        Candidate { active_deals: 2, ..rep("two-deals", &terms) },
    ];
    let choice = choose(lead(None, &[]), &team, NOON, &Policy::default());
    let order: Vec<&str> = choice.ranked.iter().map(|ranked| ranked.rep.id).collect();
    assert_eq!(order, ["free", "one-deal", "two-deals", "busy"]);
    assert_eq!((choice.alternatives().len(), choice.eligible), (3, 5));
    let expected = [
        "free is ready for a customer (phase 0.00): +0.40",
        "0 active deals: +0.40",
        "skill 0.60 for a lead of priority 0.70: +0.18",
    ];
    assert_eq!(sentences(&choice), expected);
}

#[test]
fn equal_reps_are_taken_by_load_and_then_by_id() {
    let terms = Terms::default();
    let mut team = [rep("b", &terms), rep("a", &terms), Candidate { active_leads: 1, ..rep("0", &terms) }];
    for _ in 0..3 {
        team.rotate_left(1);
        assert_eq!(chosen(&choose(lead(None, &[]), &team, NOON, &Policy::default())), Some("a"));
    }
}

#[test]
fn nobody_who_may_not_have_a_lead_gets_it() {
    let (open, morning) = (Terms::default(), Terms { shift: Shift::parse("08:00", "12:00"), ..Terms::default() });
    let team = [
        Candidate { status: RepStatus::Off, ..rep("off", &open) },
        Candidate { status: RepStatus::Break, ..rep("break", &open) },
        Candidate { active_leads: LEAD_CAP_DEFAULT, ..rep("full", &open) },
        rep("morning", &morning),
    ];
    let choice = choose(lead(None, &[]), &team, NOON, &Policy::default());
    assert_eq!((chosen(&choice), choice.eligible), (None, 0));
    let expected =
        ["the lead waits, nobody can take it: 1 off, 1 on break, 1 outside the shift, 1 at the cap of leads"];
    assert_eq!(sentences(&choice), expected);
    let policy = Policy { assigns_on_break: true, ..Policy::default() };
    assert_eq!(chosen(&choose(lead(None, &[]), &team, NOON, &policy)), Some("break"));
    assert_eq!(chosen(&choose(lead(None, &[]), &team, NOON - 1, &Policy::default())), Some("morning"));
    let busy = [Candidate { status: RepStatus::Busy, ..rep("busy", &open) }];
    assert_eq!(chosen(&choose(lead(None, &[]), &busy, NOON, &Policy::default())), Some("busy"));
    assert_eq!(
        sentences(&choose(lead(None, &[]), &[], NOON, &Policy::default())),
        ["the lead waits: the team has no reps"]
    );
}

#[test]
fn skills_are_required_where_the_team_has_them() {
    let (plain, electric) = (Terms::default(), terms(&["EV", "fleet"]));
    let needs = [Box::from("ev")];
    let mut team = [rep("plain", &plain), Candidate { active_deals: 9, ..rep("electric", &electric) }];
    let choice = choose(lead(None, &needs), &team, NOON, &Policy::default());
    assert_eq!(chosen(&choice), Some("electric"));
    assert_eq!(sentences(&choice).last().unwrap(), "not eligible: 1 without ev");
    team[1].status = RepStatus::Off;
    assert_eq!(
        chosen(&choose(lead(None, &needs), &team, NOON, &Policy::default())),
        None,
        "waits for the one who has it"
    );
    let choice = choose(lead(None, &needs), &team[..1], NOON, &Policy::default());
    assert_eq!(chosen(&choice), Some("plain"));
    assert_eq!(sentences(&choice).last().unwrap(), "nobody of the team has all of: ev; that is waived");
    let policy = Policy { skills: Wish::Ignored, ..Policy::default() };
    assert_eq!(chosen(&choose(lead(None, &needs), &team, NOON, &policy)), Some("plain"));
}

#[test]
fn a_language_is_preferred_before_the_score() {
    let (plain, spanish) = (Terms::default(), terms(&["Language:ES"]));
    let mut team = [rep("plain", &plain), Candidate { active_deals: 9, phase: 3.0, ..rep("spanish", &spanish) }];
    for (language, expected) in
        [("es-MX", "spanish"), ("en-US", "plain"), ("EN", "plain"), ("fr", "plain"), ("", "plain")]
    {
        let choice = choose(lead(Some(language), &[]), &team, NOON, &Policy::default());
        assert_eq!(chosen(&choice), Some(expected), "{language}");
    }
    team[1].status = RepStatus::Off;
    let choice = choose(lead(Some("es"), &[]), &team, NOON, &Policy::default());
    assert_eq!(chosen(&choice), Some("plain"));
    assert!(sentences(&choice).iter().any(|sentence| sentence == "nobody who is free meets all that the lead prefers"));
    let strict = Policy { language: Wish::Required, ..Policy::default() };
    let choice = choose(lead(Some("es"), &[]), &team, NOON, &strict);
    assert_eq!(chosen(&choice), None);
    assert_eq!(sentences(&choice), ["the lead waits, nobody can take it: 1 off, 1 not speaking es"]);
    let choice = choose(lead(Some("fr"), &[]), &team, NOON, &strict);
    assert_eq!(sentences(&choice)[3], "nobody of the team speaks fr; that is waived");
}

#[test]
fn shifts_are_hours_of_the_local_day() {
    let day = Shift::parse("09:00", "17:30").unwrap();
    assert!(day.contains(540) && day.contains(1_049) && !day.contains(1_050) && !day.contains(539));
    let night = Shift::parse("22:00", "06:00:00").unwrap();
    assert!(night.contains(1_320) && night.contains(0) && night.contains(359) && !night.contains(360));
    assert!(
        Shift::parse("8:00", "24:00").unwrap().contains(1_439) && Shift::parse("07:00", "07:00").unwrap().contains(3)
    );
    for (begin, end) in [
        ("24:00", "06:00"),
        ("9", "17:00"),
        ("09:60", "17:00"),
        ("09:00", "24:01"),
        ("09:00", ""),
        ("+9:00", "17:00"),
        ("09:00:00:00", "17:00"),
    ] {
        assert_eq!(Shift::parse(begin, end), None, "{begin} {end}");
    }
}

proptest! {
    #[test]
    fn many_leads_at_once_keep_the_rules_of_one(
        reps in proptest::collection::vec((0.0..6.2, 0.0..1.0, 0_u64..4, 0_u32..14, 0_u32..8, any::<bool>()), 1..12),
        leads in proptest::collection::vec((0.0..1.0, any::<bool>()), 1..12),
    ) {
        let (plain, spanish) = (Terms::default(), terms(&["es"]));
        let ids: Vec<String> = (0..reps.len()).map(|rep| format!("r{rep:02}")).collect();
        let team: Vec<Candidate<'_>> = reps.iter().zip(&ids).map(|((phase, skill, status, active_leads, active_deals, speaks), id)| Candidate {
            phase: *phase, skill: *skill, status: RepStatus::of_code(*status).unwrap(), active_leads: *active_leads, active_deals: *active_deals,
            ..rep(id, if *speaks { &spanish } else { &plain })
        }).collect();
        let leads: Vec<Lead<'_>> = leads.iter().map(|(priority, wants)| Lead { priority: *priority, ..lead(wants.then_some("es"), &[]) }).collect();
        let policy = Policy::default();
        let placed = optimise(&problem(&leads, &team, NOON, &policy), 5).placement;
        let mut given = vec![0; team.len()];
        for (lead, rep) in leads.iter().zip(&placed.reps) {
            let alone = choose(*lead, &team, NOON, &policy);
            if let Some(rep) = rep {
                given[*rep as usize] += 1;
                let rep = &team[*rep as usize];
                prop_assert!(rep.status != RepStatus::Off && rep.status != RepStatus::Break);
            }
            // A lead alone has the best rep; it waits only if nobody has a place.
            prop_assert!(alone.rep().is_some() || rep.is_none());
        }
        for (rep, given) in team.iter().zip(given) {
            prop_assert!(given == 0 || rep.active_leads + given <= rep.terms.lead_cap);
        }
        if leads.len() == 1 {
            let alone = choose(leads[0], &team, NOON, &policy);
            prop_assert_eq!(alone.rep().map(|ranked| (ranked.unmet, ranked.score.total())), placed.reps[0].map(|rep| {
                let rep = &team[rep as usize];
                (alone.demand.unmet(rep), Score::of(&leads[0], rep).total())
            }));
        }
    }
}
