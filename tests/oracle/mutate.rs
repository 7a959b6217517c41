//! Frames damaged, or changed with care: the header's checksum is right again as a rule, so that
//! the change is looked at.

use xrouter::packet::ethernet::{self, ether_type};
use xrouter::packet::ipv4;

use super::frame::Frame;
use super::random::Random;

/// Values that tend to be special, for a field of two octets.
const WORDS: [u16; 8] = [0, 1, 0x7f, 0x80, 0xff, 0x8000, 0xfffe, 0xffff];
/// Fields of an IPv4 and of an IPv6 header, by place and length.
const FIELDS: [(usize, usize); 12] = [
    (0, 1),
    (1, 1),
    (2, 2),
    (4, 2),
    (6, 2),
    (8, 1),
    (9, 1),
    (10, 2),
    (12, 4),
    (16, 4),
    (7, 1),
    (40, 2),
];

/// A changed copy of a frame, of a length that its link takes.
pub fn changed(frame: &Frame, random: &mut Random) -> Frame {
    let mut octets = frame.octets.clone();
    for _ in 0..=random.below(3) {
        change(&mut octets, random);
    }
    if !random.once_in(6) {
        mend(&mut octets);
    }
    octets.truncate(frame.room());
    octets.resize(octets.len().max(ethernet::HEADER), 0);
    Frame { port: frame.port, octets }
}

fn change(octets: &mut Vec<u8>, random: &mut Random) {
    match random.below(10) {
        0 => flip(octets, 0, random),
        1..4 => flip(octets, ethernet::HEADER, random),
        4..7 => set_field(octets, random),
        7 => octets.truncate(random.below(octets.len() + 1)),
        8 => octets.extend((0..random.below(48)).map(|n| n.to_be_bytes()[7])),
        _ => set_hops(octets, random.pick(&[0, 1, 2])),
    }
}

/// One bit, from the octet `start` on; those near it more often than those far from it.
fn flip(octets: &mut [u8], start: usize, random: &mut Random) {
    let length = octets.len().saturating_sub(start).max(1);
    let near = length.min(random.pick(&[14, 40, 80, 2000]));
    if let Some(octet) = octets.get_mut(start + random.below(near)) {
        *octet ^= 1 << random.below(8);
    }
}

fn set_field(octets: &mut [u8], random: &mut Random) {
    let (at, length) = random.pick(&FIELDS);
    let start = ethernet::HEADER + at;
    let Some(field) = octets.get_mut(start..start + length) else { return };
    let Ok(word) = <&mut [u8; 2]>::try_from(&mut *field) else {
        return field.iter_mut().for_each(|octet| *octet = random.octet());
    };
    let now = u16::from_be_bytes(*word);
    let near = [now.wrapping_add(1), now.wrapping_sub(1), now ^ 0x2000, now ^ 0x4000];
    *word = if random.once_in(2) { random.pick(&near) } else { random.pick(&WORDS) }.to_be_bytes();
}

fn set_hops(octets: &mut [u8], hops: u8) {
    let at = match octets.get(ethernet::HEADER).map(|first| first >> 4) {
        Some(4) => 8,
        Some(6) => 7,
        _ => return,
    };
    octets.get_mut(ethernet::HEADER + at).into_iter().for_each(|field| *field = hops);
}

/// The checksum of an IPv4 header, whatever else the header says.
fn mend(octets: &mut [u8]) {
    let Some((link, packet)) = octets.split_at_mut_checked(ethernet::HEADER) else { return };
    let length = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    if link[12..] != ether_type::IPV4.to_be_bytes() || length < ipv4::HEADER {
        return;
    }
    packet.get_mut(..length).into_iter().for_each(ipv4::write_checksum);
}
