//! Cron expressions.

use std::fmt;

use chrono::{DateTime, Utc};
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds};

use super::value_error::ValueError;
use crate::domain::time::Millis;

/// A schedule: a cron expression of six fields (second, minute, hour, day, month, weekday) in UTC.
#[derive(Clone)]
pub struct Cron {
    /// The expression as it was written, for the scheduler.
    pub expression: String,
    schedule: croner::Cron,
}

impl Cron {
    /// Reads an expression by the rules of `tokio-cron-scheduler`, which will run it. If both day
    /// and weekday are given, both must match. Errors unless there are six fields that match some
    /// moment.
    pub(crate) fn parse(expression: &str) -> Result<Self, ValueError> {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        match fields.len() {
            6 => {}
            5 => return Err(ValueError::CronWithoutSeconds(fields.join(" "))),
            count => return Err(ValueError::CronFields(count)),
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .dom_and_dow(true)
            .build();
        let schedule = parser
            .parse(expression)
            .map_err(|error| ValueError::CronSyntax(describe_error(&error)))?;
        let cron = Self {
            expression: expression.to_owned(),
            schedule,
        };
        match cron.next_after(Millis(0)) {
            Some(_) => Ok(cron),
            None => Err(ValueError::CronNever),
        }
    }

    /// Returns the first occurrence after `moment`; `None` if there is no further one.
    pub fn next_after(&self, moment: Millis) -> Option<Millis> {
        // Occurrences are on whole seconds, and the search steps by one second: it must start on
        // one.
        let from: DateTime<Utc> = DateTime::from_timestamp(moment.second().0, 0)?;
        let next = self.schedule.find_next_occurrence(&from, false).ok()?;
        Some(Millis(next.timestamp_millis()))
    }
}

/// Returns the parser's reason in a form that fits the middle of a sentence.
fn describe_error(error: &CronError) -> String {
    match error {
        CronError::InvalidPattern(detail)
        | CronError::IllegalCharacters(detail)
        | CronError::ComponentError(detail) => detail.trim_end_matches('.').to_owned(),
        _ => "it is not valid".to_owned(),
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.expression).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, after: &str) -> Option<String> {
        let after = after.parse().unwrap();
        Cron::parse(expression)
            .unwrap()
            .next_after(after)
            .map(|moment| moment.to_string())
    }

    #[test]
    fn next_occurrence_is_strictly_after_the_moment() {
        assert_eq!(
            next("0 * * * * *", "2026-11-21T08:00:00Z").unwrap(),
            "2026-11-21T08:01:00.000Z"
        );
        assert_eq!(
            next("0 * * * * *", "2026-11-21T07:59:59.999Z").unwrap(),
            "2026-11-21T08:00:00.000Z"
        );
        assert_eq!(
            next("* * * * * *", "2026-11-21T08:00:00.001Z").unwrap(),
            "2026-11-21T08:00:01.000Z"
        );
        assert_eq!(
            next("0 17 * * * *", "2026-12-31T23:30:00Z").unwrap(),
            "2027-01-01T00:17:00.000Z"
        );
    }

    #[test]
    fn day_and_weekday_must_both_match() {
        // The first Friday the 13th after that day.
        assert_eq!(
            next("0 0 0 13 * FRI", "2026-11-21T08:00:00Z").unwrap(),
            "2027-08-13T00:00:00.000Z"
        );
    }

    #[test]
    fn moment_beyond_the_calendar_has_no_next_occurrence() {
        assert_eq!(
            Cron::parse("0 * * * * *")
                .unwrap()
                .next_after(Millis(i64::MAX)),
            None
        );
    }
}
