//! One server's answer to a four-letter word.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::{Dialer, Refusal, SRVR_LIMIT};
use crate::config::Server;
use crate::net::Stream;
use crate::route::EnsembleId;

/// What a server answered, and how quickly.
#[derive(Debug)]
pub(crate) struct Answer {
    /// All it said until it closed.
    pub(crate) bytes: Vec<u8>,
    /// From the word to the end of the answer, the connection not counted.
    pub(crate) round_trip: Duration,
}

/// Why a server did not answer.
#[derive(Debug, Error)]
pub(crate) enum Unanswered {
    /// It was not reached.
    #[error(transparent)]
    Unreached(#[from] Refusal),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(#[from] io::Error),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Slow(Duration),
}

/// Sends a word on a connection on which nothing was said yet; the answer, as far as it is read.
///
/// # Errors
/// When the connection breaks.
pub(crate) async fn exchange(mut stream: Stream, word: [u8; 4]) -> io::Result<Vec<u8>> {
    stream.write_all(&word).await?;
    let mut answer = Vec::new();
    stream.take(SRVR_LIMIT).read_to_end(&mut answer).await?;
    Ok(answer)
}

impl Dialer {
    /// Sends a word to a server of an ensemble and waits for all of its answer, each of both no longer than
    /// `connect_timeout`.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(crate) async fn ask(
        &self,
        ensemble: EnsembleId,
        server: &Server,
        word: [u8; 4],
    ) -> Result<Answer, Unanswered> {
        let stream = self.reach(ensemble, server).await?;
        let begun = Instant::now();
        let bound = self.config.connect_timeout;
        let bytes = timeout(bound, exchange(stream, word))
            .await
            .map_err(|_| Unanswered::Slow(bound))??;
        Ok(Answer {
            bytes,
            round_trip: begun.elapsed(),
        })
    }
}
