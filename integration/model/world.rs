//! The state of the whole system, and what can happen in it.
//!
//! # What is merged into one step, and why nothing is lost by it
//! * A client and its sidecar: they share a host. That a request reaches the sidecar the moment it
//!   is asked, and its reply the client the moment it is written, makes the real time the
//!   guarantee has to obey only stricter.
//! * A server takes an update and its leader commits it: the time between is the time on the wire.
//!   A read is served when it is taken, and not taken while requests before it are unanswered.
//! * Fresh servers apply what is committed at once. One that is late is the lagging one.
//! * Time passes only when nothing else can happen. What timers do earlier is a connection that
//!   breaks, and that may happen at any time.

use super::client::{Client, Stage, Wire, is_read};
use super::ensemble::{Ensemble, Link, Server};
use super::part::Part;
use super::scenario::{
    self, Ask, Budget, ENSEMBLES, FRESH, LAGGING, Replies, Roles, Scenario, Start,
};
use zoonet::route::EnsembleId;
use zoonet::session::{Loss, Tick};
use zoonet::wire::frames::PREFIX;
use zoonet::wire::words::Role;
use zoonet::wire::{Zxid, code};

/// The zxids before the first of each ensemble: one of eu's is beyond everything of us's, and so on.
const BASES: [i64; 3] = [0x1000, 0x5000, 0x9000];

/// Something that happens. Clients are named by their place, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A client asks.
    Ask(usize, Ask),
    /// The server of a connection takes the next request.
    Serve(usize, EnsembleId),
    /// It turns it away.
    TurnAway(usize, EnsembleId),
    /// The next reply on a connection reaches the sidecar.
    Deliver(usize, EnsembleId),
    /// A lagging server applies the next transaction.
    Apply(EnsembleId),
    /// A dial reaches this server.
    Dial(usize, EnsembleId, Server),
    /// The sidecar learns what the server of a connection is.
    LearnRole(usize, EnsembleId),
    /// A remote connection breaks.
    LoseLeg(usize, EnsembleId),
    /// A client's home connection breaks.
    LoseHome(usize),
    /// A client comes back, through this server of home's.
    Reconnect(usize, Server),
    /// A server takes a request from a connection the sidecar has given up.
    ServeLate(usize),
    /// The lagging server's leader is deposed.
    Depose(EnsembleId),
    /// That server finds out.
    Rejoin(EnsembleId),
    /// Nothing happens until the next deadline.
    Wait,
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) ensembles: Vec<Part<Ensemble>>,
    pub(crate) clients: Vec<Part<Client>>,
    /// What may still go wrong.
    pub(crate) left: Budget,
    pub(crate) now: Tick,
}

