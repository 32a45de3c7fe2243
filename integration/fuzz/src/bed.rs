//! A session with a client and four ensembles around it, driven as zoonet's own driver does it,
//! and judged at everything that goes out.

mod judge;
mod leg;

use std::sync::{Arc, LazyLock};

use zoonet::route::EnsembleId;
use zoonet::session::{Loss, Origin, Output, ParkedLeg, Session, Settings, Tick, Verdict};
use zoonet::wire::SessionId;
use zoonet::wire::connect::Credentials;
use zoonet::wire::frames::PREFIX;

use crate::memory::{Used, measured};
use crate::shape;
pub(crate) use judge::{Client, LAST_OWN_XID, Servers};
pub(crate) use leg::{Asked, Leg};

/// Session timeout of the client and of all legs, milliseconds.
const TIMEOUT: u32 = 9_000;

/// Id of the client's session.
const CLIENT: i64 = 0x100;

/// Bytes one call may need beyond what is kept. Lists of watches become vectors of vectors, and a
/// frame of the smallest possible paths that many of them.
const TRANSIENT: usize = 2 << 20;

/// How often a session may ask for time that is up already.
const SPINS: u32 = 1_000;

/// Whether what happens is told, for reading a finding.
static TOLD: LazyLock<bool> = LazyLock::new(|| std::env::var_os("ZOONET_FUZZ_TRACE").is_some());

fn tell(what: impl FnOnce() -> String) {
    if *TOLD {
        eprintln!("{}", what());
    }
}

/// The session under test and all it is connected to.
pub(crate) struct Bed {
    session: Session,
    /// All settings the session ever had: it must not be the one to drop them while it is measured.
    settings: Vec<Arc<Settings>>,
    pub(crate) now: Tick,
    pub(crate) legs: Vec<Leg>,
    pub(crate) client: Client,
    /// Bytes on the heap that belong to the session.
    held: isize,
    /// Bytes of replies that came while some were owed: they may have to wait for their turn.
    pub(crate) inflow: usize,
    /// The ensembles the session has hung up on in this step.
    hung_up: Vec<EnsembleId>,
    /// Set once the session has ended the client's connection.
    pub(crate) closed: bool,
}

/// Credentials a server grants.
fn credentials(session: i64) -> Credentials {
    Credentials {
        session: SessionId::from(session),
        password: [7; 16],
        timeout: TIMEOUT,
    }
}

impl Bed {
    pub(crate) fn new(settings: Arc<Settings>, origin: Origin, servers: Servers) -> Self {
        let now = Tick::at(1_000);
        let shared = Arc::clone(&settings);
        let (session, used) = measured(|| Session::new(shared, credentials(CLIENT), origin, now));
        Self {
            session,
            settings: vec![settings],
            now,
            legs: Leg::all(),
            client: Client::new(servers),
            held: used.kept,
            inflow: 0,
            hung_up: Vec::new(),
            closed: false,
        }
    }

    fn settings(&self) -> &Arc<Settings> {
        self.settings.last().expect("there is one from the start")
    }

    pub(crate) fn leg(&mut self, ensemble: EnsembleId) -> &mut Leg {
        let leg = self.legs.get_mut(ensemble.index());
        leg.expect("the session knows the ensembles of its map only")
    }

    /// Whether the driver would read from the client now.
    pub(crate) fn reads_client(&self) -> bool {
        !self.closed && self.session.wants_client()
    }

    /// A call into the session, all that follows from it, and the bound on what it keeps.
    fn call<R>(&mut self, call: impl FnOnce(&mut Session, Tick) -> R) -> R {
        self.hung_up.clear();
        let now = self.now;
        let (result, used) = measured(|| call(&mut self.session, now));
        self.account(used);
        while let Some(output) = self.poll() {
            self.act(output);
        }
        self.check_memory();
        result
    }

    fn poll(&mut self) -> Option<Output> {
        let (output, used) = measured(|| self.session.poll());
        self.account(used);
        if let Some(Output::ToClient(frame) | Output::ToLeg(_, frame) | Output::Dial(_, frame)) =
            &output
        {
            self.held -= frame.capacity().cast_signed();
        }
        output
    }

    fn account(&mut self, used: Used) {
        self.held += used.kept;
        let most = used.most;
        assert!(
            most <= TRANSIENT + 4 * self.inflow,
            "one call needed {most} bytes"
        );
    }

    fn check_memory(&self) {
        let (held, bound) = (self.held, crate::maps::bound(self.settings()));
        assert!(
            held <= bound,
            "the session holds {held} bytes, bound {bound}"
        );
    }

