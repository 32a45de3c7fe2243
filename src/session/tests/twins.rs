//! Two sessions live the same life: one lets straight what can go straight, of the other all rules
//! look at everything. Nobody can tell them apart.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};

use super::super::*;
use super::bed::*;
use super::straight::{event, reply};
use crate::wire::frames::frame_size;
use crate::wire::jute::Writer;
use crate::wire::request::{self, Request};
use crate::wire::{Xid, code};

/// Writes down what goes where, byte by byte.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    client: Vec<u8>,
    legs: BTreeMap<EnsembleId, Vec<u8>>,
    others: Vec<Output>,
    fault: Option<ClientFault>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What can go straight does.
    Straight,
    /// All rules look at everything.
    OneByOne,
}

/// A session that is handed frames in one of two ways.
struct Twin {
    session: Session,
    seen: Seen,
    way: Way,
    /// Frames that went straight, of both sides.
    straight: u32,
}

impl Twin {
    fn new(mut settings: Settings, origin: Origin, way: Way) -> Self {
        settings.outstanding = 6;
        let (settings, me) = (Arc::new(settings), credentials(CLIENT));
        Self {
            session: Session::new(settings, me, origin, Tick(0)),
            seen: Seen::default(),
            way,
            straight: 0,
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.session.poll() {
            match &output {
                Output::ToClient(frame) => self.seen.client.extend(frame),
                Output::ToLeg(to, frame) => self.seen.legs.entry(*to).or_default().extend(frame),
                Output::Dial(..)
                | Output::LearnRole(_)
                | Output::HangUp(_)
                | Output::Forget(_)
                | Output::CloseClient
                | Output::Happened(_) => self.seen.others.push(output),
            }
        }
    }

    /// What the client sends; how much of it was read.
    fn client(&mut self, bytes: &[u8], now: Tick) -> usize {
        let mut at = 0;
        while self.seen.fault.is_none() && self.session.wants_client() && at < bytes.len() {
            if self.way == Way::Straight {
                let stretch = self.session.straight_requests(&bytes[at..], now, &mut ());
                let sent = self.seen.legs.entry(HOME).or_default();
                sent.extend(&bytes[at..at + stretch.bytes]);
                at += stretch.bytes;
                self.straight += stretch.frames;
                if stretch.frames > 0 {
                    continue;
                }
            }
            let size = frame_size(&bytes[at..], 1 << 20).unwrap().unwrap();
            let frame = &bytes[at..at + size];
            let verdict = if self.way == Way::OneByOne {
                self.session.look_closer(&frame[4..], now)
            } else {
                self.session.client_frame(&frame[4..], now)
            };
            self.collect();
            match verdict {
                Ok(Verdict::ToLeg(to)) => self.seen.legs.entry(to).or_default().extend(frame),
                Ok(_) => {}
                Err(fault) => self.seen.fault = Some(fault),
            }
            at += size;
        }
        at
    }

    fn leg(&mut self, from: EnsembleId, bytes: &[u8], now: Tick) {
        let mut at = 0;
        while at < bytes.len() {
            if self.way == Way::Straight {
                let stretch = self
                    .session
                    .straight_replies(from, &bytes[at..], now, &mut ());
                self.seen.client.extend(&bytes[at..at + stretch.bytes]);
                at += stretch.bytes;
                self.straight += stretch.frames;
                if stretch.frames > 0 {
                    continue;
                }
            }
            let size = frame_size(&bytes[at..], 1 << 20).unwrap().unwrap();
            let mut frame = bytes[at..at + size].to_vec();
            let verdict = self.session.leg_frame(from, &mut frame[4..], now);
            self.collect();
            if verdict == Verdict::ToClient {
                self.seen.client.extend(frame);
            }
            at += size;
        }
    }
}

/// Where paths of home have other names there, and not the root is its own.
fn rooted() -> Settings {
    let rules = vec![
        (b"/".to_vec(), EU, None),
        (b"/a".to_vec(), HOME, None),
        (b"/a/b/here".to_vec(), HOME, Some(b"/below".to_vec())),
        (b"/here".to_vec(), HOME, Some(b"/there".to_vec())),
    ];
    let routes = RouteMap::new(HOME, rules).unwrap();
    Settings::new(routes, vec![Policy::default(); 2])
}

/// Where what is below one znode goes several ways.
fn deep() -> Settings {
    let rules = vec![
        (b"/".to_vec(), HOME, None),
        (b"/a/b/d".to_vec(), EU, None),
        (b"/services".to_vec(), EU, None),
        (b"/services/locks".to_vec(), HOME, None),
    ];
    let routes = RouteMap::new(HOME, rules).unwrap();
    Settings::new(routes, vec![Policy::default(); 2])
}

/// Where barriers are left out on one or on both.
fn eliding() -> Settings {
    let mut settings = settings();
    for policy in &mut settings.policies {
        policy.elide_barriers = Some(Shown::Stat);
    }
    settings
}

fn single() -> Settings {
    let routes = RouteMap::new(HOME, vec![(b"/".to_vec(), HOME, None)]).unwrap();
    Settings::new(routes, vec![Policy::default(); 2])
}

fn eliding_by_header() -> Settings {
    let mut settings = settings();
    settings.policies[1].elide_barriers = Some(Shown::Header);
    settings
}

/// What both see in a life of a session.
struct Life {
    twins: [Twin; 2],
    now: Tick,
    xid: i32,
    zxid: i64,
    /// What each ensemble has to answer: the payloads of requests.
    owed: BTreeMap<EnsembleId, Vec<Vec<u8>>>,
    live: bool,
    /// Barriers left out.
    elided: usize,
}

impl Life {
    fn new(settings: fn() -> Settings, origin: Origin) -> Self {
        Self {
            twins: [Way::OneByOne, Way::Straight].map(|way| Twin::new(settings(), origin, way)),
            now: Tick(0),
            xid: 0,
            zxid: 0,
            owed: BTreeMap::new(),
            live: false,
            elided: 0,
        }
    }

