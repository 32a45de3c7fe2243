//! What breaks, and how it is mended.

use std::pin::pin;
use std::task::{Context, Waker};

use zoonet::state::Store;

use super::{Event, Far, Greeted, Line, Link, Phase, World};
use crate::simulation::ensemble::Ensemble;
use crate::simulation::plan::{Fault, SERVERS, Way};

/// How long an ensemble is without a leader.
const ELECTION: u64 = 300;

/// How long a sidecar takes to start after it has stopped.
const RESTART: u64 = 200;

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulation) enum Heal {
    Up(usize, usize),
    Found(usize, usize),
    Elect(usize),
}

impl World {
    /// Something breaks, as planned.
    pub(super) fn strike(&mut self, number: usize) {
        let Some((_, fault)) = self.plan.faults.get(number).copied() else {
            return;
        };
        self.note(|| format!("FAULT {fault:?}"));
        match fault {
            Fault::Cut { .. }
            | Fault::Hold { .. }
            | Fault::SidecarKill { .. }
            | Fault::SidecarStop { .. } => self.strike_sidecar(fault),
            Fault::ClientCut { .. } | Fault::ClientFreeze { .. } | Fault::ClientKill { .. } => {
                self.strike_client(fault);
            }
            Fault::ServerDown {
                ensemble,
                server,
                lasts,
            } => self.down_for(ensemble, server, lasts),
            Fault::EnsembleDown { ensemble, lasts } => {
                for server in 0..SERVERS {
                    self.down_for(ensemble, server, lasts);
                }
            }
            Fault::Lag {
                ensemble,
                server,
                lasts,
            } => {
                let until = self.now + lasts;
                if let Some(feed) = self.feeds.get_mut(&(ensemble, server)) {
                    feed.held = feed.held.max(until);
                }
            }
            Fault::Astray {
                ensemble,
                server,
                lasts,
            } => {
                self.on(ensemble, |ensemble| ensemble.astray(server));
                let found = Event::Heal(Heal::Found(ensemble, server));
                self.at(self.now + lasts, found);
            }
            Fault::Throttle { ensemble, requests } => self.on(ensemble, |ensemble| {
                (0..SERVERS).for_each(|server| ensemble.throttle(server, requests));
            }),
            Fault::Expire { ensemble, which } => self.on(ensemble, |ensemble| {
                let all: Vec<i64> = ensemble.sessions().collect();
                let unlucky = which.checked_rem(all.len()).and_then(|at| all.get(at));
                if let Some(session) = unlucky {
                    ensemble.end(*session);
                }
            }),
        }
    }

    fn strike_sidecar(&mut self, fault: Fault) {
        let now = self.now;
        if let Fault::Cut {
            sidecar,
            ensemble,
            server,
        } = fault
        {
            self.cut_all(|of, far| of == sidecar && far == Far::Server(ensemble, server));
        }
        if let Fault::Hold {
            sidecar,
            ensemble,
            way,
            lasts,
        } = fault
            && let Some(road) = self.roads.get_mut(&(sidecar, ensemble))
        {
            if way != Way::Back {
                road.held_there = road.held_there.max(now + lasts);
            }
            if way != Way::There {
                road.held_back = road.held_back.max(now + lasts);
            }
        }
        if let Fault::SidecarKill { sidecar, lasts } = fault {
            self.kill(sidecar, lasts);
        }
        if let Fault::SidecarStop { sidecar } = fault
            && let Some(sidecar) = self.sidecars.get_mut(sidecar)
            && let Some(running) = &mut sidecar.running
        {
            running.stop();
        }
    }

    fn strike_client(&mut self, fault: Fault) {
        let at = self.moment();
        if let Fault::ClientCut { client } = fault {
            self.cut_client(client);
        }
        if let Fault::ClientFreeze { client, lasts } = fault
            && let Some(frozen) = self.clients.get_mut(client)
        {
            frozen.freeze(at.now + lasts);
        }
        if let Fault::ClientKill { client, lasts } = fault
            && let Some(dead) = self.clients.get_mut(client)
        {
            dead.die(at, at.now + lasts);
            self.cut_client(client);
            self.at(at.now, Event::Client(client));
        }
    }

    fn cut_client(&mut self, client: usize) {
        if let Some(Some(link)) = self.connections.get(client).copied() {
            self.cut(link);
        }
    }

    fn on(&mut self, ensemble: usize, act: impl FnOnce(&mut Ensemble)) {
        if let Some(ensemble) = self.ensembles.get_mut(ensemble) {
            act(ensemble);
        }
    }

    fn cut_all(&mut self, which: impl Fn(usize, Far) -> bool) {
        let lines = self.lines.iter();
        let broken: Vec<Link> = lines
            .filter(|(_, line)| which(line.sidecar, line.far))
            .map(|(link, _)| *link)
            .collect();
        broken.into_iter().for_each(|link| self.cut(link));
    }

