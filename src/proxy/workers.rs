//! The threads that serve clients. Each has a runtime of its own, and a connection stays with all
//! that it does on the thread it was given to.
//!
//! # Decisions
//!
//! * 2026-11: not one runtime that all threads share. Connections have nothing to do with each
//!   other, so that moving their tasks between threads brings nothing and costs wake-ups, shared
//!   queues, and fairness: with a thousand clients some waited four times as long as others.
//!   HAProxy, nginx and Envoy do the same.
//! * Who accepts, and answers operators, is none of these threads: sessions do not wait while a page
//!   is rendered.
//! * A thread gets [`FEW`] connections before the next one is started, and only then the threads are
//!   kept even. What few clients ask for comes to one thread in batches, where each of several would
//!   be woken for little. One passes on some 60,000 requests a second that come one at a time, and
//!   millions in pipelines: more than servers answer.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Connections that one thread serves better than several.
const FEW: usize = 64;

/// The most threads: what they can pass on is more than servers answer, and the host is there for
/// the applications.
const MOST: usize = 16;

/// Descriptors that the runtimes of so many threads have, four each.
pub(super) const DESCRIPTORS: u64 = 64;

/// How long no other thread is tried when one could not be started.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a thread that ends waits for what it has in the background: names being resolved, the
/// leg table being written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Threads, started when they are needed.
pub(super) struct Workers {
    most: usize,
    started: Mutex<Started>,
}

#[derive(Default)]
struct Started {
    workers: Vec<Worker>,
    /// How many there have been.
    number: usize,
    /// When one could not be started.
    failed: Option<Instant>,
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
            started: Mutex::default(),
        }
    }

    /// The place for one more connection; `None` is the thread that asks.
    pub(super) fn seat(&self) -> Option<Seat> {
        self.seat_or_start(thread::Builder::new)
    }

    fn seat_or_start(&self, builder: impl FnOnce() -> thread::Builder) -> Option<Seat> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has panicked serves nobody.
        started.workers.retain(Worker::is_alive);
        let has_room = |worker: &&Worker| worker.connections() < FEW;
        let may_fail = |at: Instant| at.elapsed() > PAUSE;
        if !started.workers.iter().any(|worker| has_room(&worker))
            && started.workers.len() < self.most
            && started.failed.is_none_or(may_fail)
        {
            let name = format!("clients-{}", started.number);
            match Worker::start(builder().name(name)) {
                Ok(worker) => {
                    started.workers.push(worker);
                    started.number += 1;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot start a thread to serve clients: those there are serve them all");
                    started.failed = Some(Instant::now());
                }
            }
        }
        let workers = &started.workers;
        let least = || workers.iter().min_by_key(|worker| worker.connections());
        let seat = workers.iter().find(has_room).or_else(least);
        seat.map(Worker::seat)
    }
}

impl Drop for Workers {
    /// Ends all threads, and waits until what was under way on them is dropped.
    fn drop(&mut self) {
        let started = self.started.get_mut();
        let started = started.unwrap_or_else(PoisonError::into_inner);
        for worker in &mut started.workers {
            worker.stop = None;
        }
        for worker in started.workers.drain(..) {
            if worker.thread.join().is_err() {
                tracing::error!("a thread that served clients has panicked");
            }
        }
    }
}

/// A thread and its runtime.
struct Worker {
    runtime: Handle,
    /// As many more of these as there are connections.
    counted: Arc<()>,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// The runtime is made where it is used: dropped on the thread that asks, as it would be if no
    /// other could be started, it would panic there.
    fn start(builder: thread::Builder) -> io::Result<Self> {
        let (tell, told) = sync_channel(1);
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let thread = builder.spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            if tell.send(Ok(runtime.handle().clone())).is_ok() {
                // It is not sent to, only dropped.
                let Err(_) = runtime.block_on(stopped);
            }
            runtime.shutdown_timeout(PATIENCE);
        })?;
        let runtime = told.recv().map_err(io::Error::other)??;
        Ok(Self {
            runtime,
            counted: Arc::new(()),
            stop: Some(stop),
            thread,
        })
    }

    fn is_alive(&self) -> bool {
        !self.thread.is_finished()
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
            workers.started.lock().unwrap().workers.len(),
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
    fn where_no_thread_can_be_started_those_there_are_serve() {
        let workers = Workers::up_to(2);
        let impossible = || thread::Builder::new().stack_size(1 << 60);
        let runtime = Builder::new_current_thread().build().unwrap();
        // As where clients are accepted: there a runtime must not be dropped.
        runtime.block_on(async {
            assert!(workers.seat_or_start(impossible).is_none());
            assert!(workers.seat().is_none(), "not tried again at once");
            workers.started.lock().unwrap().failed = None;
            let held = seats(&workers, FEW);
            assert!(workers.seat_or_start(impossible).is_some());
            let started = workers.started.lock().unwrap();
            assert_eq!((started.workers.len(), started.failed.is_some()), (1, true));
            drop(held);
        });
    }

    #[test]
    fn one_that_has_ended_is_replaced() {
        let workers = Workers::up_to(1);
        drop(workers.seat());
        let mut started = workers.started.lock().unwrap();
        started.workers[0].stop = None;
        while started.workers[0].is_alive() {
            thread::yield_now();
        }
        drop(started);
        assert_eq!(threads(&[workers.seat().unwrap()]), ["clients-1"]);
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