    fn any_request(&mut self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        // Mostly one more than before, as clients do.
        self.xid += if u.ratio(1, 8)? { 3 } else { 1 };
        let xid = Xid(if u.ratio(1, 60)? { 1 } else { self.xid });
        let paths = [
            "/a/b/c",
            "/a/b/d",
            "/b",
            "/services/locks/one",
            "/services/locks/other",
            "/services/lock",
            "/a/b/here",
            "/eu/a",
            "/here/x",
            "/old/x",
            "/zookeeper/config",
        ];
        let home = &paths[..5];
        let among = if u.ratio(3, 4)? { home } else { &paths };
        let path = u.choose(among)?;
        let path = path.as_bytes();
        Ok(match u.int_in_range(0..=19)? {
            0..=9 => request::of_path(xid, OpCode::GetData, path, &[0]),
            10..=13 => request::of_path(xid, OpCode::SetData, path, &[0; 8]),
            14 => request::of_path(xid, OpCode::Delete, path, &[0; 4]),
            15 if u.arbitrary()? => request::of_path(xid, OpCode::GetEphemerals, path, &[]),
            15 => request::of_path(xid, OpCode::Sync, path, &[]),
            16 => {
                let record = Writer::default().buffer(None).count(0);
                let record = record.int(*u.choose(&[0, 2])?).finish();
                request::of_path(xid, OpCode::Create, path, &record[4..])
            }
            17 => request::of_path(xid, OpCode::Exists, path, &[1]),
            18 => request::quorum_check(xid),
            _ => self.about_the_session(u)?,
        })
    }

    fn about_the_session(&self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let paths = [b"/a/b/c".to_vec(), b"/eu/a".to_vec()];
        Ok(match u.int_in_range(0..=9)? {
            0 => request::auth(Xid(-4), "digest", b"a:b"),
            1 => {
                let lists = [paths.to_vec(), Vec::new(), Vec::new()];
                request::set_watches(Xid(-8), OpCode::SetWatches, 0, &lists)
            }
            2 if u.ratio(1, 4)? => close_session(Xid(self.xid)),
            3 if u.ratio(1, 4)? => request::of_path(Xid(-1), OpCode::GetData, b"/a", &[0]),
            4 if u.ratio(1, 2)? => request::of_path(Xid(-2), OpCode::GetData, b"/a", &[0]),
            _ => request::ping(),
        })
    }

