//! IPv6 packets, their hop-by-hop options, and ICMPv6 and neighbour discovery in them.
#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

use xrouter::packet::ethernet::{self, MacAddress};
use xrouter::packet::flow::FlowKey;
use xrouter::packet::hop_by_hop::Options;
use xrouter::packet::icmpv6::{self, Error, ParameterProblem, Unreachable};
use xrouter::packet::ipv6::{self, Header};
use xrouter::packet::ndp::{self, Message, Station};
use xrouter::packet::{checksum, protocol, redirect};

use super::octets::assert_within;

const MAC: MacAddress = MacAddress([2, 0, 0, 0, 1, 2]);

/// `packet` starts with an IPv6 header.
pub fn run(packet: &[u8]) {
    let Ok(view) = ipv6::View::new(packet) else { return };
    let options = view.hop_by_hop_options().unwrap_or_default();
    let parts = [view.packet(), view.payload(), options];
    parts.iter().filter(|part| !part.is_empty()).for_each(|part| assert_within(part, packet));
    assert_eq!(view.total_len(), ipv6::HEADER + view.payload().len());
    written_again(&view);
    upper_layer(&view);
    hop_by_hop(&view);
    one_hop_less(&view);
    discovery(&view);
    errors(&view);
    redirected(&view);
}

fn written_again(view: &ipv6::View) {
    let header = Header {
        traffic_class: view.traffic_class(),
        flow_label: view.flow_label(),
        payload_len: u16::try_from(view.payload().len()).expect("from 16 bits"),
        next_header: view.next_header(),
        hop_limit: view.hop_limit(),
        source: view.source(),
        destination: view.destination(),
    };
    let mut written = [0xa5; ipv6::HEADER];
    header.write(&mut written);
    assert_eq!(written, view.packet()[..ipv6::HEADER]);
}

/// The walk ends inside the packet, and what it says of the way agrees with where it ended.
fn upper_layer(view: &ipv6::View) {
    let upper = view.upper_layer();
    assert!((ipv6::HEADER..=view.total_len()).contains(&upper.offset));
    let walked = upper.offset - ipv6::HEADER;
    assert!(walked == 0 || walked >= 8);
    assert!(upper.fragment.is_none_or(|fragment| fragment.offset % 8 == 0));
    assert!(upper.routing.is_none_or(|routing| routing.offset + 8 <= upper.offset));
    assert!(upper.is_fragment() || !upper.is_later_fragment());
    if walked == 0 {
        assert_eq!(upper.protocol, view.next_header());
    }
}

/// Each option lies behind the one before, where its offset says, and nothing follows a mistake.
fn hop_by_hop(view: &ipv6::View) {
    let Some(options) = Options::of(view) else { return };
    let steps: Vec<_> = options.collect();
    assert!(steps.iter().rev().skip(1).all(|step| step.is_ok()));
    let mut end = ipv6::HEADER + 2;
    for option in steps.into_iter().flatten() {
        let offset = usize::from(option.offset);
        assert!(offset >= end);
        assert_eq!(view.packet()[offset], option.kind);
        end = offset + 2 + option.data.len();
        assert_eq!(view.packet()[offset + 2..end], *option.data);
    }
    assert!(end <= ipv6::HEADER + 8 + 8 * usize::from(view.packet()[ipv6::HEADER + 1]));
}

fn one_hop_less(view: &ipv6::View) {
    let mut packet = view.packet().to_vec();
    let left = ipv6::decrement_hop_limit(&mut packet);
    assert_eq!(left, view.hop_limit().checked_sub(1));
    let forwarded = ipv6::View::new(&packet).expect("only the hop limit has changed");
    assert_eq!(forwarded.payload(), view.payload());
    assert_eq!(FlowKey::of_ipv6(&forwarded), FlowKey::of_ipv6(view));
}

/// A message that is taken obeys RFC 4861, and one of our own that says the same is taken.
fn discovery(view: &ipv6::View) {
    let Ok(message) = Message::parse(view) else { return };
    assert_eq!(view.hop_limit(), 255);
    let upper = view.upper_layer();
    assert!((upper.protocol, upper.fragment) == (protocol::ICMPV6, None));
    match message {
        Message::NeighbourSolicitation(asked) => {
            assert!(!asked.target.is_multicast());
            assert!(asked.source_mac.is_none() || !view.source().is_unspecified());
            solicitation(Station { mac: MAC, address: view.source() }, asked.target);
        }
        Message::NeighbourAdvertisement(told) => {
            assert!(!(told.target.is_multicast()));
            assert!(!(told.solicited && view.destination().is_multicast()));
            advertisement(Station { mac: MAC, address: told.target }, told.router);
        }
        _ => {}
    }
}

