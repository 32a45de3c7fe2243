//! Four-letter words on the client port: a home server answers them.

use std::time::Duration;

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::time::timeout;

use super::Shared;
use super::client::Turned;
use crate::net::Stream;

/// How long a word may take to be answered.
const BOUND: Duration = Duration::from_secs(10);

/// Words that change a server's state; clients of a sidecar have no business with them.
const FORBIDDEN: [&[u8; 4]; 3] = [b"crst", b"srst", b"stmk"];

/// Lets a home server answer a four-letter word.
pub(super) async fn answer(
    mut client: Stream,
    word: [u8; 4],
    shared: &Shared,
) -> Result<(), Turned> {
    if FORBIDDEN.contains(&&word) {
        let word = String::from_utf8_lossy(&word).into_owned();
        // The words of a stock server on which it is not whitelisted.
        client
            .write_all(
                format!("{word} is not executed because it is not in the whitelist.\n").as_bytes(),
            )
            .await?;
        client.shutdown().await?;
        return Ok(());
    }
    let relay = async {
        let mut server = shared.dialer.connect(shared.config.home()).await?;
        server.write_all(&word).await?;
        // The server closes when it has answered; clients may have closed their side before.
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    };
    timeout(BOUND, relay)
        .await
        .map_err(|_| Turned::Slow(BOUND))?
}
