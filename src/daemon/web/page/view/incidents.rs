//! The incidents: alarms that are active, and those that ended not long ago.

use maud::{Markup, html};

use super::layout::{prose, timestamp, untrusted};
use crate::alerts::text::affected;
use crate::daemon::web::limits::{INCIDENT_PERIOD, MAX_INCIDENTS};
use crate::daemon::web::page::snapshot::PageSnapshot;
use crate::domain::alarm::Alarm;
use crate::domain::format::{duration, thousands};
use crate::domain::time::Millis;

/// Renders the incidents, the latest first.
pub(crate) fn incidents(snapshot: &PageSnapshot) -> Markup {
    let days = INCIDENT_PERIOD.as_secs() / 86_400;
    let (active, past) = (&snapshot.alarms, &snapshot.past_alarms);
    let mut latest_first: Vec<&Alarm> = active.iter().chain(past).collect();
    latest_first.sort_by_key(|alarm| (!alarm.is_active(), std::cmp::Reverse(alarm.since)));
    let listed = latest_first.iter().take(MAX_INCIDENTS);
    let more = latest_first.len().saturating_sub(MAX_INCIDENTS);
    html! {
        section aria-labelledby="incidents" {
            h2 #incidents { "Incidents of the last " (days) " days" }
            @if latest_first.is_empty() {
                p.none { "There were none." }
            } @else {
                table.incidents {
                    thead { tr {
                        th scope="col" { "Began" }
                        th scope="col" { "Lasted" }
                        th scope="col" { "Incident" }
                    } }
                    tbody {
                        @for alarm in listed { (incident_row(alarm, snapshot.taken_at)) }
                    }
                }
                @if more > 0 {
                    p.none {
                        "And " (thousands(more as u64)) " more: " code { "SELECT * FROM alarms" }
                    }
                }
            }
        }
    }
}

fn incident_row(alarm: &Alarm, now: Millis) -> Markup {
    let until = alarm.until.unwrap_or(now);
    let lasted = duration(until.since(alarm.since).as_secs());
    html! {
        tr {
            td { (timestamp(alarm.since.second())) }
            td {
                @if alarm.is_active() { strong { "ongoing" } ", " }
                (lasted)
            }
            td { strong { (untrusted(&affected(&alarm.subject))) } ": " (prose(&alarm.text)) }
        }
    }
}
