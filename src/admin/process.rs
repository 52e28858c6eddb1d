//! What the operating system knows about this process, as Linux tells it under `/proc`. Elsewhere there is nothing to tell.

use std::fs;

/// Clock ticks per second in `/proc`: Linux promises 100 to programs on all its common architectures (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Figures of this process; each is missing where the system does not tell it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    /// User and system time together.
    pub(super) cpu_seconds: Option<f64>,
    pub(super) open_fds: Option<u64>,
    /// Unix time.
    pub(super) start_seconds: Option<f64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (stat, status, machine) = (read("/proc/self/stat"), read("/proc/self/status"), read("/proc/stat"));
        Self {
            resident_bytes: resident(&status),
            cpu_seconds: cpu(&stat),
            // One of them is the folder that is being read.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1)),
            start_seconds: start(&stat, &machine),
        }
    }
}

/// The field of this number of `/proc/self/stat` (proc(5) counts from 1). The second, the name of the program, may hold anything, and ends with the
/// last parenthesis.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn start(stat: &str, machine: &str) -> Option<f64> {
    let booted: f64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + field(stat, 22)? / TICKS)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::{Process, cpu, resident, start};

    #[test]
    fn figures_are_read_behind_a_name_with_anything_in_it() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 1000 20";
        assert_eq!((cpu(stat), start(stat, "cpu 1\nbtime 1700000000\n")), (Some(3.0), Some(1_700_000_010.0)));
        assert_eq!((cpu("nonsense"), start(stat, ""), resident("VmRSS:\t  12 kB\n"), resident("")), (None, None, Some(12288), None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_all_of_them() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{process:?}");
        assert!(process.cpu_seconds.is_some() && process.open_fds.is_some_and(|fds| fds >= 3), "{process:?}");
        let now = crate::clock::Clock::machine().now().seconds() as f64;
        assert!(process.start_seconds.is_some_and(|start| (now - 86_400.0..=now + 2.0).contains(&start)), "{process:?} {now}");
    }
}
