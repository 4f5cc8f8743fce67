//! A plan as a table with notes.

use std::time::Duration;

use super::account_plan::{AccountPlan, MessageSize};
use crate::cli::loss;
use crate::cli::output::{print_line, print_with_hint};
use crate::cli::table::{build_table, bytes, duration, sanitized, thousands};
use crate::domain::time::UNBOUNDED_HISTORY_S;
use crate::sync::forecast::preview::Preview;

/// The sums over several previews.
#[derive(Default)]
pub(super) struct PlanTotals {
    pub(super) streams: usize,
    /// The longest missing history of a stream, in seconds.
    pub(super) max_missing_s: u64,
    pub(super) messages: u64,
    pub(super) requests: u64,
    pub(super) duration: Duration,
    pub(super) lost_messages: u64,
}

impl PlanTotals {
    pub(super) fn sum<'a>(previews: impl Iterator<Item = &'a Preview>) -> Self {
        let mut totals = Self::default();
        for Preview {
            outlook, requests, ..
        } in previews
        {
            totals.streams += outlook.streams;
            totals.max_missing_s = totals.max_missing_s.max(outlook.max_missing_s);
            totals.messages += outlook.messages;
            totals.requests += requests;
            // Accounts are archived in parallel.
            totals.duration = totals.duration.max(outlook.duration);
            totals.lost_messages += outlook.loss.messages;
        }
        totals
    }

    fn row(&self, name: &str, message_size: MessageSize) -> [String; 8] {
        let missing = if self.max_missing_s > UNBOUNDED_HISTORY_S {
            "all".to_owned()
        } else {
            duration(self.max_missing_s)
        };
        let lost = if self.lost_messages == 0 {
            "-".to_owned()
        } else {
            thousands(self.lost_messages)
        };
        [
            name.to_owned(),
            thousands(self.streams as u64),
            missing,
            thousands(self.messages),
            thousands(self.requests),
            duration(self.duration.as_secs()),
            bytes(message_size.total_bytes(self.messages)),
            lost,
        ]
    }
}

pub(super) fn print_plans(plans: &[AccountPlan<'_>], message_size: MessageSize) {
    print_table(plans, message_size);
    for plan in plans {
        match &plan.preview {
            Ok(preview) => print_account_notes(plan, preview),
            Err(error) => {
                let line = format!("\n{}: not planned: {error}", plan.name());
                print_with_hint(line, error.hint());
            }
        }
    }
    let bytes = message_size.bytes;
    let basis = if message_size.is_measured {
        "as measured in this archive"
    } else {
        "for typical texts"
    };
    print_line(format_args!(
        "\nDisk at {bytes:.0} bytes per message, {basis}; time at each account's rate limit."
    ));
}

fn print_table(plans: &[AccountPlan<'_>], message_size: MessageSize) {
    let headings = [
        "ACCOUNT",
        "STREAMS#",
        "MISSING#",
        "MESSAGES#",
        "REQUESTS#",
        "TIME#",
        "DISK#",
        "LOST#",
    ];
    let previews = plans.iter().filter_map(|plan| plan.preview.as_ref().ok());
    let previews: Vec<&Preview> = previews.collect();
    let mut rows = Vec::new();
    for preview in &previews {
        let totals = PlanTotals::sum([*preview].into_iter());
        rows.push(totals.row(&preview.account, message_size));
    }
    if previews.len() > 1 {
        rows.push(PlanTotals::sum(previews.into_iter()).row("all", message_size));
    }
    print_line(build_table(headings, rows));
}

fn print_account_notes(plan: &AccountPlan<'_>, preview: &Preview) {
    let name = plan.name();
    let requests = thousands(preview.requests_spent);
    let counted = thousands(preview.counted_ranges as u64);
    let ranges = thousands(preview.missing_ranges.len() as u64);
    print_line(format_args!(
        "\n{name}: counted {counted} of {ranges} ranges, with {requests} requests"
    ));
    if plan.is_in_use {
        print_line("  at a reduced rate, since another process syncs this account");
    }
    if counted != ranges {
        print_line("  the others are extrapolated; --ranges N counts more of them");
    }
    if preview.has_overlaps {
        print_line(
            "  streams overlap: a message of several streams is counted in each, so fewer will be new",
        );
    }
    if plan.provider.account().discovers() {
        print_line("  streams that are still to be discovered are not included");
    }
    for (stream, error) in &preview.stream_errors {
        let stream = preview.streams.get(stream.get());
        let stream = sanitized(stream.map_or("", String::as_str));
        print_with_hint(
            format_args!("  {stream}: not counted: {error}"),
            error.hint(),
        );
    }
    if let Some(loss) = loss::loss_message(name, plan.rate(), &preview.outlook) {
        print_line(format_args!("\n{loss}"));
    }
}
