//! Which parts are taken out, and what must fall without them.

use crate::bounds;
use crate::elision;
use crate::properties::{COMES_BACK, LEAK, NO_DEADLOCK, NO_TIMER, ONE_AT_A_TIME, ORDER, REPLIES};
use crate::scenario::{Scenario, Start};
use zoonet::route::BarrierKind;

/// A change of the program's text.
pub(super) struct Mutation {
    pub(super) name: &'static str,
    pub(super) file: &'static str,
    /// What stands there, once.
    pub(super) needle: &'static str,
    /// What stands there instead; `MUTATED` is whether the mutation is in force.
    pub(super) instead: &'static str,
}

pub(super) const MUTATIONS: [Mutation; 24] = [
    Mutation {
        name: "no drain",
        file: "src/session/request.rs",
        needle: ".is_none_or(super::leg::Leg::is_drained)",
        instead: ".is_none_or(|leg| MUTATED || leg.is_drained())",
    },
    Mutation {
        name: "no barrier",
        file: "src/session/switch.rs",
        needle: "Some(barrier)) => Go::Behind(barrier),",
        instead: "Some(barrier)) => if MUTATED {
            self.lead = Lead::Happened;
            Go::Forward
        } else {
            Go::Behind(barrier)
        },",
    },
    Mutation {
        name: "a failed lead stays one",
        file: "src/session/switch.rs",
        needle: "(false, Lead::Asked) => self.lead = Lead::None,",
        instead: "(false, Lead::Asked) => {
                        self.lead = if MUTATED { Lead::Happened } else { Lead::None };
                    }",
    },
    Mutation {
        name: "any sync leads where a lead is asked for",
        file: "src/session/switch.rs",
        needle: "Access::Sync if !syncs(barrier())",
        instead: "Access::Sync if !(MUTATED && self.lead == Lead::Asked) && !syncs(barrier())",
    },
    Mutation {
        name: "a switch does not wait for what went straight",
        file: "src/session/request.rs",
        needle: "        self.unfold();",
        instead: "        if !MUTATED {
            self.unfold();
        }",
    },
    Mutation {
        name: "what comes home goes straight",
        file: "src/session/switch.rs",
        needle: "self.current == on",
        instead: "(MUTATED || self.current == on)",
    },
    Mutation {
        name: "what has no lead goes straight",
        file: "src/session/switch.rs",
        needle: "&& self.lead == Lead::Happened",
        instead: "&& (MUTATED || self.lead == Lead::Happened)",
    },
    Mutation {
        name: "withheld reads are shown",
        file: "src/session/switch.rs",
        needle: "Access::Read => Trust::Withhold,",
        instead: "Access::Read => if MUTATED { Trust::Show } else { Trust::Withhold },",
    },
    Mutation {
        name: "a session attached again leads",
        file: "src/session/switch.rs",
        needle: "let led = origin == Origin::New",
        instead: "let led = MUTATED || origin == Origin::New",
    },
    Mutation {
        name: "a lost leg keeps its lead",
        file: "src/session/switch.rs",
        needle: "if self.current == ensemble && self.map == Map::Composed {",
        instead: "if !MUTATED && self.current == ensemble && self.map == Map::Composed {",
    },
    Mutation {
        name: "legs forget their zxid",
        file: "src/session/leg.rs",
        needle: "last_zxid_seen: self.zxid,",
        instead: "last_zxid_seen: if MUTATED { Zxid::NONE } else { self.zxid },",
    },
    Mutation {
        name: "sync at a leader",
        file: "src/session/switch.rs",
        needle: "| None) => Some(Barrier::Quorum),",
        instead: "| None) => Some(if MUTATED { Barrier::Sync } else { Barrier::Quorum }),",
    },
    Mutation {
        name: "remote zxids are shown",
        file: "src/session/answer.rs",
        needle: "Stamp::Home => reply::set_zxid(payload, self.shown),",
        instead: "Stamp::Home if MUTATED => {}
            Stamp::Home => reply::set_zxid(payload, self.shown),",
    },
    Mutation {
        name: "barriers are answered to the client",
        file: "src/session/answer.rs",
        needle: "self.swallow(ensemble, answered.owner, &header, now);",
        instead: "self.swallow(ensemble, answered.owner, &header, now);
            if MUTATED && matches!(answered.owner, Owner::Barrier(_)) {
                return Ok(Verdict::ToClient);
            }",
    },
    Mutation {
        name: "replies pass as they come",
        file: "src/session/pipeline.rs",
        needle: "let first = self.first == seq && ",
        instead: "let first = (MUTATED || self.first == seq) && ",
    },
    Mutation {
        name: "what was on a lost leg is not answered",
        file: "src/session.rs",
        needle: "if let Owner::Client { seq, part, .. } = lost.owner {",
        instead: "if !MUTATED && let Owner::Client { seq, part, .. } = lost.owner {",
    },
    Mutation {
        name: "a drain releases nothing",
        file: "src/session/answer.rs",
        needle: "if !self.pipeline.flows() {",
        instead: "if !MUTATED && !self.pipeline.flows() {",
    },
    Mutation {
        name: "barriers are elided for ever",
        file: "src/session/switch/elision.rs",
        needle: "others.all(|(from, zxid)| covered",
        instead: "MUTATED || others.all(|(from, zxid)| covered",
    },
    Mutation {
        name: "one other ensemble is looked at",
        file: "src/session/switch/elision.rs",
        needle: "let mut others = shown.0.iter().filter(|(from, _)| *from != to);",
        instead: "let others = shown.0.iter().filter(|(from, _)| *from != to);
            let mut others = others.take(if MUTATED { 1 } else { usize::MAX });",
    },
    Mutation {
        name: "the last reply tells what was shown",
        file: "src/session/switch/elision.rs",
        needle: "*known = zxid.max(*known),",
        instead: "*known = if MUTATED { zxid } else { zxid.max(*known) },",
    },
    Mutation {
        name: "updates elsewhere are no news",
        file: "src/session/switch/elision.rs",
        needle: "Access::Ordered | Access::Sync => return Some(News::Untold),",
        instead: "Access::Ordered if MUTATED => return None,
        Access::Ordered | Access::Sync => return Some(News::Untold),",
    },
    Mutation {
        name: "leads outlive their connection",
        file: "src/session/switch.rs",
        needle: "elision.lost(ensemble);",
        instead: "if !MUTATED { elision.lost(ensemble); }",
    },
    Mutation {
        name: "leads cover what is told when they are answered",
        file: "src/session/switch/elision.rs",
        needle: "self.covered.insert(to, told);",
        instead: "self.covered.insert(to, if MUTATED { self.told.clone() } else { told });",
    },
    Mutation {
        name: "barriers that failed cover as well",
        file: "src/session/switch.rs",
        // As the mutation above leaves it.
        needle: "(false, Lead::Asked) => {",
        instead: "(false, Lead::Asked) => {
                        if MUTATED && let Some(elision) = &mut self.elision {
                            elision.led(from);
                        }",
    },
];