fn solicitation(from: Station, target: Ipv6Addr) {
    let mut frame = [0xa5; ndp::FRAME_MAX];
    let own = if from.address.is_unspecified() {
        ndp::detect_duplicate(&mut frame, from.mac, target)
    } else {
        ndp::solicit(&mut frame, from, target)
    };
    let source_mac = (!from.address.is_unspecified()).then_some(from.mac);
    let asked = ndp::Solicitation { target, source_mac };
    let own = &frame[..own.expect("room for the longest")];
    assert_eq!(parsed(own), Ok(Message::NeighbourSolicitation(asked)));
}

fn advertisement(from: Station, router: bool) {
    let mut frame = [0xa5; ndp::FRAME_MAX];
    let own = ndp::announce(&mut frame, from, router).expect("room for the longest");
    let told = ndp::Advertisement {
        target: from.address,
        target_mac: Some(from.mac),
        router,
        solicited: false,
        overrides: true,
    };
    assert_eq!(parsed(&frame[..own]), Ok(Message::NeighbourAdvertisement(told)));
}

fn parsed(frame: &[u8]) -> Result<Message, ndp::Malformed> {
    Message::parse(&ipv6::View::new(&frame[ethernet::HEADER..]).expect("we wrote it"))
}

/// An error about the packet quotes it and has a right checksum.
fn errors(view: &ipv6::View) {
    let (from, to) = (view.destination(), view.source());
    let quote = &view.packet()[..view.total_len().min(icmpv6::ERROR_PACKET_MAX - 48)];
    let mut message = vec![0xa5; icmpv6::HEADER + quote.len()];
    let errors = [
        Error::Unreachable(Unreachable::NoRoute),
        Error::PacketTooBig { mtu: 1280 },
        Error::TimeExceeded,
        Error::ParameterProblem { code: ParameterProblem::Option, pointer: 40 },
    ];
    for error in errors {
        assert_eq!(error.write(&mut message, from, to, quote), Some(message.len()));
        let written = icmpv6::View::new(&message).expect("we wrote it");
        let (kind, code) = error.type_and_code();
        assert_eq!((written.message_type(), written.code()), (kind as u8, code));
        assert_eq!(written.body(), quote);
        assert_eq!(sum(&message, from, to), 0);
    }
}

/// A redirect quotes whole units of the packet, and is one to whoever gets it.
fn redirected(view: &ipv6::View) {
    let (from, to) = (ipv6::link_local_of(MAC), view.source());
    let better = Station { mac: MAC, address: view.destination() };
    let room = icmpv6::ERROR_PACKET_MAX - ipv6::HEADER - redirect::HEADER;
    let units = view.total_len().min(room) / redirect::QUOTE_UNIT;
    let quote = &view.packet()[..units * redirect::QUOTE_UNIT];
    let mut packet = [&[0xa5; ipv6::HEADER + redirect::HEADER], quote].concat();
    let (header, message) = packet.split_at_mut(ipv6::HEADER);
    let written = redirect::write(message, from, to, better, view.destination());
    assert_eq!((written, &message[redirect::HEADER..]), (Some(message.len()), quote));
    assert_eq!(sum(message, from, to), 0);
    let length = u16::try_from(message.len()).expect("short");
    let ip = Header::new(from, to, protocol::ICMPV6, length);
    Header { hop_limit: redirect::HOP_LIMIT, ..ip }.write(header).expect("room");
    let read = Message::parse(&ipv6::View::new(&packet).expect("we wrote it"));
    assert_eq!(read, Ok(Message::Redirect));
}

/// What the checksum of an ICMPv6 message would be now: nothing if it has a right one.
fn sum(message: &[u8], from: Ipv6Addr, to: Ipv6Addr) -> u16 {
    let len = u32::try_from(message.len()).expect("short");
    let pseudo = checksum::pseudo_v6(from, to, protocol::ICMPV6, len);
    checksum::finish(checksum::combine(pseudo, checksum::sum(message)))
}
