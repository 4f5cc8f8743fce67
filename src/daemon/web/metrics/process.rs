//! What this process takes, as Linux tells it, under the names that every client of Prometheus has for it.

use std::time::Duration;

use prometheus_client::metrics::MetricType;

/// The clock tick of `/proc`: 100 a second on every Linux there is.
const CLOCK_TICK: Duration = Duration::from_millis(10);
const KIB: f64 = 1024.0;

/// Name, kind, help and value; nothing where this machine does not tell.
pub(super) type SingleMetric = (&'static str, MetricType, &'static str, Option<f64>);

/// All of them.
pub(super) fn process_metrics() -> [SingleMetric; 6] {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{file}")).ok();
    let (status, limits) = (read("self/status"), read("self/limits"));
    let (stat, machine) = (read("self/stat"), read("stat"));
    // The name in parentheses may hold spaces; what follows it is counted from the third field on.
    let ticks = |field: usize| {
        let fields = stat.as_ref()?.rsplit_once(')')?.1;
        Some(
            f64::from(
                fields
                    .split_whitespace()
                    .nth(field - 3)?
                    .parse::<u32>()
                    .ok()?,
            ) * CLOCK_TICK.as_secs_f64(),
        )
    };
    let started = || Some(ticks(22)? + number_after(machine.as_deref(), "btime")?);
    let kib = |name| number_after(status.as_deref(), name).map(|kib| kib * KIB);
    let open = std::fs::read_dir("/proc/self/fd")
        .ok()
        .map(|open| open.count() as f64);
    [
        (
            "process_cpu_seconds",
            MetricType::Counter,
            "Time on a processor, the kernel's for it included",
            ticks(14).zip(ticks(15)).map(|(own, kernel)| own + kernel),
        ),
        (
            "process_resident_memory_bytes",
            MetricType::Gauge,
            "Memory that is resident",
            kib("VmRSS:"),
        ),
        (
            "process_virtual_memory_bytes",
            MetricType::Gauge,
            "Address space",
            kib("VmSize:"),
        ),
        (
            "process_open_fds",
            MetricType::Gauge,
            "Files, sockets and pipes that are open",
            open,
        ),
        (
            "process_max_fds",
            MetricType::Gauge,
            "How many may be",
            number_after(limits.as_deref(), "Max open files"),
        ),
        (
            "process_start_time_seconds",
            MetricType::Gauge,
            "When the process began, in seconds since 1970",
            started(),
        ),
    ]
}

/// The number behind a word at the beginning of a line.
fn number_after(text: Option<&str>, word: &str) -> Option<f64> {
    let rest = text?.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_takes_something_of_everything() {
        for (name, _, _, value) in process_metrics() {
            assert!(value.is_some_and(|value| value >= 0.0), "{name}: {value:?}");
        }
        let value = |name| {
            process_metrics()
                .into_iter()
                .find(|single| single.0 == name)
                .unwrap()
                .3
                .unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(
            value("process_open_fds") >= 3.0
                && value("process_open_fds") <= value("process_max_fds")
        );
        // Later than this was written, and than the machine began.
        assert!(value("process_start_time_seconds") > 1.7e9);
    }
}
