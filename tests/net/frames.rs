//! Frames for the flood, from the lan host to the router.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{PacketBuilder, PacketBuilderStep, UdpHeader};

const LAN_HOST: [u8; 6] = [2, 0, 0x0a, 1, 0, 2];
const ROUTER: [u8; 6] = [2, 0, 0x0a, 1, 0, 1];
const SOURCE4: [u8; 4] = [10, 1, 0, 2];
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);

/// Where the Ethernet header ends.
const ETHERNET: usize = 14;

/// A UDP packet over IPv4 to the discard port, with so many octets of payload.
pub fn udp4(destination: Ipv4Addr, ttl: u8, payload: usize) -> Vec<u8> {
    udp4_from(1, destination, ttl, payload)
}

/// The same from the host of another subnet: 2 for wan, 4 for dmz.
pub fn udp4_from(subnet: u8, destination: Ipv4Addr, ttl: u8, payload: usize) -> Vec<u8> {
    udp4_between(subnet, [10, subnet, 0, 2], (destination, 9), ttl, payload)
}

/// The same from another host behind the lan host's MAC.
pub fn udp4_of(source: [u8; 4], destination: Ipv4Addr, ttl: u8, payload: usize) -> Vec<u8> {
    udp4_between(1, source, (destination, 9), ttl, payload)
}

/// The same from the lan to another port.
pub fn udp4_to(port: u16, destination: Ipv4Addr, ttl: u8, payload: usize) -> Vec<u8> {
    udp4_between(1, SOURCE4, (destination, port), ttl, payload)
}

fn udp4_between(
    subnet: u8,
    from: [u8; 4],
    (to, port): (Ipv4Addr, u16),
    ttl: u8,
    payload: usize,
) -> Vec<u8> {
    let mac = |station| [2, 0, 0x0a, subnet, 0, station];
    let builder =
        PacketBuilder::ethernet2(mac(2), mac(1)).ipv4(from, to.octets(), ttl).udp(40_000, port);
    udp(builder, payload)
}

fn udp(builder: PacketBuilderStep<UdpHeader>, payload: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![0xa5; payload]).expect("a vector takes everything");
    frame
}

/// A UDP packet over IPv6, with so many octets of payload.
pub fn udp6(destination: Ipv6Addr, hop_limit: u8, payload: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(LAN_HOST, ROUTER)
        .ipv6(SOURCE6.octets(), destination.octets(), hop_limit)
        .udp(40_000, 9);
    udp(builder, payload)
}

/// An echo request over IPv4.
pub fn echo4(destination: Ipv4Addr) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(LAN_HOST, ROUTER)
        .ipv4(SOURCE4, destination.octets(), 64)
        .icmpv4_echo_request(7, 1);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[0xa5; 56]).expect("a vector takes everything");
    frame
}

/// An echo request over IPv6.
pub fn echo6(destination: Ipv6Addr) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(LAN_HOST, ROUTER)
        .ipv6(SOURCE6.octets(), destination.octets(), 64)
        .icmpv6_echo_request(7, 1);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[0xa5; 56]).expect("a vector takes everything");
    frame
}

/// Somebody behind the lan host, whose address and port are made of `number`, wants a session with
/// the router: by turns BGP and ssh.
pub fn syn_of_stranger(number: u32) -> Vec<u8> {
    let [a, b, c, d] = number.to_be_bytes();
    let (source, port) = ([198, 18, a ^ c, b ^ d], [179, 22][usize::from(d % 2)]);
    let builder = PacketBuilder::ethernet2(LAN_HOST, ROUTER)
        .ipv4(source, [10, 1, 0, 1], 64)
        .tcp(u16::from_be_bytes([c, d]) | 1024, port, number, 64_240)
        .syn();
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).expect("a vector takes everything");
    frame
}

/// Who has the router's address? Tell the lan host (RFC 826).
pub fn arp_request() -> Vec<u8> {
    let mut frame = [[0xff; 6], LAN_HOST].concat();
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(LAN_HOST);
    frame.extend(SOURCE4);
    frame.extend([0; 6]);
    frame.extend([10, 1, 0, 1]);
    frame.resize(60, 0);
    frame
}

/// The same for another address of the subnet: the answer is not ours to give.
pub fn arp_request_for_others() -> Vec<u8> {
    let mut frame = arp_request();
    frame[41] = 99; // who has 10.1.0.99?
    frame
}

/// Somebody on the lan, whose MAC and address are made of `number`, asks who the router is.
pub fn arp_request_of_stranger(number: u32) -> Vec<u8> {
    let mut frame = arp_request();
    let [_, _, high, low] = number.to_be_bytes();
    for at in [6, 22] {
        frame[at + 2..at + 6].copy_from_slice(&number.to_be_bytes());
    }
    frame[28..32].copy_from_slice(&[10, 1, high, low]);
    frame
}

