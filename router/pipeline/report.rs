//! What a worker says to control: facts about neighbours, over a bounded ring.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::verdict::Awaited;
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::meter::{Meter, Nanos};

/// One message to control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// Packets wait for a neighbour's MAC.
    Wanted(Awaited),
    /// The kernel behind the tap of this port asked for a neighbour.
    AskedByKernel {
        /// The port whose tap the question came from.
        port: PortId,
        /// The neighbour asked for.
        address: IpAddr,
    },
    /// The kernel behind the tap of this port has joined groups, or left some.
    GroupsChanged(PortId),
    /// ARP or neighbour discovery was heard on this port.
    Heard {
        /// The port.
        port: PortId,
        /// What was said.
        said: Said,
    },
}

/// What ARP (RFC 826) or neighbour discovery (RFC 4861) said of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// A gratuitous ARP, request or reply: somebody tells all where he is.
    ArpAnnouncement {
        /// Sender protocol address.
        sender: Ipv4Addr,
        /// Sender hardware address.
        mac: MacAddress,
    },
    /// An ARP request.
    ArpRequest {
        /// Sender protocol address; unspecified in a probe (RFC 5227).
        sender: Ipv4Addr,
        /// Sender hardware address.
        mac: MacAddress,
        /// It asks for an address of this port.
        for_us: bool,
    },
    /// An ARP reply.
    ArpReply {
        /// Sender protocol address.
        sender: Ipv4Addr,
        /// Sender hardware address.
        mac: MacAddress,
        /// It was sent to this port's MAC and not to all.
        for_us: bool,
    },
    /// A neighbour solicitation.
    Solicitation {
        /// Source address; unspecified in duplicate address detection.
        source: Ipv6Addr,
        /// The source link-layer address option.
        mac: Option<MacAddress>,
        /// It asks for an address of this port.
        for_us: bool,
    },
    /// A neighbour advertisement.
    Advertisement {
        /// The address that it speaks of.
        target: Ipv6Addr,
        /// The target link-layer address option.
        mac: Option<MacAddress>,
        /// R flag.
        router: bool,
        /// S flag.
        solicited: bool,
        /// O flag.
        overrides: bool,
    },
}

impl Said {
    /// Whether it may be the answer to a question of ours. All else is hearsay.
    fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::ArpReply { for_us: true, .. } | Self::Advertisement { solicited: true, .. }
        )
    }
}

/// How much of what a worker hears it tells control, which is busy enough in a flood. Answers and
/// hearsay each have their own: a flood of strangers must not drown the answers to our questions,
/// of which control asks at most a thousand a second (RFC 6583 6.2).
#[derive(Clone, Debug)]
pub struct Hearing {
    answers: Meter,
    hearsay: Meter,
}

impl Hearing {
    const ANSWERS_PER_S: u64 = 4_000;
    const HEARSAY_PER_S: u64 = 2_000;
    /// The ring to control holds several bursts of each.
    const BURST: u64 = 512;

    /// Nothing has been heard yet.
    pub fn new() -> Self {
        Self {
            answers: Meter::new(Self::ANSWERS_PER_S, Self::BURST),
            hearsay: Meter::new(Self::HEARSAY_PER_S, Self::BURST),
        }
    }

    /// Whether control is told of this.
    pub(super) fn takes(&mut self, said: &Said, now: Nanos) -> bool {
        let meter = if said.is_answer() { &mut self.answers } else { &mut self.hearsay };
        meter.take(now, 1)
    }
}

impl Default for Hearing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_does_not_drown_answers() {
        let (sender, mac) = (Ipv4Addr::new(10, 0, 0, 9), MacAddress([2, 0, 0, 0, 0, 9]));
        let stranger = Said::ArpRequest { sender, mac, for_us: true };
        let answer = Said::ArpReply { sender, mac, for_us: true };
        let mut hearing = Hearing::new();
        let mut told = 0;
        // 50,000 strangers in a second, and an answer every ten milliseconds.
        for step in 0..50_000u64 {
            let now = Nanos::new(step * 20_000);
            told += u32::from(hearing.takes(&stranger, now));
            assert!(step % 500 != 0 || hearing.takes(&answer, now), "at step {step}");
        }
        assert!((2_000..=2_512).contains(&told), "{told}");
    }
}
