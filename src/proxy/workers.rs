//! The threads that serve clients. Each has a runtime of its own, and a connection stays with all
//! that it does on the thread it was given to.
//!
//! # Decisions
//!
//! * 2026-11: not one runtime that all threads share. Connections have nothing to do with each
//!   other, so that moving their tasks between threads brings nothing and costs wake-ups, shared
//!   queues, and fairness: with a thousand clients some waited four times as long as others.
//!   HAProxy, nginx and Envoy do the same.
//! * Who accepts, and answers operators, is none of these threads: clients do not wait while a page
//!   is rendered.
//! * A thread gets [`FEW`] connections before the next one is started, and only then the threads are
//!   kept even. What few clients ask for comes to one thread in batches, where each of several would
//!   be woken for little. One passes on some 60,000 requests a second that come one at a time, and
//!   millions in pipelines: more than servers answer.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Connections that one thread serves better than several.
const FEW: usize = 32;

/// The most threads: what they can pass on is more than servers answer, and the host is there for
/// the applications.
const MOST: usize = 16;

/// Threads, started when they are needed.
pub(super) struct Workers {
    most: usize,
    started: Mutex<Vec<Worker>>,
}

/// Where a connection is served. It counts as one of that thread's until this is dropped.
pub(super) struct Seat {
    pub(super) runtime: Handle,
    _counted: Arc<()>,
}

impl Workers {
    /// Up to so many threads, if that is no more than is of use; with none, clients are served where
    /// they are accepted.
    pub(super) fn up_to(most: usize) -> Self {
        Self {
            most: most.min(MOST),
            started: Mutex::new(Vec::new()),
        }
    }

    /// The place for one more connection; `None` is the thread that asks.
    pub(super) fn seat(&self) -> Option<Seat> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = started.iter().any(|worker| worker.connections() < FEW);
        if !has_room && started.len() < self.most {
            match Worker::start(started.len()) {
                Ok(worker) => started.push(worker),
                Err(error) => tracing::error!(%error, "cannot start a thread to serve clients"),
            }
        }
        let with_room = started.iter().find(|worker| worker.connections() < FEW);
        let least = || started.iter().min_by_key(|worker| worker.connections());
        with_room.or_else(least).map(Worker::seat)
    }
}

/// A thread and its runtime.
struct Worker {
    runtime: Handle,
    /// As many more of these as there are connections.
    counted: Arc<()>,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let thread = thread::Builder::new()
            .name(format!("clients-{number}"))
            .spawn(move || {
                // It is not sent to, only dropped.
                let Err(_) = runtime.block_on(stopped);
            })?;
        Ok(Self {
            runtime: handle,
            counted: Arc::new(()),
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    fn connections(&self) -> usize {
        Arc::strong_count(&self.counted) - 1
    }

    fn seat(&self) -> Seat {
        Seat {
            runtime: self.runtime.clone(),
            _counted: Arc::clone(&self.counted),
        }
    }
}

impl Drop for Worker {
    /// Waits until what was under way on the thread is dropped.
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread that served clients has panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::current;

    use super::*;

    /// The names of the threads that these seats are on.
    fn threads(seats: &[Seat]) -> Vec<String> {
        let name = async || current().name().unwrap_or_default().to_owned();
        let runtime = Builder::new_current_thread().build().unwrap();
        let of = |seat: &Seat| runtime.block_on(seat.runtime.spawn(name())).unwrap();
        seats.iter().map(of).collect()
    }

    fn seats(workers: &Workers, wanted: usize) -> Vec<Seat> {
        (0..wanted).map(|_| workers.seat().unwrap()).collect()
    }

    #[test]
    fn few_connections_share_a_thread_and_many_are_spread_evenly() {
        let workers = Workers::up_to(3);
        let names = threads(&seats(&workers, FEW));
        assert!(names.iter().all(|name| name == "clients-0"), "{names:?}");
        assert_eq!(
            workers.started.lock().unwrap().len(),
            1,
            "started when needed"
        );
        let seats = seats(&workers, 300);
        let names = threads(&seats);
        for thread in 0..3 {
            let name = format!("clients-{thread}");
            assert_eq!(names.iter().filter(|other| **other == name).count(), 100);
        }
    }

    #[test]
    fn who_leaves_makes_room() {
        let workers = Workers::up_to(2);
        let mut held = seats(&workers, 2 * FEW + 10);
        let names = threads(&held);
        let mut at = 0;
        held.retain(|_| {
            at += 1;
            names[at - 1] != "clients-1"
        });
        let more = threads(&seats(&workers, FEW));
        assert!(more.iter().all(|name| name == "clients-1"), "{more:?}");
    }

    #[test]
    fn without_threads_of_their_own_clients_are_served_where_they_are_accepted() {
        assert!(Workers::up_to(0).seat().is_none());
    }

    #[test]
    fn what_is_under_way_is_dropped_with_its_thread() {
        let workers = Workers::up_to(1);
        let seat = workers.seat().unwrap();
        let (held, dropped) = oneshot::channel::<Infallible>();
        seat.runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(workers);
        assert!(dropped.blocking_recv().is_err());
    }
}
