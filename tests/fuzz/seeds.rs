//! What the fuzzer starts from: the frames of the cases, the files of `config/`, and a few made
//! by hand for the targets that take something else.

use std::fs;
use std::path::Path;

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteNextHop, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::NetlinkMessage;
use xrouter::io::offload::{GSO_TCPV4, GSO_TCPV6, Header, NEEDS_CSUM};
use xrouter::packet::ethernet::{self, ether_type};
use xrouter::packet::text::parse_line;
use xrouter::packet::{checksum, ipv4, ipv6, protocol, tcp};

use crate::case::{Case, Input};
use crate::targets::{netlink, offload, pipeline};

/// An input of a target.
pub struct Seed {
    pub target: &'static str,
    pub name: String,
    pub octets: Vec<u8>,
}

impl Seed {
    fn new(target: &'static str, name: &str, octets: impl Into<Vec<u8>>) -> Self {
        Self { target, name: name.to_owned(), octets: octets.into() }
    }
}

/// All of them. `root` is the folder of the repository.
pub fn all(root: &Path) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for folder in Case::folders(&root.join("tests/cases")) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let case = Case::read(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        of_case(&name, &case.input, &mut seeds);
        let config = folder.join("config.toml");
        seeds.extend(fs::read(config).ok().map(|text| Seed::new("config", &name, text)));
    }
    for name in ["reference.toml", "home.toml", "demo.toml"] {
        let text = fs::read(root.join("config").join(name)).expect("readable");
        seeds.push(Seed::new("config", name, text));
    }
    seeds.extend(segments());
    seeds.extend(changes());
    seeds.extend(requests());
    seeds.extend(of_kernel());
    seeds
}

/// All frames together through the pipeline, and each by itself to whom it may concern.
fn of_case(name: &str, input: &[Input], seeds: &mut Vec<Seed>) {
    let together: Vec<_> = input.iter().flat_map(pipeline::input).collect();
    seeds.push(Seed::new("pipeline", name, together));
    for (number, frame) in input.iter().enumerate() {
        let name = format!("{name}-{number}");
        let mut seed = |target, octets: &[u8]| seeds.push(Seed::new(target, &name, octets));
        seed("notation", frame.line.trim_start_matches("tap ").as_bytes());
        seed("describe", &frame.octets);
        seed("ethernet", &frame.octets);
        let Some(view) = ethernet::View::new(&frame.octets) else { continue };
        match view.ether_type() {
            ether_type::IPV4 => seed("ipv4", view.payload()),
            ether_type::IPV6 => seed("ipv6", view.payload()),
            _ => continue,
        }
        seed("transport", view.payload());
    }
}

/// Large TCP segments as the kernel writes them to a tap. Of the second frame that they make, one
/// octet of the TCP header is changed, or of its data, which may be merged.
fn segments() -> Vec<Seed> {
    const STATIONS: &str = "lan > eth 02:00:00:00:00:01 > 02:00:00:00:01:02";
    const SEGMENT: &str = "tcp 80 > 1000 seq 1 ack 9 flags PA opt 0101080a00000001 / data 3000";
    let packet = |ip: &str| {
        let line = format!("{STATIONS} / {ip} / {SEGMENT}");
        parse_line(&line).unwrap_or_else(|error| panic!("{error}")).2
    };
    let v4 = packet("ip 10.1.0.1 > 10.1.0.2 id 7 df");
    let v6 = packet("ip6 2001:db8:1::1 > 2001:db8:1::2");
    let octets = [0, 3, 7, 11, 12, 13, 15, 19, 25, 40];
    let both = octets.iter().flat_map(|&at| {
        [large("ipv4", v4.clone(), GSO_TCPV4, at), large("ipv6", v6.clone(), GSO_TCPV6, at)]
    });
    both.collect()
}

fn large(name: &str, mut packet: Vec<u8>, gso_type: u8, damaged: u8) -> Seed {
    let ip = &packet[ethernet::HEADER..];
    let header = if gso_type == GSO_TCPV4 { ipv4::HEADER } else { ipv6::HEADER };
    let len = u16::try_from(ip.len() - header).expect("short");
    let pseudo = match ipv4::View::new(ip) {
        Ok(ip) => checksum::pseudo_v4(ip.source(), ip.destination(), protocol::TCP, len),
        Err(_) => {
            let ip = ipv6::View::new(ip).expect("one of both");
            checksum::pseudo_v6(ip.source(), ip.destination(), protocol::TCP, len.into())
        }
    };
    let start = ethernet::HEADER + header;
    let field = start + tcp::CHECKSUM;
    packet[field..field + 2].copy_from_slice(&checksum::fold(pseudo).to_be_bytes());
    let header = Header {
        flags: NEEDS_CSUM,
        gso_type,
        hdr_len: 0,
        gso_size: 700,
        csum_start: u16::try_from(start).expect("short"),
        csum_offset: 16,
    };
    let at = u8::try_from(start).expect("short") + damaged;
    let name = format!("{name}-{damaged}");
    Seed::new("offload", &name, offload::input(&header, at, &packet))
}

