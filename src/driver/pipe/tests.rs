//! What a pipe reads, keeps and writes.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

/// The driver looks at a pipe when it is woken, and asks it for no more than to be flushed.
#[tokio::test]
async fn what_a_stream_holds_back_goes_out_when_its_socket_takes_it() {
    let (mut near, mut far) = crate::tls::tests::pair(1_000).await;
    for (queued, size) in [(false, 20_000), (true, 20_000), (false, 300_000), (true, 3)] {
        let mut pipe = Pipe::new(near);
        let sent: Vec<u8> = (0..size).map(|n: u32| n.to_be_bytes()[3]).collect();
        let mut unsent = Some(sent.clone());
        let driver = poll_fn(|cx| {
            match unsent.take() {
                Some(bytes) if queued => pipe.queue(bytes),
                Some(bytes) => pipe.write(&bytes, cx),
                None => {}
            }
            pipe.flush(Tick::default(), cx).unwrap();
            Poll::<()>::Pending
        });
        let mut received = vec![0; sent.len()];
        let reading = timeout(
            std::time::Duration::from_secs(10),
            far.read_exact(&mut received),
        );
        tokio::select! {
            () = driver => {}
            read = reading => { read.expect("all of it comes").unwrap(); }
        }
        assert!(received == sent && pipe.unwritten() == 0);
        near = pipe.stream;
    }
}

#[tokio::test]
async fn what_is_written_is_not_kept_though_there_is_always_more_to_write() {
    let (near, mut far) = tokio::io::duplex(1_000);
    let mut pipe = Pipe::new(Stream::Memory(near));
    pipe.queue(vec![7; 3_000]);
    for _ in 0..1_000 {
        pipe.queue(vec![7; 500]);
        flush(&mut pipe, Tick(0)).await;
        let mut read = [0; 500];
        far.read_exact(&mut read).await.unwrap();
        assert!(pipe.unwritten() > 0 && read == [7; 500]);
    }
    assert!(pipe.unwritten.capacity() < 20_000);
}

#[tokio::test]
async fn it_is_known_since_when_nothing_is_taken() {
    let (near, mut far) = tokio::io::duplex(100);
    let mut pipe = Pipe::new(Stream::Memory(near));
    pipe.queue(vec![7; 300]);
    let mut since = async |now| {
        flush(&mut pipe, Tick(now)).await;
        pipe.stuck()
    };
    assert_eq!(since(1).await, Some(Tick(1)));
    assert_eq!(since(2).await, Some(Tick(1)));
    far.read_exact(&mut [0; 50]).await.unwrap();
    assert_eq!(since(3).await, Some(Tick(3)), "some was taken");
    assert_eq!(since(4).await, Some(Tick(3)));
    far.read_exact(&mut [0; 100]).await.unwrap();
    assert_eq!(since(5).await, Some(Tick(5)));
    far.read_exact(&mut [0; 100]).await.unwrap();
    assert_eq!(since(6).await, None, "all was");
}

/// One intake: what it brought, if anything; so much of it is used.
async fn intake(pipe: &mut Pipe, used: impl Fn(&[u8]) -> usize) -> Option<Vec<u8>> {
    let taken = poll_fn(|cx| {
        pipe.woken();
        with_scratch(|scratch| match pipe.intake(scratch, cx) {
            Intake::Nothing => Poll::Pending,
            Intake::End => Poll::Ready(None),
            Intake::Bytes(bytes) => {
                let (seen, used) = (bytes.to_vec(), used(&bytes));
                pipe.give_back(bytes, used);
                Poll::Ready(Some(seen))
            }
        })
    });
    taken.await
}

#[tokio::test]
async fn what_is_not_used_comes_again_in_front_of_what_follows() {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut pipe = Pipe::new(Stream::Memory(near));
    let sent: Vec<u8> = (0..400_000_u32)
        .map(|n| u8::try_from(n % 251 + 1).unwrap())
        .collect();
    let mut written = 0;
    // More than was left, so that all of it has been in the small buffer and in the large one.
    for size in [3, 10, 100, SCRATCH / 2 - 100, SCRATCH, 3 * SCRATCH, 7] {
        far.write_all(&sent[written..written + size]).await.unwrap();
        written += size;
        while pipe.left.len() < written {
            let seen = intake(&mut pipe, |_| 0).await.unwrap();
            assert!(seen == sent[..seen.len()] && pipe.left == seen);
        }
    }
    let (mut used, mut at) = (vec![1, 2, written / 2, written / 3], 0);
    pipe.retry();
    far.write_all(&sent[written..written + 5]).await.unwrap();
    while let Some(next) = used.pop() {
        let seen = intake(&mut pipe, |_| next).await.unwrap();
        assert!(seen == sent[at..at + seen.len()]);
        at += next;
        pipe.retry();
    }
    drop(far);
    pipe.unread = Unread::Perhaps;
    while intake(&mut pipe, |_| 0).await.is_some() {}
    assert!(pipe.left == sent[at..written + 5]);
}

#[tokio::test]
async fn an_idle_pipe_has_no_buffer() {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut pipe = Pipe::new(Stream::Memory(near));
    for size in [10, SCRATCH, 4 * SCRATCH] {
        far.write_all(&vec![7; size]).await.unwrap();
        while pipe.left.len() < size {
            intake(&mut pipe, |_| 0).await.unwrap();
        }
        pipe.retry();
        intake(&mut pipe, <[u8]>::len).await.unwrap();
        assert_eq!(pipe.left.capacity(), 0, "{size}");
    }
}

async fn flush(pipe: &mut Pipe, now: Tick) {
    let flushed = poll_fn(|cx| Poll::Ready(pipe.flush(now, cx)));
    flushed.await.unwrap();
}
