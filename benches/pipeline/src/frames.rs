//! The packets: 64 octets on an Ethernet, of UDP, and what they have to become.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::router::{MACS, gateway_mac};
use tables::Family;
use xrouter::packet::ethernet::{self, HEADER, MacAddress, ether_type};
use xrouter::packet::{ipv4, ipv6, protocol};

/// Octets of a frame: 64 with the frame check sequence. IPv6 with UDP needs two more.
pub fn length(family: Family) -> usize {
    if family == Family::V4 { 60 } else { 62 }
}

const SENDER: MacAddress = MacAddress([2, 0, 0, 0, 0, 99]);
const SOURCE4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99);

/// Packets to be forwarded.
pub struct Traffic {
    length: usize,
    octets: Vec<u8>,
}

impl Traffic {
    /// One for each destination.
    pub fn new(family: Family, destinations: &[u128]) -> Self {
        let length = length(family);
        let mut octets = vec![0; length * destinations.len()];
        for (frame, &to) in octets.chunks_exact_mut(length).zip(destinations) {
            write(frame, family.address(to));
        }
        Self { length, octets }
    }

    /// All frames.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.octets.chunks_exact(self.length)
    }
}

fn write(frame: &mut [u8], to: IpAddr) {
    let (kind, written) = match to {
        IpAddr::V4(to) => {
            let payload = (frame.len() - HEADER - ipv4::HEADER) as u16;
            let header = ipv4::Header::new(SOURCE4, to, protocol::UDP, payload);
            (ether_type::IPV4, header.write(&mut frame[HEADER..]))
        }
        IpAddr::V6(to) => {
            let payload = (frame.len() - HEADER - ipv6::HEADER) as u16;
            let header = ipv6::Header::new(SOURCE6, to, protocol::UDP, payload);
            (ether_type::IPV6, header.write(&mut frame[HEADER..]))
        }
    };
    assert!(written.is_some() && ethernet::write(frame, MACS[0], SENDER, kind).is_some());
}

/// Whether `after` is what a router makes of `before` on its way to the gateway `hop`.
pub fn is_forwarded(before: &[u8], after: &[u8], hop: u16) -> bool {
    let mut expected = before.to_vec();
    let packet = &mut expected[HEADER..];
    let left = match packet[0] >> 4 {
        4 => {
            packet[8] -= 1;
            ipv4::write_checksum(&mut packet[..ipv4::HEADER]);
            packet[8]
        }
        _ => {
            packet[7] -= 1;
            packet[7]
        }
    };
    expected[..6].copy_from_slice(&gateway_mac(hop).octets());
    expected[6..12].copy_from_slice(&MACS[1].octets());
    left > 0 && expected == after
}
