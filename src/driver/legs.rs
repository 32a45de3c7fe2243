//! The connections to ensembles.

use super::pipe::Pipe;
use crate::config::Server;
use crate::net::Peer;
use crate::route::EnsembleId;
use crate::telemetry::{CountedLeg, Telemetry};

/// A pipe per ensemble, in the order of their numbers. Most clients have home's only, and every
/// frame looks for its pipe: so it is a short list, of the length it needs.
pub(super) struct Legs {
    open: Vec<Leg>,
    /// The server of the one that was closed last, to be told when that is spoken of.
    closed: Option<(EnsembleId, Peer)>,
}

struct Leg {
    ensemble: EnsembleId,
    pipe: Pipe,
    /// The server at its other end.
    peer: Peer,
    _counted: CountedLeg,
}

impl Legs {
    pub(super) fn new(ensemble: EnsembleId, pipe: Pipe, peer: Peer, telemetry: &Telemetry) -> Self {
        let mut legs = Self {
            open: Vec::with_capacity(1),
            closed: None,
        };
        legs.insert(ensemble, pipe, peer, telemetry);
        legs
    }

    fn place(&self, ensemble: EnsembleId) -> Result<usize, usize> {
        self.open
            .binary_search_by_key(&ensemble, |leg| leg.ensemble)
    }

    pub(super) fn contains(&self, ensemble: EnsembleId) -> bool {
        self.place(ensemble).is_ok()
    }

    /// The server that a leg's connection goes to.
    pub(super) fn peer(&self, ensemble: EnsembleId) -> Option<&Peer> {
        let at = self.place(ensemble).ok()?;
        self.open.get(at).map(|leg| &leg.peer)
    }

    /// The server that a leg is connected to, or was until just now.
    pub(super) fn server(&self, ensemble: EnsembleId) -> Option<&Server> {
        let closed = || self.closed.as_ref().filter(|(of, _)| *of == ensemble);
        let peer = self.peer(ensemble);
        let peer = peer.or_else(|| closed().map(|(_, peer)| peer));
        peer.map(|peer| &peer.server)
    }

    pub(super) fn get_mut(&mut self, ensemble: EnsembleId) -> Option<&mut Pipe> {
        let at = self.place(ensemble).ok()?;
        self.open.get_mut(at).map(|leg| &mut leg.pipe)
    }

    /// The server that was closed last has nothing to do with what is dialled now.
    pub(super) fn dialling(&mut self) {
        self.closed = None;
    }

    /// Adds a pipe to a server, in the place of the one there may be.
    pub(super) fn insert(
        &mut self,
        ensemble: EnsembleId,
        pipe: Pipe,
        peer: Peer,
        telemetry: &Telemetry,
    ) {
        self.remove(ensemble);
        let (Ok(at) | Err(at)) = self.place(ensemble);
        let leg = Leg {
            ensemble,
            pipe,
            peer,
            _counted: telemetry.open_leg(ensemble),
        };
        self.open.insert(at, leg);
    }

    /// Takes the pipe out, which closes it.
    pub(super) fn remove(&mut self, ensemble: EnsembleId) -> Option<Pipe> {
        let at = self.place(ensemble).ok()?;
        let Leg { pipe, peer, .. } = self.open.remove(at);
        self.closed = Some((ensemble, peer));
        Some(pipe)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (EnsembleId, &mut Pipe)> {
        self.open
            .iter_mut()
            .map(|leg| (leg.ensemble, &mut leg.pipe))
    }

    /// The servers that are connected to.
    pub(super) fn servers(&self) -> impl Iterator<Item = (EnsembleId, &Server)> {
        self.open.iter().map(|leg| (leg.ensemble, &leg.peer.server))
    }

    pub(super) fn pipes(&self) -> impl Iterator<Item = &Pipe> {
        self.open.iter().map(|leg| &leg.pipe)
    }

    /// The first ensemble behind this one, or of all: to go through them while legs come and go.
    pub(super) fn behind(&self, ensemble: Option<EnsembleId>) -> Option<EnsembleId> {
        let mut ids = self.open.iter().map(|leg| leg.ensemble);
        ids.find(|leg| Some(*leg) > ensemble)
    }
}
