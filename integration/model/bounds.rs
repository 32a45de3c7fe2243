//! What is explored, each up to a stated bound.
//!
//! Every test prints how many states there were. All of them together take some minutes on two
//! slow cores; the ones that take longer are ignored and run by
//!
//! ```text
//! cargo test --release --test model -- --ignored --nocapture larger
//! ```

use super::explore::explore;
use super::properties::ORDER;
use super::scenario::{
    Ask, Budget, EU, FRESH, LAGGING, Profile, Replies, Roles, Scenario, Start, US, X, Y,
};
use zoonet::route::BarrierKind;
use zoonet::wire::words::Role;

/// Nothing goes wrong.
const NOTHING: Budget = Budget {
    leg_losses: 0,
    home_losses: 0,
    turned_away: 0,
    deposals: 0,
};

/// A server turns one ordered request away.
pub(crate) const TURNED_AWAY: Budget = Budget {
    turned_away: 1,
    ..NOTHING
};

/// A remote connection breaks once.
pub(crate) const LEG_LOSS: Budget = Budget {
    leg_losses: 1,
    ..NOTHING
};

/// A client's connection breaks once.
pub(crate) const HOME_LOSS: Budget = Budget {
    home_losses: 1,
    ..NOTHING
};

/// One leader is deposed and does not know it.
const DEPOSAL: Budget = Budget {
    deposals: 1,
    ..NOTHING
};

/// Any two reads and writes of each of two clients.
fn any_two() -> Scenario {
    Scenario::any(&Ask::ALL, 2)
}

/// The update that was to lead client 1's read can be turned away.
pub(crate) fn led_by_an_update() -> Scenario {
    Scenario {
        budget: TURNED_AWAY,
        ..Scenario::new(vec![
            Profile::exactly(US, &[Ask::Write(X), Ask::Write(Y), Ask::Read(Y)]),
            Profile::exactly(EU, &[Ask::Write(Y)]),
        ])
    }
}

/// Client 1 reads home first thing after it has come back. The other lives there as well, so that
/// what it writes there need not pass through the server that lags.
pub(crate) fn read_after_coming_back() -> Scenario {
    Scenario {
        budget: HOME_LOSS,
        ..Scenario::new(vec![
            Profile::exactly(US, &[Ask::Write(Y), Ask::Read(X)]),
            Profile::exactly(US, &[Ask::Write(X), Ask::Read(Y)]),
        ])
    }
}

/// Client 1's remote connection goes over to another server between two reads.
pub(crate) fn read_after_a_move() -> Scenario {
    Scenario {
        start: Start::Cold,
        reachable: &[FRESH, LAGGING],
        budget: LEG_LOSS,
        ..Scenario::new(vec![
            Profile::exactly(US, &[Ask::Read(Y), Ask::Read(Y)]),
            Profile::exactly(EU, &[Ask::Write(Y)]),
        ])
    }
}

/// The lagging servers lead their ensembles.
pub(crate) fn through_leaders() -> Scenario {
    Scenario {
        lagging: Role::Leader,
        ..Scenario::smallest()
    }
}

#[test]
fn the_smallest_system_without_barriers() {
    let scenario = Scenario {
        barrier: BarrierKind::None,
        ..Scenario::smallest()
    };
    explore("smallest, no barriers", &scenario).violates(ORDER);
}

#[test]
fn the_smallest_system() {
    explore("smallest, sync", &Scenario::smallest()).holds();
    let quorum = Scenario {
        barrier: BarrierKind::Quorum,
        ..Scenario::smallest()
    };
    explore("smallest, quorum", &quorum).holds();
}

#[test]
fn two_clients_ask_anything() {
    explore("any two requests each", &any_two()).holds();
}

#[test]
fn two_clients_ask_anything_and_replies_are_delayed() {
    let scenario = Scenario {
        replies: Replies::Delayed,
        ..any_two()
    };
    explore("any two each, replies delayed", &scenario).holds();
}

#[test]
fn legs_are_opened_anywhere_and_roles_learnt_late() {
    let scenario = Scenario {
        start: Start::Cold,
        roles: Roles::Late,
        reachable: &[FRESH, LAGGING],
        ..Scenario::smallest()
    };
    explore("smallest, from the first dial on", &scenario).holds();
}

#[test]
fn a_leg_is_lost() {
    let scenario = Scenario {
        budget: LEG_LOSS,
        reachable: &[FRESH, LAGGING],
        ..any_two()
    };
    explore("any two each, a leg is lost", &scenario).holds();
    explore("a leg moves between reads", &read_after_a_move()).holds();
}

