//! What becomes of servers.

use std::ops::RangeInclusive;

use super::{Attached, Ensemble, Link, State};

impl Ensemble {
    /// The transactions a server has not applied.
    pub(in crate::simulation) fn behind(&self, server: usize) -> RangeInclusive<usize> {
        let applied = self.servers.get(server).map_or(0, |server| server.applied);
        applied + 1..=self.log.len()
    }

    /// The next so many ordered requests to a server are turned away unseen.
    pub(in crate::simulation) fn throttle(&mut self, server: usize, requests: u32) {
        if let Some(server) = self.servers.get_mut(server) {
            server.throttled = requests;
        }
    }

    /// A server goes down; without one that is up, and while there is no leader, nothing is ordered.
    /// Returns whose connections break.
    pub(in crate::simulation) fn down(&mut self, server: usize) -> Vec<Link> {
        self.set(server, State::Down);
        let leads = self.leader == Some(server);
        if leads {
            self.leader = None;
            self.term += 1;
        }
        self.drop_links(|link| leads || link.server == server)
    }

    /// A server is back, with what it had applied.
    pub(in crate::simulation) fn up(&mut self, server: usize) {
        self.set(server, State::Up);
    }

    /// The first server that is up leads, if none does.
    pub(in crate::simulation) fn elect(&mut self, now: u64) {
        if self.leader.is_some() {
            return;
        }
        let furthest = (0..self.servers.len())
            .filter(|server| matches!(self.servers.get(*server), Some(found) if found.state == State::Up))
            .min_by_key(|server| self.behind(*server).count());
        if furthest.is_some() {
            self.leader = furthest;
            self.sessions
                .values_mut()
                .for_each(|session| session.heard = now);
        }
    }

    /// A server goes astray: it takes a deposed leader for its own.
    pub(in crate::simulation) fn astray(&mut self, server: usize) {
        if self.leader != Some(server) && self.is_up(server) {
            self.set(server, State::Astray);
        }
    }

    /// It finds out. Returns whose connections break.
    pub(in crate::simulation) fn found(&mut self, server: usize) -> Vec<Link> {
        if !matches!(self.servers.get(server), Some(found) if found.state == State::Astray) {
            return Vec::new();
        }
        self.set(server, State::Up);
        self.drop_links(|link| link.server == server)
    }

    fn set(&mut self, server: usize, state: State) {
        if let Some(server) = self.servers.get_mut(server) {
            server.state = state;
        }
    }

    fn drop_links(&mut self, which: impl Fn(&Attached) -> bool) -> Vec<Link> {
        let all = self.links.iter();
        let gone: Vec<Link> = all
            .filter(|(_, attached)| which(attached))
            .map(|(link, _)| *link)
            .collect();
        for link in &gone {
            self.links.remove(link);
        }
        gone
    }
}
