//! What is asynchronous of a simulation: sidecars, and streams in memory between them and the world.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};
use zoonet::config::Config;
use zoonet::net::{Connect, Connecting, Listener, Network, Peer, Stream};
use zoonet::proxy::Proxy;
use zoonet::state::Store;

use super::ensemble::Link;
use super::world::World;

/// What fits into a stream before its reader has to read.
const ROOM: usize = 64 * 1024;

/// The world, shared with the tasks that carry its bytes.
pub(super) struct Shared {
    world: Mutex<World>,
    woken: Notify,
    epoch: Instant,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(world: World) -> Self {
        Self {
            world: Mutex::new(world),
            woken: Notify::new(),
            epoch: Instant::now(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.epoch.elapsed().as_millis();
        world.set_now(u64::try_from(now).unwrap_or(u64::MAX));
        world
    }

    /// Does something with the world, at the time it is.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let done = act(&mut self.lock());
        self.woken.notify_one();
        done
    }

    /// Lets everything happen when it is due, until the world has come to its end.
    pub(super) async fn run(self: &Arc<Self>) {
        loop {
            let Some(next) = self.lock().run(self) else {
                return;
            };
            let due = self.epoch + Duration::from_millis(next);
            tokio::select! {
                biased;
                () = self.woken.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Takes the world's end of a stream: a task reads it, another writes to it.
    pub(super) fn attend(self: &Arc<Self>, link: Link, far: DuplexStream) -> Wire {
        let (reader, writer) = split(far);
        let (bytes, queue) = mpsc::unbounded_channel();
        let reading = tokio::spawn(read(Arc::clone(self), link, reader));
        tokio::spawn(write(writer, queue));
        Wire {
            bytes,
            reading: reading.abort_handle(),
        }
    }

    /// Starts a sidecar.
    pub(super) fn start(
        self: &Arc<Self>,
        config: Config,
        store: Store,
        (sidecar, life): (usize, u32),
    ) -> Running {
        let way = WayOut {
            shared: Arc::clone(self),
            sidecar,
            life,
        };
        let (door, clients) = mpsc::channel(1024);
        let (stop, stopped) = oneshot::channel::<()>();
        let proxy = Proxy::new(config, Network::Other(Arc::new(way)), Some(store))
            .expect("it names no files that could be wrong");
        let shared = Arc::clone(self);
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stopped => {}
                () = proxy.serve(Listener::Memory(clients)) => {}
            }
            proxy.stop().await;
            shared.with(|world| world.stopped(sidecar, life));
        });
        Running {
            door,
            stop: Some(stop),
            task: task.abort_handle(),
        }
    }
}

async fn read(shared: Arc<Shared>, link: Link, mut reader: ReadHalf<DuplexStream>) {
    let mut buffer = vec![0; ROOM];
    loop {
        let read = reader.read(&mut buffer).await.unwrap_or(0);
        let bytes = buffer.get(..read).unwrap_or_default().to_vec();
        shared.with(|world| world.sent(link, bytes));
        if read == 0 {
            return;
        }
    }
}

async fn write(mut writer: WriteHalf<DuplexStream>, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = queue.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The world's end of a stream. Dropped, it is closed behind what was written.
#[derive(Debug)]
pub(super) struct Wire {
    bytes: mpsc::UnboundedSender<Vec<u8>>,
    reading: AbortHandle,
}

impl Wire {
    /// Writes towards the sidecar; whom it does not reach is gone.
    pub(super) fn write(&self, bytes: Vec<u8>) {
        self.bytes.send(bytes).ok();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// A sidecar that runs.
#[derive(Debug)]
pub(super) struct Running {
    door: mpsc::Sender<DuplexStream>,
    stop: Option<oneshot::Sender<()>>,
    task: AbortHandle,
}

impl Running {
    /// A client's end of a connection to it; `None` where it takes no more.
    pub(super) fn connect(&self) -> Option<DuplexStream> {
        self.stop.as_ref()?;
        let (near, far) = duplex(ROOM);
        self.door.try_send(near).ok()?;
        Some(far)
    }

    /// Tells it to stop: it says when it has.
    pub(super) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
    }

    /// Ends it at once. What is left of it notices when its streams break.
    pub(super) fn kill(self) {
        self.task.abort();
    }
}

/// How one life of a sidecar reaches servers.
#[derive(Clone, Debug)]
struct WayOut {
    shared: Arc<Shared>,
    sidecar: usize,
    life: u32,
}

impl Connect for WayOut {
    fn connect(&self, peer: &Peer) -> Connecting {
        let Self {
            shared,
            sidecar,
            life,
        } = self.clone();
        let place = place(&peer.server.host);
        Box::pin(async move {
            let (ensemble, server) = place.ok_or(io::ErrorKind::AddrNotAvailable)?;
            let wait = shared.with(|world| world.way(sidecar, ensemble));
            sleep(Duration::from_millis(wait)).await;
            let (near, far) = duplex(ROOM);
            let mut far = Some(far);
            let opened = shared.with(|world| {
                let link = world.open((sidecar, life), (ensemble, server))?;
                world.wire(link, shared.attend(link, far.take()?));
                Some(())
            });
            opened.ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok(Stream::Memory(near))
        })
    }
}

/// The name of a server.
pub(super) fn name(ensemble: usize, server: usize) -> String {
    format!("e{ensemble}s{server}")
}

fn place(name: &str) -> Option<(usize, usize)> {
    let (ensemble, server) = name.strip_prefix('e')?.split_once('s')?;
    Some((ensemble.parse().ok()?, server.parse().ok()?))
}
