//! `/sessions`: who is connected, and where the sessions of each live.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::time::Instant;

use super::query::{self, MOST_SESSIONS, Misput};
use crate::config::{Config, Server};
use crate::registry::{Listed, Registry, Report, Which};
use crate::route::EnsembleId;
use crate::session::LegDescription;
use crate::wire::SessionId;

/// Which sessions are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    which: Which,
    limit: usize,
    /// Only those behind this one.
    after: Option<SessionId>,
    /// Only those in whose ids, addresses or server addresses this occurs.
    find: Option<String>,
}

/// Some of the sessions.
#[derive(Serialize)]
pub(super) struct Sessions<'a> {
    connected: usize,
    parked: usize,
    /// Where the next answer would go on, if this is not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<String>,
    sessions: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    session: String,
    #[serde(flatten)]
    detail: Detail<'a>,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Detail<'a> {
    Connected {
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
        connected_seconds: u64,
        timeout_ms: u32,
        /// The ensemble touched last.
        current: &'a str,
        /// Replies the client is owed.
        outstanding: usize,
        /// Bytes of requests that wait for a switch, and of replies that wait for their turn.
        waiting_bytes: usize,
        legs: Vec<Leg<'a>>,
    },
    /// It did not tell of itself in time.
    Silent,
    /// Its client is away.
    Parked {
        /// When its remote sessions are over, unless something keeps them.
        over_in_seconds: u64,
        /// Until when it is remembered that there were some.
        kept_for_seconds: u64,
        legs: Vec<Leg<'a>>,
    },
}

#[derive(Serialize)]
struct Leg<'a> {
    ensemble: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    zxid: String,
    in_flight: usize,
    /// Not given for home, whose servers know and nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<Holds>,
}

#[derive(Serialize)]
struct Holds {
    watches: usize,
    ephemerals: usize,
    /// Whether there may be more of them.
    complete: bool,
}

impl Wanted {
    /// # Errors
    /// If the question makes no sense.
    pub(super) fn of(query: Option<&str>) -> Result<Self, Misput> {
        let allowed = ["state", "limit", "after", "find"];
        let [state, limit, after, find] = query::values(query, allowed)?;
        Ok(Self {
            which: state.map_or(Ok(Which::Any), |state| query::state(&state))?,
            limit: limit.map_or(Ok(MOST_SESSIONS), |limit| query::limit(&limit))?,
            after: after.map(|after| query::session(&after)).transpose()?,
            find: find.map(|find| query::search(&find)).transpose()?,
        })
    }

    /// Whether all sessions have to be looked at.
    pub(super) const fn is_search(&self) -> bool {
        self.find.is_some()
    }

    /// Asks for them.
    pub(super) async fn answer<'a>(&self, registry: &Registry, config: &'a Config) -> Sessions<'a> {
        // One more than wanted, to know whether there are more.
        let asked = if self.is_search() {
            usize::MAX
        } else {
            self.limit + 1
        };
        let listing = registry.list(self.which, self.after, asked).await;
        let names = Names(config);
        let now = Instant::now();
        let mut found = Vec::new();
        let mut next_after = None;
        for (id, listed) in listing.sessions {
            let one = names.one(id, listed, now);
            if self.find.as_ref().is_some_and(|text| !one.mentions(text)) {
                continue;
            }
            if found.len() == self.limit {
                next_after = found.last().map(|last: &One<'_>| last.session.clone());
                break;
            }
            found.push(one);
        }
        Sessions {
            connected: listing.connected,
            parked: listing.parked,
            next_after,
            sessions: found,
        }
    }
}

/// Ensembles by their names.
#[derive(Clone, Copy)]
struct Names<'a>(&'a Config);

