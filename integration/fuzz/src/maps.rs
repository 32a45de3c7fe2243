//! The route maps and settings the sessions under test have.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use zoonet::route::{BarrierKind, EnsembleId, RouteMap};
use zoonet::session::{OnExpiry, OnUnreachable, Policy, Settings, Shown};

/// How many ensembles every map has; the first is home.
pub(crate) const ENSEMBLES: u16 = 4;

/// Largest payload of a request, bytes. Small, so that few bytes of input can reach each bound.
const FRAME_LIMIT: usize = 8 << 10;
const REPLY_LIMIT: usize = 8 << 10;
const LOOK_AHEAD: usize = 16 << 10;
const OUTSTANDING: usize = 256;
const LEDGER_LIMIT: usize = 16 << 10;

/// All ensembles, home first.
pub(crate) fn ensembles() -> impl Iterator<Item = EnsembleId> {
    (0..ENSEMBLES).map(EnsembleId::new)
}

type Line = (&'static str, u16, Option<&'static str>);

/// Nested prefixes and mounts; home under its own name.
const NESTED: &[Line] = &[
    ("/", 0, None),
    ("/eu", 1, None),
    ("/eu/deep", 2, None),
    ("/eu/deep/home", 0, None),
    ("/a/b/away", 1, None),
    ("/old", 1, Some("/app")),
    ("/all", 3, Some("/")),
];

/// The same prefixes for others; a client that used one of them notices.
const MOVED: &[Line] = &[
    ("/", 0, None),
    ("/eu", 2, None),
    ("/eu/deep", 1, None),
    ("/old", 2, Some("/app")),
    ("/all", 3, Some("/")),
];

/// Home is a mount itself.
const CHROOTED: &[Line] = &[
    ("/", 0, Some("/chroot")),
    ("/eu", 1, Some("/")),
    ("/eu/deep", 2, Some("/deep")),
    ("/old", 3, Some("/all")),
];

/// The root is a remote ensemble's.
const ELSEWHERE: &[Line] = &[("/", 1, None), ("/home", 0, Some("/")), ("/eu", 2, None)];

/// There is nothing to compose.
const SINGLE: &[Line] = &[("/", 0, None)];

const MAPS: [&[Line]; 5] = [NESTED, MOVED, CHROOTED, ELSEWHERE, SINGLE];

/// Settings with one of the maps. The ensembles differ in their policies, so that all of them occur.
pub(crate) fn settings(u: &mut Unstructured<'_>) -> Result<Arc<Settings>> {
    let entries = u
        .choose(&MAPS)?
        .iter()
        .map(|(prefix, to, root)| {
            let root = root.map(|root| root.as_bytes().to_vec());
            (prefix.as_bytes().to_vec(), EnsembleId::new(*to), root)
        })
        .collect();
    let routes = RouteMap::new(EnsembleId::new(0), entries).expect("the maps above are sound");
    let policies = vec![
        Policy::from(BarrierKind::Sync),
        Policy {
            elide_barriers: Some(Shown::Stat),
            ..Policy::from(BarrierKind::Sync)
        },
        Policy {
            barrier: BarrierKind::Quorum,
            on_unreachable: OnUnreachable::Disconnect,
            on_expiry: OnExpiry::Keep,
            warm: false,
            elide_barriers: Some(Shown::Header),
        },
        Policy {
            warm: true,
            ..Policy::from(BarrierKind::None)
        },
    ];
    let mut settings = Settings::new(routes, policies);
    settings.frame_limit = FRAME_LIMIT;
    settings.reply_limit = REPLY_LIMIT;
    settings.look_ahead = LOOK_AHEAD;
    settings.outstanding = OUTSTANDING;
    settings.ledger_limit = LEDGER_LIMIT;
    settings.expose_config = u.arbitrary()?;
    if u.arbitrary()? {
        settings.request_timeout = Some(u.int_in_range(1..=10_000)?);
    }
    Ok(Arc::new(settings))
}

/// Bytes a session with these settings may hold while it owes replies.
///
/// What waits behind a drain is `look_ahead` and the frame that crossed it; a request in parts is
/// held in parts. Replies that wait are `reply_limit`, as they came and put together. Each reply owed costs a record, each leg its ledger, whose entries are counted
/// roughly. The rest are the paths touched (256 of at most 1 KiB) and the credentials (64 KiB,
/// once kept and once on their way).
pub(crate) const fn bound(settings: &Settings) -> isize {
    let held = 4 * (settings.look_ahead + settings.frame_limit);
    let replies = 2 * settings.reply_limit;
    let records = settings.outstanding * 1024;
    (held + replies + records + at_rest(settings).cast_unsigned()).cast_signed()
}

/// Bytes it may hold when nothing is owed.
pub(crate) const fn at_rest(settings: &Settings) -> isize {
    let ledgers = 4 * 3 * settings.ledger_limit;
    let (touched, credentials, structures) = (320 << 10, 128 << 10, 128 << 10);
    (ledgers + touched + credentials + structures).cast_signed()
}
