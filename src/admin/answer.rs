//! From a request to its answer.

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use super::routes::Routes;
use super::sessions::Wanted;
use super::status::Status;
use super::{Admin, host};

/// How long an answer may take to be put together.
const BOUND: Duration = Duration::from_secs(5);

/// How many answers that have to wait for something are put together at once.
const AT_ONCE: usize = 16;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// For every answer. Nothing is kept by anyone, nothing is guessed from content, and a page gets
/// what it needs from here and nothing from elsewhere, nor is it shown inside of another.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    (
        HeaderName::from_static("content-security-policy"),
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (HeaderName::from_static("referrer-policy"), "no-referrer"),
];

const INDEX: &str = "zoonet's admin endpoints:\n\
    /                 the status page\n\
    /healthz          200 while the process lives\n\
    /readyz           200 while home can be reached and clients are taken\n\
    /metrics          for Prometheus\n\
    /sessions         clients and their legs; ?state=, ?limit=, ?after=, ?find=\n\
    /routes           where paths go; ?path=\n\
    /config           the configuration in effect\n\
    /status.json      what the status page shows\n";

pub(super) type Answer = Response<Full<Bytes>>;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Page,
    Style,
    Script,
    Icon,
    Healthz,
    Readyz,
    Metrics,
    Sessions,
    Routes,
    Config,
    Status,
}

impl Endpoint {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Page,
            "/status.css" => Self::Style,
            "/status.js" => Self::Script,
            "/icon.svg" => Self::Icon,
            "/healthz" => Self::Healthz,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            "/sessions" => Self::Sessions,
            "/routes" => Self::Routes,
            "/config" => Self::Config,
            "/status.json" => Self::Status,
            _ => return None,
        })
    }
}

/// What is asked, once it is clear that it may be.
#[derive(Clone, Debug)]
pub(super) struct Question {
    endpoint: Endpoint,
    query: Option<String>,
}

/// Why a request is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// It was meant for somebody else.
    Host,
    /// There is nothing under that path.
    Path,
    /// It wants to do more than look.
    Method,
}

/// Whether home is reached.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Puts answers together that take more than a look: a bounded number at once, each for a bounded
/// time.
pub(super) fn stack(
    admin: Arc<Admin>,
) -> impl Service<Question, Response = Answer, Error = BoxError, Future: Send> + Clone + Send + 'static
{
    ServiceBuilder::new()
        .timeout(BOUND)
        .concurrency_limit(AT_ONCE)
        .service(service_fn(move |question: Question| {
            let admin = Arc::clone(&admin);
            async move { Ok::<_, Infallible>(admin.answer(&question).await) }
        }))
}

/// Answers a request.
pub(super) async fn respond<S>(admin: &Admin, stack: S, request: &Request<Incoming>) -> Answer
where
    S: Service<Question, Response = Answer, Error = BoxError>,
{
    let mut answer = match question(request, &admin.current.get().config.admin_names) {
        Err(refused) => refused.answer(),
        Ok(question) => match at_once(question.endpoint) {
            Some(answer) => answer,
            None => stack.oneshot(question).await.unwrap_or_else(|_| {
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too much is asked at once; try again\n",
                )
            }),
        },
    };
    let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    answer.headers_mut().extend(headers);
    answer
}

/// What a request asks, or why it is turned down.
fn question<B>(request: &Request<B>, names: &[String]) -> Result<Question, Refused> {
    if !host::is_ours(request, names) {
        return Err(Refused::Host);
    }
    let endpoint = Endpoint::of(request.uri().path()).ok_or(Refused::Path)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refused::Method);
    }
    Ok(Question {
        endpoint,
        query: request.uri().query().map(str::to_owned),
    })
}

impl Refused {
    fn answer(self) -> Answer {
        match self {
            Self::Host => text(
                StatusCode::MISDIRECTED_REQUEST,
                "this host name is not known here; use an address or `localhost`, or add it to \
                 `admin_names` in the configuration\n",
            ),
            Self::Path => text(StatusCode::NOT_FOUND, INDEX),
            Self::Method => {
                let said = "only GET and HEAD: nothing can be changed here\n";
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, said);
                let allowed = HeaderValue::from_static("GET, HEAD");
                answer.headers_mut().insert(ALLOW, allowed);
                answer
            }
        }
    }
}

/// What is the same at all times: it is there however busy the rest is.
fn at_once(endpoint: Endpoint) -> Option<Answer> {
    let fixed = |kind, content| Some(of_kind(StatusCode::OK, kind, Bytes::from_static(content)));
    match endpoint {
        Endpoint::Page => fixed(
            "text/html; charset=utf-8",
            include_bytes!("page/status.html"),
        ),
        Endpoint::Style => fixed("text/css; charset=utf-8", include_bytes!("page/status.css")),
        Endpoint::Script => fixed(
            "text/javascript; charset=utf-8",
            include_bytes!("page/status.js"),
        ),
        Endpoint::Icon => fixed("image/svg+xml", include_bytes!("page/icon.svg")),
        Endpoint::Healthz => fixed(TEXT, b"ok\n"),
        Endpoint::Readyz
        | Endpoint::Metrics
        | Endpoint::Sessions
        | Endpoint::Routes
        | Endpoint::Config
        | Endpoint::Status => None,
    }
}

impl Admin {
    async fn answer(&self, question: &Question) -> Answer {
        let shared = self.current.get();
        let query = question.query.as_deref();
        match question.endpoint {
            Endpoint::Readyz => {
                let reason = self.readiness().await.err();
                let ready = reason.is_none();
                let code = if ready {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                json(code, &Readiness { ready, reason })
            }
            Endpoint::Metrics => {
                let rendered = shared.telemetry.render();
                of_kind(StatusCode::OK, METRICS, rendered.into())
            }
            Endpoint::Sessions => match Wanted::of(query) {
                Ok(wanted) => {
                    // One at a time looks through all of them.
                    let _turn = match wanted.is_search() {
                        true => Some(self.search.lock().await),
                        false => None,
                    };
                    let found = wanted.answer(&shared.registry, &shared.config).await;
                    json(StatusCode::OK, &found)
                }
                Err(misput) => bad(misput),
            },
            Endpoint::Routes => match Routes::answer(&shared.config, query) {
                Ok(found) => json(StatusCode::OK, &found),
                Err(misput) => bad(misput),
            },
            Endpoint::Config => json(StatusCode::OK, &shared.config.effective()),
            Endpoint::Status => {
                self.health.refresh_all(&shared.dialer);
                let census = shared.registry.census();
                let status = Status::new(
                    &self.process,
                    &shared.config,
                    &census,
                    self.readiness().await,
                )
                .with_ensembles(
                    &shared.config,
                    &shared.dialer,
                    &self.health,
                    &shared.telemetry,
                );
                json(StatusCode::OK, &status)
            }
            Endpoint::Page
            | Endpoint::Style
            | Endpoint::Script
            | Endpoint::Icon
            | Endpoint::Healthz => at_once(question.endpoint).unwrap_or_default(),
        }
    }
}

fn bad(misput: impl Display) -> Answer {
    text(StatusCode::BAD_REQUEST, format!("{misput}\n"))
}

fn text(code: StatusCode, content: impl Into<Bytes>) -> Answer {
    of_kind(code, TEXT, content.into())
}

fn json(code: StatusCode, content: &impl Serialize) -> Answer {
    match serde_json::to_vec_pretty(content) {
        Ok(mut written) => {
            written.push(b'\n');
            of_kind(code, JSON, written.into())
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn of_kind(code: StatusCode, kind: &'static str, content: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(content));
    *answer.status_mut() = code;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests;
