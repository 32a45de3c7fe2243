//! Every metric: its name, what it means, its labels.
//!
//! Nothing is exported that is not declared here. Labels are from closed sets: names of ensembles
//! in the file, ZooKeeper's operations and errors, and the words beside each counter below. Paths,
//! sessions and addresses are no labels.

use super::counters::Count;

/// How Prometheus is to read a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Seconds, counted by size.
    Histogram,
}

/// A metric with all its labels' values.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

macro_rules! families {
    ($($variable:ident = $kind:ident, $name:literal, [$($label:literal),*], $help:literal;)*) => {
        $(pub(super) static $variable: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All of them, in the order in which an operator reads about them.
        pub(super) static FAMILIES: &[&Family] = &[$(&$variable,)*];
    };
}

#[rustfmt::skip]
families! {
    // What goes through.
    REQUESTS = Counter, "zoonet_requests_total", ["ensemble", "op"],
        "Requests sent to an ensemble, those of zoonet's own (pings, barriers, re-armed watches) included.";
    REQUEST_BYTES = Counter, "zoonet_request_bytes_total", ["ensemble", "op"],
        "Bytes of these requests, with their length fields.";
    RESPONSES = Counter, "zoonet_responses_total", ["ensemble", "op"],
        "Replies of an ensemble.";
    RESPONSE_BYTES = Counter, "zoonet_response_bytes_total", ["ensemble", "op"],
        "Bytes of these replies, with their length fields.";
    LATENCY = Histogram, "zoonet_request_duration_seconds", ["ensemble", "op"],
        "From when a request went out to an ensemble to when its reply came in.";
    ERRORS = Counter, "zoonet_response_errors_total", ["ensemble", "error"],
        "Replies with an error, by its name in ZooKeeper; many, such as NONODE, are answers like any other.";
    WATCH_EVENTS = Counter, "zoonet_watch_events_total", ["ensemble"],
        "Watch events of an ensemble.";
    WATCH_EVENT_BYTES = Counter, "zoonet_watch_event_bytes_total", ["ensemble"],
        "Bytes of these events, with their length fields.";
    DECODER_ERRORS = Counter, "zoonet_decoder_errors_total", ["ensemble"],
        "Connections to an ensemble given up because a server sent what the protocol does not allow.";
    CLIENT_DECODER_ERRORS = Counter, "zoonet_client_decoder_errors_total", [],
        "Connections of clients closed because the client sent what the protocol does not allow.";

    // Clients.
    CONNECTIONS = Counter, "zoonet_connections_total", ["outcome"],
        "Connections of clients, by what came of them: a new session, one attached again, refused by home as expired, home unreachable, TLS failed, slow, lost or malformed in the handshake, a four-letter word, silent (closed without a word); or closed at once: one too many, one too many of a client, out of file descriptors.";
    OPEN_CONNECTIONS = Gauge, "zoonet_open_connections", [],
        "Connections of clients that are open, those without a session too.";
    MOST_CONNECTIONS = Gauge, "zoonet_max_connections", [],
        "How many there may be: `max_connections`, or fewer where there are not enough file descriptors.";
    CONNECTION_ENDS = Counter, "zoonet_connection_ends_total", ["reason"],
        "Ends of connections that had a session: the client left, home or the sidecar closed it, a newer connection took over, the client broke the protocol, the client did not read, a bug in zoonet.";
    SESSIONS = Gauge, "zoonet_sessions", ["state"],
        "Client sessions: connected, or parked (remote sessions are kept for when the client comes back).";
    REFUSED_REQUESTS = Counter, "zoonet_refused_requests_total", [],
        "Requests answered by zoonet itself with an error: transactions across ensembles, deletion of a route's parents, what breaks stock servers.";
    MOVED_SESSIONS = Counter, "zoonet_moved_sessions_total", [],
        "Clients disconnected because a path they had used goes elsewhere after a reload.";
    LOOK_AHEAD = Gauge, "zoonet_look_ahead_bytes", [],
        "Bytes of requests that wait for a switch, and of replies that wait for their turn.";

    // The composition.
    SWITCHES = Counter, "zoonet_switches_total", ["ensemble"],
        "Switches of clients to an ensemble from another.";
    DRAIN = Histogram, "zoonet_drain_wait_seconds", ["ensemble"],
        "How long a switch waited for what was outstanding on the ensemble it left.";
    BARRIERS = Counter, "zoonet_barriers_total", ["ensemble", "kind"],
        "Barriers put in front of reads.";
    BARRIERS_ELIDED = Counter, "zoonet_barriers_elided_total", ["ensemble"],
        "Barriers left out (`elide_barriers`): reads after a switch in front of which none was needed.";
    BARRIER_LATENCY = Histogram, "zoonet_barrier_duration_seconds", ["ensemble"],
        "From when a barrier went out to when its answer came in.";
    BARRIER_FAILURES = Counter, "zoonet_barrier_failures_total", ["ensemble"],
        "Barriers answered in a way that shows that they were not ordered.";
    WITHHELD_READS = Counter, "zoonet_withheld_reads_total", ["ensemble"],
        "Reads answered CONNECTIONLOSS because what was to lead them did not happen.";

    // Legs: the connections and sessions by which clients are served.
    LEGS = Gauge, "zoonet_legs", ["ensemble", "state"],
        "Legs: with an open connection, being dialled, or parked (no connection; the session is kept for when the client comes back).";
    LEGS_OPENED = Counter, "zoonet_legs_opened_total", ["ensemble", "session"],
        "Remote legs opened: with a new session, or with an earlier one attached again.";
    LEGS_LOST = Counter, "zoonet_legs_lost_total", ["ensemble", "reason"],
        "Connections of legs that ended otherwise than with their client's: closed by the server, no answer in time, or the server broke the protocol.";
    LEGS_UNREACHABLE = Counter, "zoonet_legs_unreachable_total", ["ensemble"],
        "Attempts to open a remote leg that failed.";
    LEGS_EXPIRED = Counter, "zoonet_legs_expired_total", ["ensemble", "ephemerals"],
        "Remote sessions found expired: with ephemerals they may have owned, or without.";
    LEGS_RETIRED = Counter, "zoonet_legs_retired_total", ["ensemble"],
        "Remote sessions closed because they held nothing and were not used.";
    REARMED = Counter, "zoonet_rearmed_watches_total", ["ensemble"],
        "Frames that armed the watches of a lost connection again.";
    LEDGER = Gauge, "zoonet_ledger_bytes", ["ensemble"],
        "Bytes of watches and ephemerals remembered for the remote legs of connected clients.";
    LEDGER_OVERFLOWS = Counter, "zoonet_ledger_overflows_total", ["ensemble"],
        "Remote legs with more watches than are remembered: the loss of their connection is the client's.";
    AUTH_REFUSED = Counter, "zoonet_auth_refused_total", ["ensemble"],
        "Credentials of clients that a remote ensemble refused.";
    IDENTITIES_REFUSED = Counter, "zoonet_own_credentials_refused_total", ["ensemble"],
        "Credentials of the sidecar's own, from `credentials`, that an ensemble refused. Sessions go on without them.";

    // Servers.
    DIALS = Counter, "zoonet_dials_total", ["ensemble", "outcome"],
        "Connections made to servers: answered, or passed over because there was no connection, TLS failed, the server closed instead of answering, was too slow, or answered something malformed.";
    UNREACHABLE = Counter, "zoonet_unreachable_total", ["ensemble"],
        "Rounds through all servers of an ensemble in which none answered.";
    CIRCUIT = Gauge, "zoonet_circuit_open", ["ensemble"],
        "1 while a remote ensemble is known to be down and requests for it fail at once.";

    // The sidecar.
    RELOADS = Counter, "zoonet_reloads_total", ["outcome"],
        "Reloads of the configuration: applied, unchanged, or rejected.";
    RELOADED = Gauge, "zoonet_last_reload_successful", [],
        "1 unless the file on disk was rejected when it was last read.";
    STATE_ERRORS = Counter, "zoonet_state_errors_total", ["operation"],
        "Failures to write the leg table.";
    ROUTES = Gauge, "zoonet_routes_info", ["fingerprint", "home"],
        "Always 1. Sidecars that share ensembles have to have the same fingerprint.";
    BUILD = Gauge, "zoonet_build_info", ["version"],
        "Always 1.";

    // The process, as all clients of Prometheus name it.
    CPU = Counter, "process_cpu_seconds_total", [],
        "Processor time, user and kernel.";
    MEMORY = Gauge, "process_resident_memory_bytes", [],
        "Memory in use.";
    OPEN_FDS = Gauge, "process_open_fds", [],
        "Open file descriptors: two per client at home, one more per remote leg.";
    MAX_FDS = Gauge, "process_max_fds", [],
        "File descriptors that may be open.";
    START_TIME = Gauge, "process_start_time_seconds", [],
        "When the sidecar began, since 1970.";
}

/// Declares counters that are always there: each a field, the family it belongs to and the values
/// of the family's labels, that of `ensemble` left out.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $family:ident [$($value:literal),*];)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name {
            $(pub(super) $field: Count,)*
        }

        impl $name {
            /// Adds all of another's.
            pub(super) fn absorb(&self, other: &Self) {
                $(self.$field.add(other.$field.value());)*
            }

            /// Shows each: its family, its own values of labels, its value.
            pub(super) fn visit(&self, mut show: impl FnMut(&'static Family, &'static [&'static str], u64)) {
                $(show(&$family, &[$($value),*], self.$field.value());)*
            }
        }
    };
}

