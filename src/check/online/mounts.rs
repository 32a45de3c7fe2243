//! Whether routes lead to nodes that are there.
//!
//! A route needs its *mount point*, the node its prefix stands for on its ensemble: nothing can be
//! created below a node that does not exist. And it shows among the children of its parent only if
//! a *placeholder* of its name exists there, on the ensemble that has the parent.

use std::time::Duration;

use tokio::time::timeout;
use zookeeper_async::{Acl, CreateMode, ZkError, ZkResult, ZooKeeper};

use super::{Found, Missing};
use crate::config::Config;
use crate::route::{EnsembleId, Rule};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found out about one route.
#[derive(Debug)]
pub(super) struct Mount {
    /// Its prefix, as clients see it.
    pub(super) prefix: String,
    /// What the prefix stands for.
    pub(super) point: Node,
    /// What makes it show among its parent's children; `None` where that is the mount point itself.
    pub(super) placeholder: Option<Node>,
}

/// A node that should be there.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) ensemble: EnsembleId,
    /// Its path there.
    pub(super) path: String,
    pub(super) state: State,
}

/// Whether it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    There,
    /// It is not, but its parent is: a client can make it.
    Missing,
    /// Nor is this node above it.
    OutOfReach {
        missing: String,
    },
    /// It was made just now, with this many nodes above it.
    Made {
        above: usize,
    },
    /// It was to be made, and could not; why.
    Failed(String),
    /// Its ensemble does not answer.
    Unknown,
}

/// Looks at the nodes of all routes, parents first, and makes those that are missing if told to.
pub(super) async fn find(config: &Config, found: &[Found], missing: Missing) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for rule in config.routes.rules() {
        // The top of a namespace is there, and shows nowhere.
        let prefix = rule.prefix();
        let Some(parent) = parent(prefix) else {
            continue;
        };
        let owner = config.routes.route(parent);
        let point = (rule.ensemble(), rule.root().unwrap_or(prefix).to_vec());
        let placeholder = (owner.ensemble(), real_child(owner, prefix));
        let placeholder = match placeholder {
            same if same == point => None,
            other => Some(look(found, other, missing).await),
        };
        mounts.push(Mount {
            prefix: String::from_utf8_lossy(prefix).into_owned(),
            point: look(found, point, missing).await,
            placeholder,
        });
    }
    mounts
}

/// The path of `prefix` where its parent's rule leads to.
fn real_child(owner: &Rule, prefix: &[u8]) -> Vec<u8> {
    owner.to_real(prefix).into_owned()
}

/// The path above; `None` of the root.
fn parent(path: &[u8]) -> Option<&[u8]> {
    match path.iter().rposition(|byte| *byte == b'/')? {
        0 if path.len() == 1 => None,
        0 => path.get(..1),
        slash => path.get(..slash),
    }
}

async fn look(found: &[Found], (ensemble, path): (EnsembleId, Vec<u8>), missing: Missing) -> Node {
    let path = String::from_utf8_lossy(&path).into_owned();
    let client = found.get(ensemble.index()).and_then(Found::client);
    let state = match client {
        None => State::Unknown,
        Some(client) => match state_of(client, &path).await {
            Ok(State::Missing | State::OutOfReach { .. }) if missing == Missing::Create => {
                make(client, &path).await
            }
            Ok(state) => state,
            Err(_) => State::Unknown,
        },
    };
    Node {
        ensemble,
        path,
        state,
    }
}

async fn state_of(client: &ZooKeeper, path: &str) -> ZkResult<State> {
    if is_there(client, path).await? {
        return Ok(State::There);
    }
    for above in ancestors(path) {
        if !is_there(client, above).await? {
            let missing = above.to_owned();
            return Ok(State::OutOfReach { missing });
        }
    }
    Ok(State::Missing)
}

async fn is_there(client: &ZooKeeper, path: &str) -> ZkResult<bool> {
    let stat = within_bounds(client.exists(path, false)).await?;
    Ok(stat.is_some())
}

async fn within_bounds<T>(request: impl Future<Output = ZkResult<T>>) -> ZkResult<T> {
    let answer = timeout(PATIENCE, request).await;
    answer.unwrap_or(Err(ZkError::OperationTimeout))
}

/// The nodes above a path, the topmost first, without the root.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.match_indices('/').map(|(at, _)| at);
    slashes
        .filter_map(|at| path.get(..at))
        .filter(|above| !above.is_empty())
}

/// Makes a node and those above it. That somebody else does so too is no failure.
async fn make(client: &ZooKeeper, path: &str) -> State {
    let mut above = 0;
    for node in ancestors(path).chain([path]) {
        let create = client.create(
            node,
            Vec::new(),
            Acl::open_unsafe().clone(),
            CreateMode::Persistent,
        );
        match within_bounds(create).await {
            Ok(_) if node != path => above += 1,
            // A node above may be closed to us and what is below it open.
            Ok(_) | Err(ZkError::NodeExists) => {}
            Err(ZkError::NoAuth) if is_there(client, node).await == Ok(true) => {}
            Err(error) => return State::Failed(why(node, error)),
        }
    }
    State::Made { above }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign enum; its own word is good enough"
)]
fn why(node: &str, error: ZkError) -> String {
    match error {
        ZkError::NoAuth => format!("the ACL above {node} denies it"),
        ZkError::NoChildrenForEphemerals => format!("what is above {node} is ephemeral"),
        ZkError::NotReadOnly => "the ensemble is read-only".to_owned(),
        ZkError::OperationTimeout => format!("no answer within {PATIENCE:?}"),
        error => format!("{node}: {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_and_ancestors() {
        assert_eq!(parent(b"/"), None);
        assert_eq!(parent(b"/a"), Some(&b"/"[..]));
        assert_eq!(parent(b"/a/b"), Some(&b"/a"[..]));
        let above: Vec<&str> = ancestors("/a/b/c").collect();
        assert_eq!(above, ["/a", "/a/b"]);
        assert_eq!(ancestors("/a").count(), 0);
        assert_eq!(ancestors("/").count(), 0);
    }
}
