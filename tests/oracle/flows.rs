//! Which packets are of one flow, told without the router's own idea of it; and packets of flows, made
//! up: whole ones, fragments, and errors about what comes back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xrouter::packet::{icmpv4, icmpv6, ipv4, ipv6, protocol};

use super::facts::{is_anycast, own4, own6};
use super::frame::{Frame, HOST_MACS, PORTS, ROUTER_MACS, octets};
use super::network::SUBNETS;
use super::octets::{view4, view6};
use super::random::Random;
use super::ways::GROUPS;

/// How many flows there are: few enough that each has several packets in a short run.
const FLOWS: usize = 512;

/// What packets have in common that any router must send the same way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    part: Part,
    /// The IPv6 flow label and the first next header: Linux tells flows apart by both.
    header: (u32, u8),
}

/// What tells the flows of two hosts apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Part {
    Ports([u8; 2], [u8; 2]),
    /// The fragments of an IPv4 datagram. Not those of a flow: of the datagrams that a router cuts up
    /// itself, it knows the ports.
    Datagram(u16),
    Fragments,
    Whole,
}

impl Flow {
    /// The flow of a packet that is forwarded; of an ICMP error that of the answers to what it quotes
    /// (RFC 7690 3.1). None of the router's own packets, and of what no two routers need agree on.
    pub fn of(octets: &[u8]) -> Option<Self> {
        if let Some(packet) = view4(octets).filter(|_| own4(octets).is_none()) {
            return Self::of_ipv4(&packet);
        }
        let is_own = |packet: &ipv6::View| own6(octets).is_some() || is_anycast(packet.source());
        view6(octets).filter(|packet| !is_own(packet)).and_then(|packet| Self::of_ipv6(&packet))
    }

    fn of_ipv4(packet: &ipv4::View) -> Option<Self> {
        if packet.protocol() != protocol::ICMP {
            return Some(Self::plain4(packet));
        }
        let is_error = packet.payload().first().copied().is_none_or(icmpv4::is_error);
        match (packet.is_fragment(), is_error) {
            // Of an error in fragments only the first has the quote.
            (true, _) => None,
            (false, false) => Some(Self::plain4(packet)),
            (false, true) => {
                let quoted = ipv4::View::quoted(packet.payload().get(icmpv4::HEADER..)?)?;
                Self::plain4(&quoted).answers()
            }
        }
    }

    /// The kernel looks for a quote only directly behind the header, and in the errors that it knows.
    fn of_ipv6(packet: &ipv6::View) -> Option<Self> {
        let upper = packet.upper_layer();
        if !upper.complete {
            return None;
        }
        if upper.protocol != protocol::ICMPV6 {
            return Some(Self::plain6(packet));
        }
        if packet.next_header() != protocol::ICMPV6 {
            return None;
        }
        match *packet.payload().first()? {
            1..=4 => {
                let quoted = ipv6::View::quoted(packet.payload().get(icmpv6::HEADER..)?)?;
                Self::plain6(&quoted).answers()
            }
            error if icmpv6::is_error(error) => None,
            _ => Some(Self::plain6(packet)),
        }
    }

    fn plain4(packet: &ipv4::View) -> Self {
        let protocol = packet.protocol();
        let part = match packet.is_fragment() {
            true => Part::Datagram(packet.id()),
            false => ports(protocol, packet.payload()),
        };
        let (source, destination) = (packet.source().into(), packet.destination().into());
        Self { source, destination, protocol, part, header: (0, 0) }
    }

    fn plain6(packet: &ipv6::View) -> Self {
        let upper = packet.upper_layer();
        let fragment = upper.fragment.filter(|_| upper.is_fragment());
        let protocol = fragment.map_or(upper.protocol, |fragment| fragment.next_header);
        let part = match fragment {
            Some(_) => Part::Fragments,
            None => ports(protocol, packet.packet().get(upper.offset..).unwrap_or_default()),
        };
        let (source, destination) = (packet.source().into(), packet.destination().into());
        let header = (packet.flow_label(), packet.next_header());
        Self { source, destination, protocol, part, header }
    }