    fn act(&mut self, output: Output) {
        tell(|| format!("    {output:?}{}", spelt(&output)));
        match output {
            Output::ToClient(frame) => self.client_receives(&frame),
            Output::ToLeg(ensemble, frame) => self.leg_receives(ensemble, &frame),
            Output::Dial(ensemble, frame) => {
                judge::is_handshake(&frame);
                self.leg(ensemble).dialled();
            }
            Output::HangUp(ensemble) => {
                self.hung_up.push(ensemble);
                self.leg(ensemble).hang_up();
            }
            Output::Forget(ensemble) => self.leg(ensemble).forgetting = true,
            Output::LearnRole(ensemble) => self.leg(ensemble).role_asked = true,
            Output::CloseClient => self.closed = true,
            Output::Happened(_) => {}
        }
    }

    fn client_receives(&mut self, frame: &[u8]) {
        assert!(!self.closed, "a frame behind the end of the connection");
        let payload = shape::payload(frame).expect("the length of a frame for the client is right");
        self.client.receives(payload);
        if self.client.is_owed_nothing() {
            self.inflow = 0;
        }
    }

    fn leg_receives(&mut self, ensemble: EnsembleId, frame: &[u8]) {
        let payload = shape::payload(frame).expect("the length of a frame for a leg is right");
        let limit = self.settings().frame_limit;
        self.client.sends(payload, limit);
        let closed = self.closed;
        let leg = self.leg(ensemble);
        assert!(
            leg.connected || closed,
            "a request for a leg that is not there"
        );
        leg.takes(payload);
    }

    /// A frame of the client's, if it would be read.
    pub(crate) fn client_frame(&mut self, payload: &[u8]) {
        if !self.reads_client() || payload.len() > self.settings().frame_limit {
            return;
        }
        tell(|| format!("client sends {payload:?}"));
        self.client.asks(payload);
        match self.call(|session, now| session.client_frame(payload, now)) {
            Ok(Verdict::ToLeg(ensemble)) => {
                self.leg_receives(ensemble, &judge::framed(payload));
            }
            Ok(Verdict::Taken) => {}
            Ok(Verdict::ToClient) => unreachable!("a request does not go back to its client"),
            Err(_) => {
                // The driver is done with it but for its last words.
                self.closed = true;
                self.legs.iter_mut().for_each(Leg::forget);
            }
        }
    }

    /// Frames of the client's that are read at once: those go straight that may, and nothing but
    /// those.
    pub(crate) fn client_frames(&mut self, payloads: &[Vec<u8>]) {
        let mut rest = payloads;
        while let [first, behind @ ..] = rest
            && self.reads_client()
        {
            let bytes: Vec<u8> = rest
                .iter()
                .flat_map(|payload| judge::framed(payload))
                .collect();
            let straight =
                self.call(|session, now| session.straight_requests(&bytes, now, &mut ()));
            let frames = usize::try_from(straight.frames).expect("there are not that many");
            let (passed, left) = rest.split_at(frames);
            let sizes = passed.iter().map(|payload| payload.len() + PREFIX);
            assert_eq!(straight.bytes, sizes.sum::<usize>());
            for payload in passed {
                tell(|| format!("client sends straight {payload:?}"));
                judge::may_go_straight(payload, self.settings());
                self.client.asks(payload);
                self.leg_receives(self.settings().home(), &judge::framed(payload));
            }
            rest = left;
            if frames == 0 {
                self.client_frame(first);
                rest = behind;
            }
        }
    }

    /// A frame of a leg's, if it is connected. Whether the session hung up over it.
    pub(crate) fn leg_frame(&mut self, ensemble: EnsembleId, mut payload: Vec<u8>) -> bool {
        if self.closed || !self.leg(ensemble).connected {
            return false;
        }
        tell(|| format!("{ensemble:?} sends {payload:?}"));
        self.inflow += payload.len() + 256;
        let frame = judge::framed(&payload);
        let straight =
            self.call(|session, now| session.straight_replies(ensemble, &frame, now, &mut ()));
        if straight.frames == 1 {
            self.client_receives(&frame);
            return false;
        }
        let verdict = self.call(|session, now| session.leg_frame(ensemble, &mut payload, now));
        match verdict {
            Verdict::ToClient => self.client_receives(&judge::framed(&payload)),
            Verdict::Taken => {}
            Verdict::ToLeg(_) => unreachable!("a reply does not go to a leg"),
        }
        self.hung_up.contains(&ensemble)
    }

    /// A server grants what was dialled for.
    pub(crate) fn leg_up(&mut self, ensemble: EnsembleId) {
        if self.leg(ensemble).answers_dial() {
            tell(|| format!("{ensemble:?} is there"));
            self.leg(ensemble).connected = true;
            let session = credentials(0x200 + i64::from(ensemble == EnsembleId::new(2)));
            self.call(|at, now| at.leg_up(ensemble, session, now));
        }
    }

