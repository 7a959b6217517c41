//! A frame, and the network that it is for: three ports with a host behind each.

use xrouter::packet::ethernet::HEADER;
use xrouter::packet::text::parse_line;

/// The ports, in the order of their numbers here.
pub const PORTS: [&str; 3] = ["lan", "wan", "dmz"];
/// The MACs of the router's ports.
pub const ROUTER_MACS: [&str; 3] = ["02:00:0a:01:00:01", "02:00:0a:02:00:01", "02:00:0a:04:00:01"];
/// The MACs of the hosts behind the ports.
pub const HOST_MACS: [&str; 3] = ["02:00:0a:01:00:02", "02:00:0a:02:00:02", "02:00:0a:04:00:02"];
/// MTUs of the links, in octets. Those of a group's members are equal.
pub const MTUS: [usize; 3] = [1500, 1400, 1400];

/// A frame, and the number of the port that it comes in or goes out by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Frame {
    pub port: usize,
    pub octets: Vec<u8>,
}

impl Frame {
    /// Whether the link takes it.
    pub fn fits(&self) -> bool {
        (HEADER..=self.room()).contains(&self.octets.len())
    }

    /// The octets of the longest frame that the link takes; of a port that is not in this network,
    /// what is usual.
    pub fn room(&self) -> usize {
        HEADER + MTUS.get(self.port).unwrap_or(&MTUS[0])
    }
}

/// A frame in the notation of `router/packet/text.rs`.
#[track_caller]
pub fn octets(line: &str) -> Vec<u8> {
    let (_, _, octets) = parse_line(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    octets
}
