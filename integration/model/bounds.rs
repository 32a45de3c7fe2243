//! What is explored, each up to a stated bound.

use super::explore::explore;
use super::properties::ORDER;
use super::scenario::{
    Ask, Budget, EU, FRESH, LAGGING, Profile, Replies, Roles, Scenario, Start, US,
};
use zoonet::route::BarrierKind;
use zoonet::wire::words::Role;

#[test]
fn smallest() {
    explore("smallest", &Scenario::smallest()).holds();
}

#[test]
fn without_barriers() {
    let scenario = Scenario {
        barrier: BarrierKind::None,
        ..Scenario::smallest()
    };
    explore("without barriers", &scenario).violates(ORDER);
}

#[test]
fn any2() {
    explore("any2", &Scenario::any(&Ask::ALL, 2)).holds();
}
#[test]
fn any2delayed() {
    explore(
        "any2delayed",
        &Scenario {
            replies: Replies::Delayed,
            ..Scenario::any(&Ask::ALL, 2)
        },
    )
    .holds();
}
#[test]
fn any2late() {
    explore(
        "any2late",
        &Scenario {
            start: Start::Cold,
            roles: Roles::Late,
            ..Scenario::any(&Ask::ALL, 2)
        },
    )
    .holds();
}
#[test]
fn any2loss() {
    explore(
        "any2loss",
        &Scenario {
            budget: Budget {
                leg_losses: 1,
                ..Budget::default()
            },
            ..Scenario::any(&Ask::ALL, 2)
        },
    )
    .holds();
}
#[test]
fn any2away() {
    explore(
        "any2away",
        &Scenario {
            budget: Budget {
                turned_away: 1,
                ..Budget::default()
            },
            ..Scenario::any(&Ask::ALL, 2)
        },
    )
    .holds();
}
#[test]
fn any2home() {
    explore(
        "any2home",
        &Scenario {
            budget: Budget {
                home_losses: 1,
                ..Budget::default()
            },
            ..Scenario::any(&Ask::ALL, 2)
        },
    )
    .holds();
}
#[test]
fn any2depose() {
    explore(
        "any2deposesync",
        &Scenario {
            budget: Budget {
                deposals: 1,
                ..Budget::default()
            },
            ..Scenario::any(&Ask::ALL, 2)
        },
    )
    .violates(ORDER);
    explore(
        "any2depose",
        &Scenario {
            barrier: BarrierKind::Quorum,
            budget: Budget {
                deposals: 1,
                ..Budget::default()
            },
            ..Scenario::any(&Ask::ALL, 2)
        },
    )
    .holds();
}
#[test]
fn leader() {
    explore(
        "leader",
        &Scenario {
            lagging: Role::Leader,
            ..Scenario::any(&Ask::ALL, 2)
        },
    )
    .holds();
}
#[test]
fn any3() {
    explore("any3", &Scenario::any(&Ask::ALL, 3)).holds();
}
