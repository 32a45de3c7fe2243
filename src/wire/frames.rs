//! From a stream of bytes to frames: an `i32` length, then that many bytes. The limit is here.

use super::WireFault;

/// Bytes of the length in front of every payload.
pub const PREFIX: usize = 4;

/// ZooKeeper's default for `jute.maxbuffer`: the largest payload a stock server accepts.
pub const DEFAULT_LIMIT: usize = 0xf_ffff;

/// How many bytes the frame at the start of `bytes` takes, its length included, or `None` while
/// the length itself has not come in whole.
///
/// # Errors
/// [`WireFault::FrameLength`] when the length is negative or above `limit`: nothing behind it can
/// be trusted, stock servers close such a connection without a word.
pub fn frame_size(bytes: &[u8], limit: usize) -> Result<Option<usize>, WireFault> {
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*prefix);
    match usize::try_from(length) {
        Ok(payload) if payload <= limit => Ok(Some(PREFIX + payload)),
        Ok(_) | Err(_) => Err(WireFault::FrameLength { length, limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        let at = |length: i32| frame_size(&length.to_be_bytes(), DEFAULT_LIMIT);
        assert_eq!(at(0xf_ffff), Ok(Some(0xf_ffff + 4)));
        assert!(at(0x10_0000).is_err());
        assert!(at(-1).is_err());
        assert_eq!(at(0), Ok(Some(4)));
    }

    #[test]
    fn part_of_a_length_is_not_yet_a_frame() {
        assert_eq!(frame_size(&[0, 0, 0], DEFAULT_LIMIT), Ok(None));
    }
}
