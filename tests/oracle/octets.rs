//! Frames as octets: what is in them, and how a part is blotted out.

use xrouter::packet::ethernet::{HEADER, ether_type};
use xrouter::packet::{icmpv6, ipv4, ipv6};

/// Where an IPv6 packet has its source.
pub const SOURCE6: usize = 8;
pub const SOLICITATION: u8 = icmpv6::Type::NeighbourSolicitation as u8;

pub fn view4(octets: &[u8]) -> Option<ipv4::View<'_>> {
    let is_v4 = octets.get(HEADER - 2..HEADER)? == ether_type::IPV4.to_be_bytes();
    ipv4::View::new(&octets[HEADER..]).ok().filter(|_| is_v4)
}

pub fn view6(octets: &[u8]) -> Option<ipv6::View<'_>> {
    let is_v6 = octets.get(HEADER - 2..HEADER)? == ether_type::IPV6.to_be_bytes();
    ipv6::View::new(&octets[HEADER..]).ok().filter(|_| is_v6)
}

/// Overwrite so many octets of the IPv4 packet with zeros, and put its checksum right.
pub fn blot4(octets: &mut [u8], at: usize, length: usize) -> bool {
    let packet = &mut octets[HEADER..];
    packet[at..][..length].fill(0);
    let header = usize::from(packet[0] & 0x0f) * 4;
    ipv4::write_checksum(&mut packet[..header]);
    true
}

/// The 20 bits before the payload length.
pub fn blot_flow(octets: &mut [u8]) -> bool {
    octets[HEADER + 1] &= 0xf0;
    octets[HEADER + 2..][..2].fill(0);
    true
}

/// Overwrite a part of an ICMPv6 packet, and put its checksum right.
pub fn set6(octets: &mut [u8], at: usize, value: &[u8]) -> bool {
    let part = octets.get_mut(HEADER + at..).and_then(|rest| rest.get_mut(..value.len()));
    let Some(part) = part else { return false };
    part.copy_from_slice(value);
    let ends = view6(octets).map(|view| (view.source(), view.destination(), view.total_len()));
    ends.into_iter().for_each(|(source, destination, length)| {
        let message = &mut octets[HEADER..][ipv6::HEADER..length];
        icmpv6::write_checksum(message, source, destination);
    });
    true
}