    /// The flow of the answers, if it has ports: the label of others nobody knows.
    fn answers(self) -> Option<Self> {
        let Part::Ports(from, to) = self.part else { return None };
        let (source, destination) = (self.destination, self.source);
        Some(Self { source, destination, part: Part::Ports(to, from), ..self })
    }

    /// Its ends, in a fixed order.
    pub fn hosts(&self) -> [IpAddr; 2] {
        let mut hosts = [self.source, self.destination];
        hosts.sort_unstable();
        hosts
    }
}

fn ports(protocol: u8, payload: &[u8]) -> Part {
    use protocol::{DCCP, SCTP, TCP, UDP, UDP_LITE};
    match *payload {
        [a, b, c, d, ..] if matches!(protocol, TCP | UDP | DCCP | SCTP | UDP_LITE) => {
            Part::Ports([a, b], [c, d])
        }
        _ => Part::Whole,
    }
}

/// A packet of one of the flows.
pub fn packet(random: &mut Random) -> Frame {
    let number = u16::try_from(random.below(FLOWS)).expect("few");
    let [host, low] = number.to_be_bytes();
    let port = usize::from(low >> 1) % PORTS.len();
    let group = GROUPS[usize::from(low & 1)].subnet;
    let packet = if low >> 7 == 0 {
        let source = Ipv4Addr::new(10, SUBNETS[port], 0, 8 + low % 100);
        ipv4(number, source, Ipv4Addr::new(10, group, host, low), random)
    } else {
        let n = SUBNETS[port].into();
        let source = Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, u16::from(6 + low % 4));
        ipv6(number, source, Ipv6Addr::new(0x2001, 0xdb8, group.into(), 0, 0, 0, 0, number), random)
    };
    let (host, router) = (HOST_MACS[port], ROUTER_MACS[port]);
    Frame { port, octets: octets(&format!("lan < eth {host} > {router} / {packet}")) }
}

fn ipv4(number: u16, source: Ipv4Addr, destination: Ipv4Addr, random: &mut Random) -> String {
    let there = format!("ip {source} > {destination}");
    let ttl = random.pick(&[2, 64, 255]);
    match random.below(4) {
        0 => format!("{there} ttl {ttl} id {number} mf / udp {number} > 53 / data 512"),
        1 => format!("{there} ttl {ttl} id {number} frag 65 proto 17 / data 64"),
        2 => format!(
            "ip 10.{}.0.3 > {destination} / icmp unreachable 4 mtu 1280 / quote cut 28 / \
             ip {destination} > {source} df / udp 53 > {number} / data 1000",
            source.octets()[1]
        ),
        _ => {
            let (tos, size) = (random.octet(), random.below(1300));
            format!("{there} ttl {ttl} tos {tos} id {size} / udp {number} > 53 / data {size}")
        }
    }
}

fn ipv6(number: u16, source: Ipv6Addr, destination: Ipv6Addr, random: &mut Random) -> String {
    let hops = random.pick(&[2, 64, 255]);
    let there = format!("ip6 {source} > {destination} flow {number} hlim {hops}");
    match random.below(4) {
        0 => format!("{there} / fragment 0 mf id {number} / udp {number} > 53 / data 512"),
        1 => format!("{there} / fragment 65 id {number} next 17 / data 64"),
        2 => format!(
            "ip6 2001:db8:{}::3 > {destination} / icmp6 too-big mtu 1280 / quote cut 100 / \
             ip6 {destination} > {source} flow {number} / udp 53 > {number} / data 1300",
            source.segments()[2]
        ),
        _ => {
            let (class, size) = (random.octet(), random.below(1300));
            format!("{there} class {class} / udp {number} > 53 / data {size}")
        }
    }
}
