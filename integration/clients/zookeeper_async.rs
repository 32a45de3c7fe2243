//! The crate `zookeeper-async`, as any application would take it, on both sides of a sidecar.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use zookeeper_async::{
    Acl, CreateMode, WatchedEvent, WatchedEventType, ZkError, ZooKeeper, ZooKeeperExt as _,
};

use super::{blames_nobody, on_the_pair};
use crate::testbed::regions;

const SESSION: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client_works_on_both_sides() {
    let sidecar = tokio::task::spawn_blocking(on_the_pair).await.unwrap();
    let client = connect(sidecar.address()).await;
    let other = connect(sidecar.address()).await;
    for path in ["/us-rust", "/eu/rust"] {
        client.ensure_path(path).await.unwrap();
        values(&client, path).await;
        children(&client, path).await;
        watches(&client, &other, path).await;
    }
    pipelined(&client).await;
    ephemerals(client, &other).await;
    for path in ["/us-rust", "/eu/rust"] {
        other.delete_recursive(path).await.unwrap();
    }
    other.close().await.unwrap();
    blames_nobody(&sidecar);
}

async fn connect(address: SocketAddr) -> Arc<ZooKeeper> {
    let address = address.to_string();
    let client = ZooKeeper::connect(&address, SESSION, |_| {});
    Arc::new(timeout(PATIENCE, client).await.unwrap().unwrap())
}

async fn values(client: &ZooKeeper, path: &str) {
    let node = format!("{path}/n");
    let made = create(client, &node, CreateMode::Persistent).await;
    assert_eq!(made, node);
    let twice = client
        .create(
            &node,
            vec![],
            Acl::open_unsafe().clone(),
            CreateMode::Persistent,
        )
        .await;
    assert_eq!(twice, Err(ZkError::NodeExists));
    let stat = client.set_data(&node, b"new".to_vec(), Some(0)).await;
    assert_eq!(stat.unwrap().version, 1);
    let stale = client.set_data(&node, b"never".to_vec(), Some(0)).await;
    assert_eq!(stale.unwrap_err(), ZkError::BadVersion);
    let (value, stat) = client.get_data(&node, false).await.unwrap();
    assert_eq!((value.as_slice(), stat.version), (&b"new"[..], 1));
    let (acl, _) = client.get_acl(&node).await.unwrap();
    assert_eq!(&acl, Acl::open_unsafe());
    client.delete(&node, Some(1)).await.unwrap();
    assert!(client.exists(&node, false).await.unwrap().is_none());
    let gone = client.get_data(&node, false).await;
    assert_eq!(gone.unwrap_err(), ZkError::NoNode);
}

async fn children(client: &ZooKeeper, path: &str) {
    let mut made = Vec::new();
    for _ in 0..3 {
        let name = format!("{path}/s-");
        made.push(create(client, &name, CreateMode::PersistentSequential).await);
    }
    assert!(made.is_sorted() && made[0].starts_with(&format!("{path}/s-00")));
    let mut found = client.get_children(path, false).await.unwrap();
    found.sort();
    let names: Vec<_> = made.iter().map(|made| &made[path.len() + 1..]).collect();
    assert_eq!(found, names);
    for made in &made {
        client.delete(made, None).await.unwrap();
    }
}

async fn watches(client: &ZooKeeper, other: &ZooKeeper, path: &str) {
    let node = format!("{path}/watched");
    let (created, mut creations) = watcher();
    let found = client.exists_w(&node, created).await.unwrap();
    assert!(found.is_none());
    let (changed, mut kids) = watcher();
    client.get_children_w(path, changed).await.unwrap();
    create(other, &node, CreateMode::Persistent).await;
    let event = next(&mut creations).await;
    assert_eq!(event, (WatchedEventType::NodeCreated, Some(node.clone())));
    let event = next(&mut kids).await;
    let expected = WatchedEventType::NodeChildrenChanged;
    assert_eq!(event, (expected, Some(path.to_owned())));
    let (changed, mut changes) = watcher();
    client.get_data_w(&node, changed).await.unwrap();
    other.set_data(&node, b"x".to_vec(), None).await.unwrap();
    let event = next(&mut changes).await;
    let expected = WatchedEventType::NodeDataChanged;
    assert_eq!(event, (expected, Some(node.clone())));
    other.delete(&node, None).await.unwrap();
}

/// Requests of both sides in flight at once: the client ends itself over a reply out of order.
async fn pipelined(client: &Arc<ZooKeeper>) {
    let mut running = Vec::new();
    for number in 0..200 {
        let client = Arc::clone(client);
        running.push(tokio::spawn(async move {
            let path = ["/us-rust", "/eu/rust"][number % 2];
            let path = format!("{path}/p-{number}");
            create(&client, &path, CreateMode::Persistent).await;
            let (value, _) = client.get_data(&path, false).await.unwrap();
            assert_eq!(value, path.as_bytes());
            client.delete(&path, Some(0)).await.unwrap();
        }));
    }
    for running in running {
        timeout(PATIENCE, running).await.unwrap().unwrap();
    }
}

/// Both show one owner, home's session, and go when the client closes.
async fn ephemerals(client: Arc<ZooKeeper>, other: &ZooKeeper) {
    let mut owners = Vec::new();
    let mut deletions = Vec::new();
    for path in ["/us-rust/e", "/eu/rust/e"] {
        create(&client, path, CreateMode::Ephemeral).await;
        let stat = client.exists(path, false).await.unwrap().unwrap();
        owners.push(stat.ephemeral_owner);
        let (deleted, events) = watcher();
        assert!(other.exists_w(path, deleted).await.unwrap().is_some());
        deletions.push((path, events));
    }
    assert_eq!(owners[0], owners[1]);
    let dump = regions::shared_pair().us.servers()[0].ask("dump").unwrap();
    assert!(dump.contains(&format!("{:#x}", owners[0])), "{dump}");
    client.close().await.unwrap();
    for (path, mut events) in deletions {
        let expected = WatchedEventType::NodeDeleted;
        assert_eq!(next(&mut events).await, (expected, Some(path.to_owned())));
    }
}

/// Makes a node whose value is its path.
async fn create(client: &ZooKeeper, path: &str, mode: CreateMode) -> String {
    let acl = Acl::open_unsafe().clone();
    client
        .create(path, path.as_bytes().to_vec(), acl, mode)
        .await
        .unwrap()
}

type Events = UnboundedReceiver<(WatchedEventType, Option<String>)>;

fn watcher() -> (impl FnOnce(WatchedEvent) + Send + 'static, Events) {
    let (sender, events) = unbounded_channel();
    let told = move |event: WatchedEvent| {
        // A test that failed listens no more.
        let _ = sender.send((event.event_type, event.path));
    };
    (told, events)
}

async fn next(events: &mut Events) -> (WatchedEventType, Option<String>) {
    timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
}
