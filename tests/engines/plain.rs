//! What is not plain: the whole list of why a packet that the worker sends may go up to it.

use std::net::IpAddr;

use xrouter::config::{Config, FastPath};
use xrouter::id::PortId;
use xrouter::packet::ethernet::{HEADER, ether_type};
use xrouter::packet::{checksum, ipv4, ipv6, protocol};
use xrouter::pipeline::Tables;
use xrouter::pipeline::verdict::Verdict;
use xrouter::table::own;
use xrouter::table::policy::SourceValidation;

/// A packet that the worker has sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// The frame as it came, and the port that it came by.
    pub frame: &'a [u8],
    pub port: PortId,
    pub verdict: Verdict,
    pub config: &'a Config,
    pub tables: Tables<'a>,
}

/// Why a packet goes up, and whether it is so of one.
type Reason = (&'static str, fn(&Sent) -> bool);

/// All reasons. Whatever else goes up could have left at once.
const REASONS: [Reason; 13] = [
    ("IPv4 options", |sent| sent.view4().is_some_and(|view| !view.options().is_empty())),
    ("hop-by-hop options", |sent| sent.protocol() == protocol::HOP_BY_HOP),
    ("goes back where it came from", |sent| matches!(sent.verdict, Verdict::TransmitBack { .. })),
    ("leaves in pieces", |sent| matches!(sent.verdict, Verdict::Fragment { .. })),
    ("the checksum may be unfinished", |sent| sent.may_be_unfinished()),
    ("a header before a checksum that may be unfinished", |sent| {
        sent.leaves_unfinished() && sent.hides_upper_layer()
    }),
    ("several next hops, and the flow is not plain to see", |sent| {
        sent.has_several_next_hops() && (sent.is_icmp() || sent.hides_upper_layer())
    }),
    ("an address with a meaning of its own", |sent| sent.ends().into_iter().any(is_special)),
    ("begins in the middle of the TCP header", |sent| {
        sent.view4().is_some_and(|view| view.fragment_offset() == 8)
            && sent.protocol() == protocol::TCP
    }),
    ("the filter takes its source for ours", |sent| sent.is_taken_for_ours()),
    ("to all hosts of another port", |sent| match sent.ends()[1] {
        IpAddr::V4(address) => sent.tables.snapshot.is_broadcast(address),
        IpAddr::V6(_) => false,
    }),
    ("no program sends by the port", |sent| {
        matches!(sent.verdict, Verdict::Transmit(to)
            if sent.config.port(to).is_some_and(|port| port.fastpath == FastPath::Off))
    }),
    ("the worker asks for a route back", |sent| {
        let port = sent.config.port(sent.port).expect("a port");
        port.policy.source_validation != SourceValidation::Off
    }),
];

/// Why this packet goes up; nothing if it is plain.
pub fn why_not(sent: &Sent) -> Option<&'static str> {
    REASONS.iter().find(|(_, holds)| holds(sent)).map(|(name, _)| *name)
}

/// Link-local, class E; unspecified, loopback, or with an IPv4 address in it.
fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.octets()[0] >= 240,
        IpAddr::V6(address) => address.to_bits() >> 64 == 0,
    }
}

impl<'a> Sent<'a> {
    /// The packet with all that follows it, and its type.
    fn packet(&self) -> (u16, &'a [u8]) {
        (u16::from_be_bytes([self.frame[12], self.frame[13]]), &self.frame[HEADER..])
    }

    fn view4(&self) -> Option<ipv4::View<'a>> {
        let (kind, packet) = self.packet();
        ipv4::View::new(packet).ok().filter(|_| kind == ether_type::IPV4)
    }

    fn view6(&self) -> ipv6::View<'a> {
        ipv6::View::new(self.packet().1).expect("sent, and not IPv4")
    }

    /// IPv4's protocol, IPv6's first next header.
    fn protocol(&self) -> u8 {
        self.view4().map_or_else(|| self.view6().next_header(), |view| view.protocol())
    }

    fn ends(&self) -> [IpAddr; 2] {
        match self.view4() {
            Some(view) => [view.source().into(), view.destination().into()],
            None => [self.view6().source().into(), self.view6().destination().into()],
        }
    }

    fn is_icmp(&self) -> bool {
        matches!(self.protocol(), protocol::ICMP | protocol::ICMPV6)
    }

    fn hides_upper_layer(&self) -> bool {
        ipv6::is_extension(self.protocol())
    }

    fn leaves_unfinished(&self) -> bool {
        let interface = self.tables.snapshot.interface(self.port);
        interface.expect("a port").unfinished_checksums
    }

    /// Whether its checksum is the sum over the pseudo-header, and nothing else known against that.
    fn may_be_unfinished(&self) -> bool {
        let (header, addresses, payload) = match self.view4() {
            Some(view) => (ipv4::HEADER, 12..20, view.payload().len()),
            None => (ipv6::HEADER, 8..40, self.view6().payload().len()),
        };
        let packet = self.packet().1;
        let word = |at: usize| {
            let octets = packet.get(header + at..)?.first_chunk()?;
            Some(u32::from(u16::from_be_bytes(*octets)))
        };
        let (field, length) = match self.protocol() {
            protocol::TCP => (word(16), u32::try_from(payload).ok()),
            protocol::UDP => (word(6), word(4)),
            _ => return false,
        };
        let sum = checksum::sum(&packet[addresses]) + u32::from(self.protocol());
        let pseudo = length.map(|length| u32::from(checksum::fold(sum + length)));
        self.leaves_unfinished() && field.is_some() && field == pseudo
    }

    fn has_several_next_hops(&self) -> bool {
        let fib = self.tables.fib;
        let route = match self.ends()[1] {
            IpAddr::V4(address) => fib.v4.lookup(address.to_bits()),
            IpAddr::V6(address) => fib.v6.lookup(address.to_bits()),
        };
        route.is_some_and(|route| fib.next_hops.adjacency(route, || 0).0 != route)
    }

    fn is_taken_for_ours(&self) -> bool {
        let source = filtered(self.ends()[0]);
        self.tables.snapshot.never_sources().any(|own| filtered(own) == source)
    }
}

/// An address's bit in the filter, as `bpf/shared.h` says.
fn filtered(address: IpAddr) -> u64 {
    let bits = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let halves = [bits >> 64, bits & u128::from(u64::MAX)];
    let [high, low] = halves.map(|half| u64::try_from(half).expect("a half"));
    (high.wrapping_mul(own::FOLD) ^ low).wrapping_mul(own::SPREAD) >> 48
}
