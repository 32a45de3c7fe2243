//! What the relay promises: delays that pipeline, cuts that are silent, resets that are not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::testbed::relay::{Direction, Newcomers, Relay, Traffic};

const DELAY: Duration = Duration::from_millis(100);
/// Long enough for loopback to have delivered what it was going to deliver.
const SILENCE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn bytes_pass_both_ways_and_are_counted() {
    let (relay, mut here, mut there) = wired();
    here.write_all(b"request").unwrap();
    assert_eq!(&read::<7>(&mut there), b"request");
    there.write_all(b"answer").unwrap();
    assert_eq!(&read::<6>(&mut here), b"answer");
    // The end of a stream passes when all before it has been counted.
    here.shutdown(Shutdown::Write).unwrap();
    assert_eq!(there.read(&mut [0]).unwrap(), 0);
    there.shutdown(Shutdown::Write).unwrap();
    assert_eq!(here.read(&mut [0]).unwrap(), 0);
    let expected = Traffic {
        connections: 1,
        up: 7,
        down: 6,
    };
    assert_eq!(relay.traffic(), expected);
}

#[test]
fn a_delay_holds_for_its_direction_only() {
    let (relay, mut here, mut there) = wired();
    let delay = DELAY * 5;
    relay.delay(Direction::Down, delay);
    let begun = Instant::now();
    here.write_all(b"a").unwrap();
    read::<1>(&mut there);
    let up = begun.elapsed();
    there.write_all(b"b").unwrap();
    read::<1>(&mut here);
    let round = begun.elapsed();
    assert!(up < delay, "{up:?}");
    assert!(round >= delay, "{round:?}");
}

#[test]
fn delayed_messages_overlap() {
    let (relay, mut here, mut there) = wired();
    relay.delay_both(DELAY);
    let begun = Instant::now();
    // Forty messages with pauses between them: one after another they would take four seconds.
    let sender = thread::spawn(move || {
        for message in 0..40 {
            here.write_all(&[message]).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        here
    });
    let received = read::<40>(&mut there);
    let took = begun.elapsed();
    sender.join().unwrap();
    assert!(received.is_sorted());
    assert!(took >= DELAY && took < DELAY * 20, "{took:?}");
}

#[test]
fn a_lower_delay_lets_out_what_is_under_way() {
    let (relay, mut here, mut there) = wired();
    relay.delay(Direction::Up, Duration::from_secs(3600));
    here.write_all(b"x").unwrap();
    assert!(is_silent(&mut there));
    relay.delay(Direction::Up, Duration::ZERO);
    read::<1>(&mut there);
}

#[test]
fn much_data_passes_a_delayed_wire_in_order() {
    const SIZE: usize = 16 << 20;
    let (relay, mut here, mut there) = wired();
    relay.delay(Direction::Up, Duration::from_millis(20));
    let sender = thread::spawn(move || {
        let chunk: Vec<u8> = (0..=250).cycle().take(251 * 1024).collect();
        let mut left = SIZE;
        while left > 0 {
            let length = left.min(chunk.len());
            here.write_all(&chunk[..length]).unwrap();
            left -= length;
        }
    });
    let mut received = Vec::with_capacity(SIZE);
    let begun = Instant::now();
    there.read_to_end(&mut received).unwrap();
    println!("{} MiB in {:?}", SIZE >> 20, begun.elapsed());
    sender.join().unwrap();
    assert_eq!(received.len(), SIZE);
    assert!(
        received
            .chunks(251)
            .all(|run| run.iter().copied().eq(0..u8::try_from(run.len()).unwrap()))
    );
}

#[test]
fn a_cut_is_silent_and_loses_nothing() {
    let (relay, mut here, mut there) = wired();
    relay.cut(Newcomers::Hang);
    here.write_all(b"up").unwrap();
    there.write_all(b"down").unwrap();
    assert!(is_silent(&mut here) && is_silent(&mut there));
    relay.heal();
    assert_eq!(&read::<2>(&mut there), b"up");
    assert_eq!(&read::<4>(&mut here), b"down");
}

#[test]
fn a_cut_hides_the_end_of_a_connection() {
    let (relay, mut here, there) = wired();
    relay.cut(Newcomers::Hang);
    drop(there);
    assert!(is_silent(&mut here));
    relay.heal();
    assert_eq!(here.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_frozen_direction_leaves_the_other_alone() {
    let (relay, mut here, mut there) = wired();
    relay.freeze(Direction::Down);
    here.write_all(b"up").unwrap();
    assert_eq!(&read::<2>(&mut there), b"up");
    there.write_all(b"down").unwrap();
    assert!(is_silent(&mut here));
    relay.heal();
    assert_eq!(&read::<4>(&mut here), b"down");
}

#[test]
fn newcomers_hang_until_the_wire_heals() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::to(listener.local_addr().unwrap());
    relay.cut(Newcomers::Hang);
    let mut here = TcpStream::connect(relay.address()).unwrap();
    assert!(is_silent(&mut here));
    relay.heal();
    let (mut there, _) = listener.accept().unwrap();
    there.write_all(b"x").unwrap();
    read::<1>(&mut here);
}

#[test]
fn newcomers_are_refused_until_the_wire_heals() {
    let (relay, mut here, mut there) = wired();
    relay.cut(Newcomers::Refuse);
    let refused = TcpStream::connect(relay.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    relay.heal();
    TcpStream::connect(relay.address()).unwrap();
    here.write_all(b"x").unwrap();
    read::<1>(&mut there);
}

#[test]
fn a_reset_reaches_both_ends_and_the_next_connection_works() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::to(listener.local_addr().unwrap());
    for _ in 0..2 {
        let mut here = TcpStream::connect(relay.address()).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        here.write_all(b"x").unwrap();
        read::<1>(&mut there);
        relay.reset();
        for end in [&mut here, &mut there] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            let error = end.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_reset_by_one_end_reaches_the_other() {
    let (_relay, mut here, there) = wired();
    // Closing with unread data in the buffer is a reset.
    here.write_all(b"x").unwrap();
    there.set_read_timeout(Some(PATIENCE)).unwrap();
    there.peek(&mut [0]).unwrap();
    drop(there);
    here.set_read_timeout(Some(PATIENCE)).unwrap();
    let error = here.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_target_that_is_down_resets_the_dialler() {
    let relay = Relay::to(crate::testbed::ports::reserve());
    let mut here = TcpStream::connect(relay.address()).unwrap();
    here.set_read_timeout(Some(PATIENCE)).unwrap();
    let error = here.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_dropped_relay_refuses_and_resets() {
    let (relay, mut here, _there) = wired();
    let address = relay.address();
    drop(relay);
    here.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(here.read(&mut [0]).is_err());
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() && Instant::now() < deadline {}
    assert!(TcpStream::connect(address).is_err());
}

/// A relay with one connection through it, and both ends of that.
fn wired() -> (Relay, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::to(listener.local_addr().unwrap());
    let here = TcpStream::connect(relay.address()).unwrap();
    let (there, _) = listener.accept().unwrap();
    (relay, here, there)
}

fn read<const SIZE: usize>(stream: &mut TcpStream) -> [u8; SIZE] {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; SIZE];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let answer = stream.read(&mut [0]);
    matches!(answer, Err(error) if error.kind() == ErrorKind::WouldBlock)
}
