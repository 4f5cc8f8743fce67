//! The processor time and memory of a process, as Linux reports them.

use std::time::Duration;

/// The clock tick of `/proc`: 100 per second on every Linux.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// The resources that a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessUsage {
    /// Processor time, in user and kernel mode.
    pub cpu: Duration,
    /// Peak resident memory in bytes.
    pub peak: u64,
}

impl ProcessUsage {
    /// Returns the usage of this process; zero on systems other than Linux.
    pub fn own() -> Self {
        Self::read("self").unwrap_or_default()
    }

    /// Returns the usage of a process by its id, or of `self`. `None` once it has ended, and on
    /// systems other than Linux.
    pub fn read(process: impl std::fmt::Display) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        // The name in parentheses may contain spaces. The fields after it start with the third.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u32>().ok();
        let cpu = CLOCK_TICK * (ticks()? + ticks()?);
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
        Some(Self {
            cpu,
            peak: kib * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn usage_of_this_process_is_positive() {
        assert!(ProcessUsage::own().peak > 1 << 20);
    }
}
