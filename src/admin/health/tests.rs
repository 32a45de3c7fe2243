use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::net::Network;
use crate::telemetry::Telemetry;
use crate::wire::words::NOT_SERVING;

const SERVING: &str = "Zookeeper version: 3.8.0-x, built on 2024-01-01\nLatency min/avg/max: \
                       0/0.5/12\nZxid: 0x100000002\nMode: standalone\nNode count: 5\n";

/// A server that gives this answer to every word, and how often it was asked.
async fn server(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.unwrap();
            assert_eq!(word, *b"srvr");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, asked)
}

fn dialer(ports: &[u16]) -> Dialer {
    let servers: Vec<String> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let servers = servers.join(", ");
    let text =
        format!("home: us\nensembles:\n  us: {{ servers: [{servers}] }}\nroutes: {{ /: us }}\n");
    Dialer::new(
        Arc::new(Config::parse("test", &text).unwrap()),
        Arc::default(),
        Network::Tcp,
        None,
        Telemetry::default(),
    )
}

/// A port nobody listens on.
async fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn one_server_that_serves_is_enough() {
    let (serving, _) = server(SERVING).await;
    let dialer = dialer(&[nobody().await, serving]);
    assert_eq!(Health::new().home_is_ready(&dialer).await, Ok(()));
}

#[tokio::test]
async fn what_is_wrong_is_said_of_each_server() {
    let (not_serving, _) = server(NOT_SERVING).await;
    let (foreign, _) = server("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let dead = nobody().await;
    let faults = Health::new()
        .home_is_ready(&dialer(&[not_serving, foreign, dead]))
        .await
        .unwrap_err();
    let [first, second, third] = &faults[..] else {
        panic!("{faults:?}")
    };
    assert_eq!(
        *first,
        format!("127.0.0.1:{not_serving}: runs, but has no quorum")
    );
    assert!(second.ends_with("no ZooKeeper's"), "{second}");
    assert!(third.contains("cannot connect"), "{third}");
}

#[tokio::test]
async fn a_server_that_cuts_itself_off_is_no_home() {
    let (read_only, _) = server(
        "Zookeeper version: 3.8.0\nLatency min/avg/max: 0/0/0\nZxid: 0x1\nMode: read-only\nNode count: 5\n",
    )
    .await;
    assert!(
        Health::new()
            .home_is_ready(&dialer(&[read_only]))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn one_that_may_not_say_counts_as_serving() {
    let (shy, _) = server("srvr is not executed because it is not in the whitelist.\n").await;
    assert_eq!(Health::new().home_is_ready(&dialer(&[shy])).await, Ok(()));
}

#[tokio::test]
async fn servers_are_asked_every_two_seconds_at_most_and_only_when_somebody_asks() {
    let (serving, asked) = server(SERVING).await;
    let (dialer, health) = (dialer(&[serving]), Health::new());
    for _ in 0..50 {
        health.refresh_all(&dialer);
        assert_eq!(health.home_is_ready(&dialer).await, Ok(()));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // The time of real sockets cannot be paused while they are awaited.
    tokio::time::pause();
    tokio::time::advance(PERIOD).await;
    tokio::time::resume();
    assert_eq!(asked.load(Ordering::Relaxed), 1, "nobody has asked");
    assert_eq!(health.home_is_ready(&dialer).await, Ok(()));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_server_that_does_not_answer_delays_the_verdict_by_less_than_a_second() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialer = dialer(&[silent.local_addr().unwrap().port()]);
    let begun = Instant::now();
    let faults = Health::new().home_is_ready(&dialer).await.unwrap_err();
    assert!(faults[0].ends_with("no answer yet"), "{faults:?}");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn servers_that_are_configured_no_longer_are_forgotten() {
    let (serving, _) = server(SERVING).await;
    let (before, health) = (dialer(&[serving]), Health::new());
    assert_eq!(health.home_is_ready(&before).await, Ok(()));
    let gone = before.config().ensembles[0].servers[0].clone();
    assert!(health.of(&gone).is_some());
    health.refresh_all(&dialer(&[nobody().await]));
    assert!(health.of(&gone).is_none());
}
