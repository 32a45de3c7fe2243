//! The streams between sidecars and their peers: how long bytes take, and who gets them.

use std::fmt::Write as _;

use fastrand::Rng;
use zoonet::wire::frames::{DEFAULT_LIMIT, PREFIX, frame_size};
use zoonet::wire::words::is_word;

use super::{Event, Far, Greeted, Line, World};
use crate::simulation::ensemble::{Ensemble, Link};
use crate::simulation::network::Wire;

impl World {
    /// A sidecar has sent this; nothing, where it has closed.
    pub(in crate::simulation) fn sent(&mut self, link: Link, bytes: Vec<u8>) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        let mut due = line.there.max(now);
        if let Far::Server(ensemble, _) = line.far
            && let Some(road) = self.roads.get_mut(&(line.sidecar, ensemble))
        {
            let way = road.least + road.random.u64(0..=road.jitter);
            due = due.max(now + way).max(road.held_there);
        }
        line.there = due;
        self.at(due, Event::Arrive(link, bytes));
    }

    fn due_back(&mut self, link: Link) -> Option<u64> {
        let now = self.now;
        let line = self.lines.get_mut(&link)?;
        let mut due = line.back.max(now);
        if let Far::Server(ensemble, _) = line.far
            && let Some(road) = self.roads.get_mut(&(line.sidecar, ensemble))
        {
            let way = road.least + road.random.u64(0..=road.jitter);
            due = due.max(now + way).max(road.held_back);
        }
        line.back = due;
        Some(due)
    }

    /// Sends to a sidecar, now and then in two pieces.
    pub(super) fn deliver(&mut self, link: Link, mut bytes: Vec<u8>) {
        let Some(due) = self.due_back(link) else {
            return;
        };
        self.note(|| format!("{link:?} <- {}", shown(&bytes)));
        let cut = self.lines.get_mut(&link).map_or(0, Line::piece);
        if cut > 0 && cut < bytes.len() {
            let rest = bytes.split_off(cut);
            self.at(due, Event::Deliver(link, bytes));
            if let Some(due) = self.due_back(link) {
                self.at(due, Event::Deliver(link, rest));
            }
        } else {
            self.at(due, Event::Deliver(link, bytes));
        }
    }

    pub(super) fn close(&mut self, link: Link) {
        if let Some(due) = self.due_back(link) {
            self.note(|| format!("{link:?} is closed"));
            self.at(due, Event::HangUp(link));
        }
    }

    /// A stream breaks, for both sides at once.
    pub(super) fn cut(&mut self, link: Link) {
        let Some(line) = self.lines.remove(&link) else {
            return;
        };
        self.note(|| format!("{link:?} breaks"));
        match line.far {
            Far::Client(client) => self.lost(client, link),
            Far::Server(ensemble, _) => {
                if let Some(ensemble) = self.ensembles.get_mut(ensemble) {
                    ensemble.disconnected(link);
                }
            }
        }
    }

    fn lost(&mut self, client: usize, link: Link) {
        let at = self.moment();
        if self.connections.get(client) != Some(&Some(link)) {
            return;
        }
        if let Some(connection) = self.connections.get_mut(client) {
            *connection = None;
        }
        if let Some(client) = self.clients.get_mut(client) {
            client.lost(at);
        }
        self.at(at.now, Event::Client(client));
    }

    pub(super) fn arrive(&mut self, link: Link, bytes: Vec<u8>) {
        let until = self.frozen_until(link);
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        if let Some(until) = until {
            line.held.push(bytes);
            if line.held.len() == 1 {
                self.at(until, Event::Thaw(link));
            }
        } else if line.held.is_empty() {
            self.read(link, bytes);
        } else {
            line.held.push(bytes);
        }
    }

    /// Until when the client at the other end reads nothing.
    fn frozen_until(&self, link: Link) -> Option<u64> {
        let Far::Client(client) = self.lines.get(&link)?.far else {
            return None;
        };
        let until = self.clients.get(client)?.frozen_until();
        (until > self.now).then_some(until)
    }

    /// What lay in the socket of a client is read, unless it was frozen again.
    pub(super) fn thaw(&mut self, link: Link) {
        if let Some(until) = self.frozen_until(link) {
            return self.at(until, Event::Thaw(link));
        }
        let held = self.lines.get_mut(&link).map(|line| &mut line.held);
        for bytes in held.map(std::mem::take).unwrap_or_default() {
            self.read(link, bytes);
        }
    }

    fn read(&mut self, link: Link, bytes: Vec<u8>) {
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        let far = line.far;
        if bytes.is_empty() {
            return self.cut(link);
        }
        line.left.extend_from_slice(&bytes);
        while let Some(line) = self.lines.get_mut(&link) {
            let word = line.left.first_chunk::<PREFIX>().copied();
            if line.greeted == Greeted::No
                && let Some(word) = word.filter(|word| is_word(*word))
                && let Far::Server(ensemble, server) = far
            {
                let said = self.ensembles.get(ensemble).map(|e| e.srvr(server));
                self.note(|| format!("{link:?} -> {}", String::from_utf8_lossy(&word)));
                line_done(self.lines.get_mut(&link));
                self.deliver(link, said.unwrap_or_default());
                return self.close(link);
            }
            let size = match frame_size(&line.left, DEFAULT_LIMIT) {
                Ok(Some(size)) if size <= line.left.len() => size,
                Ok(_) => return,
                Err(_) => return self.cut(link),
            };
            let rest = line.left.split_off(size);
            let frame = std::mem::replace(&mut line.left, rest);
            let first = std::mem::replace(&mut line.greeted, Greeted::Yes) == Greeted::No;
            let payload = frame.get(PREFIX..).unwrap_or_default();
            self.note(|| format!("{link:?} -> {}", shown(payload)));
            self.hear(link, far, payload, first);
        }
    }

    #[expect(clippy::fn_params_excessive_bools, reason = "whether it is the first")]
    fn hear(&mut self, link: Link, far: Far, payload: &[u8], first: bool) {
        let now = self.now;
        match far {
            Far::Server(ensemble, server) => {
                let Some(ensemble) = self.ensembles.get_mut(ensemble) else {
                    return;
                };
                if first {
                    ensemble.connect(link, server, payload, now);
                } else {
                    ensemble.frame(link, payload, now);
                }
            }
            Far::Client(number) => {
                let at = self.moment();
                let Some(client) = self.clients.get_mut(number) else {
                    return;
                };
                let home = self.ensembles.get(client.sidecar);
                let home = home.map_or(0, Ensemble::last_zxid);
                let mut out = Vec::new();
                client.frame(payload, home, at, &mut out);
                self.act(number, out);
                self.at(now, Event::Client(number));
            }
        }
    }

    pub(super) fn line(&mut self, sidecar: usize, far: Far) -> Link {
        self.links += 1;
        let link = Link(self.links);
        let line = Line {
            sidecar,
            far,
            wire: None,
            left: Vec::new(),
            held: Vec::new(),
            greeted: Greeted::No,
            there: 0,
            back: 0,
            random: Rng::with_seed(self.plan.shape.chance ^ u64::from(self.links)),
        };
        self.lines.insert(link, line);
        link
    }

    /// How long a sidecar's connection to a server of an ensemble takes, milliseconds.
    pub(in crate::simulation) fn way(&mut self, sidecar: usize, ensemble: usize) -> u64 {
        let now = self.now;
        self.roads.get_mut(&(sidecar, ensemble)).map_or(0, |road| {
            let way = 2 * road.least + road.random.u64(0..=road.jitter);
            let held = road.held_there.max(road.held_back);
            way.max(held.saturating_sub(now))
        })
    }

    /// A server accepts a connection, if it is there.
    pub(in crate::simulation) fn open(
        &mut self,
        (sidecar, life): (usize, u32),
        (ensemble, server): (usize, usize),
    ) -> Option<Link> {
        let same = self.sidecars.get(sidecar)?.life == life;
        let up = self.ensembles.get(ensemble)?.is_up(server);
        if !same || !up {
            return None;
        }
        let link = self.line(sidecar, Far::Server(ensemble, server));
        self.note(|| format!("sidecar {sidecar} connects to e{ensemble}s{server}: {link:?}"));
        Some(link)
    }

    /// The stream of a line is there.
    pub(in crate::simulation) fn wire(&mut self, link: Link, wire: Wire) {
        if let Some(line) = self.lines.get_mut(&link) {
            line.wire = Some(wire);
        }
    }
}

fn line_done(line: Option<&mut Line>) {
    if let Some(line) = line {
        line.greeted = Greeted::Yes;
        line.left.clear();
    }
}

/// Bytes as a trace shows them.
fn shown(bytes: &[u8]) -> String {
    let mut words = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        if byte.is_ascii_graphic() {
            words.push(char::from(*byte));
        } else {
            write!(words, "~{byte:x}").ok();
        }
    }
    words
}
