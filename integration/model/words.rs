//! Explorations told in words: one line per step, and what a client learns by it.

use std::fmt::Write;

use super::ensemble::Server;
use super::history::{Asked, Outcome};
use super::order;
use super::scenario::{Ask, FRESH, name};
use super::world::{Action, World};
use zoonet::route::EnsembleId;
use zoonet::wire::frames::PREFIX;
use zoonet::wire::request::Request;

/// The verdict where nothing was found.
pub(crate) const HOLDS: &str = "verdict: every property holds";
/// What stands before the property that fell.
pub(crate) const FALLS: &str = "verdict: a counter-example to: ";

/// A counter-example: the states it leads through, each with what led there.
pub(crate) fn tell(property: &str, steps: &[(Option<Action>, World)]) -> String {
    let mut told = format!("{FALLS}{property}\n");
    for (number, pair) in steps.windows(2).enumerate() {
        let [(_, before), (Some(action), after)] = pair else {
            continue;
        };
        let _ = writeln!(told, "  {:2}. {}", number + 1, step(before, *action));
        for line in learnt(before, after) {
            let _ = writeln!(told, "        → {line}");
        }
    }
    let Some((_, last)) = steps.last() else {
        return told;
    };
    if let Some(cycle) = order::cycle(last) {
        told.push_str(
            "  each of these must come before the next, and the last before the first:\n",
        );
        for place in cycle {
            let asked = last.clients[place.client].asked[place.index];
            let _ = writeln!(told, "        {}", operation(place.client, &asked));
        }
    }
    told
}

fn step(world: &World, action: Action) -> String {
    let next = |client: usize, ensemble: EnsembleId| {
        let mut wires = world.clients[client].wires();
        let wire = wires.find(|(of, _)| *of == ensemble).map(|(_, wire)| wire);
        let frame = wire.and_then(|wire| wire.up.front());
        frame.map_or_else(|| "nothing".to_owned(), |frame| requested(frame))
    };
    match action {
        Action::Ask(client, ask) => format!("{} asks: {}", who(client), asks(ask)),
        Action::Serve(client, to) => {
            let what = next(client, to);
            format!("{}'s server of {} takes the {what}", who(client), name(to))
        }
        Action::TurnAway(client, to) => {
            let what = next(client, to);
            let (who, to) = (who(client), name(to));
            format!("{who}'s server of {to} turns the {what} away unseen")
        }
        Action::Deliver(client, of) => format!("a reply of {} reaches {}", name(of), who(client)),
        Action::Apply(of) => format!("the lagging server of {} applies a transaction", name(of)),
        Action::Dial(client, to, server) => {
            format!(
                "{} reaches the {} server of {}",
                who(client),
                kind(server),
                name(to)
            )
        }
        Action::LearnRole(client, of) => format!("{} learns a role at {}", who(client), name(of)),
        Action::LoseLeg(client, to) => {
            format!("{}'s connection to {} breaks", who(client), name(to))
        }
        Action::LoseHome(client) => format!("{}'s connection to home breaks", who(client)),
        Action::Reconnect(client, server) => {
            format!(
                "{} comes back through the {} server of home",
                who(client),
                kind(server)
            )
        }
        Action::ServeLate(client) => {
            format!(
                "a server takes what {}'s lost connection had sent",
                who(client)
            )
        }
        Action::Depose(of) => format!("a leader of {} is deposed, unawares", name(of)),
        Action::Rejoin(of) => format!("the lagging server of {} finds its new leader", name(of)),
        Action::Wait => "nothing happens until the next deadline".to_owned(),
    }
}

/// What clients know after a step that they did not know before.
fn learnt(before: &World, after: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for (place, (old, new)) in before.clients.iter().zip(&after.clients).enumerate() {
        for (was, is) in old.asked.iter().zip(&new.asked) {
            if was.outcome != is.outcome {
                lines.push(operation(place, is));
            }
        }
        if let Some(fault) = new.fault.filter(|_| old.fault.is_none()) {
            lines.push(format!("{}: {fault:?}", who(place)));
        }
        if old.seen != new.seen {
            lines.push(format!("{} has seen zxid {}", who(place), new.seen));
        }
    }
    lines
}

fn operation(client: usize, asked: &Asked) -> String {
    let came = match asked.outcome {
        Outcome::Waiting => "not answered".to_owned(),
        Outcome::Read(None) => "nothing was written yet".to_owned(),
        Outcome::Read(Some(written)) => format!("what {} wrote", who(written.by().0)),
        Outcome::Done => "done".to_owned(),
        Outcome::Lost => "CONNECTIONLOSS".to_owned(),
        Outcome::Refused => "refused".to_owned(),
    };
    format!("{}, {}: {came}", who(client), asks(asked.ask))
}

fn who(client: usize) -> String {
    format!("client {}", client + 1)
}

const fn kind(server: Server) -> &'static str {
    match server {
        FRESH => "fresh",
        _ => "lagging",
    }
}

fn asks(ask: Ask) -> String {
    let path = ask.znode().path;
    match ask {
        Ask::Read(_) => format!("read {path}"),
        Ask::Write(_) => format!("write {path}"),
        Ask::Sync(_) => format!("sync {path}"),
    }
}

/// A request under way, and whose it is.
fn requested(frame: &[u8]) -> String {
    Request::parse(&frame[PREFIX..]).map_or_else(
        |_| "frame".to_owned(),
        |request| {
            let whose = if request.xid.number() > 0 {
                ""
            } else {
                "injected "
            };
            format!("{whose}{}", request.op.shape().name)
        },
    )
}
