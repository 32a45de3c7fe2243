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
