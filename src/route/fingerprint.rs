//! A short name for a route map, for comparing sidecars.

use std::fmt;

/// 64-bit FNV-1a of the canonical text of a route map; printed as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of nothing: FNV's offset basis.
    pub(super) const START: Self = Self(0xcbf2_9ce4_8422_2325);

    /// With one more field. None contains a zero byte: names and paths with one are refused.
    pub(super) fn field(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().chain(&[0]).fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// The number itself, for a metric.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
