use super::*;
use crate::wire::connect::Credentials;

const ID: SessionId = SessionId(7);
const PASSWORD: [u8; 16] = [1; 16];

fn legs() -> Vec<ParkedLeg> {
    let credentials = Credentials {
        session: SessionId(9),
        password: [2; 16],
        timeout: 4_000,
    };
    vec![ParkedLeg::restored(EnsembleId::new(1), credentials)]
}

#[tokio::test]
async fn what_a_connection_leaves_the_next_one_gets() {
    let registry = Registry::default();
    let (place, none) = registry.enter(ID, PASSWORD).await;
    assert!(none.is_empty());
    place.leave(Some(legs()));
    let (place, kept) = registry.enter(ID, PASSWORD).await;
    assert_eq!(kept, legs());
    place.leave(None);
    assert!(registry.enter(ID, PASSWORD).await.1.is_empty());
}

#[tokio::test]
async fn the_census_follows_a_session_to_its_end() {
    let registry = Registry::default();
    let (place, _) = registry.enter(ID, PASSWORD).await;
    let connected = Census {
        connected: 1,
        ..Census::default()
    };
    assert_eq!(registry.census(), connected);
    place.leave(Some(legs()));
    let parked = Census {
        parked: 1,
        parked_legs: BTreeMap::from([(EnsembleId::new(1), 1)]),
        ..Census::default()
    };
    assert_eq!(registry.census(), parked);
    registry.enter(ID, PASSWORD).await.0.leave(None);
    assert_eq!(registry.census(), Census::default());
}

#[tokio::test]
async fn a_connection_that_just_ends_leaves_nothing_behind() {
    let registry = Registry::default();
    drop(registry.enter(ID, PASSWORD).await);
    assert!(lock(&registry.0).is_empty());
}

#[tokio::test]
async fn an_older_connection_is_told_to_go_and_hands_over() {
    let registry = Registry::default();
    let (older, _) = registry.enter(ID, PASSWORD).await;
    let mut mailbox = Reader::new(Arc::clone(&older.mailbox));
    let leaves = tokio::spawn(async move {
        let told = std::future::poll_fn(|cx| match mailbox.take(cx) {
            commands if commands.is_empty() => std::task::Poll::Pending,
            commands => std::task::Poll::Ready(commands),
        });
        assert!(matches!(told.await[..], [Command::TakeOver]));
        older.leave(Some(legs()));
    });
    let (_newer, kept) = registry.enter(ID, PASSWORD).await;
    assert_eq!(kept, legs());
    leaves.await.unwrap();
}

/// Leaves once it is told to.
async fn leaves(place: Place) {
    let mut mailbox = Reader::new(Arc::clone(&place.mailbox));
    std::future::poll_fn(|cx| match mailbox.take(cx) {
        commands if commands.is_empty() => std::task::Poll::Pending,
        _ => std::task::Poll::Ready(()),
    })
    .await;
    place.leave(Some(legs()));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_come_at_once_each_gets_what_is_kept() {
    let registry = Registry::default();
    let (older, _) = registry.enter(ID, PASSWORD).await;
    let comes = async || {
        let (place, kept) = registry.enter(ID, PASSWORD).await;
        let told = leaves(place);
        assert_eq!(kept, legs(), "or its ephemerals go and nobody is told");
        let _ = timeout(TAKEOVER, told).await;
    };
    tokio::join!(leaves(older), comes(), comes());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_go_is_passed_over_and_cannot_harm_the_newer() {
    let registry = Registry::default();
    let (older, _) = registry.enter(ID, PASSWORD).await;
    let (newer, kept) = registry.enter(ID, PASSWORD).await;
    assert!(kept.is_empty());
    older.leave(Some(legs()));
    assert!(
        matches!(lock(&registry.0).get(&ID), Some(Entry::Live { mailbox, .. }) if Arc::ptr_eq(mailbox, &newer.mailbox))
    );
}

#[tokio::test]
async fn only_the_true_password_ends_what_is_parked() {
    let registry = Registry::default();
    registry.enter(ID, PASSWORD).await.0.leave(Some(legs()));
    assert_eq!(registry.refused(ID, &[9; 16]), None);
    assert_eq!(registry.refused(ID, &PASSWORD), Some(legs()));
    assert_eq!(registry.refused(ID, &PASSWORD), None);
}

#[tokio::test]
async fn what_is_shown_of_it_has_no_passwords() {
    let registry = Registry::default();
    registry.enter(ID, [0xa7; 16]).await.0.leave(Some(legs()));
    let shown = format!("{registry:?}");
    assert!(shown.contains("Parked"), "{shown}");
    assert!(
        !shown.contains("167, 167") && !shown.contains("2, 2"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn clients_that_do_not_come_back_are_forgotten() {
    let registry = Registry::default();
    registry.restore(ID, legs());
    let early = Instant::now() + KEPT - Duration::from_millis(1);
    assert!(registry.expired(early).is_empty());
    assert_eq!(registry.expired(early + Duration::from_millis(1)), [ID]);
}

#[tokio::test(start_paused = true)]
async fn of_too_many_those_that_are_away_for_longest_are_forgotten() {
    let registry = Registry::default();
    registry.restore(ID, legs());
    tokio::time::advance(Duration::from_secs(1)).await;
    let more = i64::try_from(MOST_PARKED).unwrap();
    for number in 1..=more {
        registry.restore(SessionId(1_000_000 - number), legs());
    }
    assert_eq!(registry.expired(Instant::now()), [ID]);
    assert!(registry.expired(Instant::now()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_after_its_remote_sessions_expired_is_told() {
    let registry = Registry::default();
    registry.enter(ID, PASSWORD).await.0.leave(Some(legs()));
    let late = Instant::now() + Duration::from_secs(60);
    assert!(registry.expired(late).is_empty());
    let (_, kept) = registry.enter(ID, PASSWORD).await;
    assert_eq!(
        kept,
        legs(),
        "their ensembles refuse them, and so the client learns of it"
    );
}