/// A look for what a mutation breaks.
pub(super) struct Hunt {
    /// The mutations in force.
    pub(super) mutations: &'static [&'static str],
    pub(super) scenario: fn() -> Scenario,
    /// The property that falls, if one does.
    pub(super) falls: Option<&'static str>,
}

pub(super) const HUNTS: [Hunt; 32] = [
    Hunt {
        mutations: &[],
        scenario: Scenario::smallest,
        falls: None,
    },
    Hunt {
        mutations: &["no drain"],
        scenario: Scenario::smallest,
        falls: Some(ONE_AT_A_TIME),
    },
    Hunt {
        mutations: &["no drain"],
        scenario: Scenario::smallest,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["no barrier"],
        scenario: Scenario::smallest,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["no barrier"],
        scenario: quorum,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a failed lead stays one"],
        scenario: barrier_turned_away,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a failed lead stays one"],
        scenario: bounds::led_by_an_update,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["any sync leads where a lead is asked for"],
        scenario: bounds::sync_at_leaders,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a switch does not wait for what went straight"],
        scenario: Scenario::smallest,
        falls: Some(ONE_AT_A_TIME),
    },
    Hunt {
        mutations: &["what comes home goes straight"],
        scenario: Scenario::smallest,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["what has no lead goes straight"],
        scenario: bounds::read_after_coming_back,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["withheld reads are shown"],
        scenario: barrier_turned_away,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["withheld reads are shown"],
        scenario: bounds::led_by_an_update,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a session attached again leads"],
        scenario: bounds::read_after_coming_back,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a lost leg keeps its lead"],
        scenario: bounds::read_after_a_move,
        falls: None,
    },
    Hunt {
        mutations: &["legs forget their zxid"],
        scenario: bounds::read_after_a_move,
        falls: None,
    },
    Hunt {
        mutations: &["a lost leg keeps its lead", "legs forget their zxid"],
        scenario: bounds::read_after_a_move,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["sync at a leader"],
        scenario: bounds::through_leaders,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["remote zxids are shown"],
        scenario: Scenario::smallest,
        falls: Some(COMES_BACK),
    },
    Hunt {
        mutations: &["barriers are answered to the client"],
        scenario: from_the_first_dial_on,
        falls: Some(LEAK),
    },
    Hunt {
        mutations: &["no drain", "replies pass as they come"],
        scenario: Scenario::smallest,
        falls: Some(REPLIES),
    },
    Hunt {
        mutations: &["what was on a lost leg is not answered"],
        scenario: bounds::read_after_a_move,
        falls: Some(NO_DEADLOCK),
    },
    Hunt {
        mutations: &["a drain releases nothing"],
        scenario: Scenario::smallest,
        falls: Some(NO_TIMER),
    },
    Hunt {
        mutations: &["barriers are elided for ever"],
        scenario: elision::misled_by_stat,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["barriers are elided for ever"],
        scenario: elision::misled_by_header,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["one other ensemble is looked at"],
        scenario: elision::misled_by_way_of_a_third,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["the last reply tells what was shown"],
        scenario: elision::misled_by_the_other_znode,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["updates elsewhere are no news"],
        scenario: elision::writer,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["leads outlive their connection"],
        scenario: elision::moves_between_reads,
        falls: None,
    },
    Hunt {
        mutations: &["leads outlive their connection", "legs forget their zxid"],
        scenario: elision::moves_between_reads,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["leads cover what is told when they are answered"],
        scenario: elision::misled_by_stat,
        falls: None,
    },
    Hunt {
        mutations: &["barriers that failed cover as well"],
        scenario: elision::barrier_turned_away,
        falls: Some(ORDER),
    },
];

fn quorum() -> Scenario {
    Scenario {
        barrier: BarrierKind::Quorum,
        ..Scenario::smallest()
    }
}

fn barrier_turned_away() -> Scenario {
    Scenario {
        budget: bounds::TURNED_AWAY,
        ..Scenario::smallest()
    }
}

/// On the way to where the others start the leak would already be there.
fn from_the_first_dial_on() -> Scenario {
    Scenario {
        start: Start::Cold,
        ..Scenario::smallest()
    }
}