#[test]
fn a_request_is_turned_away() {
    let scenario = Scenario {
        budget: TURNED_AWAY,
        ..any_two()
    };
    explore("any two each, one is turned away", &scenario).holds();
    explore("an update that leads is turned away", &led_by_an_update()).holds();
}

#[test]
fn a_client_comes_back() {
    let scenario = Scenario {
        budget: HOME_LOSS,
        window: 1,
        ..any_two()
    };
    explore("any two each, a client comes back", &scenario).holds();
    explore("a read after coming back", &read_after_coming_back()).holds();
}

#[test]
fn three_requests_are_pipelined() {
    let scenario = Scenario {
        window: 3,
        ..Scenario::new(vec![
            Profile::any(US, &Ask::ALL, 3),
            Profile::exactly(EU, &[Ask::Write(Y), Ask::Read(X)]),
        ])
    };
    explore("three in a row against two", &scenario).holds();
}

/// Client 1 asks for a `sync` of its own, which does nothing there, and the barrier in front of it may
/// be turned away; so may that of what it asks for behind.
pub(crate) fn sync_at_leaders() -> Scenario {
    let read = vec![Ask::Read(Y)];
    let any = vec![Ask::Read(Y), Ask::Write(Y)];
    let script = vec![vec![Ask::Write(X)], vec![Ask::Sync(Y)], read, any];
    Scenario {
        budget: Budget {
            turned_away: 2,
            ..NOTHING
        },
        window: 3,
        lagging: Role::Leader,
        ..Scenario::new(vec![
            Profile { home: US, script },
            Profile::exactly(EU, &[Ask::Write(Y), Ask::Read(X)]),
        ])
    }
}

#[test]
fn clients_send_syncs_of_their_own() {
    let asks = [Ask::Write(X), Ask::Sync(Y), Ask::Read(Y)];
    let scenario = Scenario {
        budget: TURNED_AWAY,
        ..Scenario::new(vec![
            Profile::exactly(US, &asks),
            Profile::exactly(EU, &[Ask::Write(Y), Ask::Read(X)]),
        ])
    };
    explore("a sync of the client's own", &scenario).holds();
    explore("a sync of the client's own, at leaders", &sync_at_leaders()).holds();
}

#[test]
fn three_clients() {
    let scenario = Scenario::new(vec![
        Profile::any(US, &Ask::ALL, 2),
        Profile::exactly(EU, &[Ask::Write(Y), Ask::Read(X)]),
        Profile::exactly(US, &[Ask::Read(X), Ask::Read(Y)]),
    ]);
    explore("three clients, one asks anything", &scenario).holds();
}

#[test]
fn where_sync_is_a_no_op_the_quorum_is_asked() {
    explore("smallest, at leaders", &through_leaders()).holds();
}

#[test]
fn a_deposed_leader_defeats_sync_and_not_the_quorum() {
    let sync = Scenario {
        budget: DEPOSAL,
        ..Scenario::smallest()
    };
    explore("smallest, a leader is deposed, sync", &sync).violates(ORDER);
    let quorum = Scenario {
        barrier: BarrierKind::Quorum,
        ..sync
    };
    explore("smallest, a leader is deposed, quorum", &quorum).holds();
}

#[test]
#[ignore = "millions of states"]
fn larger_three_requests_each() {
    explore("any three each", &Scenario::any(&Ask::ALL, 3)).holds();
}

#[test]
#[ignore = "hundreds of thousands of states"]
fn larger_three_clients() {
    let scenario = Scenario::new(vec![
        Profile::any(US, &Ask::ALL, 2),
        Profile::any(EU, &Ask::ALL, 2),
        Profile::exactly(US, &[Ask::Read(X), Ask::Read(Y)]),
    ]);
    explore("three clients, two ask anything", &scenario).holds();
}

#[test]
#[ignore = "hundreds of thousands of states"]
fn larger_everything_goes_wrong() {
    let scenario = Scenario {
        reachable: &[FRESH, LAGGING],
        budget: Budget {
            leg_losses: 1,
            home_losses: 1,
            turned_away: 1,
            deposals: 0,
        },
        ..Scenario::smallest()
    };
    explore("smallest, everything goes wrong once", &scenario).holds();
}

#[test]
#[ignore = "hundreds of thousands of states each"]
fn larger_with_mishaps() {
    let late = Scenario {
        start: Start::Cold,
        roles: Roles::Late,
        ..any_two()
    };
    explore("any two each, from the first dial on", &late).holds();
    let home = Scenario {
        budget: HOME_LOSS,
        ..any_two()
    };
    explore("any two pipelined each, a client comes back", &home).holds();
    let deposed = Scenario {
        barrier: BarrierKind::Quorum,
        budget: DEPOSAL,
        ..any_two()
    };
    explore("any two each, a leader is deposed, quorum", &deposed).holds();
}
