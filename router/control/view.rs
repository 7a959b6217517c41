//! What is shown of the router: the rows of `xrouter show`, of the JSON API, of the web page.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::difference::Line;
use crate::pipeline::counters::Places;

/// A port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Port {
    /// Its name, which is its tap's.
    pub name: String,
    /// The card.
    pub device: String,
    /// How AF_XDP is used: `zero-copy`, `copy`, `generic`; `absent` without a card.
    pub mode: String,
    /// Who forwards plain packets that come in: `xdp`, the program in the driver, or `worker`.
    pub engine: String,
    /// `up`; `down` without a link; `shut` if the tap is set down.
    pub link: String,
    /// `good`; `deaf` if the card receives frames and xrouter does not get them.
    pub health: String,
    /// MAC.
    pub mac: String,
    /// Largest IP packet, in octets.
    pub mtu: u16,
    /// Addresses with their prefix lengths, those that are not of router.toml with a word on where
    /// they are from; the link-local one is the last.
    pub addresses: Vec<String>,
    /// Queues in use.
    pub queues: usize,
    /// Who finishes checksums that a host left to its card: `kernel` (AF_XDP TX metadata) or
    /// `worker`.
    pub checksums: String,
    /// Why the mode and the rest are what they are.
    pub why: String,
    /// Addresses of ours that somebody else on the link uses, each with his MAC.
    pub conflicts: Vec<String>,
}

/// A route in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// The destinations.
    pub to: String,
    /// The gateway; of several, the first.
    pub via: Option<String>,
    /// The port.
    pub port: Option<String>,
    /// `local`, `connected`, `static` or `kernel`.
    pub origin: String,
    /// Who put it into the kernel, as `ip route` has it: `bird`, `zebra`, `dhcp`, ...
    pub protocol: Option<String>,
    /// Of routes of the kernel to the same destinations the one with the least is in force.
    pub metric: u32,
    /// `via`, `connected`, `local`, `broadcast`, `blackhole`, `unreachable`, `prohibit`, or `kernel`:
    /// the kernel passes the packets on.
    #[serde(rename = "type")]
    pub kind: String,
    /// All next hops of a route that has some.
    pub next_hops: Vec<NextHop>,
    /// Next hops of a route of the kernel that lead out of other devices than the taps: no packet goes
    /// there.
    pub elsewhere: u8,
}

/// One next hop of a route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NextHop {
    /// The gateway.
    pub via: String,
    /// The port.
    pub port: String,
    /// Its share.
    pub weight: u8,
    /// The neighbour's MAC, if known.
    pub mac: Option<String>,
    /// The neighbour's state, if it has one.
    pub state: Option<String>,
}

/// Which way an address takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lookup {
    /// The address asked for.
    pub address: String,
    /// The route that matches.
    pub route: Option<Route>,
    /// The neighbour that packets go to, where that is one: the address itself or a gateway.
    pub neighbour: Option<String>,
    /// Its MAC, if known.
    pub mac: Option<String>,
    /// Its state, if it has one.
    pub state: Option<String>,
    /// What the tables that the workers read say is done: `forward`, `glean`, `receive`, ...
    pub adjacency: Option<String>,
}

/// A neighbour.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its address.
    pub address: String,
    /// Its MAC, if known.
    pub mac: Option<String>,
    /// The port.
    pub port: String,
    /// As `ip neigh` says it: `REACHABLE`, `STALE`, ...
    pub state: String,
    /// Seconds since the state or the MAC last changed.
    pub age_s: u64,
    /// It said that it is a router (IPv6).
    pub router: bool,
}

/// What was counted at a port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counters {
    /// The port.
    pub port: String,
    /// All drops together.
    pub dropped: u64,
    /// Frames that the XDP program left to the kernel because they were not for this router.
    pub passed: u64,
    /// Everything else, by name.
    #[serde(flatten)]
    pub counters: BTreeMap<String, u64>,
}

/// Drops of one kind at one port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drop {
    /// The port that the frames came in by.
    pub port: String,
    /// The reason's name.
    pub reason: String,
    /// How many.
    pub packets: u64,
    /// What the reason means.
    pub meaning: String,
    /// What can be done about it.
    pub mend: String,
}

/// A class of packets for the kernel's stack, at one port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policed {
    /// The port that they come in by.
    pub port: String,
    /// `neighbour`, `routing`, `management`, `icmp` or `other`.
    pub class: String,
    /// The most that are let through, per second.
    pub limit_per_s: u32,
    /// How many were let through.
    pub admitted: u64,
    /// How many were not.
    pub dropped: u64,
}

/// A worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Worker {
    /// Its number.
    pub worker: usize,
    /// The core that it runs on.
    pub core: usize,
    /// `good`; `stuck` if its loop stands still.
    pub health: String,
    /// Rounds of its loop.
    pub rounds: u64,
    /// Rounds in which there was nothing to do.
    pub idle_rounds: u64,
    /// Times that it went to sleep.
    pub sleeps: u64,
    /// Messages to control that were lost.
    pub mail_lost: u64,
    /// Descriptors from the kernel that made no sense.
    pub invalid_descriptors: u64,
    /// Where the chunks of its UMEM are.
    pub umem: Places,
}

/// How full a table is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Table {
    /// The table, named as its key in `[tables]`.
    pub table: String,
    /// Entries in use.
    pub used: u64,
    /// The budget.
    pub limit: u64,
    /// Entries refused because the table was full, since the start.
    pub refused: u64,
}

/// How it stands with the kernel's routes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kernel {
    /// `in step`; `listing` while all routes are asked for; `off` if router.toml says so.
    pub state: String,
    /// Routes of the kernel that are here, in force or not.
    pub routes: u64,
    /// Those of them of which only some next hops lead out of taps, and the others are left out.
    pub partial: u64,
    /// Routes that came, went or changed, since the start.
    pub changes: u64,
    /// Times that news came faster than they were read, and some were lost.
    pub overruns: u64,
    /// Times that all routes were asked for.
    pub listings: u64,
    /// Routes for which there was no room.
    pub refused: u64,
}

/// Where the kernel, the RIB and the FIB do not say the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Difference {
    /// The destinations.
    pub to: String,
    /// Who differ: `kernel and RIB` or `RIB and FIB`.
    pub between: String,
    /// What the first of them says.
    pub wanted: String,
    /// What the second says.
    pub found: String,
}

/// What an order has changed, or would.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Reload {
    /// The difference.
    pub lines: Vec<Line>,
    /// Seconds until it is taken back unless it is confirmed.
    pub confirm_s: Option<u64>,
}

/// What runs, and since when it is known whether it stays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Running {
    /// It is what the router's own file had in it when it was last read or written.
    pub as_file: bool,
    /// Seconds until it is taken back unless it is confirmed.
    pub confirm_s: Option<u64>,
    /// How often something was taken back because nobody confirmed it.
    pub taken_back: u64,
}

/// The configuration that runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Config {
    /// As router.toml.
    pub text: String,
    /// What the router's own file had in it when it was last read or written.
    pub file: String,
}