/// The same over IPv6: a neighbour solicitation for the router's address (RFC 4861 4.3).
pub fn solicitation_of_stranger(number: u32) -> Vec<u8> {
    let mut mac = LAN_HOST;
    mac[2..6].copy_from_slice(&number.to_be_bytes());
    let source = Ipv6Addr::from_bits(SOURCE6.to_bits() | u128::from(number) << 16);
    let router: Ipv6Addr = "2001:db8:1::1".parse().expect("an address");
    let group: Ipv6Addr = "ff02::1:ff00:1".parse().expect("an address");
    let builder = PacketBuilder::ethernet2(mac, [0x33, 0x33, 0xff, 0, 0, 1])
        .ipv6(source.octets(), group.octets(), 255)
        .icmpv6_raw(135, 0, [0; 4]);
    let mut frame = Vec::new();
    let payload = [&router.octets()[..], &[1, 1], &mac].concat();
    builder.write(&mut frame, &payload).expect("a vector takes everything");
    frame
}

/// The lan host claims that an address of the router is its own (RFC 5227 2.4).
pub fn arp_claim() -> Vec<u8> {
    let mut frame = arp_request();
    frame[28..32].copy_from_slice(&[10, 1, 0, 1]);
    frame
}

/// First fragments of datagrams to the router that are never completed.
pub fn endless_fragments() -> Vec<Vec<u8>> {
    let whole = udp4(Ipv4Addr::new(10, 1, 0, 1), 64, 1400);
    let fragment = |id: u16| {
        let mut frame = whole.clone();
        frame[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&id.to_be_bytes());
        frame[ETHERNET + 6] = 0x20; // more fragments
        let header = &mut frame[ETHERNET..ETHERNET + 20];
        header[10..12].fill(0);
        let checksum = !ones_sum(header);
        frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&checksum.to_be_bytes());
        frame
    };
    (0..4096).map(fragment).collect()
}

/// RFC 1071: the sum of 16-bit words, with the carries added at the other end.
fn ones_sum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(u16::MAX)
}

/// Frames to hosts that answer ARP and NDP.
pub fn resolved() -> Vec<Vec<u8>> {
    let wan4 = Ipv4Addr::new(10, 2, 0, 2);
    let wan6 = "2001:db8:2::2".parse().expect("an address");
    vec![udp4(wan4, 64, 18), udp4(wan4, 64, 1472), udp6(wan6, 64, 18), udp6(wan6, 64, 1452)]
}

/// Frames to addresses of a connected subnet where nobody is.
pub fn unresolved() -> Vec<Vec<u8>> {
    let nobody4 = (100..140).map(|n| udp4(Ipv4Addr::new(10, 2, 0, n), 64, 18));
    let nobody6 =
        (0x100..0x128).map(|n| udp6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, n), 64, 18));
    nobody4.chain(nobody6).collect()
}

/// Frames that no router may forward, each for a reason of its own.
pub fn invalid() -> Vec<Vec<u8>> {
    let wan = Ipv4Addr::new(10, 2, 0, 2);
    let good = udp4(wan, 64, 18);
    let changed = |at: usize, octet: u8| {
        let mut frame = good.clone();
        frame[ETHERNET + at] = octet;
        frame
    };
    vec![
        changed(10, good[ETHERNET + 10] ^ 1),      // checksum
        changed(0, 0x55),                          // version
        changed(0, 0x42),                          // header length
        changed(2, 0xff),                          // total length
        good[..ETHERNET + 12].to_vec(),            // cut short
        changed(12, 127),                          // a source that no packet may carry
        udp4(wan, 1, 18),                          // TTL used up
        udp4(Ipv4Addr::new(192, 0, 2, 1), 64, 18), // no route
        vec![0x88; 60],                            // not IP at all, and from a group's MAC
    ]
}

/// ARP and IP in the name of the router itself: somebody has its address, or forges it.
pub fn from_our_own_address() -> Vec<Vec<u8>> {
    vec![arp_claim(), udp4_of([10, 1, 0, 1], Ipv4Addr::new(10, 2, 0, 2), 64, 18)]
}

/// Frames for the router's own stack.
pub fn for_the_router() -> Vec<Vec<u8>> {
    let lan4 = Ipv4Addr::new(10, 1, 0, 1);
    let lan6 = "2001:db8:1::1".parse().expect("an address");
    vec![
        echo4(lan4),
        echo4(Ipv4Addr::new(10, 2, 0, 1)),
        echo6(lan6),
        udp4(lan4, 64, 1472),
        udp6(lan6, 64, 18),
        arp_request(),
    ]
}
