//! What whole sidecars, real and simulated, do not reach: systems and simulations drive the driver
//! otherwise.

use std::task::Waker;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::task::coop::{consume_budget, has_budget_remaining};
use tokio::time::advance;

use super::*;
use crate::config::{Config, Server};
use crate::net::Network;
use crate::secrets::Secrets;
use crate::session::{Origin, Settings};
use crate::telemetry::Telemetry;
use crate::wire::connect::Credentials;
use crate::wire::reply::WatchEvent;
use crate::wire::{SessionId, Zxid};

const PATIENCE: Duration = Duration::from_secs(5);

/// A driver, with the client's end, which takes few bytes, and home's.
fn driver() -> (Driver, DuplexStream, DuplexStream) {
    let text = "home: us\nensembles: { us: { servers: [a:1] } }\nroutes: { /: us }\n\
                slow_reader_timeout: 5s\n";
    let config = Arc::new(Config::parse("test", text).unwrap());
    let secrets = Arc::new(Secrets::load(&config).unwrap());
    let telemetry = Telemetry::default();
    let dialer = Dialer::new(
        Arc::clone(&config),
        secrets,
        Network::Tcp,
        None,
        telemetry.clone(),
    );
    let policies = config.ensembles.iter().map(|ensemble| ensemble.policy);
    let settings = Settings::new(config.routes.clone(), policies.collect());
    let me = Credentials {
        session: SessionId::from(7),
        password: [7; 16],
        timeout: 30_000,
    };
    let (near_client, client) = duplex(8);
    let (near_home, home) = duplex(64 * 1024);
    let server = Server {
        host: "a".to_owned(),
        port: 1,
    };
    let links = Links {
        client: Stream::Memory(near_client),
        home: (config.home(), Stream::Memory(near_home), server.into()),
        request_limit: 1 << 20,
        reply_limit: 1 << 20,
        dialer,
        epoch: Instant::now(),
        mailbox: Arc::default(),
    };
    let watcher = Watcher::new(Arc::clone(&config), (me.session, None), telemetry);
    let session = Session::new(Arc::new(settings), me, Origin::New, Tick::default());
    (Driver::new(session, links, watcher), client, home)
}

/// A driver that has always something to read uses its budget up, and then no timer of tokio's says
/// that it is due.
#[tokio::test(start_paused = true)]
async fn what_is_due_is_done_without_a_budget() {
    let (mut driver, _client, mut home) = driver();
    let event = WatchEvent {
        kind: 1,
        state: 3,
        path: b"/more-than-the-client-takes",
    };
    home.write_all(&event.frame(Zxid::from(1))).await.unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(driver.poll(&mut cx).is_pending());
    assert!(driver.client.unwritten() > 0);

    advance(PATIENCE - Duration::from_millis(1)).await;
    let mut poll = async || {
        while has_budget_remaining() {
            consume_budget().await;
        }
        driver.poll(&mut cx)
    };
    assert!(poll().await.is_pending());
    advance(Duration::from_millis(2)).await;
    let end = poll().await;
    assert!(
        matches!(end, Poll::Ready(End::SlowReader(PATIENCE))),
        "{end:?}"
    );
}
