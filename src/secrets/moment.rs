//! When a certificate expires: one field, deep in it, and the calendar that goes with it.

use std::fmt;
use std::time::SystemTime;

const DAY: u64 = 86_400;

/// A point in time, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// So many seconds after 1970 began.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// By the clock of this host.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_secs()))
    }

    /// Whole days from `earlier` to then; nothing if it is over.
    #[must_use]
    pub fn days_after(self, earlier: Self) -> Option<u64> {
        (self > earlier).then(|| (self.0 - earlier.0) / DAY)
    }
}

/// `2031-02-28 23:59 UTC`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY);
        let (hour, minute) = (self.0 % DAY / 3_600, self.0 % 3_600 / 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
    }
}

/// The end of the validity of a certificate in DER; nothing where it cannot be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<Moment> {
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    let (first, _, behind) = element(rest)?;
    if first == VERSION {
        rest = behind;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    moment(tag, time)
}

/// The first element of some DER: its tag, its content, and what comes behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(*short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            let digit = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
            (digits.iter().fold(0, digit), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((*tag, content, behind))
}

/// `YYMMDDHHMMSSZ`, or with a year of four digits: RFC 5280 allows no other form.
fn moment(tag: u8, time: &[u8]) -> Option<Moment> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let time = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    if !time.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = time.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = time.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let field = |at: usize| rest.get(at..at + 2)?.parse::<u64>().ok();
    let days = days(year, field(0)?, field(2)?)?;
    let seconds = field(4)? * 3_600 + field(6)? * 60 + field(8)?;
    Some(Moment(days * DAY + seconds))
}

/// Days from 1970 on; years that begin in March, so that the leap day is their last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let leaps = year / 4 - year / 100 + year / 400;
    // 719468 days from March of the year 0 to 1970.
    (year * 365 + leaps + (month * 153 + 2) / 5 + day - 1).checked_sub(719_468)
}

/// The year, month and day so many days after 1970 began.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year, month + 3)
    } else {
        (year + 1, month - 9)
    };
    (year + era * 400, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_goes_both_ways() {
        let mut previous = None;
        for day in 0..100_000 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), Some(day));
            assert!(previous < Some((year, month, date)));
            previous = Some((year, month, date));
        }
        assert_eq!(Moment(951_782_399).to_string(), "2000-02-28 23:59 UTC");
        assert_eq!(Moment(951_868_740).to_string(), "2000-02-29 23:59 UTC");
        assert_eq!(Moment(4_107_542_400).to_string(), "2100-03-01 00:00 UTC");
    }

    #[test]
    fn times_of_both_forms_are_read() {
        let read = |tag, text: &str| moment(tag, text.as_bytes()).map(|moment| moment.to_string());
        assert_eq!(read(0x17, "491231235959Z").unwrap(), "2049-12-31 23:59 UTC");
        assert_eq!(read(0x17, "700101000000Z").unwrap(), "1970-01-01 00:00 UTC");
        assert_eq!(
            read(0x18, "99991231235959Z").unwrap(),
            "9999-12-31 23:59 UTC"
        );
        for (tag, wrong) in [
            (0x17, "491231235959"),
            (0x17, "491331235959Z"),
            (0x17, "4912312359Z"),
            (0x17, "+91231235959Z"),
            (0x18, "491231235959Z"),
            (0x19, "491231235959Z"),
        ] {
            assert_eq!(read(tag, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_cut_off_has_no_end() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut wanted = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(2031, 2, 28);
        let certificate = wanted.self_signed(&key).unwrap();
        let der = certificate.der();
        let read = not_after(der).unwrap();
        assert_eq!(read.to_string(), "2031-02-28 00:00 UTC");
        for length in 0..60 {
            assert_eq!(not_after(&der[..length]), None);
        }
    }
}
