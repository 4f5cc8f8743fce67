//! The bar that shows how much of a backlog is fetched.

use maud::{Markup, html};

use crate::domain::format::{counted, duration, thousands};
use crate::sync::progress::ProgressSnapshot;

/// Renders the progress of a backlog; nothing if none of it is left.
pub(crate) fn progress_bar(progress: ProgressSnapshot) -> Markup {
    html! {
        @if let Some((fetched, all)) = progress.backlog() {
            @let percent = u128::from(fetched) * 100 / u128::from(all);
            @let about = if progress.is_estimate { "about " } else { "" };
            div.progress {
                progress max=(all) value=(fetched) aria-label="Fetched messages" {
                    (percent) " %"
                }
                " " (percent) " %: " (thousands(fetched)) " of "
                (about) (counted(all, "message", "messages"))
                @if !progress.left.is_zero() {
                    ", about " (duration(progress.left.as_secs().max(1))) " left"
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_bar_shows_the_fetched_part_of_the_backlog() {
        let progress = ProgressSnapshot {
            expected: 5000,
            fetched: 2000,
            fetched_before_backlog: 1000,
            is_estimate: true,
            left: Duration::from_secs(90),
            ..ProgressSnapshot::default()
        };
        let bar = progress_bar(progress).into_string();
        assert!(
            bar.contains(r#"<progress max="4000" value="1000""#),
            "{bar}"
        );
        assert!(
            bar.contains("25 %: 1,000 of about 4,000 messages, about 1m 30s left"),
            "{bar}"
        );
        let done = ProgressSnapshot {
            fetched: 5000,
            ..progress
        };
        assert_eq!(progress_bar(done).into_string(), "");
    }
}
