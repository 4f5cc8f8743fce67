//! A plan as JSON.

use serde_json::{Value, json};

use super::account_plan::{AccountPlan, Room};
use super::print::PlanTotals;
use crate::sync::forecast::preview::Preview;

pub(super) fn plans_json(plans: &[AccountPlan<'_>], room: Option<&Room>) -> Value {
    let accounts = plans.iter().map(account_json);
    let previews = || plans.iter().filter_map(|plan| plan.preview.as_ref().ok());
    let total = PlanTotals::sum(previews());
    let requests_spent: u64 = previews().map(|preview| preview.requests_spent).sum();
    let disk_bytes: u64 = plans.iter().map(AccountPlan::disk_bytes).sum();
    let bytes_per_message = match (total.messages, plans.first()) {
        (0, first) => first.map(|plan| plan.message_size.bytes),
        (messages, _) => Some(disk_bytes as f64 / messages as f64),
    };
    json!({
        "accounts": accounts.collect::<Value>(),
        "total": {
            "streams": total.streams,
            "messages": total.messages,
            "requests": total.requests,
            "seconds": total.duration.as_secs_f64(),
            "disk_bytes": disk_bytes,
            "disk_free_bytes": room.map(|room| room.space.free_bytes),
            "lost_messages": total.lost_messages,
            "requests_spent": requests_spent,
        },
        "bytes_per_message": bytes_per_message,
        "bytes_are_measured": plans.iter().all(|plan| plan.message_size.is_measured),
    })
}

fn account_json(plan: &AccountPlan<'_>) -> Value {
    let preview = match &plan.preview {
        Ok(preview) => preview,
        Err(error) => {
            let text = error.to_string();
            return json!({ "account": plan.name(), "error": text, "hint": error.hint() });
        }
    };
    let outlook = &preview.outlook;
    json!({
        "account": plan.name(),
        "provider": preview.provider,
        "error": null,
        "hint": null,
        "streams_missing": outlook.streams,
        "missing_seconds": outlook.max_missing_s,
        "messages": outlook.messages,
        "requests": preview.requests,
        "requests_per_second": plan.rate(),
        "seconds": outlook.duration.as_secs_f64(),
        "disk_bytes": plan.disk_bytes(),
        "bytes_per_message": plan.message_size.bytes,
        "streams_overlap": preview.has_overlaps,
        "expires_at": outlook.expires_at.map(|at| at.to_string()),
        "loss_begins_at": outlook.loss_begins.map(|at| at.to_string()),
        "lost_messages": outlook.loss.messages,
        "lost_seconds": outlook.loss.seconds,
        "ranges": preview.missing_ranges.len(),
        "ranges_counted": preview.counted_ranges,
        "requests_spent": preview.requests_spent,
        "ranges_missing": ranges_json(preview),
    })
}

fn ranges_json(preview: &Preview) -> Value {
    let ranges = preview.missing_ranges.iter().zip(&preview.outlook.losses);
    let ranges = ranges.map(|(missing, loss)| {
        json!({
            "stream": preview.streams.get(missing.stream.get()),
            "from_at": missing.range.from().to_string(),
            "to_at": missing.range.to().to_string(),
            "messages": missing.messages,
            "requests": missing.requests,
            "lost_messages": loss.messages,
            "lost_seconds": loss.seconds,
        })
    });
    ranges.collect()
}
