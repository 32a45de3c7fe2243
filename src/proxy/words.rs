//! Four-letter words on the client port.
//!
//! | word | who answers | with |
//! | --- | --- | --- |
//! | `ruok` | the sidecar | `imok`: it runs; whether it can serve is for `/readyz` to say |
//! | `srvr` | the sidecar | its own traffic, home's last transaction and node count |
//! | `stat` | the sidecar | as `srvr`, and its clients |
//! | `mntr` | the sidecar | as `srvr`, and what only a sidecar has, as `zk_zoonet_…` |
//! | `cons` | the sidecar | its clients |
//! | `isro` | the sidecar | `rw` or `ro` as home is, `null` while it does not serve |
//! | `envi` | the sidecar | versions, host, system |
//! | `conf` | the sidecar | its configuration, without secrets |
//! | `dump`, `wchc`, `wchp`, `wchs` | a server of home | sessions and watches there, of all clients |
//! | `dirs`, `gtmk`, `hash` | a server of home | what it stores and traces |
//! | `crst`, `srst`, `stmk` | nobody | refused: they change a server |
//!
//! What is not in the list `words` of the configuration is refused, as a server refuses what is not
//! in its whitelist; of the words that are relayed, home's servers have to allow them too.
//!
//! # Decisions
//!
//! * The mode is `observer` while home serves: the sidecar hands out and passes on, but neither
//!   leads nor votes. Monitoring knows the word, and nobody who counts leaders or voters counts the
//!   sidecar. It is `read-only` where all that home has is.
//! * While home does not serve, `srvr` and `stat` are answered as by a server without a quorum, with
//!   the sentence that monitoring looks for. `mntr` still has all the sidecar knows by itself.
//! * The version is home's, so that clients find the features they look for, with `-zoonet-` and
//!   ours behind: nobody takes the sidecar for a server.
//! * Allowed without being told are the words that stock monitoring (`srvr`, `mntr`, `ruok`) and
//!   client libraries (`isro`, `envi`) use: they cost little and name no client. A server allows
//!   `srvr` alone, but it is not on a loopback address.

mod home;
mod view;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::time::timeout;

use super::Shared;
use super::client::Turned;
use crate::net::Stream;
use crate::registry::{Listed, Which};
use crate::wire::words::{NOT_LISTED, NOT_SERVING, Word};
use view::{Load, View};

/// How long a relayed answer may take.
const BOUND: Duration = Duration::from_secs(10);

/// How many clients are asked and listed; of more a list is of no use in this form.
const CLIENTS: usize = 10_000;

/// How long a client may take to close when it has its answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// Answers a four-letter word.
pub(super) async fn answer(client: Stream, word: Word, shared: &Shared) -> Result<(), Turned> {
    if word.changes_its_server() || !shared.config.words.contains(&word) {
        return say(client, &format!("{word}{NOT_LISTED}")).await;
    }
    let words = match &word.bytes() {
        b"ruok" => "imok".to_owned(),
        b"isro" => home::ask(&shared.dialer).await.access().to_owned(),
        b"srvr" => or_not_serving(view(shared).await.srvr()),
        b"stat" => or_not_serving(view(shared).await.stat()),
        b"mntr" => view(shared).await.mntr(),
        b"cons" => load(shared).await.cons(),
        b"envi" => view::envi(&home::ask(&shared.dialer).await),
        b"conf" => view::conf(&shared.config),
        _ => return relay(client, word, shared).await,
    };
    say(client, &words).await
}

fn or_not_serving(words: Option<String>) -> String {
    words.unwrap_or_else(|| NOT_SERVING.to_owned())
}

/// What there is to say about clients.
async fn load(shared: &Shared) -> Load {
    let listing = shared.registry.list(Which::Connected, None, CLIENTS).await;
    let mut load = Load {
        connected: listing.connected,
        parked: listing.parked,
        traffic: shared.telemetry.traffic(shared.config.home()),
        uptime: shared.telemetry.uptime(),
        ..Load::default()
    };
    for listed in listing.sessions.into_values() {
        // Whoever does not tell of itself is busy, and counted above.
        if let Listed::Connected(report) = listed {
            load.add(&report, shared.config.home());
        }
    }
    load
}

async fn view(shared: &Shared) -> View<'_> {
    let (home, load) = tokio::join!(home::ask(&shared.dialer), load(shared));
    View {
        config: &shared.config,
        home,
        load,
    }
}

async fn say(mut client: Stream, words: &str) -> Result<(), Turned> {
    let farewell = async {
        client.write_all(words.as_bytes()).await?;
        client.shutdown().await?;
        // A newline behind the word that nobody reads would turn the close into a reset, which may
        // overtake the answer.
        let mut rest = [0; 64];
        while client.read(&mut rest).await? > 0 {}
        Ok(())
    };
    // One that does not close has its answer all the same.
    timeout(FAREWELL, farewell).await.unwrap_or(Ok(()))
}

/// Lets a home server answer.
async fn relay(mut client: Stream, word: Word, shared: &Shared) -> Result<(), Turned> {
    let relay = async {
        let mut server = shared.dialer.connect(shared.config.home()).await?;
        server.write_all(&word.bytes()).await?;
        // The server closes when it has answered; clients may have closed their side before.
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    };
    timeout(BOUND, relay)
        .await
        .map_err(|_| Turned::Slow(BOUND))?
}
