//! What the kernel counts at its devices.
#![forbid(unsafe_code)]

use super::NetlinkError;
use super::sysctl::read_file;

/// For each device of this thread's network namespace, how many frames have come to it, those
/// that it dropped among them; frames with errors are not counted.
///
/// # Errors
/// [`NetlinkError`], if /proc is not there.
pub fn arrivals() -> Result<Vec<(String, u64)>, NetlinkError> {
    // Not /proc/net: see sysctl.rs.
    let text = read_file("/proc/thread-self/net/dev")?;
    Ok(text.lines().filter_map(arrivals_in).collect())
}

/// A line is `name: octets packets errors dropped ...`, received first; the two lines above the
/// first device have no colon.
fn arrivals_in(line: &str) -> Option<(String, u64)> {
    let (name, numbers) = line.split_once(':')?;
    let mut numbers = numbers.split_whitespace().skip(1);
    let packets: u64 = numbers.next()?.parse().ok()?;
    let dropped: u64 = numbers.nth(1)?.parse().ok()?;
    Some((name.trim_start().to_owned(), packets + dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_net_dev() {
        let line = "  lan0: 3407942   74192    1  437    0     0          0         0     4838  51";
        assert_eq!(arrivals_in(line), Some(("lan0".to_owned(), 74192 + 437)));
        assert_eq!(arrivals_in(" face |bytes    packets errs drop fifo"), None);
        assert_eq!(arrivals_in("lan0: 1 2"), None);
    }

    #[test]
    fn the_loopback_device_is_there() {
        assert!(arrivals().unwrap().iter().any(|(name, _)| name == "lo"));
    }
}
