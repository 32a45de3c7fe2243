//! A TCP relay on loopback that stands for a long, faulty wire.
//!
//! Put it on a client link or on the link between an observer and its ensemble, and change delay
//! and faults while connections run.
//!
//! # Decisions
//!
//! * A delay moves bytes in time and does not thin them out: what was read is queued with its time
//!   of arrival and written when it is due, so pipelined traffic keeps its pace.
//! * A delay holds for bytes already under way, too: lowering it lets them out, raising it keeps
//!   them, and so a test need not wait for what it queued.
//! * A cut wire is silent: neither data nor the end of a connection gets through, and nobody sees
//!   a reset. Only the kernel's own handshake cannot be withheld from here: with
//!   [`Newcomers::Hang`] a connect succeeds and then nothing answers.

mod pump;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ports;
use pump::{Pace, Reset, pump};

/// Which way bytes go, seen from the one who dialled the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the dialler to the target.
    Up,
    /// From the target back to the dialler.
    Down,
}

/// What a cut does to those who dial while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newcomers {
    /// They connect and hear nothing until the wire heals.
    Hang,
    /// They are refused, as by a host without a listener.
    Refuse,
}

/// How much went through so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Connections accepted.
    pub(crate) connections: u64,
    /// Bytes delivered to the target.
    pub(crate) up: u64,
    /// Bytes delivered to the diallers.
    pub(crate) down: u64,
}

/// One listening end and the wire behind it; dropping it resets what is connected.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    controls: Arc<Controls>,
    _life: DropGuard,
}

impl Relay {
    /// Listens on a fresh loopback port and forwards to `target`, which need not be up yet.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let address = ports::reserve();
        let listener = bind(address);
        let life = CancellationToken::new();
        let controls = Arc::new(Controls::new(&life));
        RUNTIME.spawn(serve(listener, target, Arc::clone(&controls), life.clone()));
        Self {
            address,
            controls,
            _life: life.drop_guard(),
        }
    }

    /// Where to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the one-way delay of one direction.
    pub(crate) fn delay(&self, direction: Direction, delay: Duration) {
        self.pace(direction, |pace| pace.delay = delay);
    }

    /// Sets the one-way delay of both directions; a round trip takes twice as long.
    pub(crate) fn delay_both(&self, delay: Duration) {
        self.delay(Direction::Up, delay);
        self.delay(Direction::Down, delay);
    }

    /// Stops the bytes of one direction at this instant, without a word to either side.
    pub(crate) fn freeze(&self, direction: Direction) {
        self.pace(direction, |pace| pace.frozen = true);
    }

    /// Stops both directions and the accepting of connections: a partition.
    pub(crate) fn cut(&self, newcomers: Newcomers) {
        self.freeze(Direction::Up);
        self.freeze(Direction::Down);
        self.controls.move_door(match newcomers {
            Newcomers::Hang => Door::Ignored,
            Newcomers::Refuse => Door::Shut,
        });
    }

    /// Undoes [`Self::cut`] and [`Self::freeze`]: what was held goes on; delays stay.
    pub(crate) fn heal(&self) {
        self.controls.move_door(Door::Open);
        self.pace(Direction::Up, |pace| pace.frozen = false);
        self.pace(Direction::Down, |pace| pace.frozen = false);
    }

    /// Resets every connection that is up; what was under way is lost.
    pub(crate) fn reset(&self) {
        self.controls.reset();
    }

    /// What went through so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            connections: self.controls.connections.load(Ordering::Relaxed),
            up: self.controls.up.bytes.load(Ordering::Relaxed),
            down: self.controls.down.bytes.load(Ordering::Relaxed),
        }
    }

    fn pace(&self, direction: Direction, change: impl FnOnce(&mut Pace)) {
        let lane = match direction {
            Direction::Up => &self.controls.up,
            Direction::Down => &self.controls.down,
        };
        lane.pace.send_modify(change);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    Ignored,
    Shut,
}

/// One direction of all connections of a relay.
#[derive(Debug)]
struct Lane {
    pace: watch::Sender<Pace>,
    bytes: AtomicU64,
}

impl Lane {
    fn new() -> Self {
        Self {
            pace: watch::Sender::new(Pace::default()),
            bytes: AtomicU64::new(0),
        }
    }
}

/// What the owner sets and the connections watch.
#[derive(Debug)]
struct Controls {
    up: Lane,
    down: Lane,
    door: watch::Sender<Door>,
    stands: Mutex<Door>,
    moved: Condvar,
    connections: AtomicU64,
    life: CancellationToken,
    generation: Mutex<CancellationToken>,
}

impl Controls {
    fn new(life: &CancellationToken) -> Self {
        Self {
            up: Lane::new(),
            down: Lane::new(),
            door: watch::Sender::new(Door::Open),
            stands: Mutex::new(Door::Open),
            moved: Condvar::new(),
            connections: AtomicU64::new(0),
            life: life.clone(),
            generation: Mutex::new(life.child_token()),
        }
    }

    /// Moves the door and returns once the listener stands as it should: at most a bind later.
    fn move_door(&self, to: Door) {
        self.door.send_replace(to);
        let stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.moved.wait_while(stands, |stands| *stands != to));
    }

    fn door_stands(&self, now: Door) {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.moved.notify_all();
    }

    fn reset(&self) {
        let mut generation = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generation.cancel();
        *generation = self.life.child_token();
    }

    /// Ends when the connections of this moment are to be reset.
    fn generation(&self) -> CancellationToken {
        self.generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// All relays share one thread: loopback needs no more, and tests keep the others.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("relays")
        .enable_all()
        .build()
        .expect("a runtime can be had at start-up")
});

fn bind(address: SocketAddr) -> TcpListener {
    let _context = RUNTIME.enter();
    std::net::TcpListener::bind(address)
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .expect("a reserved port is free")
}

async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    controls: Arc<Controls>,
    life: CancellationToken,
) {
    let address = listener.local_addr().expect("it is bound");
    let mut listener = Some(listener);
    let mut door = controls.door.subscribe();
    while !life.is_cancelled() {
        let now = *door.borrow_and_update();
        if now == Door::Shut {
            listener = None;
        } else if listener.is_none() {
            listener = Some(bind(address));
        }
        controls.door_stands(now);
        tokio::select! {
            () = life.cancelled() => {}
            _ = door.changed() => {}
            Ok((dialler, _)) = accept(listener.as_ref()), if now == Door::Open => {
                controls.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connect(dialler, target, Arc::clone(&controls)));
            }
        }
    }
}

/// The next connection; never, where nobody listens.
async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// One connection from its acceptance to its end.
async fn connect(mut dialler: TcpStream, target: SocketAddr, controls: Arc<Controls>) {
    let generation = controls.generation();
    let Ok(mut target) = TcpStream::connect(target).await else {
        // The dialler sees what it would see without us, if a moment later.
        let _ = dialler.set_zero_linger();
        return;
    };
    let _ = dialler.set_nodelay(true);
    let _ = target.set_nodelay(true);
    let ended = {
        let (from_dialler, to_dialler) = dialler.split();
        let (from_target, to_target) = target.split();
        let lanes = async {
            tokio::try_join!(
                pump(from_dialler, to_target, &controls.up),
                pump(from_target, to_dialler, &controls.down),
            )
        };
        tokio::select! {
            both = lanes => both.map(|_| ()),
            () = generation.cancelled() => Err(Reset),
        }
    };
    if ended.is_err() {
        let _ = dialler.set_zero_linger();
        let _ = target.set_zero_linger();
    }
}