    fn down_for(&mut self, number: usize, server: usize, lasts: u64) {
        let Some(ensemble) = self.ensembles.get_mut(number) else {
            return;
        };
        let broken = ensemble.down(server);
        let leaderless = ensemble.leader().is_none();
        broken.into_iter().for_each(|link| self.cut(link));
        self.cut_all(|_, far| far == Far::Server(number, server));
        if leaderless {
            let due = self.now + ELECTION;
            self.at(due, Event::Heal(Heal::Elect(number)));
        }
        let due = self.now + lasts;
        self.at(due, Event::Heal(Heal::Up(number, server)));
    }

    /// What ends a fault happens.
    pub(super) fn heal(&mut self, heal: Heal) {
        self.note(|| format!("HEALED {heal:?}"));
        let now = self.now;
        match heal {
            Heal::Up(number, server) => {
                self.on(number, |ensemble| ensemble.up(server));
                self.catch_up(number, server);
                self.at(now + ELECTION, Event::Heal(Heal::Elect(number)));
            }
            Heal::Found(number, server) => {
                let Some(ensemble) = self.ensembles.get_mut(number) else {
                    return;
                };
                let broken = ensemble.found(server);
                broken.into_iter().for_each(|link| self.cut(link));
                self.catch_up(number, server);
                self.at(now, Event::Heal(Heal::Elect(number)));
            }
            Heal::Elect(number) => self.on(number, |ensemble| ensemble.elect(now)),
        }
    }

    /// A server is sent what it has missed.
    fn catch_up(&mut self, number: usize, server: usize) {
        let behind = self.ensembles.get(number).map(|e| e.behind(server));
        for transaction in behind.into_iter().flatten() {
            let due = self.down(number, server);
            self.at(due, Event::Apply(number, server, transaction));
        }
    }

    /// A sidecar is killed: what it was doing is not done, what it had written down stays.
    fn kill(&mut self, number: usize, lasts: u64) {
        let Some(sidecar) = self.sidecars.get_mut(number) else {
            return;
        };
        let Some(running) = sidecar.running.take() else {
            return;
        };
        running.kill();
        sidecar.life += 1;
        sidecar.store = copied(&sidecar.store);
        self.cut_all(|of, _| of == number);
        let due = self.now + lasts;
        self.at(due, Event::Start(number));
    }

    /// A sidecar has stopped.
    pub(in crate::simulation) fn stopped(&mut self, number: usize, life: u32) {
        let Some(sidecar) = self.sidecars.get_mut(number) else {
            return;
        };
        if sidecar.life != life {
            return;
        }
        sidecar.life += 1;
        sidecar.running = None;
        self.note(|| format!("sidecar {number} has stopped"));
        self.cut_all(|of, _| of == number);
        let due = self.now + RESTART;
        self.at(due, Event::Start(number));
    }

    /// Everything is mended.
    pub(super) fn calm_down(&mut self) {
        self.note(|| "from now on nothing breaks".to_owned());
        self.phase = Phase::Calm;
        for road in self.roads.values_mut() {
            (road.held_there, road.held_back) = (0, 0);
        }
        self.hurry();
        for feed in self.feeds.values_mut() {
            // A server that lags for longer than a request may take is not in order.
            (feed.held, feed.lag) = (0, feed.lag.min(50));
        }
        for number in 0..self.ensembles.len() {
            self.on(number, |ensemble| {
                (0..SERVERS).for_each(|server| ensemble.throttle(server, 0));
            });
            for server in 0..SERVERS {
                self.heal(Heal::Found(number, server));
                let down = self.ensembles.get(number);
                if down.is_some_and(|ensemble| !ensemble.is_up(server)) {
                    self.heal(Heal::Up(number, server));
                }
            }
        }
        self.look();
    }
}

impl World {
    /// What was held up on its way arrives now, in the order in which it would have; handshakes do not.
    /// One that comes when its sidecar has long gone elsewhere would move a session, and its server
    /// then close the connection over the next update.
    fn hurry(&mut self) {
        let unheard = |(_, line): &(&Link, &Line)| {
            matches!(line.far, Far::Server(..)) && line.greeted == Greeted::No
        };
        let unheard: Vec<Link> = self
            .lines
            .iter()
            .filter(unheard)
            .map(|(link, _)| *link)
            .collect();
        unheard.into_iter().for_each(|link| self.cut(link));
        let now = self.now;
        let late = self.events.split_off(&(now, u64::MAX));
        for ((due, count), event) in late {
            let travels = matches!(
                event,
                Event::Arrive(..) | Event::Deliver(..) | Event::HangUp(..)
            );
            let due = if travels { now } else { due };
            self.events.insert((due, count), event);
        }
        for line in self.lines.values_mut() {
            (line.there, line.back) = (line.there.min(now), line.back.min(now));
        }
    }
}

/// The table as it is: what is left of a killed sidecar goes on with the other one.
fn copied(store: &Store) -> Store {
    let copy = Store::in_memory();
    for (session, legs) in store.load() {
        for leg in legs {
            // In memory it is done at the first call.
            let mut remember = pin!(copy.remember(session, leg));
            let _ = remember
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
        }
    }
    copy
}