/// A few routes, each put in and taken out again, with the reader's rounds in between.
fn changes() -> Vec<Seed> {
    let changes = |octets: usize| -> Vec<u8> {
        let change = |code: u8| [vec![code, code], vec![code; octets], vec![230, 250]].concat();
        [1, 17, 33, 49, 161, 177].into_iter().flat_map(change).collect()
    };
    vec![Seed::new("fib4", "nested", changes(4)), Seed::new("fib6", "nested", changes(16))]
}

fn requests() -> Vec<Seed> {
    let request = |name, text: &str| Seed::new("api", name, text);
    vec![
        request("ports", "GET /v1/ports HTTP/1.1\r\nHost: xrouter\r\n\r\n"),
        request("route", "GET /v1/routes/10.1.0.2 HTTP/1.1\r\nConnection: close\r\n\r\n"),
        request("page", "GET / HTTP/1.0\r\n\r\n"),
        request(
            "chunked",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ),
        request("address", "/2001:db8::1"),
        request("no-address", "/10.1.0.256"),
    ]
}

/// News of the kernel, one of each kind.
fn of_kernel() -> Vec<Seed> {
    let seed = |name, messages: Vec<RouteNetlinkMessage>| {
        let octets: Vec<_> = messages.into_iter().flat_map(message).collect();
        Seed::new("netlink", name, octets)
    };
    let route = RouteNetlinkMessage::NewRoute;
    vec![
        seed("routes", vec![route(one_gateway()), route(several_gateways())]),
        seed("route-gone", vec![RouteNetlinkMessage::DelRoute(one_gateway())]),
        seed("link", vec![RouteNetlinkMessage::NewLink(link())]),
        seed("address", vec![RouteNetlinkMessage::NewAddress(address())]),
        seed("neighbour", vec![RouteNetlinkMessage::NewNeighbour(neighbour())]),
        Seed::new("netlink", "objects", [object(&[5, 6]), object(&[3])].concat()),
    ]
}

fn message(message: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    octets
}

fn one_gateway() -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.kind = RouteType::Unicast;
    message.header.destination_prefix_length = 24;
    let [to, via] =
        [[203, 0, 113, 0], [10, 2, 0, 2]].map(|octets| RouteAddress::Inet(octets.into()));
    let (table, metric) = (RouteAttribute::Table(254), RouteAttribute::Priority(32));
    let (to, via) = (RouteAttribute::Destination(to), RouteAttribute::Gateway(via));
    message.attributes = vec![to, table, metric, via, RouteAttribute::Oif(3)];
    message
}

/// Over IPv6, and through a next-hop object.
fn several_gateways() -> RouteMessage {
    let mut message = one_gateway();
    message.attributes.truncate(3);
    let hop = |index: u32| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = index;
        hop.hops = 2;
        hop.attributes = vec![RouteAttribute::Via(RouteVia::Inet6([0xfe; 16].into()))];
        hop
    };
    message.attributes.push(RouteAttribute::MultiPath(vec![hop(3), hop(4)]));
    message.attributes.push(RouteAttribute::NhId(7));
    message
}

fn link() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = 3;
    let mac = LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]);
    message.attributes = vec![LinkAttribute::IfName("lan".into()), mac, LinkAttribute::Mtu(1500)];
    message
}

fn address() -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 24;
    message.attributes = vec![AddressAttribute::Local([10, 1, 0, 1].into())];
    message
}

fn neighbour() -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 1, 0, 9].into())),
        NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 9]),
    ];
    message
}

/// A next-hop object: a gateway, or a group of these. The library has no such message.
fn object(of: &[u32]) -> Vec<u8> {
    let attribute = |kind: u16, value: &[u8]| {
        let len = u16::try_from(value.len() + 4).expect("short");
        [&len.to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
    };
    let members: Vec<u8> =
        of.iter().flat_map(|id| [id.to_ne_bytes(), [1, 0, 0, 0]].concat()).collect();
    let leads = if of.len() > 1 {
        attribute(2, &members) // NHA_GROUP
    } else {
        [attribute(5, &members[..4]), attribute(6, &[10, 2, 0, 2])].concat() // NHA_OIF, NHA_GATEWAY
    };
    let body = [&[2, 0, 0, 0, 0, 0, 0, 0][..], &attribute(1, &7u32.to_ne_bytes()), &leads].concat();
    let len = u32::try_from(body.len() + 16).expect("short");
    let kind = [netlink::RTM_NEWNEXTHOP.to_ne_bytes(), [0, 0]].concat();
    [&len.to_ne_bytes()[..], &kind, &[0; 8], &body].concat()
}
