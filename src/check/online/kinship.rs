//! Which servers are of one ensemble: an ensemble grants its own sessions to whoever knows their
//! password, and refuses those of any other.

use tokio::task::JoinSet;

use super::Found;
use crate::config::Server;
use crate::dial::Dialer;
use crate::route::EnsembleId;
use crate::wire::connect::{ConnectRequest, ConnectResponse, Credentials};
use crate::wire::{SessionId, Zxid};

/// The session timeout asked for, milliseconds: every server compared renews it.
const TIMEOUT: i32 = 30_000;

/// What the comparison came to; servers that did not answer are left out.
#[derive(Debug, Default)]
pub(super) struct Kinship {
    /// Servers that do not know the sessions of the ensemble they are listed in, with the one of
    /// its servers they were compared with.
    pub(super) strangers: Vec<(EnsembleId, Server, Server)>,
    /// Ensembles that are the same one.
    pub(super) same: Vec<(EnsembleId, EnsembleId)>,
}

/// A session opened for the comparison.
struct Witness {
    ensemble: EnsembleId,
    /// Which opened it.
    server: Server,
    session: Credentials,
    /// Of the ensemble's clock: one ensemble has one.
    epoch: Option<i64>,
    /// The other servers that are listed with it and serve.
    others: Vec<Server>,
}

/// Compares all servers that serve.
pub(super) async fn find(dialer: &Dialer, found: &[Found]) -> Kinship {
    let mut kinship = Kinship::default();
    let witnesses = open_all(dialer, found).await;
    let mut under_way = JoinSet::new();
    for (place, witness) in witnesses.iter().enumerate() {
        // Each pair once, and only where the clocks do not tell them apart already.
        let later = witnesses.get(place + 1..).unwrap_or_default();
        let twins = later
            .iter()
            .filter(|other| match (witness.epoch, other.epoch) {
                (Some(one), Some(other)) => one == other,
                (None, _) | (_, None) => true,
            });
        let twins = twins.map(|other| (other.ensemble, other.server.clone()));
        let twins: Vec<(EnsembleId, Server)> = twins.collect();
        let (others, session) = (witness.others.clone(), witness.session.clone());
        let (dialer, ensemble) = (dialer.clone(), witness.ensemble);
        let by = witness.server.clone();
        under_way.spawn(async move {
            let mut kinship = Kinship::default();
            for server in others {
                if knows(&dialer, (ensemble, &server), &session).await == Some(false) {
                    kinship.strangers.push((ensemble, server, by.clone()));
                }
            }
            for (other, server) in twins {
                if knows(&dialer, (other, &server), &session).await == Some(true) {
                    kinship.same.push((ensemble, other));
                }
            }
            // Where that fails it times out.
            let _ = dialer.end(ensemble, &session).await;
            kinship
        });
    }
    while let Some(Ok(part)) = under_way.join_next().await {
        kinship.strangers.extend(part.strangers);
        kinship.same.extend(part.same);
    }
    kinship.strangers.sort();
    kinship.same.sort_unstable();
    kinship
}

async fn open_all(dialer: &Dialer, found: &[Found]) -> Vec<Witness> {
    let mut under_way = JoinSet::new();
    for ensemble in found {
        let mut serving = ensemble.serving().into_iter();
        let Some(first) = serving.next() else {
            continue;
        };
        let (id, server) = (ensemble.id, first.server.clone());
        let epoch = first.facts().map(|facts| facts.zxid.epoch());
        let others = serving.map(|probe| probe.server.clone()).collect();
        let dialer = dialer.clone();
        under_way.spawn(async move {
            match greet(&dialer, (id, &server), None).await? {
                ConnectResponse::Granted(session) => Some(Witness {
                    ensemble: id,
                    server,
                    session,
                    epoch,
                    others,
                }),
                ConnectResponse::Refused => None,
            }
        });
    }
    let mut witnesses: Vec<Witness> = under_way.join_all().await.into_iter().flatten().collect();
    witnesses.sort_by_key(|witness| witness.ensemble);
    witnesses
}

/// Whether a server's ensemble knows a session; `None` if it does not answer.
async fn knows(
    dialer: &Dialer,
    server: (EnsembleId, &Server),
    session: &Credentials,
) -> Option<bool> {
    match greet(dialer, server, Some(session)).await? {
        ConnectResponse::Granted(_) => Some(true),
        ConnectResponse::Refused => Some(false),
    }
}

/// Asks a server for a session, or for a new one.
async fn greet(
    dialer: &Dialer,
    (ensemble, server): (EnsembleId, &Server),
    session: Option<&Credentials>,
) -> Option<ConnectResponse> {
    let password = session.map_or([0; 16], |session| session.password);
    let request = ConnectRequest {
        last_zxid_seen: Zxid::NONE,
        timeout: TIMEOUT,
        session: session.map_or(SessionId::NONE, |session| session.session),
        password: password.to_vec(),
        read_only: Some(false),
    };
    let attached = dialer.shake(ensemble, server, &request.frame()).await;
    let attached = attached.ok()?;
    Some(attached.response)
}
