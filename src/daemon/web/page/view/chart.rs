//! Charts as SVG shapes. The same information stands beside them as text.

use std::fmt::Write;

use maud::{Markup, html};

use crate::daemon::web::page::model::calendar::{DayState, StreamDay};
use crate::domain::format::counted;

/// Width of a bar with its spacing, and height of a chart, in SVG units. The style sheet sets the
/// displayed size.
const BAR_STEP: usize = 10;
const CHART_HEIGHT: f64 = 60.0;

/// The parts of a strip, in SVG units: the messages, and below them the track of the states.
const MESSAGES_HEIGHT: u64 = 18;
const TRACK_TOP: u64 = 20;
const TRACK_HEIGHT: u64 = 8;

/// A bar of a chart, with the text of its tooltip.
pub(crate) struct Bar {
    pub(crate) value: f64,
    pub(crate) text: String,
}

/// Renders a chart. `full`: the value of a bar of full height.
pub(crate) fn bar_chart(label: &str, full: f64, bars: &[Bar]) -> Markup {
    let width = bars.len() * BAR_STEP;
    let view_box = format!("0 0 {width} {CHART_HEIGHT}");
    html! {
        svg.chart role="img" aria-label=(label) viewBox=(view_box) preserveAspectRatio="none" {
            rect.ground x="0" y="0" width=(width) height=(CHART_HEIGHT) {}
            @for (n, bar) in bars.iter().enumerate() {
                @let height = bar_height(bar.value, full);
                @let top = rounded(CHART_HEIGHT - height);
                @if height > 0.0 {
                    rect.bar x=(n * BAR_STEP + 1) y=(top)
                        width=(BAR_STEP - 2) height=(rounded(height)) {
                        title { (bar.text) }
                    }
                }
            }
        }
    }
}

/// Returns the height of a bar. Values above zero are always visible.
fn bar_height(value: f64, full: f64) -> f64 {
    if value <= 0.0 || full <= 0.0 {
        0.0
    } else {
        (value / full * CHART_HEIGHT).clamp(1.5, CHART_HEIGHT)
    }
}

