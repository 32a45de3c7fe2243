//! The connections to ensembles.

use std::net::SocketAddr;

use super::pipe::Pipe;
use crate::route::EnsembleId;
use crate::telemetry::{CountedLeg, Telemetry};

/// A pipe per ensemble, in the order of their numbers. Most clients have home's only, and every
/// frame looks for its pipe: so it is a short list, of the length it needs.
pub(super) struct Legs(Vec<(EnsembleId, Pipe, CountedLeg)>);

impl Legs {
    pub(super) fn new(home: EnsembleId, pipe: Pipe, telemetry: &Telemetry) -> Self {
        Self(vec![(home, pipe, telemetry.open_leg(home))])
    }

    fn place(&self, ensemble: EnsembleId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&ensemble, |(leg, ..)| *leg)
    }

    pub(super) fn contains(&self, ensemble: EnsembleId) -> bool {
        self.place(ensemble).is_ok()
    }

    pub(super) fn get(&self, ensemble: EnsembleId) -> Option<&Pipe> {
        let at = self.place(ensemble).ok()?;
        self.0.get(at).map(|(_, pipe, _)| pipe)
    }

    pub(super) fn get_mut(&mut self, ensemble: EnsembleId) -> Option<&mut Pipe> {
        let at = self.place(ensemble).ok()?;
        self.0.get_mut(at).map(|(_, pipe, _)| pipe)
    }

    /// Adds a pipe, in the place of the one there may be.
    pub(super) fn insert(&mut self, ensemble: EnsembleId, pipe: Pipe, telemetry: &Telemetry) {
        self.remove(ensemble);
        let (Ok(at) | Err(at)) = self.place(ensemble);
        let counted = telemetry.open_leg(ensemble);
        self.0.insert(at, (ensemble, pipe, counted));
    }

    /// Takes the pipe out, which closes it.
    pub(super) fn remove(&mut self, ensemble: EnsembleId) -> Option<Pipe> {
        let at = self.place(ensemble).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (EnsembleId, &mut Pipe)> {
        self.0
            .iter_mut()
            .map(|(ensemble, pipe, _)| (*ensemble, pipe))
    }

    /// The servers that are connected to.
    pub(super) fn peers(&self) -> impl Iterator<Item = (EnsembleId, SocketAddr)> {
        self.0
            .iter()
            .filter_map(|(ensemble, pipe, _)| Some((*ensemble, pipe.peer()?)))
    }

    pub(super) fn pipes(&self) -> impl Iterator<Item = &Pipe> {
        self.0.iter().map(|(_, pipe, _)| pipe)
    }

    /// The first ensemble behind this one, or of all: to go through them while legs come and go.
    pub(super) fn behind(&self, ensemble: Option<EnsembleId>) -> Option<EnsembleId> {
        let mut ids = self.0.iter().map(|(leg, ..)| *leg);
        ids.find(|leg| Some(*leg) > ensemble)
    }
}