    fn any_replies(&mut self, from: EnsembleId, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let owed = self.owed.entry(from).or_default();
        for _ in 0..u.int_in_range(0..=4)? {
            if u.ratio(1, 10)? {
                bytes.extend(event("/a/b/c"));
            }
            let overtakes = u.ratio(1, 12)? && owed.len() > 1;
            if owed.is_empty() {
                break;
            }
            let payload = owed.remove(usize::from(overtakes));
            let Request { xid, op, .. } = Request::parse(&payload).unwrap();
            self.zxid += u.int_in_range(0..=1)?;
            let header = Writer::default().int(xid.0).long(self.zxid);
            let path = Request::parse(&payload).unwrap().path();
            let answer = if overtakes {
                reply(xid.0, 0, code::THROTTLED_OP)
            } else if u.ratio(1, 4)? {
                header.int(code::NO_NODE).finish()
            } else if op == OpCode::GetEphemerals {
                header.int(0).int(0).finish()
            } else if [OpCode::Create, OpCode::Sync].contains(&op) {
                header.int(0).buffer(path).finish()
            } else if op == OpCode::GetData {
                let header = header.int(0).buffer(Some(b"data"));
                header.raw(&any_stat(self.zxid, u)?).finish()
            } else if [OpCode::SetData, OpCode::Exists].contains(&op) {
                header.int(0).raw(&any_stat(self.zxid, u)?).finish()
            } else {
                header.int(0).finish()
            };
            bytes.extend(answer);
        }
        Ok(bytes)
    }

    /// Both have done the same; notes what ensembles have to answer now.
    fn compare(&mut self) {
        let [one, other] = &mut self.twins;
        let (seen, same) = (
            std::mem::take(&mut one.seen),
            std::mem::take(&mut other.seen),
        );
        assert_eq!(without_empty(&seen), without_empty(&same));
        assert_eq!(seen.client, same.client);
        assert_eq!(seen.others, same.others);
        assert_eq!(seen.fault, same.fault);
        assert_eq!(one.session.switch, other.session.switch);
        let times = |session: &Session| (session.shown, session.heard, session.written);
        assert_eq!(times(&one.session), times(&other.session));
        assert_eq!(one.session.phase, other.session.phase);
        assert_eq!(one.session.touched, other.session.touched);
        assert_eq!(one.session.describe(), other.session.describe());
        assert_eq!(one.session.deadline(), other.session.deadline());
        assert_eq!(one.session.wants_client(), other.session.wants_client());
        assert_eq!(one.session.waiting(), other.session.waiting());
        for (to, bytes) in seen.legs {
            let mut at = 0;
            while at < bytes.len() {
                let size = frame_size(&bytes[at..], 1 << 20).unwrap().unwrap();
                let payload = bytes[at + 4..at + size].to_vec();
                self.owed.entry(to).or_default().push(payload);
                at += size;
            }
        }
        for output in seen.others {
            if let Output::HangUp(leg) = output {
                self.owed.remove(&leg);
                self.live = false;
            }
            if let Output::Dial(..) = output {
                self.live = false;
            }
            if let Output::Happened(Event::BarrierElided { .. }) = output {
                self.elided += 1;
            }
        }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let now = self.now;
        match u.int_in_range(0..=15)? {
            0..=6 => {
                let frames: Result<Vec<_>> = (0..u.int_in_range(1..=5)?)
                    .map(|_| self.any_request(u))
                    .collect();
                let bytes = frames?.concat();
                let [one, other] = &mut self.twins;
                assert_eq!(one.client(&bytes, now), other.client(&bytes, now));
            }
            7..=9 => self.quiet(u)?,
            10..=11 => {
                let from = if u.ratio(3, 4)? { HOME } else { EU };
                let bytes = self.any_replies(from, u)?;
                self.both(|twin| twin.leg(from, &bytes, now));
            }
            12 if !self.live => match u.int_in_range(0..=7)? {
                0 => self.both(|twin| twin.session.leg_refused(EU, now)),
                1 => self.both(|twin| twin.session.leg_unreachable(EU, now)),
                _ => {
                    self.live = true;
                    self.both(|twin| twin.session.leg_up(EU, credentials(LEG), now));
                }
            },
            13 if u.ratio(1, 3)? => {
                let lost = if u.ratio(1, 10)? { HOME } else { EU };
                self.live &= lost != EU;
                self.owed.remove(&lost);
                self.both(|twin| twin.session.leg_lost(lost, Loss::Closed, now));
            }
            14 => {
                self.now = Tick(now.0 + u.int_in_range(0..=3_000_000)?);
                let now = self.now;
                self.both(|twin| twin.session.tick(now));
            }
            15 => self.around_it(u)?,
            _ => {}
        }
        Ok(())
    }