impl<'a> Names<'a> {
    fn one(self, id: SessionId, listed: Listed, now: Instant) -> One<'a> {
        let detail = match listed {
            Listed::Connected(report) => self.connected(report, now),
            Listed::Silent => Detail::Silent,
            Listed::Parked { legs, over, until } => Detail::Parked {
                over_in_seconds: over.saturating_duration_since(now).as_secs(),
                kept_for_seconds: until.saturating_duration_since(now).as_secs(),
                legs: legs.into_iter().map(|leg| self.leg(&leg, None)).collect(),
            },
        };
        One {
            session: id.to_string(),
            detail,
        }
    }

    fn connected(self, report: Report, now: Instant) -> Detail<'a> {
        let servers: BTreeMap<EnsembleId, Server> = report.servers.into_iter().collect();
        let legs = report.description.legs.iter();
        Detail::Connected {
            peer: report.peer.map(|peer| peer.to_string()),
            connected_seconds: now.saturating_duration_since(report.since).as_secs(),
            timeout_ms: report.description.timeout,
            current: self.of(report.description.current),
            outstanding: report.description.outstanding,
            waiting_bytes: report.description.waiting,
            legs: legs
                .map(|leg| self.leg(leg, servers.get(&leg.ensemble)))
                .collect(),
        }
    }

    fn leg(self, leg: &LegDescription, server: Option<&Server>) -> Leg<'a> {
        Leg {
            ensemble: self.of(leg.ensemble),
            state: leg.state.name(),
            session: leg.session.map(|session| session.to_string()),
            server: server.map(ToString::to_string),
            role: leg.role.map(crate::wire::words::Role::name),
            zxid: leg.zxid.to_string(),
            in_flight: leg.in_flight,
            holds: leg.holds.map(|holds| Holds {
                watches: holds.watches,
                ephemerals: holds.ephemerals,
                complete: holds.complete,
            }),
        }
    }

    /// A session may know of an ensemble that came with a reload a moment ago.
    fn of(self, ensemble: EnsembleId) -> &'a str {
        let ensemble = self.0.ensembles.get(ensemble.index());
        ensemble.map_or("?", |ensemble| &ensemble.name)
    }
}

impl One<'_> {
    fn mentions(&self, text: &str) -> bool {
        let (peer, legs) = match &self.detail {
            Detail::Connected { peer, legs, .. } => (peer.as_deref(), &legs[..]),
            Detail::Parked { legs, .. } => (None, &legs[..]),
            Detail::Silent => (None, &[][..]),
        };
        let legs = legs
            .iter()
            .flat_map(|leg| [leg.session.as_deref(), leg.server.as_deref()]);
        let said = [Some(self.session.as_str()), peer];
        said.into_iter()
            .chain(legs)
            .flatten()
            .any(|said| said.contains(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ParkedLeg;
    use crate::wire::connect::Credentials;

    fn config() -> Config {
        let text = "home: us\nensembles: { eu: { servers: [a:1] }, us: { servers: [b:1] } }\nroutes: { /: us }\n";
        Config::parse("test", text).unwrap()
    }

    fn registry() -> Registry {
        let registry = Registry::default();
        for id in [0x10, 0x20, 0x30] {
            let credentials = Credentials {
                session: SessionId(id + 0xa),
                password: *b"0123456789abcdef",
                timeout: 4_000,
            };
            let leg = ParkedLeg::restored(EnsembleId::new(0), credentials);
            registry.restore(SessionId(id), vec![leg]);
        }
        registry
    }

    async fn answer(query: Option<&str>) -> serde_json::Value {
        let config = config();
        let answer = Wanted::of(query)
            .unwrap()
            .answer(&registry(), &config)
            .await;
        serde_json::to_value(answer).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_parked_session_is_shown_without_its_password() {
        let found = answer(None).await;
        assert_eq!(found["parked"], 3);
        let one = &found["sessions"][0];
        assert_eq!(
            (&one["session"], &one["state"]),
            (&"0x10".into(), &"parked".into())
        );
        assert_eq!(
            (&one["over_in_seconds"], &one["kept_for_seconds"]),
            (&4.into(), &3600.into())
        );
        let leg = &one["legs"][0];
        assert_eq!(
            (&leg["ensemble"], &leg["session"]),
            (&"eu".into(), &"0x1a".into())
        );
        assert_eq!(leg["holds"]["complete"], false);
        let text = found.to_string();
        assert!(
            !text.contains("password") && !text.contains("0123"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn an_answer_says_where_the_next_goes_on() {
        let first = answer(Some("limit=2")).await;
        assert_eq!(first["next_after"], "0x20");
        assert_eq!(first["sessions"].as_array().unwrap().len(), 2);
        let last = answer(Some("limit=2&after=0x20")).await;
        assert_eq!(last["sessions"][0]["session"], "0x30");
        assert_eq!(last["next_after"], serde_json::Value::Null);
        assert_eq!(last["parked"], 3, "totals are of all");
        let connected = answer(Some("state=connected")).await;
        assert_eq!(connected["sessions"], serde_json::json!([]));
        let parked = answer(Some("state=parked&limit=1")).await;
        assert_eq!(parked["sessions"][0]["session"], "0x10");
    }

    #[tokio::test]
    async fn a_session_is_found_by_its_own_id_and_by_that_of_a_leg() {
        for find in ["0x20", "0X2A"] {
            let found = answer(Some(&format!("limit=1&find={find}"))).await;
            let sessions = found["sessions"].as_array().unwrap();
            assert_eq!(sessions.len(), 1, "{find}");
            assert_eq!(sessions[0]["session"], "0x20");
        }
        assert_eq!(
            answer(Some("find=0x99")).await["sessions"],
            serde_json::json!([])
        );
    }
}