    pub(crate) fn leg_refused(&mut self, ensemble: EnsembleId) {
        if self.leg(ensemble).answers_dial() {
            tell(|| format!("{ensemble:?} has expired"));
            self.call(|session, now| session.leg_refused(ensemble, now));
        }
    }

    pub(crate) fn leg_unreachable(&mut self, ensemble: EnsembleId) {
        if self.leg(ensemble).answers_dial() {
            tell(|| format!("{ensemble:?} is out of reach"));
            self.call(|session, now| session.leg_unreachable(ensemble, now));
        }
    }

    pub(crate) fn leg_lost(&mut self, ensemble: EnsembleId) {
        if self.leg(ensemble).connected && !self.closed {
            tell(|| format!("{ensemble:?} is lost"));
            self.leg(ensemble).hang_up();
            self.call(|session, now| session.leg_lost(ensemble, Loss::Closed, now));
        }
    }

    pub(crate) fn role(&mut self, ensemble: EnsembleId, role: zoonet::wire::words::Role) {
        if std::mem::take(&mut self.leg(ensemble).role_asked) && self.leg(ensemble).connected {
            self.call(|session, _| session.role(ensemble, role));
        }
    }

    pub(crate) fn forgotten(&mut self, ensemble: EnsembleId) {
        if std::mem::take(&mut self.leg(ensemble).forgetting) {
            self.call(|session, now| session.forgotten(ensemble, now));
        }
    }

    /// Lets time pass, stopping at each deadline on the way.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        let until = self.now.after(milliseconds);
        for _ in 0..SPINS {
            if self.closed {
                return;
            }
            let Some(due) = self.session.deadline().filter(|due| *due <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(due);
            tell(|| format!("it is {:?}", self.now));
            self.call(|session, now| session.tick(now));
        }
        unreachable!(
            "the session wants to be called again and again at {:?}",
            self.now
        );
    }

    /// Lets time pass up to the next deadline, if there is one.
    pub(crate) fn pass_to_deadline(&mut self) {
        if let Some(due) = self.session.deadline() {
            self.pass(due.since(self.now).div_ceil(1_000));
        }
    }

    pub(crate) fn legs_unread(&mut self) {
        self.call(|session, now| session.legs_unread(now));
    }

    pub(crate) fn stop(&mut self) {
        tell(|| "stop".to_owned());
        self.call(|session, _| session.stop());
    }

    pub(crate) fn reload(&mut self, settings: Arc<Settings>) {
        tell(|| format!("reload {:?}", settings.home()));
        self.settings.push(Arc::clone(&settings));
        self.call(|session, now| session.reload(settings, now));
    }

    /// The client's connection ends and a new one goes on with its session, or begins one.
    pub(crate) fn reconnect(mut self) -> Self {
        tell(|| "the client connects again".to_owned());
        self.call(|session, now| session.part(now));
        let settings = Arc::clone(self.settings());
        let servers = self.client.servers;
        let Self {
            session,
            now,
            mut held,
            ..
        } = self;
        let (parked, used) = measured(|| session.park());
        held += used.kept;
        let mut next = Self::new(
            settings,
            if parked.is_some() {
                Origin::Attached
            } else {
                Origin::New
            },
            servers,
        );
        next.now = now;
        match parked {
            Some(parked) => {
                next.held += held;
                next.resume(parked);
            }
            None => assert_eq!(held, 0, "bytes left of a session that is over"),
        }
        next
    }

    fn resume(&mut self, parked: Vec<ParkedLeg>) {
        self.call(|session, now| session.resume(parked, now));
    }

    /// What must hold once all have answered: nobody waits, and little is kept.
    pub(crate) fn is_at_rest(&self) {
        assert!(
            self.closed || self.client.is_owed_nothing(),
            "a reply never came"
        );
        let (held, bound) = (self.held, crate::maps::at_rest(self.settings()));
        assert!(
            self.closed || held <= bound,
            "the session holds {held} bytes at rest, bound {bound}"
        );
    }
}

/// What is in a frame: the session's own `Debug` keeps that to itself.
fn spelt(output: &Output) -> String {
    match output {
        Output::ToClient(frame) | Output::ToLeg(_, frame) | Output::Dial(_, frame) => {
            format!(" {frame:?}")
        }
        Output::LearnRole(_)
        | Output::HangUp(_)
        | Output::Forget(_)
        | Output::CloseClient
        | Output::Happened(_) => String::new(),
    }
}