    /// What an operator does, and what is found out of servers.
    fn around_it(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let now = self.now;
        match u.int_in_range(0..=19)? {
            0 => self.both(|twin| twin.session.stop()),
            1..=3 => {
                let settings = *u.choose(&MAPS)?;
                self.both(|twin| {
                    let mut settings = settings();
                    settings.outstanding = 5;
                    twin.session.reload(Arc::new(settings), now);
                });
            }
            _ => {
                let ensemble = *u.choose(&[HOME, EU])?;
                let role = *u.choose(&[Role::Follower, Role::Observer, Role::Leader])?;
                self.both(|twin| twin.session.role(ensemble, role));
            }
        }
        Ok(())
    }

    /// A client that mostly reads and waits for its answer, here or there.
    fn quiet(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let now = self.now;
        for _ in 0..u.int_in_range(1..=6)? {
            self.xid += 1;
            let path: &[u8] = if u.arbitrary()? { b"/a/b/c" } else { b"/eu/a" };
            let bytes = if u.ratio(1, 8)? {
                request::of_path(Xid(self.xid), OpCode::SetData, path, &[0; 8])
            } else {
                request::of_path(Xid(self.xid), OpCode::GetData, path, &[0])
            };
            self.both(|twin| {
                twin.client(&bytes, now);
            });
            self.compare();
            for from in [HOME, EU, HOME, EU] {
                while self.owed.get(&from).is_some_and(|owed| !owed.is_empty()) {
                    let bytes = self.any_replies(from, u)?;
                    self.both(|twin| twin.leg(from, &bytes, now));
                    self.compare();
                    if u.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn both(&mut self, mut what: impl FnMut(&mut Twin)) {
        for twin in &mut self.twins {
            what(twin);
            twin.collect();
        }
    }
}

/// The Stat of a znode that was changed some time ago.
fn any_stat(now: i64, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let ago = now - u.int_in_range(0..=6)?;
    let times = Writer::default().long(1).long(ago).long(0).long(0);
    let versions = times.int(1).int(0).int(0);
    let rest = versions.long(0).int(4).int(0).long(1);
    Ok(rest.finish()[4..].to_vec())
}

fn without_empty(seen: &Seen) -> BTreeMap<EnsembleId, Vec<u8>> {
    let legs = seen.legs.iter().filter(|(_, bytes)| !bytes.is_empty());
    legs.map(|(to, bytes)| (*to, bytes.clone())).collect()
}

const MAPS: [fn() -> Settings; 6] = [settings, single, rooted, deep, eliding, eliding_by_header];

#[test]
fn straight_or_one_by_one_is_the_same() {
    let (mut straight, mut elided) = (0, 0);
    arbtest::arbtest(|u| {
        let origin = *u.choose(&[Origin::New, Origin::New, Origin::Attached])?;
        let mut life = Life::new(*u.choose(&MAPS)?, origin);
        while !u.is_empty() {
            life.step(u)?;
            life.compare();
        }
        straight += life.twins[1].straight;
        elided += life.elided;
        Ok(())
    })
    .budget_ms(3_000);
    assert!(straight > 0, "nothing went straight");
    assert!(elided > 0, "no barrier was left out");
}
