//! Points in time: milliseconds for messages, whole seconds for windows. Always UTC, counted from
//! 1970.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A range longer than this, in seconds, is shown as "all" history. A stream without a start date is
/// wanted from 1970 on, and no provider has kept messages for this long.
pub const UNBOUNDED_HISTORY_S: u64 = 30 * 365 * 86_400;

/// Returns a length of history in seconds; `None` if it counts from 1970, which no reader wants.
#[must_use]
pub fn known_length(seconds: u64) -> Option<u64> {
    (seconds <= UNBOUNDED_HISTORY_S).then_some(seconds)
}

/// A time in milliseconds since 1970-01-01T00:00:00Z, the precision of both providers' messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

/// A time in whole seconds since 1970-01-01T00:00:00Z. Agora takes times in this precision, and
/// windows are cut on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Second(pub i64);

impl Millis {
    /// Returns the whole second that contains this time.
    #[must_use]
    pub fn second(self) -> Second {
        Second(self.0.div_euclid(1000))
    }

    /// Returns the time earlier by `d`. Saturates.
    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the time later by `d`. Saturates.
    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the time elapsed since `earlier`. Zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Second {
    /// The earliest time in both providers' histories.
    pub const EPOCH: Self = Self(0);

    /// Returns the first millisecond of this second.
    #[must_use]
    pub fn start(self) -> Millis {
        Millis(self.0.saturating_mul(1000))
    }

    /// Returns the time later by `seconds`. Saturates.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Returns the time earlier by `d`. Saturates.
    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(d.as_secs()).unwrap_or(i64::MAX)),
        )
    }
}

/// A calendar day in UTC: the number of days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// The length of a day in seconds.
    pub const SECONDS: i64 = 86_400;
    /// The length of a day in milliseconds.
    pub const MILLIS: i64 = 1000 * Self::SECONDS;

    /// Returns the day that contains this second.
    #[must_use]
    pub fn containing(at: Second) -> Self {
        Self(at.0.div_euclid(Self::SECONDS))
    }

    /// Returns the day of a calendar date. `None` if the date is outside the supported years.
    pub fn from_date(date: Date) -> Option<Self> {
        let midnight = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some(Self::containing(Second(midnight.as_second())))
    }

    /// Returns the calendar date. `None` if the day is outside the supported years.
    pub fn date(self) -> Option<Date> {
        let midnight = Timestamp::from_second(self.start().0).ok()?;
        Some(midnight.to_zoned(TimeZone::UTC).date())
    }

    /// Returns the first second of the day.
    #[must_use]
    pub fn start(self) -> Second {
        Second(self.0.saturating_mul(Self::SECONDS))
    }

    /// Returns the first millisecond of the next day. `None` if it cannot be represented.
    pub fn end(self) -> Option<Millis> {
        let next = self.0.checked_add(1)?;
        next.checked_mul(Self::MILLIS).map(Millis)
    }

    /// Returns the day `days` later. Saturates.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }
}

/// An hour in UTC: the number of hours since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub i64);

impl Hour {
    /// The length of an hour in seconds.
    pub const SECONDS: i64 = 3600;
    /// The length of an hour in milliseconds.
    pub const MILLIS: i64 = 1000 * Self::SECONDS;

    /// Returns the hour that contains this second.
    #[must_use]
    pub fn containing(at: Second) -> Self {
        Self(at.0.div_euclid(Self::SECONDS))
    }

    /// Returns the first second of the hour.
    #[must_use]
    pub fn start(self) -> Second {
        Second(self.0.saturating_mul(Self::SECONDS))
    }
}

/// Writes the date as in RFC 3339: `2026-11-21`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let midnight = self.start().to_string();
        f.write_str(midnight.split('T').next().unwrap_or_default())
    }
}

/// Writes RFC 3339 in UTC with milliseconds (`2026-11-21T08:00:00.000Z`). A time outside the
/// supported years is written as a number with its unit.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Writes RFC 3339 in UTC in seconds (`2026-11-21T08:00:00Z`), the form that Agora's history API
/// takes.
impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.0) {
            Ok(t) => write!(f, "{t:.0}"),
            Err(_) => write!(f, "{} s", self.0),
        }
    }
}

/// The error for a text that is not an RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a time: write it as RFC 3339, like 2026-11-01T00:00:00Z")]
pub struct ParseTimeError(String);

impl std::str::FromStr for Millis {
    type Err = ParseTimeError;

    /// Parses RFC 3339 with any offset.
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let t: Timestamp = text
            .trim()
            .parse()
            .map_err(|_| ParseTimeError(text.to_owned()))?;
        Ok(Self(t.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_displayed_in_the_providers_form() {
        assert_eq!(
            Millis(1_564_622_530_007).to_string(),
            "2019-08-01T01:22:10.007Z"
        );
        assert_eq!(Second(1_564_622_530).to_string(), "2019-08-01T01:22:10Z");
        assert_eq!(Millis(i64::MAX).to_string(), "9223372036854775807 ms");
    }

    #[test]
    fn a_negative_millisecond_belongs_to_the_second_before_1970() {
        assert_eq!(Millis(-1).second(), Second(-1));
        assert_eq!(Millis(999).second(), Second(0));
    }

    #[test]
    fn a_day_is_the_utc_date_of_its_seconds() {
        let date = jiff::civil::date(2026, 2, 28);
        let day = Day::from_date(date).unwrap();
        assert_eq!(day.to_string(), "2026-02-28");
        assert_eq!(day.date(), Some(date));
        assert_eq!(day.plus(1).date(), Some(jiff::civil::date(2026, 3, 1)));
        assert_eq!(Day::containing(Second(-1)), Day(-1));
        assert_eq!(Day::containing(day.start().plus(86_399)), day);
        assert_eq!(day.end(), Some(day.plus(1).start().start()));
        assert_eq!(Day(i64::MAX).date(), None);
        assert_eq!(Day(i64::MAX).end(), None);
    }

    #[test]
    fn an_hour_before_1970_is_numbered_below_zero() {
        assert_eq!(Hour::containing(Second(-1)), Hour(-1));
        assert_eq!(Hour(-1).start(), Second(-3600));
    }

    #[test]
    fn an_offset_is_applied() {
        assert_eq!(
            "2019-08-01T03:22:10+02:00".parse::<Millis>().unwrap(),
            Millis(1_564_622_530_000)
        );
        assert!("yesterday".parse::<Millis>().is_err());
    }
}
