//! Charts, drawn as shapes; the words stand beside them.

use maud::{Markup, html};

use crate::daemon::web::page::model::calendar::{DayState, StreamDay};

/// Units of the drawing to a value, and its height; the style sheet says how large it is shown.
const BAR_STEP: usize = 10;
const CHART_HEIGHT: f64 = 60.0;

/// A bar for each value, each with a text of its own; `full` is as high as the drawing.
pub(crate) fn bars(label: &str, full: f64, bars: &[(f64, String)]) -> Markup {
    let width = bars.len() * BAR_STEP;
    html! {
        svg.chart role="img" aria-label=(label) viewBox={ "0 0 " (width) " " (CHART_HEIGHT) } preserveAspectRatio="none" {
            rect.ground x="0" y="0" width=(width) height=(CHART_HEIGHT) {}
            @for (n, (value, said)) in bars.iter().enumerate() {
                @let height = bar_height(*value, full);
                @if height > 0.0 {
                    rect.bar x=(n * BAR_STEP + 1) y=(rounded(CHART_HEIGHT - height)) width=(BAR_STEP - 2) height=(rounded(height)) {
                        title { (said) }
                    }
                }
            }
        }
    }
}

/// How high a value is drawn: one that is not zero can always be seen.
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

/// A stream's days as a strip. Days in a row that are alike are one shape, whose height says what they are, too.
pub(crate) fn strip(days: &[StreamDay]) -> Markup {
    html! {
        svg.strip role="img" aria-label=(strip_label(days)) viewBox={ "0 0 " (days.len()) " 12" } preserveAspectRatio="none" {
            title { (strip_label(days)) }
            rect.ground x="0" y="0" width=(days.len()) height="12" {}
            @for (first, state, count) in state_runs(days) {
                @let (top, height) = vertical_extent(state);
                @if state != DayState::NotWanted {
                    rect class=(state.name()) x=(first) y=(top) width=(count) height=(height) {}
                }
            }
        }
    }
}

/// The sign of a state as it is drawn in strips, for their legend.
pub(crate) fn sample(state: DayState) -> Markup {
    let (top, height) = vertical_extent(state);
    html! {
        svg.sample aria-hidden="true" viewBox="0 0 12 12" {
            rect.ground x="0" y="0" width="12" height="12" {}
            rect class=(state.name()) x="0" y=(top) width="12" height=(height) {}
        }
    }
}

/// Where the shape of a state begins, and how high it is.
fn vertical_extent(state: DayState) -> (u8, u8) {
    match state {
        DayState::NotWanted => (0, 0),
        DayState::Sealed => (0, 12),
        DayState::Suspect => (4, 8),
        DayState::Gap => (9, 3),
        DayState::Lost => (5, 2),
    }
}

/// Runs of days of the same state: where it begins, and how long it is.
fn state_runs(days: &[StreamDay]) -> Vec<(usize, DayState, usize)> {
    let runs = days.chunk_by(|one, next| one.state == next.state);
    let mut first = 0;
    let run = |run: &[StreamDay]| {
        let begins = first;
        first += run.len();
        (begins, run[0].state, run.len())
    };
    runs.map(run).collect()
}

fn strip_label(days: &[StreamDay]) -> String {
    let count = |state: DayState| days.iter().filter(|day| day.state == state).count();
    let said = DayState::ALL
        .into_iter()
        .map(|state| (state.name(), count(state)))
        .filter(|(_, count)| *count > 0);
    let said: Vec<String> = said
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let said = if said.is_empty() {
        "none wanted".to_owned()
    } else {
        said.join(", ")
    };
    format!("last {} days: {said}", days.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Day;

    #[test]
    fn days_that_are_alike_are_one_shape() {
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
        let drawn = strip(&days).into_string();
        assert_eq!(drawn.matches("<rect").count(), 4, "{drawn}");
        assert!(
            drawn.contains("last 9 days: 1 sealed, 1 gap, 2 lost"),
            "{drawn}"
        );
        assert!(
            drawn.contains(r#"<rect class="lost" x="5" y="5" width="2" height="2">"#),
            "{drawn}"
        );
        assert!(strip(&[]).into_string().contains("none wanted"));
    }

    #[test]
    fn a_bar_is_as_high_as_its_value_and_never_higher_than_the_drawing() {
        let drawn = bars(
            "b",
            10.0,
            &[5.0, 0.0, 20.0, 0.001].map(|value| (value, value.to_string())),
        )
        .into_string();
        assert_eq!(drawn.matches(r#"class="bar""#).count(), 3);
        for height in ["30", "60", "1.5"] {
            assert!(drawn.contains(&format!(r#"height="{height}""#)), "{drawn}");
        }
    }
}
