//! Whether a run was as it has to be.

use std::collections::BTreeSet;
use std::fmt;

use super::client::{Client, Mark, Owned};
use super::ensemble::Ensemble;
use super::world::{ROOT, World};
use crate::checker::{self, History};

/// What was broken: the kind by which a shrunk run counts as the same failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    /// There is a total order as the guarantee wants it.
    Osc,
    /// Replies come in order, one each; nothing comes that was not asked for.
    Replies,
    /// Everything comes to an end.
    Ends,
    /// Whatever changed under a watch was told.
    Watches,
    /// The ephemerals that are there are those of the sessions that are.
    Ephemerals,
    /// No session is left that nobody has.
    Sessions,
    /// Nothing panics.
    Panic,
}

/// What was broken, and how.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) property: Property,
    pub(crate) what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.property, self.what)
    }
}

/// The first thing that is wrong with a run that is over.
pub(super) fn judge(world: &World) -> Result<(), Broken> {
    let broken = |property, what| Err(Broken { property, what });
    if let Some(wrong) = world.clients.iter().find_map(|client| client.wrong.first()) {
        return broken(Property::Replies, wrong.clone());
    }
    order(world)?;
    if world.hung {
        let late = world.clients.iter().filter(|client| !client.is_done());
        let late: Vec<String> = late.map(Client::situation).collect();
        return broken(Property::Ends, late.join("; "));
    }
    for client in &world.clients {
        if let Some(missed) = missed(world, client) {
            return broken(Property::Watches, missed);
        }
    }
    ephemerals(world)?;
    sessions(world)
}

fn order(world: &World) -> Result<(), Broken> {
    let lines = world.clients.iter().flat_map(|client| &client.told);
    let text: Vec<&str> = lines.map(String::as_str).collect();
    let text = text.join("\n");
    let broken = |what| Broken {
        property: Property::Osc,
        what,
    };
    let history = History::read(text.as_bytes()).map_err(|error| broken(error.to_string()))?;
    let verdict = checker::check(&history).map_err(|error| broken(error.to_string()))?;
    match verdict.violation {
        Some(violation) => Err(broken(violation.to_string())),
        None => Ok(()),
    }
}

/// The ensemble of a path, and what it is called there.
fn place<'a>(world: &'a World, path: &str) -> Option<(&'a Ensemble, String)> {
    let (number, name) = if let Some(rest) = path.strip_prefix("/legacy") {
        (1, format!("{ROOT}{rest}"))
    } else if path.starts_with("/eu") {
        (1, path.to_owned())
    } else if path.starts_with("/asia") {
        (2, path.to_owned())
    } else {
        (0, path.to_owned())
    };
    Some((world.ensembles.get(number)?, name))
}

/// A watch that is armed although what it watches has changed.
fn missed(world: &World, client: &Client) -> Option<String> {
    let watches = &client.watches;
    let of_data = watches.data.iter().chain(&watches.exist);
    let of_children = watches.child.iter();
    let all = of_data
        .map(|(path, mark)| (path, mark, false))
        .chain(of_children.map(|(path, mark)| (path, mark, true)));
    for (path, mark, children) in all {
        let (ensemble, name) = place(world, path)?;
        let node = ensemble.tip().node(&name);
        let now = node.map_or(Mark::Absent, |node| {
            Mark::Zxid(if children { node.pzxid } else { node.mzxid })
        });
        if now != *mark {
            return Some(format!(
                "client {} watches {path} since {mark:x?}, it is at {now:x?}, and was not told",
                client.number
            ));
        }
    }
    None
}

fn ephemerals(world: &World) -> Result<(), Broken> {
    let broken = |what| {
        Err(Broken {
            property: Property::Ephemerals,
            what,
        })
    };
    let mut expected = BTreeSet::new();
    let mut allowed = BTreeSet::new();
    for client in &world.clients {
        for (path, owned) in &client.own {
            if let Some((_, name)) = place(world, path) {
                if *owned == Owned::Certainly {
                    expected.insert(name.clone());
                }
                allowed.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    for ensemble in &world.ensembles {
        found.extend(ensemble.tip().ephemerals().map(|(path, _)| path.to_owned()));
    }
    if let Some(lost) = expected.difference(&found).next() {
        return broken(format!("{lost} is gone, its client's session is not"));
    }
    if let Some(left) = found.difference(&allowed).next() {
        return broken(format!(
            "{left} is still there, its client's session is not"
        ));
    }
    Ok(())
}

fn sessions(world: &World) -> Result<(), Broken> {
    for client in &world.clients {
        let home = world.ensembles.get(client.sidecar);
        if !home.is_some_and(|home| home.sessions().any(|id| id == client.session())) {
            let (number, session) = (client.number, client.session());
            return Err(Broken {
                property: Property::Sessions,
                what: format!(
                    "client {number} is live with {session:#x}, home knows no such session"
                ),
            });
        }
    }
    for (number, ensemble) in world.ensembles.iter().enumerate() {
        let sessions = ensemble.sessions().count();
        if sessions > world.clients.len() {
            return Err(Broken {
                property: Property::Sessions,
                what: format!(
                    "ensemble {number} has {sessions} sessions of {} clients",
                    world.clients.len()
                ),
            });
        }
    }
    Ok(())
}