fn rounded(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

/// Renders a stream's days as a strip: above, the messages of each day, compared with the day that
/// has most; below, the state of the days. Consecutive days of the same state are one shape, and
/// its height expresses the state.
pub(crate) fn strip(days: &[StreamDay]) -> Markup {
    let label = strip_label(days);
    let height = TRACK_TOP + TRACK_HEIGHT;
    let view_box = format!("0 0 {} {height}", days.len());
    let (track_top, track_height) = (TRACK_TOP.to_string(), TRACK_HEIGHT.to_string());
    html! {
        svg.strip role="img" aria-label=(label) viewBox=(view_box) preserveAspectRatio="none" {
            title { (label) }
            @if let Some(outline) = message_outline(days) { path.bar d=(outline) {} }
            rect.ground x="0" y=(track_top) width=(days.len()) height=(track_height) {}
            @for (first, state, count) in state_runs(days) {
                @let (top, height) = vertical_extent(state);
                @if state != DayState::NotWanted {
                    rect class=(state.name()) x=(first) y=(TRACK_TOP + top) width=(count)
                        height=(height) {}
                }
            }
        }
    }
}

/// Returns the outline of the bars of all days, as an SVG path. `None` without any messages.
fn message_outline(days: &[StreamDay]) -> Option<String> {
    let most = max_messages(days);
    if most == 0 {
        return None;
    }
    let height = |day: &StreamDay| {
        let height = u128::from(day.messages) * u128::from(MESSAGES_HEIGHT) / u128::from(most);
        // A day with any messages is visible.
        (height as u64).max(u64::from(day.messages > 0))
    };
    let mut outline = format!("M0 {MESSAGES_HEIGHT}");
    let mut end = 0;
    for run in days.chunk_by(|one, next| height(one) == height(next)) {
        end += run.len();
        let top = MESSAGES_HEIGHT - height(&run[0]);
        // Writing to a string does not fail.
        let _ = write!(outline, "V{top}H{end}");
    }
    let _ = write!(outline, "V{MESSAGES_HEIGHT}Z");
    Some(outline)
}

fn max_messages(days: &[StreamDay]) -> u64 {
    days.iter().map(|day| day.messages).max().unwrap_or(0)
}

/// Renders a state as it appears in strips, for the legend.
pub(crate) fn sample(state: DayState) -> Markup {
    let (top, height) = vertical_extent(state);
    html! {
        svg.sample aria-hidden="true" viewBox="0 0 8 8" {
            rect.ground x="0" y="0" width="8" height="8" {}
            rect class=(state.name()) x="0" y=(top) width="8" height=(height) {}
        }
    }
}

/// Renders the bars of messages as they appear in strips, for the legend.
pub(crate) fn message_sample() -> Markup {
    html! {
        svg.sample aria-hidden="true" viewBox="0 0 8 8" {
            path.bar d="M0 8V4H3V0H6V2H8V8Z" {}
        }
    }
}

/// Returns the top and the height of the shape of a state within its track.
fn vertical_extent(state: DayState) -> (u64, u64) {
    match state {
        DayState::NotWanted => (0, 0),
        DayState::Sealed => (0, TRACK_HEIGHT),
        DayState::Suspect => (3, 5),
        DayState::Gap => (6, 2),
        DayState::Lost => (3, 2),
    }
}

/// Returns the runs of days with the same state, as first day, state and length.
fn state_runs(days: &[StreamDay]) -> Vec<(usize, DayState, usize)> {
    let mut runs = Vec::new();
    let mut first = 0;
    for run in days.chunk_by(|one, next| one.state == next.state) {
        runs.push((first, run[0].state, run.len()));
        first += run.len();
    }
    runs
}

/// Returns the number of days in each state.
fn strip_label(days: &[StreamDay]) -> String {
    let mut counts = Vec::new();
    for state in DayState::ALL {
        let count = days.iter().filter(|day| day.state == state).count();
        if count > 0 {
            counts.push(format!("{count} {}", state.name()));
        }
    }
    let counts = if counts.is_empty() {
        "none wanted".to_owned()
    } else {
        counts.join(", ")
    };
    let most = counted(max_messages(days), "message", "messages");
    let last = counted(days.len() as u64, "day", "days");
    format!("last {last}: {counts}; at most {most} a day")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Day;

    #[test]
    fn days_of_the_same_state_are_one_shape() {
        let day = |state| StreamDay {
            day: Day(0),
            state,
            messages: 0,
            is_estimated: false,
            gap_s: 0,
            lost_s: 0,
        };
        let mut days = vec![day(DayState::NotWanted); 5];
        days.extend(
            [
                DayState::Lost,
                DayState::Lost,
                DayState::Sealed,
                DayState::Gap,
            ]
            .map(day),
        );
        (days[5].messages, days[6].messages, days[7].messages) = (600, 600, 1);
        let drawn = strip(&days).into_string();
        assert_eq!(drawn.matches("<rect").count(), 4, "{drawn}");
        assert!(
            drawn.contains("last 9 days: 1 sealed, 1 gap, 2 lost; at most 600 messages a day"),
            "{drawn}"
        );
        assert!(
            drawn.contains(r#"<rect class="lost" x="5" y="23" width="2" height="2">"#),
            "{drawn}"
        );
        assert!(
            drawn.contains(r#"d="M0 18V18H5V0H7V17H8V18H9V18Z""#),
            "the days have the height of their messages: {drawn}"
        );
        assert!(strip(&[]).into_string().contains("none wanted"));
    }

    #[test]
    fn bar_height_follows_the_value_within_the_chart() {
        let bars = [5.0, 0.0, 20.0, 0.001].map(|value: f64| Bar {
            value,
            text: value.to_string(),
        });
        let drawn = bar_chart("b", 10.0, &bars).into_string();
        assert_eq!(drawn.matches(r#"class="bar""#).count(), 3);
        for height in ["30", "60", "1.5"] {
            assert!(drawn.contains(&format!(r#"height="{height}""#)), "{drawn}");
        }
    }
}
