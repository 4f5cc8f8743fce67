//! The process metrics that every Prometheus client library provides, read from Linux's `/proc`.

use std::time::Duration;

use prometheus_client::metrics::MetricType;

/// The clock tick of `/proc`: 1/100 s on every Linux.
const CLOCK_TICK: Duration = Duration::from_millis(10);
const KIB: f64 = 1024.0;

/// Name, type, help and value; `None` if this machine does not provide the value.
pub(super) type SingleMetric = (&'static str, MetricType, &'static str, Option<f64>);

/// Returns all process metrics.
pub(super) fn process_metrics() -> [SingleMetric; 6] {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{file}")).ok();
    let (status, limits) = (read("self/status"), read("self/limits"));
    let (stat, machine) = (read("self/stat"), read("stat"));
    let seconds = |field| stat_seconds(stat.as_deref()?, field);
    let cpu_seconds = seconds(14)
        .zip(seconds(15))
        .map(|(user, system)| user + system);
    let boot_time = number_after(machine.as_deref(), "btime");
    let start_time = seconds(22)
        .zip(boot_time)
        .map(|(since_boot, boot)| since_boot + boot);
    let kib = |name| number_after(status.as_deref(), name).map(|kib| kib * KIB);
    let open = std::fs::read_dir("/proc/self/fd").ok();
    let open = open.map(|files| files.count() as f64);
    [
        (
            "process_cpu_seconds",
            MetricType::Counter,
            "User and system CPU time",
            cpu_seconds,
        ),
        (
            "process_resident_memory_bytes",
            MetricType::Gauge,
            "Resident memory",
            kib("VmRSS:"),
        ),
        (
            "process_virtual_memory_bytes",
            MetricType::Gauge,
            "Virtual memory",
            kib("VmSize:"),
        ),
        (
            "process_open_fds",
            MetricType::Gauge,
            "Open file descriptors",
            open,
        ),
        (
            "process_max_fds",
            MetricType::Gauge,
            "Maximum number of open file descriptors",
            number_after(limits.as_deref(), "Max open files"),
        ),
        (
            "process_start_time_seconds",
            MetricType::Gauge,
            "Start time of the process, in seconds since 1970",
            start_time,
        ),
    ]
}

/// Returns the time in a field of `/proc/self/stat`, counted from 1.
fn stat_seconds(stat: &str, field: usize) -> Option<f64> {
    // The process name in parentheses may contain spaces; the field after it is the third.
    let fields = stat.rsplit_once(')')?.1;
    let ticks: u32 = fields.split_whitespace().nth(field - 3)?.parse().ok()?;
    Some(f64::from(ticks) * CLOCK_TICK.as_secs_f64())
}

/// Returns the number after a word at the beginning of a line.
fn number_after(text: Option<&str>, word: &str) -> Option<f64> {
    let rest = text?.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn every_process_metric_has_a_value() {
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
        // A time after this test was written.
        assert!(value("process_start_time_seconds") > 1.7e9);
    }
}
