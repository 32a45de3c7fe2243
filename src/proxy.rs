//! Accepts clients: four-letter words are relayed, handshakes become sessions.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use crate::config::Config;
use crate::dial::{Attached, Dialer, Unreachable, read_rest};
use crate::driver::{Driver, End};
use crate::session::{Origin, Session, Settings, Tick};
use crate::telemetry::Watcher;
use crate::wire::connect::{ConnectRequest, ConnectResponse};
use crate::wire::frames::PREFIX;
use crate::wire::words::is_word;
use crate::wire::{SessionId, WireFault};

/// Largest handshake: clients send 45 bytes.
const HANDSHAKE_LIMIT: usize = 1024;

/// How long a four-letter word may take to be answered.
const WORD_BOUND: Duration = Duration::from_secs(10);

/// How long to wait when the process is out of file descriptors before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Words that change a server's state; clients of a sidecar have no business with them.
const FORBIDDEN: [&[u8; 4]; 3] = [b"crst", b"srst", b"stmk"];

/// The sidecar cannot serve.
#[derive(Debug, Error)]
pub enum RunError {
    /// The address clients connect to cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// Signals cannot be waited for, or the address cannot be told.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// What ended a connection before it became a session.
#[derive(Debug, Error)]
enum Turned {
    #[error("no handshake within {0:?}")]
    Slow(Duration),
    #[error("connection lost during the handshake: {0}")]
    Lost(io::Error),
    #[error("this is not ZooKeeper's protocol: {0}")]
    Foreign(io::Error),
    #[error("malformed handshake: {0}")]
    Malformed(#[from] WireFault),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

impl From<io::Error> for Turned {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::InvalidData {
            Self::Foreign(error)
        } else {
            Self::Lost(error)
        }
    }
}

/// What every connection needs.
struct Shared {
    config: Arc<Config>,
    settings: Arc<Settings>,
    dialer: Dialer,
}

/// Runs the sidecar until SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot listen.
pub async fn run(config: Config) -> Result<(), RunError> {
    let address = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|cause| RunError::Listen { address, cause })?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let bound = listener.local_addr()?;
    tracing::info!(%bound, "listening");
    // For whoever started us with port 0 and waits to be told.
    writeln!(io::stdout(), "listening on {bound}")?;
    tokio::select! {
        () = accept_all(listener, config) => {}
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
    }
    Ok(())
}

async fn accept_all(listener: TcpListener, config: Config) {
    let config = Arc::new(config);
    let shared = Arc::new(Shared {
        settings: Arc::new(settings(&config)),
        dialer: Dialer::new(Arc::clone(&config)),
        config,
    });
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Err(turned) = serve(client, &shared).await {
                        tracing::warn!(%peer, reason = %turned, "client turned away");
                    }
                });
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn settings(config: &Config) -> Settings {
    let barriers = config
        .ensembles
        .iter()
        .map(|ensemble| ensemble.barrier)
        .collect();
    let request_timeout = config
        .request_timeout
        .map(|bound| u64::try_from(bound.as_millis()).unwrap_or(u64::MAX).max(1));
    let mut settings = Settings::new(config.routes.clone(), barriers);
    settings.frame_limit = config.limits.frame_limit;
    settings.look_ahead = config.limits.look_ahead;
    settings.outstanding = config.limits.outstanding;
    settings.request_timeout = request_timeout;
    settings.expose_config = config.expose_config;
    settings
}

async fn serve(mut client: TcpStream, shared: &Shared) -> Result<(), Turned> {
    client.set_nodelay(true)?;
    let bound = shared.config.handshake_timeout;
    let first = timeout(bound, first_bytes(&mut client))
        .await
        .map_err(|_| Turned::Slow(bound))??;
    let Some(first) = first else {
        return Ok(());
    };
    if is_word(first) {
        return answer_word(client, first, shared).await;
    }
    let rest = read_rest(&mut client, first.to_vec(), HANDSHAKE_LIMIT);
    let handshake = timeout(bound, rest)
        .await
        .map_err(|_| Turned::Slow(bound))??;
    let request = ConnectRequest::parse(handshake.get(PREFIX..).unwrap_or_default())?;
    let home = shared.config.home();
    let Attached {
        stream,
        response,
        frame,
        ..
    } = shared.dialer.attach(home, &handshake).await?;
    client.write_all(&frame).await?;
    let ConnectResponse::Granted(me) = response else {
        tracing::info!(session = %request.session, "home refused the session");
        client.shutdown().await?;
        return Ok(());
    };
    let origin = if request.session == SessionId::NONE {
        Origin::New
    } else {
        Origin::Attached
    };
    tracing::debug!(session = %me.session, timeout = me.timeout, ?origin, "session attached");
    let id = me.session;
    let session = Session::new(Arc::clone(&shared.settings), me, origin, Tick::default());
    let watcher = Watcher::new(Arc::clone(&shared.config), id);
    let limit = shared.config.limits.frame_limit;
    let epoch = Instant::now();
    let driver = Driver::new(
        session,
        limit,
        client,
        (home, stream),
        shared.dialer.clone(),
        epoch,
        watcher,
    );
    match driver.run().await {
        End::ClientGone => tracing::debug!(session = %id, "client gone"),
        End::Closed => tracing::debug!(session = %id, "connection closed"),
        End::Fault(fault) => tracing::warn!(session = %id, %fault, "client's connection closed"),
    }
    Ok(())
}

/// What tells a four-letter word from a handshake; nothing from those who only look whether the
/// port is open.
async fn first_bytes(client: &mut TcpStream) -> io::Result<Option<[u8; PREFIX]>> {
    let mut first = [0; PREFIX];
    let read = client.read(&mut first).await?;
    if read == 0 {
        return Ok(None);
    }
    client
        .read_exact(first.get_mut(read..).unwrap_or_default())
        .await?;
    Ok(Some(first))
}

/// Lets a home server answer a four-letter word.
async fn answer_word(mut client: TcpStream, word: [u8; 4], shared: &Shared) -> Result<(), Turned> {
    if FORBIDDEN.contains(&&word) {
        let word = String::from_utf8_lossy(&word).into_owned();
        // The words of a stock server on which it is not whitelisted.
        client
            .write_all(
                format!("{word} is not executed because it is not in the whitelist.\n").as_bytes(),
            )
            .await?;
        client.shutdown().await?;
        return Ok(());
    }
    let relay = async {
        let mut server = shared.dialer.connect(shared.config.home()).await?;
        server.write_all(&word).await?;
        // The server closes when it has answered; clients may have closed their side before.
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    };
    timeout(WORD_BOUND, relay)
        .await
        .map_err(|_| Turned::Slow(WORD_BOUND))?
}
