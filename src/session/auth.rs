//! Credentials: the client's, on every leg, and the sidecar's own, on the legs they are meant for.
//!
//! # Decisions
//!
//! * The sidecar's own come first, so that they are there before anything else is asked, and under
//!   numbers of our own: the client may well use −4 for its own on the same connection.
//! * One that is refused is left out from then on, as a client's is (T19), and said loudly. The
//!   other way, no leg without it, would take away all of an ensemble for the sake of a part of it.
//!   Home closes the client's connection over it, once; see [`Session::unwelcome_identities`].
//! * What a change of the configuration adds is told to connections that are there only if it is a
//!   digest, which no server refuses: a slip in any other would cost all clients their connections
//!   to home at once.
//! * ZooKeeper takes no identity back. What is removed from a configuration is gone with the next
//!   connection.

use std::fmt;
use std::sync::Arc;

use super::event::{ClientFault, Event};
use super::leg::Owner;
use super::{Output, Session, Tick, Verdict};
use crate::route::EnsembleId;
use crate::wire::Xid;
use crate::wire::request::{self, Request};

/// Bytes of auth packets a connection may add: they are kept for legs to come.
const AUTH_LIMIT: usize = 64 * 1024;

/// Credentials the sidecar adds of its own: what `addAuth` takes. `Debug` leaves the secret out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    scheme: Arc<str>,
    auth: Arc<[u8]>,
}

impl Identity {
    /// What `addAuth scheme auth` would add.
    #[must_use]
    pub fn new(scheme: &str, auth: &[u8]) -> Self {
        Self {
            scheme: scheme.into(),
            auth: auth.into(),
        }
    }

    /// How the ensemble is to read it: `digest`, mostly.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What it says.
    #[must_use]
    pub fn auth(&self) -> &[u8] {
        &self.auth
    }

    /// Whether every server takes it, whatever it says (protocol.md 10).
    fn is_harmless(&self) -> bool {
        self.scheme() == "digest"
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Credentials of the sidecar's own that an ensemble has refused. Whoever opens the next session
    /// leaves them out: home would close that connection as well.
    pub fn unwelcome_identities(&self) -> impl Iterator<Item = (EnsembleId, &Identity)> {
        let home = (self.settings.home(), &self.legs.home);
        let legs = self.legs.remotes().chain([home]);
        legs.flat_map(|(ensemble, leg)| {
            leg.unwelcome
                .iter()
                .map(move |identity| (ensemble, identity))
        })
    }

    /// Gives a new connection of a leg the credentials of the sidecar's own.
    pub(super) fn introduce(&mut self, ensemble: EnsembleId, now: Tick) {
        self.introduce_as(ensemble, |_| true, now);
    }

    /// Gives a leg's present connection those that it has not got yet and that do it no harm.
    pub(super) fn introduce_anew(&mut self, ensemble: EnsembleId, now: Tick) {
        self.introduce_as(ensemble, Identity::is_harmless, now);
    }

    fn introduce_as(&mut self, ensemble: EnsembleId, which: impl Fn(&Identity) -> bool, now: Tick) {
        let settings = Arc::clone(&self.settings);
        for identity in settings.identities(ensemble).iter().filter(|i| which(i)) {
            let leg = self.legs.get(ensemble);
            if leg.introduced.contains(identity) || leg.unwelcome.contains(identity) {
                continue;
            }
            let xid = leg.own_xid();
            leg.push(xid, Owner::Identity(leg.introduced.len()), now);
            leg.introduced.push(identity.clone());
            let frame = request::auth(xid, &identity.scheme, &identity.auth);
            self.outputs.push_back(Output::ToLeg(ensemble, frame));
        }
    }

    /// The ensemble refuses these credentials of the sidecar's own, and closes next.
    pub(super) fn unwelcome(&mut self, ensemble: EnsembleId, index: usize, err: i32) {
        let leg = self.legs.get(ensemble);
        if let Some(identity) = leg.introduced.get(index) {
            leg.unwelcome.insert(identity.clone());
        }
        self.happened(Event::IdentityRefused { ensemble, err });
    }

    /// Credentials go to home, whose answer the client gets, and to every remote leg: to those to
    /// come from the list.
    pub(super) fn auth(
        &mut self,
        request: &Request<'_>,
        now: Tick,
    ) -> Result<Verdict, ClientFault> {
        let bytes: usize = self.auths.iter().map(Vec::len).sum();
        if bytes + request.payload.len() > AUTH_LIMIT {
            return Err(ClientFault::TooManyAuths { limit: AUTH_LIMIT });
        }
        self.step(request, self.settings.home(), request.frame(), now)
    }

    /// Adds the credentials at `index` to a remote leg, unless its ensemble refuses them (T19).
    pub(super) fn add_auth(&mut self, ensemble: EnsembleId, index: usize, now: Tick) {
        let leg = self.legs.get(ensemble);
        let Some(payload) = self
            .auths
            .get(index)
            .filter(|_| !leg.refused_auths.contains(&index))
        else {
            return;
        };
        let frame = request::with_xid(payload, Xid::AUTH);
        leg.push(Xid::AUTH, Owner::Auth(index), now);
        self.outputs.push_back(Output::ToLeg(ensemble, frame));
    }
}
