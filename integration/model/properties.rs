//! What holds in every state, and how it is decided.

use super::client::{Client, Stage, is_clients};
use super::ensemble::Told;
use super::history::{Fault, Outcome};
use super::order;
use super::scenario::{Budget, Scenario};
use super::world::World;
use stateright::Property;
use zoonet::session::Tick;

/// The names under which a counter-example is reported.
pub(crate) const ORDER: &str = "there is one order of everything, OSC(U)";
pub(crate) const REPLIES: &str = "replies come once each and in order";
pub(crate) const LEAK: &str = "nothing arrives that was not asked for";
pub(crate) const ONE_AT_A_TIME: &str = "one ensemble at most has requests outstanding";
pub(crate) const NO_DEADLOCK: &str = "nobody waits for ever";
pub(crate) const NO_TIMER: &str = "nothing waits for a timer unless something went wrong";
pub(crate) const COMES_BACK: &str = "home knows every zxid its client has seen";
pub(crate) const CONNECTED: &str = "no client is disconnected while home is there";

/// That the exploration has seen what it is about.
pub(crate) const ALL_DONE: &str = "some way through, everybody is done";
pub(crate) const LOST: &str = "some way through, something is not told or refused";

pub(crate) fn all(budget: Budget) -> Vec<Property<Scenario>> {
    let mut all = vec![
        Property::always(ORDER, |_, world: &World| order::cycle(world).is_none()),
        Property::always(REPLIES, |_, world: &World| {
            !faults(world).any(|fault| matches!(fault, Fault::Overtaken(_)))
        }),
        Property::always(LEAK, |_, world: &World| {
            !faults(world).any(|fault| matches!(fault, Fault::Unasked(_)))
        }),
        Property::always(CONNECTED, |_, world: &World| {
            !faults(world).any(|fault| matches!(fault, Fault::Dropped | Fault::Expired))
        }),
        Property::always(ONE_AT_A_TIME, |_, world: &World| {
            let mut clients = world.clients.iter();
            clients.all(|client| outstanding(world, client) <= 1)
        }),
        Property::always(COMES_BACK, |_, world: &World| {
            let mut clients = world.clients.iter();
            clients.all(|client| client.seen <= world.last_zxid(client.home()))
        }),
        Property::always(NO_DEADLOCK, |scenario: &Scenario, world: &World| {
            let mut actions = Vec::new();
            world.actions(scenario, &mut actions);
            world.is_over() || faults(world).next().is_some() || !actions.is_empty()
        }),
        Property::always(NO_TIMER, |scenario: &Scenario, world: &World| {
            world.now == Tick::default() || world.left != scenario.budget
        }),
        Property::sometimes(ALL_DONE, |_, world: &World| {
            let mut asked = world.clients.iter().flat_map(|client| &client.asked);
            world.is_over()
                && asked.all(|asked| matches!(asked.outcome, Outcome::Read(_) | Outcome::Done))
        }),
    ];
    if budget != Budget::default() {
        all.push(Property::sometimes(LOST, |_, world: &World| {
            let mut asked = world.clients.iter().flat_map(|client| &client.asked);
            world.is_over()
                && asked.any(|asked| matches!(asked.outcome, Outcome::Lost | Outcome::Refused))
        }));
    }
    all
}

fn faults(world: &World) -> impl Iterator<Item = Fault> {
    world.clients.iter().filter_map(|client| client.fault)
}

/// On how many ensembles requests of a client are under way or not yet answered.
fn outstanding(world: &World, client: &Client) -> usize {
    let busy = client.wires().filter(|(ensemble, wire)| {
        let mut pending = world.ensembles[ensemble.index()].pending(wire.link);
        let answered = |told: &Told| match told {
            Told::Frame(frame) => is_clients(frame),
            Told::Closed => false,
        };
        pending.any(|xid| xid > 0)
            || wire.up.iter().any(|frame| is_clients(frame))
            || wire.down.iter().any(answered)
    });
    match client.stage {
        Stage::Connected(_) => busy.count(),
        Stage::Away { .. } | Stage::Done => 0,
    }
}
