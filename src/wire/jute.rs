//! The one place that knows big-endian: a bounds-checked cursor to read with, a writer of frames.

use super::WireFault;

/// A cursor over a payload. Every read is checked against what is left.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Reads `bytes` from `offset` on; past the end nothing is left to read.
    #[must_use]
    pub fn from(bytes: &'a [u8], offset: usize) -> Self {
        Self {
            bytes,
            at: offset.min(bytes.len()),
        }
    }

    /// Where the next read starts.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Takes the next `needed` bytes.
    ///
    /// # Errors
    /// [`WireFault::Short`] when fewer are left.
    pub fn take(&mut self, needed: usize, what: &'static str) -> Result<&'a [u8], WireFault> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = left.get(..needed) else {
            return Err(WireFault::Short {
                what,
                offset: self.at,
                needed,
                left: left.len(),
            });
        };
        self.at += needed;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireFault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// A signed 32-bit integer.
    ///
    /// # Errors
    /// [`WireFault::Short`].
    pub fn int(&mut self, what: &'static str) -> Result<i32, WireFault> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    /// A signed 64-bit integer.
    ///
    /// # Errors
    /// [`WireFault::Short`].
    pub fn long(&mut self, what: &'static str) -> Result<i64, WireFault> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    /// One byte; anything but zero is true, as in Java's `DataInput`.
    ///
    /// # Errors
    /// [`WireFault::Short`].
    pub fn bool(&mut self, what: &'static str) -> Result<bool, WireFault> {
        Ok(self.array::<1>(what)? != [0])
    }

    /// A `ustring` or `buffer`; `None` is null.
    ///
    /// # Errors
    /// [`WireFault::Short`], [`WireFault::NegativeLength`].
    pub fn buffer(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, WireFault> {
        let offset = self.at;
        let length = self.int(what)?;
        match usize::try_from(length) {
            Ok(length) => self.take(length, what).map(Some),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(WireFault::NegativeLength {
                what,
                offset,
                length,
            }),
        }
    }

    /// The count of a vector; `None` is null.
    ///
    /// # Errors
    /// [`WireFault::Short`], [`WireFault::NegativeLength`].
    pub fn count(&mut self, what: &'static str) -> Result<Option<usize>, WireFault> {
        let offset = self.at;
        let length = self.int(what)?;
        match usize::try_from(length) {
            Ok(count) => Ok(Some(count)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(WireFault::NegativeLength {
                what,
                offset,
                length,
            }),
        }
    }

    /// Skips a vector of ACL entries (permissions, scheme, id).
    ///
    /// # Errors
    /// [`WireFault::Short`], [`WireFault::NegativeLength`].
    pub fn skip_acl(&mut self) -> Result<(), WireFault> {
        for _ in 0..self.count("ACL count")?.unwrap_or(0) {
            self.int("ACL permissions")?;
            self.buffer("ACL scheme")?;
            self.buffer("ACL id")?;
        }
        Ok(())
    }
}

/// Writes one frame: the length comes first and is filled in by [`Writer::finish`].
#[derive(Clone, Debug)]
pub struct Writer {
    frame: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        Self::with_capacity(64)
    }
}

impl Writer {
    /// Room for a payload of `payload` bytes.
    #[must_use]
    pub fn with_capacity(payload: usize) -> Self {
        let mut frame = Vec::with_capacity(payload.saturating_add(4));
        frame.extend_from_slice(&[0; 4]);
        Self { frame }
    }

    /// A signed 32-bit integer.
    #[must_use]
    pub fn int(mut self, value: i32) -> Self {
        self.frame.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A signed 64-bit integer.
    #[must_use]
    pub fn long(mut self, value: i64) -> Self {
        self.frame.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// One byte, 0 or 1.
    #[must_use]
    #[expect(clippy::fn_params_excessive_bools, reason = "it writes one")]
    pub fn bool(mut self, value: bool) -> Self {
        self.frame.push(u8::from(value));
        self
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.frame.extend_from_slice(bytes);
        self
    }

    /// A `ustring` or `buffer`; `None` is null.
    #[must_use]
    pub fn buffer(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.int(length(bytes.len())).raw(bytes),
            None => self.int(-1),
        }
    }

    /// The count of a vector that follows.
    #[must_use]
    pub fn count(self, count: usize) -> Self {
        self.int(length(count))
    }

    /// The whole frame, length included.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let payload = length(self.frame.len().saturating_sub(4));
        if let Some(prefix) = self.frame.first_chunk_mut::<4>() {
            *prefix = payload.to_be_bytes();
        }
        self.frame
    }
}

/// A length as the wire has it. No frame comes near 2 GiB: all are bounded by the frame limit
/// or made of a bounded number of such frames.
fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// Overwrites the 64-bit integer at `offset`; does nothing when it does not lie within `bytes`.
pub fn patch_long(bytes: &mut [u8], offset: usize, value: i64) {
    if let Some(field) = bytes
        .get_mut(offset..)
        .and_then(|rest| rest.first_chunk_mut::<8>())
    {
        *field = value.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let frame = Writer::default()
            .int(-7)
            .long(1 << 40)
            .bool(true)
            .buffer(Some(b"ab"))
            .buffer(None)
            .buffer(Some(b""))
            .finish();
        let mut reader = Reader::new(&frame);
        assert_eq!(
            usize::try_from(reader.int("length").unwrap()).unwrap(),
            frame.len() - 4
        );
        assert_eq!(reader.int("i").unwrap(), -7);
        assert_eq!(reader.long("l").unwrap(), 1 << 40);
        assert!(reader.bool("b").unwrap());
        assert_eq!(reader.buffer("s").unwrap(), Some(&b"ab"[..]));
        assert_eq!(reader.buffer("n").unwrap(), None);
        assert_eq!(reader.buffer("e").unwrap(), Some(&b""[..]));
        assert!(matches!(
            reader.bool("end"),
            Err(WireFault::Short { left: 0, .. })
        ));
    }

    #[test]
    fn a_length_below_minus_one_is_a_fault() {
        let bytes = (-2i32).to_be_bytes();
        let fault = Reader::new(&bytes).buffer("path").unwrap_err();
        assert_eq!(
            fault,
            WireFault::NegativeLength {
                what: "path",
                offset: 0,
                length: -2
            }
        );
    }

    #[test]
    fn a_length_beyond_the_end_is_a_fault_and_allocates_nothing() {
        let bytes = i32::MAX.to_be_bytes();
        assert!(matches!(
            Reader::new(&bytes).buffer("data"),
            Err(WireFault::Short { .. })
        ));
    }
}
