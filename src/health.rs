//! `zoonet health`: asks a running sidecar whether it is well, for supervisors that can run a
//! program and no more: the image has no HTTP client.
//!
//! # Decisions
//!
//! * The address is an argument and not looked up in the configuration. A running sidecar ignores
//!   a file with a mistake in it; a check that read the file would have it restarted for that, and
//!   it would not start again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the answer may take: less than what supervisors give a check by themselves.
const BOUND: Duration = Duration::from_secs(2);

/// Bytes of an answer that are read at most.
const ANSWER_LIMIT: u64 = 64 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the process answers at all.
    Alive,
    /// Whether it can serve clients: it is not stopping and home can be reached.
    Ready,
}

/// There was no good answer.
#[derive(Debug, Error)]
pub enum HealthError {
    /// Nobody answers there.
    #[error("no sidecar answers at {address}: {cause}")]
    Unreachable {
        /// The admin address that was asked.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// Somebody answers there, but not in HTTP.
    #[error("what answers at {address} is not a sidecar's `admin`")]
    Foreign {
        /// The admin address that was asked.
        address: SocketAddr,
    },
    /// The sidecar says no.
    #[error("{status}: {reason}")]
    Unwell {
        /// The code and words of HTTP's status line.
        status: String,
        /// What else it said.
        reason: String,
    },
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Alive => "/healthz",
            Self::Ready => "/readyz",
        }
    }
}

/// Asks the sidecar whose `admin` is at this address; returns what it says if all is well.
///
/// # Errors
/// If it says no, or says nothing within two seconds.
pub async fn ask(address: SocketAddr, question: Question) -> Result<String, HealthError> {
    let answer = match timeout(BOUND, fetch(address, question.path())).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(cause)) => return Err(HealthError::Unreachable { address, cause }),
        Err(_) => {
            let cause = io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {BOUND:?}"),
            );
            return Err(HealthError::Unreachable { address, cause });
        }
    };
    judge(&String::from_utf8_lossy(&answer)).unwrap_or(Err(HealthError::Foreign { address }))
}

/// What an HTTP answer says; nothing if it is none.
fn judge(answer: &str) -> Option<Result<String, HealthError>> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let line = head.lines().next()?;
    let status = line.strip_prefix("HTTP/1.")?.split_once(' ')?.1.trim();
    // On one line: that is what supervisors keep of it.
    let said = body.split_whitespace().collect::<Vec<_>>().join(" ");
    if status.starts_with("200") {
        return Some(Ok(said));
    }
    let status = status.to_owned();
    Some(Err(HealthError::Unwell {
        status,
        reason: said,
    }))
}

/// The whole answer to a GET. Version 1.0 of HTTP asks for a plain body and a close behind it.
async fn fetch(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    /// An address at which one connection is answered so; the handle gives what was asked.
    async fn answering(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        (address, asked)
    }

    #[tokio::test]
    async fn a_good_answer_is_passed_on() {
        let (address, asked) = answering("HTTP/1.0 200 OK\r\nX: y\r\n\r\nready\n").await;
        let said = ask(address, Question::Ready).await.unwrap();
        assert_eq!(said, "ready");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /readyz HTTP/1.0\r\n"), "{asked}");
        assert!(asked.contains(&format!("Host: {address}\r\n")), "{asked}");

        let (address, asked) = answering("HTTP/1.1 200 OK\r\n\r\n").await;
        assert_eq!(ask(address, Question::Alive).await.unwrap(), "");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /healthz "), "{asked}");
    }

    #[tokio::test]
    async fn a_no_comes_with_its_reason() {
        let answer = "HTTP/1.0 503 Service Unavailable\r\n\r\nhome cannot\n  be reached\n";
        let (address, _) = answering(answer).await;
        let error = ask(address, Question::Ready).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "503 Service Unavailable: home cannot be reached"
        );
    }

    #[tokio::test]
    async fn strangers_are_told_from_sidecars() {
        for answer in ["", "imok", "HTTP/1.0 200 OK\r\n", "SSH-2.0\r\n\r\n200"] {
            let (address, _) = answering(answer).await;
            let error = ask(address, Question::Ready).await.unwrap_err();
            assert!(matches!(error, HealthError::Foreign { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn where_nobody_is_the_address_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = ask(address, Question::Alive).await.unwrap_err().to_string();
        let expected = format!("no sidecar answers at {address}: ");
        assert!(error.starts_with(&expected), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_an_answer_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = ask(address, Question::Ready).await.unwrap_err().to_string();
        assert!(error.ends_with("no answer within 2s"), "{error}");
    }
}
