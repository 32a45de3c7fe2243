//! The client's credentials, on every leg.

use super::event::ClientFault;
use super::leg::Owner;
use super::{Output, Session, Tick, Verdict};
use crate::route::EnsembleId;
use crate::wire::Xid;
use crate::wire::request::{self, Request};

/// Bytes of auth packets a connection may add: they are kept for legs to come.
const AUTH_LIMIT: usize = 64 * 1024;

impl Session {
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
