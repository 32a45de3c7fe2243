//! `elide_barriers`: barriers are left out, and everything holds that held with them.
//!
//! Clients begin with a lead on either ensemble that covers what they have seen of the other, so that
//! there is something to leave out from the start. Two of the rule's parts stand behind each other, as
//! those of the rule itself do (`mutants.rs`): a lead is of one connection, and that which replaces it
//! is not behind it. That a lead covers what was seen when it was *sent* makes no difference here, as
//! nothing is shown while it is under way: nothing else is, and there are no watches. Where there are,
//! it does (`session::tests::eliding::an_event_between_a_lead_and_its_answer_is_news`). Pings take
//! time, of which there is none here: that they lead nothing is
//! `session::tests::eliding::pings_show_nothing_and_lead_nothing`.

use super::bounds::{HOME_LOSS, LEG_LOSS, TURNED_AWAY};
use super::explore::explore;
use super::scenario::{Ask, Budget, EU, FRESH, LAGGING, Profile, Replies, Scenario, Start, US};
use zoonet::route::BarrierKind;
use zoonet::session::Shown;

/// Every way of telling what was shown.
const WAYS: [Shown; 2] = [Shown::Stat, Shown::Header];

const READS: [Ask; 2] = [Ask::Read(US), Ask::Read(EU)];

fn eliding(shown: Shown, clients: Vec<Profile>) -> Scenario {
    Scenario {
        elide: Some(shown),
        ..Scenario::new(clients)
    }
}

/// Client 1 looks to and fro four times while client 2 writes on one side and then on the other.
fn onlooker(shown: Shown, writes: [Ask; 2]) -> Scenario {
    let (onlooker, writer) = (Profile::any(US, &READS, 4), Profile::exactly(EU, &writes));
    eliding(shown, vec![onlooker, writer])
}

/// Client 1 asks any three, client 2 any two.
fn any(shown: Shown) -> Scenario {
    let (one, other) = (
        Profile::any(US, &Ask::ALL, 3),
        Profile::any(EU, &Ask::ALL, 2),
    );
    eliding(shown, vec![one, other])
}

pub(crate) fn misled_by_stat() -> Scenario {
    onlooker(Shown::Stat, [Ask::Write(EU), Ask::Write(US)])
}

pub(crate) fn misled_by_header() -> Scenario {
    onlooker(Shown::Header, [Ask::Write(EU), Ask::Write(US)])
}

/// Each writes at home and reads the other ensemble, as in the paper's smallest counter-example.
pub(crate) fn writer() -> Scenario {
    Scenario {
        elide: Some(Shown::Stat),
        ..Scenario::smallest()
    }
}

/// Client 1 writes on a connection that may break, so that it never knows whether it has written,
/// and reads home.
pub(crate) fn writer_whose_answer_is_lost() -> Scenario {
    let writer = Profile::exactly(US, &[Ask::Write(EU), Ask::Read(US)]);
    let other = Profile::exactly(US, &[Ask::Write(US), Ask::Read(EU)]);
    Scenario {
        budget: LEG_LOSS,
        reachable: &[FRESH, LAGGING],
        ..eliding(Shown::Stat, vec![writer, other])
    }
}

/// Client 1's remote connection may go over to another server before it reads there again.
pub(crate) fn moves_between_reads() -> Scenario {
    let asks = [EU, US, EU, US, EU].map(Ask::Read);
    let reader = Profile::exactly(US, &asks);
    let writer = Profile::exactly(EU, &[Ask::Write(EU)]);
    Scenario {
        start: Start::Cold,
        budget: LEG_LOSS,
        reachable: &[FRESH, LAGGING],
        ..eliding(Shown::Stat, vec![reader, writer])
    }
}

/// A barrier may be turned away.
pub(crate) fn barrier_turned_away() -> Scenario {
    let asks = [Ask::Write(US), Ask::Read(EU), Ask::Read(US), Ask::Read(EU)];
    let reader = Profile::exactly(US, &asks);
    let writer = Profile::exactly(EU, &[Ask::Write(EU), Ask::Read(US)]);
    Scenario {
        budget: TURNED_AWAY,
        window: 1,
        ..eliding(Shown::Stat, vec![reader, writer])
    }
}

#[test]
fn an_onlooker_is_not_misled() {
    for shown in WAYS {
        for writes in [
            [Ask::Write(US), Ask::Write(EU)],
            [Ask::Write(EU), Ask::Write(US)],
        ] {
            let title = format!("elided by {shown:?}, four reads against {writes:?}");
            explore(&title, &onlooker(shown, writes)).holds();
        }
    }
}

#[test]
fn writers_see_each_other() {
    explore("smallest, elided", &writer()).holds();
    let title = "smallest, elided, an answer is lost";
    explore(title, &writer_whose_answer_is_lost()).holds();
    let quorum = Scenario {
        barrier: BarrierKind::Quorum,
        ..writer()
    };
    explore("smallest, quorum, elided", &quorum).holds();
}

#[test]
fn what_goes_wrong_costs_a_barrier() {
    explore("elided, a leg moves between reads", &moves_between_reads()).holds();
    explore("elided, one is turned away", &barrier_turned_away()).holds();
    let comes_back = Scenario {
        budget: HOME_LOSS,
        window: 1,
        ..onlooker(Shown::Stat, [Ask::Write(EU), Ask::Write(US)])
    };
    explore("elided, a client comes back", &comes_back).holds();
}

#[test]
fn a_quorum_covers_what_a_deposed_leader_does_not_know() {
    let deposed = Scenario {
        budget: Budget {
            deposals: 1,
            ..Budget::default()
        },
        barrier: BarrierKind::Quorum,
        ..onlooker(Shown::Stat, [Ask::Write(EU), Ask::Write(US)])
    };
    explore("elided, a leader is deposed, quorum", &deposed).holds();
}

#[test]
fn two_clients_ask_anything() {
    for shown in WAYS {
        let title = format!("elided by {shown:?}, any two each");
        let two = Scenario {
            elide: Some(shown),
            ..Scenario::any(&Ask::ALL, 2)
        };
        explore(&title, &two).holds();
    }
}

#[test]
#[ignore = "hundreds of thousands of states each, millions together"]
fn larger_elided() {
    for shown in WAYS {
        let title = |what: &str| format!("elided by {shown:?}, any three against two{what}");
        explore(&title(""), &any(shown)).holds();
        let delayed = Scenario {
            replies: Replies::Delayed,
            ..onlooker(shown, [Ask::Write(EU), Ask::Write(US)])
        };
        explore(&title(", replies delayed"), &delayed).holds();
        let lossy = Scenario {
            budget: LEG_LOSS,
            reachable: &[FRESH, LAGGING],
            ..any(shown)
        };
        explore(&title(", a leg is lost"), &lossy).holds();
        let turned = Scenario {
            budget: TURNED_AWAY,
            ..any(shown)
        };
        explore(&title(", one is turned away"), &turned).holds();
        let third = Profile::exactly(US, &[Ask::Read(US), Ask::Read(EU), Ask::Read(US)]);
        let three = eliding(
            shown,
            vec![
                Profile::any(US, &READS, 3),
                Profile::exactly(EU, &[Ask::Write(EU), Ask::Read(US)]),
                third,
            ],
        );
        explore(&title(", three clients"), &three).holds();
    }
}