counters! {
    /// What is counted per ensemble.
    EnsembleCounters {
        watch_events: WATCH_EVENTS [];
        watch_event_bytes: WATCH_EVENT_BYTES [];
        decoder_errors: DECODER_ERRORS [];
        switches: SWITCHES [];
        sync_barriers: BARRIERS ["sync"];
        quorum_barriers: BARRIERS ["quorum"];
        elided_barriers: BARRIERS_ELIDED [];
        barrier_failures: BARRIER_FAILURES [];
        withheld_reads: WITHHELD_READS [];
        legs_open: LEGS ["open"];
        legs_dialling: LEGS ["dialling"];
        legs_new: LEGS_OPENED ["new"];
        legs_resumed: LEGS_OPENED ["resumed"];
        legs_closed: LEGS_LOST ["closed"];
        legs_timed_out: LEGS_LOST ["timed_out"];
        legs_broken: LEGS_LOST ["broken"];
        legs_unreachable: LEGS_UNREACHABLE [];
        legs_expired_with_ephemerals: LEGS_EXPIRED ["lost"];
        legs_expired_without: LEGS_EXPIRED ["none"];
        legs_retired: LEGS_RETIRED [];
        rearmed: REARMED [];
        ledger_bytes: LEDGER [];
        ledger_overflows: LEDGER_OVERFLOWS [];
        auth_refused: AUTH_REFUSED [];
        identities_refused: IDENTITIES_REFUSED [];
        dials_answered: DIALS ["answered"];
        dials_no_connection: DIALS ["no_connection"];
        dials_tls: DIALS ["tls"];
        dials_closed: DIALS ["closed"];
        dials_slow: DIALS ["slow"];
        dials_malformed: DIALS ["malformed"];
        unreachable: UNREACHABLE [];
    }
}

