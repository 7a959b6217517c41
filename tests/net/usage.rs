//! What a process uses, from /proc.

use std::fs;
use std::time::Duration;

/// What a process uses at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Memory that it has in use, in KiB (`VmRSS`).
    pub resident: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Time on a core, in user and kernel mode, since its start.
    pub core: Duration,
}

impl Usage {
    pub(super) fn of(process: u32) -> Self {
        let read = |file| fs::read_to_string(format!("/proc/{process}/{file}")).expect("it lives");
        let status = read("status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        let resident = resident.expect("a process has memory");
        Self { resident, descriptors, core: core(&read("stat")) }
    }
}

/// proc(5): `utime` and `stime` are the 14th and 15th word; the second, the name, may have blanks.
fn core(stat: &str) -> Duration {
    let (_, words) = stat.rsplit_once(')').expect("the name is in parentheses");
    let ticks: u64 = words.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    // SAFETY: takes and gives a number.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Duration::from_millis(ticks * 1000 / u64::try_from(per_second).expect("a clock ticks"))
}
