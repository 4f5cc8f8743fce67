//! A plan as a table with notes.

use std::time::Duration;

use super::account_plan::{AccountPlan, MessageSize, Room};
use crate::cli::loss;
use crate::cli::output::{print_line, print_with_hint};
use crate::cli::table::{build_table, bytes, counted, duration, history, sanitized, thousands};
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

    fn row(&self, name: &str, disk_bytes: u64) -> [String; 8] {
        let lost = if self.lost_messages == 0 {
            "-".to_owned()
        } else {
            thousands(self.lost_messages)
        };
        [
            name.to_owned(),
            thousands(self.streams as u64),
            history(self.max_missing_s),
            thousands(self.messages),
            thousands(self.requests),
            duration(self.duration.as_secs()),
            bytes(disk_bytes),
            lost,
        ]
    }
}

pub(super) fn print_plans(plans: &[AccountPlan<'_>], room: Option<&Room>) {
    print_table(plans);
    for plan in plans {
        match &plan.preview {
            Ok(preview) => print_account_notes(plan, preview),
            Err(error) => {
                let line = format!("\n{}: not planned: {error}", plan.name());
                print_with_hint(line, error.hint());
            }
        }
    }
    print_disk(plans, room);
}

/// Prints the basis of the estimate for the disk, and compares it with the room that is left.
fn print_disk(plans: &[AccountPlan<'_>], room: Option<&Room>) {
    let mut sizes: Vec<MessageSize> = plans.iter().map(|plan| plan.message_size).collect();
    sizes.sort_by(|a, b| a.bytes.total_cmp(&b.bytes));
    let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else {
        return;
    };
    let range = match (least.bytes.round(), most.bytes.round()) {
        (least, most) if least < most => format!("{least:.0} to {most:.0}"),
        (_, most) => format!("{most:.0}"),
    };
    let basis = if least.is_measured {
        "as measured in this archive"
    } else {
        "for typical texts"
    };
    let free = room.map(|room| format!(" {} are free.", bytes(room.space.free_bytes)));
    print_line(format_args!(
        "\nDisk at {range} bytes per message, {basis}; time at each account's rate limit.{}",
        free.unwrap_or_default()
    ));
    let needed = plans.iter().map(AccountPlan::disk_bytes).sum();
    if let Some(shortage) = room.and_then(|room| shortage(needed, room)) {
        print_with_hint(
            shortage,
            "free space, or name a larger disk in database.url; `--since` archives a part",
        );
    }
}

/// Returns the warning that the disk is too small; `None` if it is not.
fn shortage(needed_bytes: u64, room: &Room) -> Option<String> {
    let free_bytes = room.space.free_bytes;
    (needed_bytes > free_bytes).then(|| {
        let (needed, free) = (bytes(needed_bytes), bytes(free_bytes));
        let folder = room.folder.display();
        format!("\nDISK TOO SMALL: {needed} are needed, {free} are free in {folder}")
    })
}

fn print_table(plans: &[AccountPlan<'_>]) {
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
    let planned = plans
        .iter()
        .filter_map(|plan| Some((plan, plan.preview.as_ref().ok()?)));
    let planned: Vec<(&AccountPlan<'_>, &Preview)> = planned.collect();
    let mut rows = Vec::new();
    for (plan, preview) in &planned {
        let totals = PlanTotals::sum([*preview].into_iter());
        rows.push(totals.row(&preview.account, plan.disk_bytes()));
    }
    if planned.len() > 1 {
        let disk_bytes = planned.iter().map(|(plan, _)| plan.disk_bytes()).sum();
        let totals = PlanTotals::sum(planned.iter().map(|(_, preview)| *preview));
        rows.push(totals.row("all", disk_bytes));
    }
    print_line(build_table(headings, rows));
}

fn print_account_notes(plan: &AccountPlan<'_>, preview: &Preview) {
    let name = plan.name();
    let requests = counted(preview.requests_spent, "request", "requests");
    let ranges = counted(preview.missing_ranges.len() as u64, "range", "ranges");
    let sampled = thousands(preview.counted_ranges as u64);
    print_line(format_args!(
        "\n{name}: counted {sampled} of {ranges}, with {requests}"
    ));
    if plan.is_slowed {
        print_line(
            "  at a reduced rate: this account was synced a moment ago, and another process may go on",
        );
    }
    if preview.counted_ranges != preview.missing_ranges.len() {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::DiskSpace;

    #[test]
    fn disk_that_is_too_small_is_named_with_its_figures() {
        let room = Room {
            folder: PathBuf::from("/var/lib"),
            space: DiskSpace {
                free_bytes: 12_000_000_000,
                total_bytes: 40_000_000_000,
                is_read_only: false,
            },
        };
        assert_eq!(shortage(12_000_000_000, &room), None);
        assert_eq!(
            shortage(31_000_000_000, &room).unwrap().trim(),
            "DISK TOO SMALL: 31 GB are needed, 12 GB are free in /var/lib"
        );
    }
}