counters! {
    /// What is counted for the sidecar as a whole.
    SidecarCounters {
        client_decoder_errors: CLIENT_DECODER_ERRORS [];
        connections_new: CONNECTIONS ["new"];
        connections_attached: CONNECTIONS ["attached"];
        connections_refused: CONNECTIONS ["refused"];
        connections_unreachable: CONNECTIONS ["unreachable"];
        connections_slow: CONNECTIONS ["slow"];
        connections_tls: CONNECTIONS ["tls"];
        connections_lost: CONNECTIONS ["lost"];
        connections_malformed: CONNECTIONS ["malformed"];
        connections_word: CONNECTIONS ["word"];
        connections_silent: CONNECTIONS ["silent"];
        connections_too_many: CONNECTIONS ["too_many"];
        connections_too_many_of_one: CONNECTIONS ["too_many_of_one"];
        connections_out_of_files: CONNECTIONS ["out_of_files"];
        open_connections: OPEN_CONNECTIONS [];
        ends_client_gone: CONNECTION_ENDS ["client_gone"];
        ends_closed: CONNECTION_ENDS ["closed"];
        ends_taken_over: CONNECTION_ENDS ["taken_over"];
        ends_protocol: CONNECTION_ENDS ["protocol"];
        ends_slow_reader: CONNECTION_ENDS ["slow_reader"];
        ends_panic: CONNECTION_ENDS ["panic"];
        refused_requests: REFUSED_REQUESTS [];
        moved_sessions: MOVED_SESSIONS [];
        look_ahead_bytes: LOOK_AHEAD [];
        reloads_applied: RELOADS ["applied"];
        reloads_unchanged: RELOADS ["unchanged"];
        reloads_rejected: RELOADS ["rejected"];
        state_remember_errors: STATE_ERRORS ["remember"];
        state_forget_errors: STATE_ERRORS ["forget"];
    }
}

/// Upper bounds of the buckets of all histograms, microseconds.
pub(super) const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Errors by their names in ZooKeeper's `KeeperException.Code`, the frequent ones first; all others
/// are counted together as [`OTHER_ERROR`].
pub(super) const ERROR_NAMES: [(i32, &str); 29] = [
    (-101, "NONODE"),
    (-110, "NODEEXISTS"),
    (-103, "BADVERSION"),
    (-111, "NOTEMPTY"),
    (-102, "NOAUTH"),
    (-4, "CONNECTIONLOSS"),
    (-2, "RUNTIMEINCONSISTENCY"),
    (-121, "NOWATCHER"),
    (-118, "SESSIONMOVED"),
    (-112, "SESSIONEXPIRED"),
    (-115, "AUTHFAILED"),
    (-114, "INVALIDACL"),
    (-108, "NOCHILDRENFOREPHEMERALS"),
    (-8, "BADARGUMENTS"),
    (-6, "UNIMPLEMENTED"),
    (-5, "MARSHALLINGERROR"),
    (-7, "OPERATIONTIMEOUT"),
    (-1, "SYSTEMERROR"),
    (-3, "DATAINCONSISTENCY"),
    (-9, "INVALIDSTATE"),
    (-13, "NEWCONFIGNOQUORUM"),
    (-14, "RECONFIGINPROGRESS"),
    (-100, "APIERROR"),
    (-119, "NOTREADONLY"),
    (-120, "EPHEMERALONLOCALSESSION"),
    (-123, "RECONFIGDISABLED"),
    (-124, "SESSIONCLOSEDREQUIRESASLAUTH"),
    (-125, "QUOTAEXCEEDED"),
    (-127, "THROTTLEDOP"),
];

/// The label of errors without a name.
pub(super) const OTHER_ERROR: &str = "other";
