//! What the sidecar logs: one line per event on standard error, for eyes or as JSON.
//!
//! Whom a line is about is said by the spans it is written in (`telemetry::scope`): a client
//! session, a leg, a request. Their fields and the event's own stand side by side, under the same
//! names in both formats, so that an operator can filter and join: `session`, `peer`, `ensemble`,
//! `server`, `op`, `xid`. Levels and fields are explained in `config/README.md`.
//!
//! # Decisions
//!
//! * A layer of our own instead of tracing-subscriber's formatters: its JSON nests the fields of
//!   spans below those of events, and its human format lets control characters in values through.
//!   Here whatever would move a terminal, or begin a line that nobody wrote, is escaped at the one
//!   place where text goes out, whoever put it in.
//! * Repetition is bounded here as well, where it cannot be forgotten: what is written in a span is
//!   about one of many, so there may be any number of such lines; [`repetition`] sums them up. What is
//!   written outside of spans is about the sidecar itself and always comes out. The crate
//!   tracing-throttle (0.4.4) was looked at and left: eleven thousand lines and two more hash maps for
//!   one of its policies, and which lines are about one of many it could not tell.
//! * While `debug` is let through nothing is summed up: who turns that on is looking for one client.
//! * Spans are opened when a line is written and not when a session begins, so that they cost a busy
//!   connection nothing, take no memory, and are there whatever `log` said when the session began.

mod line;
mod repetition;
mod shape;
#[cfg(test)]
mod tests;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::convert::Infallible;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, interval};
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use crate::config::LogFormat;
use crate::telemetry::scope;
use line::{Fields, Line};
use repetition::Repetition;
use shape::Shape;

/// How often it is looked whether there is something to sum up.
const SWEEP: Duration = Duration::from_secs(1);

/// Nothing can be logged.
#[derive(Debug, Error)]
pub enum LogError {
    /// `log` is no filter.
    #[error("`log`: {0}")]
    Filter(#[from] ParseError),
    /// Somebody logs already.
    #[error(transparent)]
    Taken(#[from] SetGlobalDefaultError),
}

/// The log of this process.
#[derive(Clone, Debug)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: Lines,
}

impl Log {
    /// Starts to log what passes `filter`, to standard error.
    ///
    /// # Errors
    /// If that is no filter, or something in this process logs already.
    pub fn start(filter: &str, format: LogFormat) -> Result<Self, LogError> {
        let lines = Lines::new(
            match format {
                LogFormat::Human if io::stderr().is_terminal() => Shape::Coloured,
                LogFormat::Human => Shape::Human,
                LogFormat::Json => Shape::Json,
            },
            // Where standard error is gone there is nobody to tell.
            |line| drop(io::stderr().write_all(line.as_bytes())),
        );
        let filter = read(filter)?;
        lines.sum_up_unless_detailed(&filter);
        let (filter, handle) = reload::Layer::new(filter);
        set_global_default(Registry::default().with(filter).with(lines.clone()))?;
        panic::set_hook(Box::new(tell_of_panic));
        Ok(Self {
            filter: handle,
            lines,
        })
    }

    /// Logs what passes this filter from here on. One that cannot be read changes nothing: the
    /// configuration has refused it before.
    pub fn set_filter(&self, filter: &str) {
        let Ok(filter) = read(filter) else {
            return;
        };
        self.lines.sum_up_unless_detailed(&filter);
        if let Err(error) = self.filter.reload(filter) {
            tracing::error!(%error, "the log filter cannot be changed");
        }
    }

    /// Says how often lines were repeated, whenever it is time to.
    pub async fn sum_up(&self) -> Infallible {
        let mut period = interval(SWEEP);
        loop {
            self.lines.sum_up(period.tick().await);
        }
    }

    /// Says it of all that are left.
    pub fn finish(&self) {
        self.lines.finish(Instant::now());
    }
}

/// A panic is a line like any other. It is written whatever else is in the same span, and without a
/// look at what was repeated: who knows what has panicked.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let words = payload.downcast_ref::<&str>().copied();
    let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let backtrace = Backtrace::capture();
    let captured = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        parent: None,
        at = panic.location().map(display),
        backtrace = captured.then(|| display(&backtrace)),
        "panicked: {}", words.unwrap_or_default()
    );
}

/// A filter that lets through what spans say.
fn read(filter: &str) -> Result<EnvFilter, ParseError> {
    let spans = format!("{}=error", scope::TARGET).parse()?;
    Ok(self::filter(filter)?.add_directive(spans))
}

/// A filter in tracing's words. What fields are compared with is no regular expression: a short one can
/// take megabytes.
///
/// # Errors
/// [`ParseError`] where it is none.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().with_regex(false).parse(text)
}

/// Makes lines of events.
#[derive(Clone)]
struct Lines(Arc<Inner>);

struct Inner {
    shape: Shape,
    /// Whether repetition is bounded.
    sums_up: AtomicBool,
    repetition: Mutex<Repetition>,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lines").field(&self.0.shape).finish()
    }
}

impl Lines {
    fn new(shape: Shape, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            shape,
            sums_up: AtomicBool::new(true),
            repetition: Mutex::default(),
            write: Box::new(write),
        }))
    }

    /// Who asks for what is let through at `debug` gets all of it.
    fn sum_up_unless_detailed(&self, filter: &EnvFilter) {
        let detailed = filter
            .max_level_hint()
            .is_none_or(|level| level >= LevelFilter::DEBUG);
        self.0.sums_up.store(!detailed, Ordering::Relaxed);
    }

    fn repetition(&self) -> MutexGuard<'_, Repetition> {
        let repetition = self.0.repetition.lock();
        repetition.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: &Line) {
        (self.0.write)(&self.0.shape.of(line));
    }

    fn sum_up(&self, now: Instant) {
        let sums = self.repetition().ended(now);
        sums.iter().for_each(|sum| self.write(sum));
    }

    fn finish(&self, now: Instant) {
        let sums = self.repetition().finish(now);
        sums.iter().for_each(|sum| self.write(sum));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let (mut fields, mut is_one_of_many) = (Fields::default(), false);
        for span in ctx.event_scope(event).into_iter().flatten() {
            is_one_of_many = true;
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields = of_span.clone().overridden_by(fields);
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let line = Line::new(event.metadata(), fields.overridden_by(own));
        if !is_one_of_many
            || *event.metadata().level() > Level::INFO
            || !self.0.sums_up.load(Ordering::Relaxed)
        {
            return self.write(&line);
        }
        let told = self
            .repetition()
            .take(event.metadata().callsite(), line, Instant::now());
        told.iter().for_each(|line| self.write(line));
    }
}
