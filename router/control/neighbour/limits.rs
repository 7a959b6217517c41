//! What the neighbour table may cost in time and room.
#![forbid(unsafe_code)]

use std::time::Duration;

/// How long things last.
#[derive(Clone, Debug)]
pub struct Timers {
    /// BaseReachableTime; each time is drawn from half to one and a half of it (RFC 4861 6.3.2).
    pub reachable: Duration,
    /// `DELAY_FIRST_PROBE_TIME`.
    pub delay: Duration,
    /// RetransTimer: from one solicitation of a target to the next, never less
    /// (RFC 1122 2.3.2.1: at most one a second).
    pub retransmit: Duration,
    /// `MAX_MULTICAST_SOLICIT` and `MAX_UNICAST_SOLICIT`.
    pub probes: u8,
    /// How long a STALE neighbour is remembered that nobody sends to.
    pub stale: Duration,
    /// How long nobody asks again for a neighbour that did not answer.
    pub failed_hold: Duration,
    /// How long ARP cannot replace a MAC that was just learned.
    pub locktime: Duration,
    /// From one defence of an address of ours to the next (RFC 5227 1.1 `DEFEND_INTERVAL`).
    pub defend: Duration,
}

impl Default for Timers {
    /// RFC 4861 10, RFC 5227 1.1; `stale` as the ARP cache of most routers: four hours. Memory is
    /// bounded by [`Limits`], so nothing is gained by forgetting a silent host sooner.
    fn default() -> Self {
        Self {
            reachable: Duration::from_secs(30),
            delay: Duration::from_secs(5),
            retransmit: Duration::from_secs(1),
            probes: 3,
            stale: Duration::from_secs(4 * 60 * 60),
            failed_hold: Duration::from_secs(3),
            locktime: Duration::from_secs(1),
            defend: Duration::from_secs(10),
        }
    }
}

/// How much there may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Entries, of all ports and states together.
    pub neighbours_max: usize,
    /// INCOMPLETE entries: so many addresses are asked for at a time.
    pub incomplete_max: usize,
    /// Solicitations sent, all ports together.
    pub solicitations_per_s: u64,
    /// So many of them at once.
    pub solicitations_burst: u64,
    /// Entries made because a stranger asked for an address of ours. Others are resolved when a
    /// packet wants them.
    pub learned_per_s: u64,
}

impl Limits {
    /// For a table of `neighbours_max`. A quarter of it may be INCOMPLETE, but no more than half of
    /// the solicitations of a second can serve: the other half is for those that are known.
    pub fn for_neighbours(neighbours_max: usize) -> Self {
        Self {
            neighbours_max,
            incomplete_max: (neighbours_max / 4).clamp(1, 500),
            solicitations_per_s: 1_000,
            solicitations_burst: 100,
            learned_per_s: 1_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::for_neighbours(4_096)
    }
}