impl World {
    /// Sessions where the scenario wants them.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let roles = [Role::Follower, scenario.lagging];
        let ensemble = |(index, base): (u16, i64)| {
            let znodes = scenario::znodes(EnsembleId::new(index));
            let paths: Vec<&[u8]> = znodes.map(|znode| znode.path.as_bytes()).collect();
            Part::new(Ensemble::new(base, &roles, &paths))
        };
        let mut world = Self {
            ensembles: (0..).zip(BASES).map(ensemble).collect(),
            clients: Vec::new(),
            left: Budget::default(),
            now: Tick::default(),
        };
        for (place, profile) in scenario.clients.iter().enumerate() {
            let client = Client::new(place, profile.home, scenario);
            world.clients.push(Part::new(client));
            world.reconnect(place, FRESH);
            world.settle(Replies::Prompt);
        }
        if scenario.start == Start::Warm {
            world.warm_up(scenario);
        }
        world.left = scenario.budget;
        world.seal();
        world
    }

    /// Each client reads the other ensembles through their lagging servers, and home again. Where
    /// barriers may be left out it does so twice: then there are leads that cover what it has seen.
    fn warm_up(&mut self, scenario: &Scenario) {
        let rounds = 1 + usize::from(scenario.elide.is_some());
        for place in 0..self.clients.len() {
            let home = self.clients[place].home();
            let others = scenario.ensembles().filter(|other| *other != home);
            let way: Vec<EnsembleId> = others.chain([home]).collect();
            let znodes = way.into_iter().filter_map(|to| scenario::znodes(to).next());
            let reads: Vec<Ask> = znodes.map(Ask::Read).collect();
            self.client(place).roles = Roles::AtOnce;
            for ask in reads.repeat(rounds) {
                self.client(place).ask(ask, 0, Tick::default());
                self.run_warm(place);
            }
        }
        for client in &mut self.clients {
            client.change().begin(scenario.roles);
        }
    }

    fn run_warm(&mut self, place: usize) {
        loop {
            self.settle(Replies::Prompt);
            for ensemble in ENSEMBLES {
                self.ensemble(ensemble).catch_up(LAGGING);
            }
            self.settle(Replies::Prompt);
            let client = &self.clients[place];
            let dial = client.dials().next();
            let serve = client
                .wires()
                .find(|(_, wire)| !wire.up.is_empty())
                .map(|(ensemble, _)| ensemble);
            if let Some(ensemble) = dial {
                self.dial(place, ensemble, LAGGING);
            } else if let Some(ensemble) = serve {
                self.serve(place, ensemble);
            } else {
                return;
            }
        }
    }

    fn ensemble(&mut self, ensemble: EnsembleId) -> &mut Ensemble {
        self.ensembles[ensemble.index()].change()
    }

    fn client(&mut self, place: usize) -> &mut Client {
        self.clients[place].change()
    }

    /// Whether every client has done what it was to do.
    pub(crate) fn is_over(&self) -> bool {
        self.clients
            .iter()
            .all(|client| client.stage == Stage::Done)
    }

    /// What can happen. What would be turned down, or changes nothing, cannot.
    pub(crate) fn actions(&self, scenario: &Scenario, actions: &mut Vec<Action>) {
        if self.is_over() {
            return;
        }
        for (place, client) in self.clients.iter().enumerate() {
            self.steps(scenario, place, client, actions);
        }
        for ensemble in ENSEMBLES {
            let model = &self.ensembles[ensemble.index()];
            if model.may_apply(LAGGING) {
                actions.push(Action::Apply(ensemble));
            }
            if model.is_deposed(LAGGING) {
                actions.push(Action::Rejoin(ensemble));
            }
        }
        actions.retain(|action| {
            let may_be_refused = matches!(action, Action::Dial(..) | Action::Reconnect(..));
            !may_be_refused || self.after(scenario, *action).is_some()
        });
        if actions.is_empty() && self.after(scenario, Action::Wait).is_some() {
            actions.push(Action::Wait);
        }
        self.mishaps(scenario, actions);
    }

    /// How one client gets on.
    fn steps(&self, scenario: &Scenario, place: usize, client: &Client, actions: &mut Vec<Action>) {
        for ask in client.may_ask(scenario) {
            actions.push(Action::Ask(place, ask));
        }
        for (ensemble, wire) in client.wires() {
            if self.may_serve(ensemble, wire) {
                actions.push(Action::Serve(place, ensemble));
            }
            if !wire.down.is_empty() {
                actions.push(Action::Deliver(place, ensemble));
            }
        }
        for ensemble in client.dials() {
            for server in scenario.reachable {
                actions.push(Action::Dial(place, ensemble, *server));
            }
        }
        if client.is_coming_back() {
            for server in [FRESH, LAGGING] {
                actions.push(Action::Reconnect(place, server));
            }
        }
    }

    /// What goes wrong, or happens late.
    fn mishaps(&self, scenario: &Scenario, actions: &mut Vec<Action>) {
        for (place, client) in self.clients.iter().enumerate() {
            for ensemble in client.unlearnt() {
                actions.push(Action::LearnRole(place, ensemble));
            }
            if client.late_requests() {
                actions.push(Action::ServeLate(place));
            }
            if self.left.leg_losses > 0 {
                actions.extend(client.legs().map(|leg| Action::LoseLeg(place, leg)));
            }
            for (ensemble, wire) in client.wires() {
                let ordered = wire.up.front().is_some_and(|frame| !is_read(frame));
                if self.left.turned_away > 0 && ordered {
                    actions.push(Action::TurnAway(place, ensemble));
                }
            }
            if self.left.home_losses > 0 && client.is_connected() {
                actions.push(Action::LoseHome(place));
            }
        }
        for ensemble in scenario.ensembles() {
            let deposed = self.ensembles[ensemble.index()].is_deposed(LAGGING);
            if self.left.deposals > 0 && !deposed {
                actions.push(Action::Depose(ensemble));
            }
        }
    }

    /// Whether a server can take the next request of a connection. A read waits until what is
    /// before it has been answered.
    fn may_serve(&self, ensemble: EnsembleId, wire: &Wire) -> bool {
        let idle = self.ensembles[ensemble.index()].is_idle(wire.link);
        wire.up.front().is_some_and(|frame| idle || !is_read(frame))
    }

    /// The next moment at which a session that is waited with has to be told the time.
    fn deadline(&self) -> Option<Tick> {
        let sessions = self.clients.iter().filter_map(|client| client.deadline());
        sessions.min()
    }

    /// What the system is like after something happened; `None` where that changes nothing.
    pub(crate) fn after(&self, scenario: &Scenario, action: Action) -> Option<Self> {
        let mut next = self.clone();
        let now = next.now;
        match action {
            Action::Ask(place, ask) => {
                let returned = next.returned(place);
                next.client(place).ask(ask, returned, now);
            }
            Action::Serve(place, ensemble) => next.serve(place, ensemble),
            Action::TurnAway(place, ensemble) => next.turn_away(place, ensemble),
            Action::Deliver(place, ensemble) => next.client(place).deliver(ensemble, now),
            Action::Apply(ensemble) => next.ensemble(ensemble).apply(LAGGING),
            Action::Dial(place, ensemble, server) => next.dial(place, ensemble, server),
            Action::LearnRole(place, ensemble) => next.client(place).learn_role(ensemble),
            Action::LoseLeg(place, ensemble) => {
                next.left.leg_losses -= 1;
                next.client(place).lose(ensemble, Loss::Closed, now);
            }
            Action::LoseHome(place) => {
                next.left.home_losses -= 1;
                let home = next.clients[place].home();
                next.client(place).lose(home, Loss::Closed, now);
            }
            Action::Reconnect(place, server) => next.reconnect(place, server),
            Action::ServeLate(place) => next.serve_late(place),
            Action::Depose(ensemble) => {
                next.left.deposals -= 1;
                next.ensemble(ensemble).depose(LAGGING);
            }
            Action::Rejoin(ensemble) => next.ensemble(ensemble).rejoin(LAGGING),
            Action::Wait => {
                next.now = next.deadline()?.max(now);
                let now = next.now;
                let due = next.clients.iter_mut().filter(|client| client.is_due(now));
                due.for_each(|client| client.change().tick(now));
            }
        }
        next.settle(scenario.replies);
        for client in &mut next.clients {
            if client.is_through(scenario) {
                client.change().leave();
            }
        }
        next.settle(scenario.replies);
        next.seal();
        (next != *self).then_some(next)
    }

    /// The updates of other clients that have returned: what an update asked for now must follow.
    fn returned(&self, place: usize) -> u32 {
        let others = self.clients.iter().enumerate();
        others
            .filter(|(other, _)| *other != place)
            .flat_map(|(_, client)| client.returned())
            .fold(0, |mask, written| mask | written.bit())
    }

    fn serve(&mut self, place: usize, ensemble: EnsembleId) {
        if let Some((link, frame)) = self.client(place).take_up(ensemble) {
            self.ensemble(ensemble).take(link, &frame[PREFIX..]);
        }
    }

    fn turn_away(&mut self, place: usize, ensemble: EnsembleId) {
        self.left.turned_away -= 1;
        if let Some((link, frame)) = self.client(place).take_up(ensemble) {
            let payload = &frame[PREFIX..];
            self.ensemble(ensemble)
                .turn_away(link, payload, code::THROTTLED_OP);
        }
    }

    fn serve_late(&mut self, place: usize) {
        if let Some((ensemble, link, frame)) = self.client(place).take_late() {
            self.ensemble(ensemble).take(link, &frame[PREFIX..]);
        }
    }

    fn dial(&mut self, place: usize, ensemble: EnsembleId, server: Server) {
        let role = self.ensembles[ensemble.index()].role(server);
        let dialled = self.client(place).dialled(ensemble, role);
        self.connect(ensemble, server, dialled);
    }

    fn reconnect(&mut self, place: usize, server: Server) {
        let home = self.clients[place].home();
        let role = self.ensembles[home.index()].role(server);
        let knocks = self.client(place).reconnect(role);
        self.connect(home, server, knocks);
    }

    fn connect(&mut self, to: EnsembleId, server: Server, handshake: Option<(Link, Vec<u8>)>) {
        if let Some((link, handshake)) = handshake {
            let payload = &handshake[PREFIX..];
            self.ensemble(to).connect(link, server, payload);
        }
    }

    /// Lets everything happen that happens by itself: what was hung up ends, fresh servers apply,
    /// what servers write goes on its way, and arrives where it is not delayed.
    fn settle(&mut self, replies: Replies) {
        loop {
            for place in 0..self.clients.len() {
                if self.clients[place].has_hung_up() {
                    for (ensemble, link) in self.client(place).take_hung_up() {
                        self.ensemble(ensemble).disconnect(link);
                    }
                }
            }
            for index in (0..).take(self.ensembles.len()) {
                let ensemble = EnsembleId::new(index);
                if self.ensembles[ensemble.index()].may_apply(FRESH) {
                    self.ensemble(ensemble).catch_up(FRESH);
                }
                while self.ensembles[ensemble.index()].has_told()
                    && let Some((link, told)) = self.ensemble(ensemble).poll()
                {
                    let mut clients = self.clients.iter_mut();
                    if let Some(client) = clients.find(|client| client.has(ensemble, link)) {
                        client.change().told(ensemble, link, told);
                    }
                }
            }
            let arrives = |client: &Part<Client>| client.to_deliver();
            let next = self
                .clients
                .iter()
                .enumerate()
                .find_map(|(place, client)| Some((place, arrives(client)?)));
            match next {
                Some((place, ensemble)) if replies == Replies::Prompt => {
                    let now = self.now;
                    self.client(place).deliver(ensemble, now);
                }
                _ => return,
            }
        }
    }

    fn seal(&mut self) {
        self.ensembles.iter_mut().for_each(Part::seal);
        self.clients.iter_mut().for_each(Part::seal);
    }

    /// The largest zxid of an ensemble.
    pub(crate) fn last_zxid(&self, ensemble: EnsembleId) -> Zxid {
        self.ensembles[ensemble.index()].last_zxid()
    }
}
