//! Moments: milliseconds for messages, whole seconds for windows. Always UTC, always counted from 1970.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// A moment in milliseconds since 1970-01-01T00:00:00Z: the precision in which both providers date messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

/// A moment on a whole second since 1970-01-01T00:00:00Z: the precision in which Agora takes times and windows are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Second(pub i64);

impl Millis {
    /// The whole second in which this moment lies.
    #[must_use]
    pub fn second(self) -> Second {
        Second(self.0.div_euclid(1000))
    }

    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long ago `earlier` was; zero if it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Second {
    /// The beginning of time as the providers count it.
    pub const EPOCH: Self = Self(0);

    /// The first millisecond of this second.
    #[must_use]
    pub fn start(self) -> Millis {
        Millis(self.0.saturating_mul(1000))
    }

    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(d.as_secs()).unwrap_or(i64::MAX)),
        )
    }
}

/// RFC 3339 in UTC with milliseconds (`2026-11-21T08:00:00.000Z`). A moment outside the years that this can say is
/// shown as the bare number with its unit.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// RFC 3339 in UTC on the second (`2026-11-21T08:00:00Z`): the very form that Agora's history takes.
impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.0) {
            Ok(t) => write!(f, "{t:.0}"),
            Err(_) => write!(f, "{} s", self.0),
        }
    }
}

/// Why a text is no moment.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a time: write it as RFC 3339, like 2026-11-01T00:00:00Z")]
pub struct ParseTimeError(String);

impl std::str::FromStr for Millis {
    type Err = ParseTimeError;

    /// Reads RFC 3339 with any offset.
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
    fn moments_are_shown_in_the_form_the_providers_take() {
        assert_eq!(
            Millis(1_564_622_530_007).to_string(),
            "2019-08-01T01:22:10.007Z"
        );
        assert_eq!(Second(1_564_622_530).to_string(), "2019-08-01T01:22:10Z");
        assert_eq!(Millis(i64::MAX).to_string(), "9223372036854775807 ms");
    }

    #[test]
    fn a_millisecond_before_1970_lies_in_the_second_before_1970() {
        assert_eq!(Millis(-1).second(), Second(-1));
        assert_eq!(Millis(999).second(), Second(0));
    }

    #[test]
    fn an_offset_is_taken_into_account() {
        assert_eq!(
            "2019-08-01T03:22:10+02:00".parse::<Millis>().unwrap(),
            Millis(1_564_622_530_000)
        );
        assert!("yesterday".parse::<Millis>().is_err());
    }
}
