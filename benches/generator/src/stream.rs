//! How frames follow each other: flows, destinations, and when they are due.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::frame::{Frame, octets_of};

/// Frames that are sent one behind the other, at the most.
const BURST: u64 = 64;
/// Bursts are as long as what is due in this time, nanoseconds.
const BURST_TIME: u64 = 20_000;
const SECOND: u64 = 1_000_000_000;
const MOST_DESTINATIONS: usize = 1 << 20;

#[derive(Args, Clone, Debug)]
pub struct Stream {
    /// So many flows, each another source port, and from 32769 on another source address too
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub flows: u32,
    /// A file of up to 2^20 addresses, one a line, that are taken in turn
    #[arg(long)]
    destinations: Option<PathBuf>,
    /// Packets a second, from 1000 on; 0: as fast as it can
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// End after so many seconds; without this, with SIGTERM
    #[arg(long)]
    pub seconds: Option<f64>,
}

/// When frames are due; times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Frames in a row.
    pub burst: u64,
    /// From burst to burst; 0: no waiting.
    pub interval: u64,
    /// Who was kept from sending makes up for no more than this.
    pub backlog: u64,
}

impl Stream {
    /// # Errors
    /// The rate is too low to wait for in the kernel.
    pub fn pace(&self) -> Result<Pace> {
        if self.rate == 0 {
            return Ok(Pace { burst: BURST, interval: 0, backlog: 0 });
        }
        ensure!(self.rate >= 1000, "--rate {}: 0, or from 1000 on", self.rate);
        let burst = (self.rate * BURST_TIME / SECOND).clamp(1, BURST);
        let time = |frames: u64| frames * SECOND / self.rate;
        Ok(Pace { burst, interval: time(burst), backlog: time(BURST - burst) })
    }

    /// The addresses' octets, one behind the other: those of the file, or the frame's.
    ///
    /// # Errors
    /// The file cannot be read, or has a line that is no address of the frame's kind.
    pub fn destinations(&self, frame: &Frame) -> Result<Vec<u8>> {
        let Some(path) = &self.destinations else { return Ok(octets_of(frame.destination)) };
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        ensure!((1..=MOST_DESTINATIONS).contains(&text.lines().count()), "1 to 2^20 destinations");
        let mut octets = Vec::new();
        for line in text.lines() {
            let address: IpAddr = line.parse().with_context(|| line.to_owned())?;
            ensure!(address.is_ipv6() == frame.is_ipv6(), "{address} is of another kind");
            octets.extend(octets_of(address));
        }
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: u64) -> Pace {
        Stream { flows: 1, destinations: None, rate, seconds: None }.pace().unwrap()
    }

    #[test]
    fn bursts_are_due_in_time_and_never_longer_than_64() {
        assert_eq!(pace(1000), Pace { burst: 1, interval: 1_000_000, backlog: 63_000_000 });
        assert_eq!(pace(1_000_000), Pace { burst: 20, interval: 20_000, backlog: 44_000 });
        assert_eq!(pace(10_000_000), Pace { burst: 64, interval: 6_400, backlog: 0 });
    }

    #[test]
    fn what_is_asked_for_is_what_comes() {
        for rate in [1000, 12_345, 333_333, 1_234_567, 4_000_000] {
            let Pace { burst, interval, .. } = pace(rate);
            let offered = burst as f64 * 1e9 / interval as f64;
            assert!((offered / rate as f64 - 1.0).abs() < 0.001, "{rate}: {offered}");
        }
    }

    #[test]
    fn a_rate_that_would_hold_the_core_for_long_is_refused() {
        let slow = Stream { flows: 1, destinations: None, rate: 999, seconds: None };
        assert!(slow.pace().is_err());
    }
}
