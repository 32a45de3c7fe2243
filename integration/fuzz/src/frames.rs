//! Frames in a stream of bytes that comes in pieces.

use arbitrary::Unstructured;
use zoonet::wire::frames::{PREFIX, frame_size};

/// A stream as it arrived so far, taken apart as the driver does it.
struct Stream {
    unread: Vec<u8>,
    limit: usize,
    frames: Vec<Vec<u8>>,
    /// How many bytes had been taken when a length was refused.
    refused: Option<usize>,
    taken: usize,
}

impl Stream {
    const fn new(limit: usize) -> Self {
        Self {
            unread: Vec::new(),
            limit,
            frames: Vec::new(),
            refused: None,
            taken: 0,
        }
    }

    fn arrives(&mut self, bytes: &[u8]) {
        if self.refused.is_some() {
            return;
        }
        self.unread.extend_from_slice(bytes);
        loop {
            match frame_size(&self.unread, self.limit) {
                Ok(Some(size)) if size <= self.unread.len() => {
                    let rest = self.unread.split_off(size);
                    self.frames.push(std::mem::replace(&mut self.unread, rest));
                    self.taken += size;
                }
                Ok(_) => return,
                Err(_) => {
                    self.refused = Some(self.taken);
                    return;
                }
            }
        }
    }
}

/// The same bytes are the same frames however they are cut into pieces, all of them within the
/// limit, and a length outside of it is refused as soon as its four bytes are there.
pub fn check(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let (Ok(limit), Ok(cuts)) = (u.int_in_range(0..=300), u.int_in_range(1..=8)) else {
        return;
    };
    let Ok(sizes) = u.bytes(cuts.min(u.len())) else {
        return;
    };
    let stream = u.take_rest();
    let mut whole = Stream::new(limit);
    whole.arrives(stream);
    let mut pieces = Stream::new(limit);
    let mut rest = stream;
    for size in sizes.iter().map(|size| usize::from(*size)).cycle() {
        let (piece, behind) = rest.split_at(size.clamp(1, 64).min(rest.len()));
        if piece.is_empty() {
            break;
        }
        pieces.arrives(piece);
        rest = behind;
    }
    compare(&whole, &pieces, stream);
}

fn compare(whole: &Stream, pieces: &Stream, stream: &[u8]) {
    assert_eq!(
        whole.frames, pieces.frames,
        "frames depend on how bytes arrive"
    );
    assert_eq!(whole.refused, pieces.refused);
    assert!(stream.starts_with(&whole.frames.concat()));
    for frame in &whole.frames {
        assert!((PREFIX..=PREFIX + whole.limit).contains(&frame.len()));
    }
    let next = stream
        .get(whole.taken..)
        .and_then(|rest| rest.first_chunk());
    let outside = |length: &[u8; 4]| {
        usize::try_from(i32::from_be_bytes(*length)).map_or(true, |length| length > whole.limit)
    };
    assert_eq!(whole.refused.is_some(), next.is_some_and(outside));
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: [u8; 7] = [0, 0, 0, 1, 9, 0, 0];

    fn read(stream: &[u8]) -> Stream {
        let mut read = Stream::new(100);
        read.arrives(stream);
        read
    }

    #[test]
    fn the_same_frames_pass() {
        compare(&read(&STREAM), &read(&STREAM), &STREAM);
    }

    #[test]
    #[should_panic(expected = "frames depend")]
    fn a_frame_that_is_cut_elsewhere_is_reported() {
        let mut other = read(&STREAM);
        other.frames = vec![vec![0, 0, 0, 1]];
        compare(&read(&STREAM), &other, &STREAM);
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn a_length_that_is_not_refused_is_reported() {
        let stream = i32::MAX.to_be_bytes();
        let mut lax = read(&stream);
        lax.refused = None;
        compare(&lax, &lax, &stream);
    }
}
