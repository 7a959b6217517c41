//! The `[tables]` section, how much each table holds, and `[resolution]`, how long a neighbour is
//! believed.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::section::{Keys, Section};
use crate::id::NEXT_HOP_ID_MAX;

/// What `[tables]` says: the hard bound of each table. All of them are allocated at start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tables {
    /// Neighbours of all ports together, whatever their state. At most `next_hops`.
    pub neighbours: u32,
    /// Groups of 256 entries for IPv4 prefixes longer than /24.
    pub ipv4_groups: u32,
    /// Nodes of the IPv6 trie.
    pub ipv6_nodes: u32,
    /// Skipped paths of the IPv6 trie.
    pub ipv6_skips: u32,
    /// Next hops, the neighbours among them; at most [`crate::id::NEXT_HOP_ID_MAX`].
    pub next_hops: u32,
    /// Different sets of next hops that routes with several of them (ECMP) share.
    pub ecmp_groups: u32,
    /// Packets that wait for one neighbour while its MAC address is asked for.
    pub hold_packets: u32,
}

/// What `[resolution]` says: the timers of ARP and neighbour discovery (RFC 4861 section 10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resolution {
    /// How long a confirmed neighbour is believed (`REACHABLE_TIME`).
    pub reachable: Duration,
    /// From the first packet to a stale neighbour until it is probed (`DELAY_FIRST_PROBE_TIME`).
    pub delay: Duration,
    /// Between two requests for the same neighbour (`RETRANS_TIMER`).
    pub retransmit: Duration,
    /// Requests without an answer until the neighbour has failed (`MAX_MULTICAST_SOLICIT`,
    /// `MAX_UNICAST_SOLICIT`).
    pub probes: u8,
    /// How long a stale neighbour that no packet uses is kept (Linux: `gc_stale_time`).
    pub stale: Duration,
    /// How long packets to a failed neighbour are answered at once with an ICMP error, before the
    /// next request is sent for it.
    pub failed_hold: Duration,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            neighbours: 8192,
            ipv4_groups: 8192,
            ipv6_nodes: 65536,
            ipv6_skips: 65536,
            next_hops: u32::from(NEXT_HOP_ID_MAX),
            ecmp_groups: 1024,
            hold_packets: 16,
        }
    }
}

impl Default for Resolution {
    fn default() -> Self {
        Self {
            reachable: Duration::from_secs(30),
            delay: Duration::from_secs(5),
            retransmit: Duration::from_secs(1),
            probes: 3,
            stale: Duration::from_secs(14_400),
            failed_hold: Duration::from_secs(3),
        }
    }
}

impl Tables {
    pub(super) const KEYS: Keys = &[
        "neighbours",
        "ipv4_groups",
        "ipv6_nodes",
        "ipv6_skips",
        "next_hops",
        "ecmp_groups",
        "hold_packets",
    ];

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let ids = 1..=u32::from(NEXT_HOP_ID_MAX);
        let mut number = |key, range, default| section.integer(key, range).unwrap_or(default);
        let tables = Self {
            neighbours: number("neighbours", ids.clone(), default.neighbours),
            ipv4_groups: number("ipv4_groups", ids.clone(), default.ipv4_groups),
            ipv6_nodes: number("ipv6_nodes", 256..=1_048_576, default.ipv6_nodes),
            ipv6_skips: number("ipv6_skips", 256..=1_048_576, default.ipv6_skips),
            next_hops: number("next_hops", ids.clone(), default.next_hops),
            ecmp_groups: number("ecmp_groups", ids, default.ecmp_groups),
            hold_packets: number("hold_packets", 1..=64, default.hold_packets),
        };
        tables.check(section);
        tables
    }

    /// Every neighbour is a next hop.
    fn check(&self, section: &mut Section<'_, '_>) {
        let Self { neighbours, next_hops, .. } = self;
        if neighbours > next_hops {
            let message = format_args!("{neighbours} neighbours need as many next hops");
            let help = format_args!("write neighbours = {next_hops} or less, or raise next_hops");
            section.refuse("neighbours", section.span_of("neighbours"), message, help);
        }
    }
}

impl Resolution {
    pub(super) const KEYS: Keys =
        &["reachable_s", "delay_s", "retransmit_ms", "probes", "stale_s", "failed_hold_s"];

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let mut time = |key, range, unit: fn(u64) -> Duration, default| {
            section.integer(key, range).map_or(default, unit)
        };
        let seconds = Duration::from_secs;
        Self {
            reachable: time("reachable_s", 1..=3600, seconds, default.reachable),
            delay: time("delay_s", 1..=60, seconds, default.delay),
            retransmit: time(
                "retransmit_ms",
                100..=10_000,
                Duration::from_millis,
                default.retransmit,
            ),
            stale: time("stale_s", 1..=86_400, seconds, default.stale),
            failed_hold: time("failed_hold_s", 1..=600, seconds, default.failed_hold),
            probes: section.integer("probes", 1..=10).unwrap_or(default.probes),
        }
    }
}
