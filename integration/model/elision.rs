//! `elide_barriers`: barriers are left out, and everything holds that held with them.
//!
//! Clients begin with a lead on either ensemble that covers what they have seen of the other, so that
//! there is something to leave out from the start. Two of the rule's parts stand behind each other, as
//! those of the rule itself do (`mutants.rs`): a lead is of one connection, and that which replaces it
//! is not behind it. That a lead covers what was told of when it was *sent* makes no difference here, as
//! nothing is shown while it is under way: nothing else is, and there are no watches. Where there are,
//! it does (`session::tests::eliding::an_event_between_a_lead_and_its_answer_is_news`). Pings take
//! time, of which there is none here: that they lead nothing is
//! `session::tests::eliding::pings_show_nothing_and_lead_nothing`.

use super::bounds::{HOME_LOSS, LEG_LOSS, TURNED_AWAY};
use super::explore::explore;
use super::scenario::{
    Ask, Budget, EU, FRESH, LAGGING, Profile, Replies, Scenario, Start, US, X, X2, Y, Y2, Z, Znode,
};
use zoonet::route::BarrierKind;
use zoonet::session::Shown;

/// Every way of telling what was shown.
const WAYS: [Shown; 2] = [Shown::Stat, Shown::Header];

const READS: [Ask; 2] = [Ask::Read(X), Ask::Read(Y)];

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

/// Client 1 looks at any of these so many times while client 2 writes to these one after the other. It
/// lives where it writes first: not on the server that client 1 reads from there and that lags.
fn looks(shown: Shown, looks: &[Znode], times: usize, writes: &[Znode]) -> Scenario {
    let reads: Vec<Ask> = looks.iter().copied().map(Ask::Read).collect();
    let home = writes.first().map_or(EU, |znode| znode.ensemble);
    let writes: Vec<Ask> = writes.iter().copied().map(Ask::Write).collect();
    let (onlooker, writer) = (
        Profile::any(US, &reads, times),
        Profile::exactly(home, &writes),
    );
    eliding(shown, vec![onlooker, writer])
}

/// A change of one ensemble is seen on the way to another one, from which a third is looked at that
/// may not have what was before it.
pub(crate) fn misled_by_way_of_a_third() -> Scenario {
    looks(Shown::Stat, &[X, Y, Z], 4, &[Z, Y])
}

/// Of two znodes of an ensemble the one is seen that has not changed.
pub(crate) fn misled_by_the_other_znode() -> Scenario {
    looks(Shown::Stat, &[X, X2, Y], 3, &[Y, X2])
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
    onlooker(Shown::Stat, [Ask::Write(Y), Ask::Write(X)])
}

pub(crate) fn misled_by_header() -> Scenario {
    onlooker(Shown::Header, [Ask::Write(Y), Ask::Write(X)])
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
    let writer = Profile::exactly(US, &[Ask::Write(Y), Ask::Read(X)]);
    let other = Profile::exactly(US, &[Ask::Write(X), Ask::Read(Y)]);
    Scenario {
        budget: LEG_LOSS,
        reachable: &[FRESH, LAGGING],
        ..eliding(Shown::Stat, vec![writer, other])
    }
}

/// Client 1's remote connection may go over to another server before it reads there again.
pub(crate) fn moves_between_reads() -> Scenario {
    let asks = [Y, X, Y, X, Y].map(Ask::Read);
    let reader = Profile::exactly(US, &asks);
    let writer = Profile::exactly(EU, &[Ask::Write(Y)]);
    Scenario {
        start: Start::Cold,
        budget: LEG_LOSS,
        reachable: &[FRESH, LAGGING],
        ..eliding(Shown::Stat, vec![reader, writer])
    }
}

/// A barrier may be turned away.
pub(crate) fn barrier_turned_away() -> Scenario {
    let asks = [Ask::Write(X), Ask::Read(Y), Ask::Read(X), Ask::Read(Y)];
    let reader = Profile::exactly(US, &asks);
    let writer = Profile::exactly(EU, &[Ask::Write(Y), Ask::Read(X)]);
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
            [Ask::Write(X), Ask::Write(Y)],
            [Ask::Write(Y), Ask::Write(X)],
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
        ..onlooker(Shown::Stat, [Ask::Write(Y), Ask::Write(X)])
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
        ..onlooker(Shown::Stat, [Ask::Write(Y), Ask::Write(X)])
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

/// Every two different znodes of these, in both orders.
fn pairs(znodes: &[Znode]) -> impl Iterator<Item = [Znode; 2]> {
    let second = |first: Znode| znodes.iter().map(move |second| [first, *second]);
    let all = znodes.iter().copied().flat_map(second);
    all.filter(|[first, second]| first != second)
}

#[test]
fn three_ensembles_are_looked_at() {
    for (shown, writes) in WAYS
        .into_iter()
        .flat_map(|way| pairs(&[X, Y, Z]).map(move |pair| (way, pair)))
    {
        let title = format!("elided by {shown:?}, three ensembles, four reads against {writes:?}");
        explore(&title, &looks(shown, &[X, Y, Z], 4, &writes)).holds();
    }
}

#[test]
fn two_znodes_of_each_are_looked_at() {
    for shown in WAYS {
        for writes in [[X, Y], [Y, X], [X, X2]] {
            let title =
                format!("elided by {shown:?}, two znodes each, three reads against {writes:?}");
            explore(&title, &looks(shown, &[X, X2, Y, Y2], 3, &writes)).holds();
        }
    }
}

/// Both ask for anything of these znodes.
fn anything(shown: Shown, znodes: &[Znode], [one, other]: [usize; 2]) -> Scenario {
    let reads = znodes.iter().copied().map(Ask::Read);
    let asks: Vec<Ask> = reads
        .chain(znodes.iter().copied().map(Ask::Write))
        .collect();
    let clients = vec![Profile::any(US, &asks, one), Profile::any(EU, &asks, other)];
    eliding(shown, clients)
}

#[test]
#[ignore = "millions of states"]
fn larger_elided_on_three_ensembles() {
    for shown in WAYS {
        for (what, znodes) in [
            ("three ensembles", &[X, Y, Z][..]),
            ("two znodes each", &[X, X2, Y, Y2]),
        ] {
            let title = format!("elided by {shown:?}, {what}, any three against two");
            explore(&title, &anything(shown, znodes, [3, 2])).holds();
            for writes in pairs(znodes) {
                let title = format!("elided by {shown:?}, {what}, five reads against {writes:?}");
                explore(&title, &looks(shown, znodes, 5, &writes)).holds();
                let lossy = Scenario {
                    budget: LEG_LOSS,
                    reachable: &[FRESH, LAGGING],
                    ..looks(shown, znodes, 4, &writes)
                };
                let title = format!(
                    "elided by {shown:?}, {what}, four reads against {writes:?}, a leg is lost"
                );
                explore(&title, &lossy).holds();
            }
        }
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
            ..onlooker(shown, [Ask::Write(Y), Ask::Write(X)])
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
        let third = Profile::exactly(US, &[Ask::Read(X), Ask::Read(Y), Ask::Read(X)]);
        let three = eliding(
            shown,
            vec![
                Profile::any(US, &READS, 3),
                Profile::exactly(EU, &[Ask::Write(Y), Ask::Read(X)]),
                third,
            ],
        );
        explore(&title(", three clients"), &three).holds();
    }
}
