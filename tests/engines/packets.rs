//! Packets that are plain but for one thing or two: for every way out of engines/router.toml, of
//! lengths around its MTUs, with hops, checksums and padding at the edges.

use xrouter::packet::ethernet::{self, HEADER, MacAddress, ether_type};
use xrouter::packet::{checksum, ipv4, ipv6, protocol};

use crate::frame::Frame;
use crate::random::Random;

const HOST: MacAddress = MacAddress([2, 0, 0, 0, 0x99, 2]);
const PORTS: usize = 4;
/// With and without ports; ICMP of both versions; headers that hide the others.
const PROTOCOLS: [u8; 16] = [
    protocol::TCP,
    protocol::UDP,
    protocol::TCP,
    protocol::UDP,
    protocol::DCCP,
    protocol::SCTP,
    protocol::UDP_LITE,
    protocol::ICMP,
    protocol::ICMPV6,
    protocol::FRAGMENT,
    protocol::ROUTING,
    protocol::DESTINATION_OPTIONS,
    protocol::AUTHENTICATION,
    50,
    59,
    4,
];
/// MTUs of the ports.
const MTUS: [usize; 3] = [1280, 1400, 1500];
/// Where what follows the header begins in an IPv6 frame, the longer one.
const CARRIED_6: usize = HEADER + ipv6::HEADER;

/// A frame for the card of a port.
pub fn frame(random: &mut Random) -> Frame {
    let port = random.below(PORTS);
    let to = MacAddress([2, 0, 0, 0, [1, 2, 3, 4][port], 1]);
    let (kind, mut octets) = if random.once_in(2) {
        (ether_type::IPV4, packet4(random))
    } else {
        (ether_type::IPV6, packet6(random))
    };
    ethernet::write(&mut octets, to, HOST, kind).expect("room");
    let padding = if random.once_in(3) { random.below(48) } else { 0 };
    octets.extend((0..padding).map(|_| random.octet()));
    Frame { port, octets }
}

fn packet4(random: &mut Random) -> Vec<u8> {
    let mut octets = room(random, ipv4::HEADER);
    let carried = octets.split_off(HEADER + ipv4::HEADER);
    let packet = &mut octets[HEADER..];
    packet[0] = 0x45;
    let total = u16::try_from(ipv4::HEADER + carried.len()).expect("short");
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    let pieces = [0x4000, 0x4000, 0, 0, 0x2000, 0x2001, 1, 0x0100, 0x8000];
    packet[6..8].copy_from_slice(&random.pick::<u16>(&pieces).to_be_bytes());
    packet[8] = hops(random);
    packet[9] = random.pick(&PROTOCOLS);
    packet[12..16].copy_from_slice(&[random.pick(&[10, 192, 172]), random.octet(), 5, 9]);
    packet[16..20].copy_from_slice(&destination4(random));
    octets.extend(carried);
    finish(&mut octets, ipv4::HEADER, 12..20, random);
    write_checksum_at_an_edge(&mut octets[HEADER..][..ipv4::HEADER], random);
    octets
}

fn packet6(random: &mut Random) -> Vec<u8> {
    let mut octets = room(random, ipv6::HEADER);
    let carried = u16::try_from(octets.len() - CARRIED_6).expect("short");
    let packet = &mut octets[HEADER..];
    packet[0] = 0x60 | random.octet() & 15;
    packet[4..6].copy_from_slice(&carried.to_be_bytes());
    packet[6] = random.pick(&PROTOCOLS);
    packet[7] = hops(random);
    packet[8..16].copy_from_slice(&[0x20, 1, 0x0d, 0xb8, 0, 0x77, 0, 1]);
    let (net, host) = random.pick(&[
        (0x0003_0000, 0),
        (0x0003_0080, 7),
        (0x0003_0080, 8),
        (0x0004_0000, 1),
        (0x0001_0000, 3),
        (0x0002_0000, 2),
        (0x0009_0000, 2),
        (0x0055_0000, 2),
        (0x000b_0000, 2),
    ]);
    let destination = 0x2001_0db8_u128 << 96 | net << 64 | host;
    packet[24..40].copy_from_slice(&destination.to_be_bytes());
    finish(&mut octets, ipv6::HEADER, 8..40, random);
    octets
}

/// A frame of any octets, as long as it is to be.
fn room(random: &mut Random, header: usize) -> Vec<u8> {
    let short = header + random.below(60);
    let edge = (random.pick(&MTUS) + random.below(5)).saturating_sub(2);
    let length = if random.once_in(3) { edge } else { short };
    (0..HEADER + length).map(|_| random.octet()).collect()
}

fn hops(random: &mut Random) -> u8 {
    random.pick(&[0, 1, 2, 2, 3, 64, 64, 64, 128, 255])
}

fn destination4(random: &mut Random) -> [u8; 4] {
    let (low, high) = (random.octet(), random.octet());
    random.pick(&[
        [10, 3, high, low],
        [10, 3, high, low],
        [10, 4, high, low],
        [8, high, 8, low],
        [high & 0x3f | 1, low, 7, 7],
        [193, 5, high, low],
        [10, 2, 0, 2],
        [10, 2, 0, 77],
        [10, 9, 0, low & 3],
        [10, 8, 0, 2],
        [10, 1, 0, 3],
        [172, 16, high, low],
        [203, 0, 113, low],
    ])
}

/// What a card is left to finish, now and then, or a checksum that is special; of UDP a length that
/// is right, now and then.
fn finish(
    octets: &mut [u8],
    header: usize,
    addresses: std::ops::Range<usize>,
    random: &mut Random,
) {
    let packet = &mut octets[HEADER..];
    let length = u16::try_from(packet.len() - header).expect("short");
    let protocol = packet[if header == ipv4::HEADER { 9 } else { 6 }];
    let at = header + if protocol == protocol::TCP { 16 } else { 6 };
    if protocol == protocol::UDP && !random.once_in(4) && packet.len() >= header + 6 {
        packet[header + 4..][..2].copy_from_slice(&length.to_be_bytes());
    }
    let sum = checksum::sum(&packet[addresses]) + u32::from(length) + u32::from(protocol);
    let special = random.pick(&[checksum::fold(sum), checksum::fold(sum), 0, 0xffff]);
    let field = packet.get_mut(at..at + 2).filter(|_| random.once_in(3));
    field.into_iter().for_each(|field| field.copy_from_slice(&special.to_be_bytes()));
}

/// The checksum is right. Often it is one where a carry matters when a hop is taken off, and zero
/// is written in both ways.
fn write_checksum_at_an_edge(header: &mut [u8], random: &mut Random) {
    const ID: std::ops::Range<usize> = 4..6;
    let edge = random.pick(&[0, 1, 0xfeff, 0xff00, 0xfffe, 0x00ff, 0x0100]);
    if random.once_in(2) {
        // What the identification has to add so that the sum is the edge's complement.
        header[ID].fill(0);
        header[10..12].copy_from_slice(&u16::to_be_bytes(edge));
        let id = !checksum::fold(checksum::sum(header));
        header[ID].copy_from_slice(&id.to_be_bytes());
    }
    ipv4::write_checksum(header);
    if header[10..12] == [0, 0] && random.once_in(2) {
        header[10..12].fill(0xff);
    }
}
