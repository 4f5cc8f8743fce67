//! Times as the views show them, at the speed of an export.

use crate::domain::time::{Day, Millis};

/// The first and the last millisecond of the years that a date can name: 1 to 9999.
const DATED: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// Returns the time like `2026-03-01T08:00:00.000Z`. `None` outside the years 1 to 9999.
pub(super) fn time_text(time: Millis) -> Option<[u8; 24]> {
    if !DATED.contains(&time.0) {
        return None;
    }
    let (days, ms) = (
        time.0.div_euclid(Day::MILLIS),
        time.0.rem_euclid(Day::MILLIS),
    );
    let (year, month, day) = date_of(days);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], ms / 3_600_000);
    put(&mut text[14..16], ms / 60_000 % 60);
    put(&mut text[17..19], ms / 1000 % 60);
    put(&mut text[20..23], ms % 1000);
    Some(text)
}

/// Returns a day like `2026-03-01`. `None` outside the years 1 to 9999.
pub(super) fn day_text(day: Day) -> Option<String> {
    let text = time_text(Millis(day.0.checked_mul(Day::MILLIS)?))?;
    std::str::from_utf8(&text[..10]).ok().map(str::to_owned)
}

/// Writes a number with leading zeros.
fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Returns year, month and day of a number of days since 1970, in the Gregorian calendar. Years are
/// counted from March, so that the leap day is the last of a year.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let mut random = fastrand::Rng::with_seed(1);
        let edges = [0, -1, 951_782_400_000, 951_868_799_999, *DATED.start()];
        let some = (0..10_000).map(|_| random.i64(DATED));
        for ms in edges.into_iter().chain(some) {
            let text = time_text(Millis(ms)).unwrap();
            assert_eq!(str::from_utf8(&text).unwrap(), Millis(ms).to_string());
        }
        let last = time_text(Millis(*DATED.end())).unwrap();
        assert_eq!(&last, b"9999-12-31T23:59:59.999Z");
        for ms in [DATED.start() - 1, DATED.end() + 1, i64::MIN, i64::MAX] {
            assert_eq!(time_text(Millis(ms)), None, "{ms}");
        }
        assert_eq!(day_text(Day(20_513)).as_deref(), Some("2026-03-01"));
        assert_eq!(day_text(Day(i64::MAX)), None);
    }
}
