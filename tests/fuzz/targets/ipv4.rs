//! IPv4 packets, their options, and ICMP in them.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use xrouter::packet::flow::FlowKey;
use xrouter::packet::icmpv4::{self, Error, Unreachable};
use xrouter::packet::ipv4::{self, Header};
use xrouter::packet::ipv4_options::{Place, Requests, Walk, fill, has_source_route, kind};
use xrouter::packet::{checksum, protocol};

use super::octets::assert_within;

/// `packet` starts with an IP header.
pub fn run(packet: &[u8]) {
    let Ok(view) = ipv4::View::new(packet) else { return };
    let parts = [view.datagram(), view.header(), view.payload(), view.options()];
    parts.iter().for_each(|part| assert_within(part, packet));
    assert_eq!([view.header(), view.payload()].concat(), view.datagram());
    assert_eq!(view.total_len(), view.datagram().len());
    assert!(view.is_fragment() || !view.more_fragments());
    let mut datagram = view.datagram().to_vec();
    ipv4::write_checksum(&mut datagram[..view.header_len()]);
    written_again(&view, &datagram);
    one_hop_less(&view, &mut datagram);
    options(view.options());
    if view.protocol() == protocol::ICMP {
        icmp(view.payload());
    }
    errors(view.datagram());
}

/// `datagram` is what `view` sees, with a right checksum.
fn written_again(view: &ipv4::View, datagram: &[u8]) {
    let reserved_flag = datagram[6] & 0x80 != 0;
    if view.header_len() > ipv4::HEADER || reserved_flag {
        return; // A `Header` cannot say this.
    }
    let header = Header {
        dscp_ecn: view.dscp_ecn(),
        payload_len: u16::try_from(view.payload().len()).expect("from 16 bits"),
        id: view.id(),
        dont_fragment: view.dont_fragment(),
        more_fragments: view.more_fragments(),
        fragment_offset: u16::try_from(view.fragment_offset()).expect("13 bits and 3"),
        ttl: view.ttl(),
        protocol: view.protocol(),
        source: view.source(),
        destination: view.destination(),
    };
    let mut written = [0xa5; ipv4::HEADER];
    header.write(&mut written);
    assert_eq!(written, datagram[..ipv4::HEADER]);
}

/// The checksum mended by RFC 1624 is the one from scratch; the flow stays the same.
fn one_hop_less(view: &ipv4::View, datagram: &mut [u8]) {
    let key = FlowKey::of_ipv4(view);
    let header_len = view.header_len();
    let before = datagram.to_vec();
    let left = ipv4::decrement_ttl(datagram);
    assert_eq!(left, view.ttl().checked_sub(1));
    if left.is_none() {
        return assert_eq!(datagram, before);
    }
    let mut from_scratch = datagram.to_vec();
    ipv4::write_checksum(&mut from_scratch[..header_len]);
    assert_eq!(datagram, from_scratch);
    let forwarded = ipv4::View::new(datagram).expect("a right checksum");
    assert_eq!((FlowKey::of_ipv4(&forwarded), forwarded.payload()), (key, view.payload()));
}

/// A mistake lies in the options, and then nothing is written; else only into those that ask for
/// it, and behind the end of the list.
fn options(options: &[u8]) {
    let mut filled = options.to_vec();
    fill(&mut filled, Ipv4Addr::new(10, 2, 0, 1), u32::MAX, |named| named.octets()[0] == 10);
    match Requests::read(options) {
        Err(wrong) => {
            assert!(wrong < options.len());
            assert_eq!(filled, options);
        }
        Ok(requests) => {
            assert_eq!(requests.source_route.is_some(), has_source_route(options));
            let (before, after) = (places(options), places(&filled));
            assert_eq!(before, after);
            let changed = (0..options.len()).filter(|&at| options[at] != filled[at]);
            changed
                .for_each(|at| assert!(may_change(at, &before), "{options:02x?}, {filled:02x?}"));
        }
    }
}

fn places(options: &[u8]) -> Vec<Place> {
    let mut walk = Walk::default();
    std::iter::from_fn(|| walk.step(options).expect("no mistake in them")).collect()
}

/// An octet of an option that routers write to, or behind all options.
fn may_change(at: usize, places: &[Place]) -> bool {
    match places.iter().find(|place| at < place.end) {
        Some(place) => {
            at > place.start + 1 && matches!(place.kind, kind::RECORD_ROUTE | kind::TIMESTAMP)
        }
        None => true,
    }
}

fn icmp(message: &[u8]) {
    let Some(view) = icmpv4::View::new(message) else {
        return assert!(message.len() < icmpv4::HEADER);
    };
    assert_within(view.body(), message);
    assert_eq!(icmpv4::HEADER + view.body().len(), message.len());
    let known = icmpv4::Type::new(view.message_type());
    assert!(known.is_none_or(|kind| kind as u8 == view.message_type()));
    assert!(!(icmpv4::is_error(view.message_type()) && icmpv4::is_informational(message[0])));
}

/// An error about the packet quotes it and has a right checksum.
fn errors(quote: &[u8]) {
    let mtu = u16::from_be_bytes([quote[4], quote[5]]);
    let errors = [
        Error::Unreachable(Unreachable::Host),
        Error::FragmentationNeeded { mtu },
        Error::TimeExceeded,
        Error::ParameterProblem { pointer: quote[8] },
        Error::Redirect { gateway: Ipv4Addr::new(10, 1, 0, quote[8]) },
    ];
    let quote = &quote[..quote.len().min(icmpv4::ERROR_DATAGRAM_MAX)];
    let mut message = vec![0xa5; icmpv4::HEADER + quote.len()];
    for error in errors {
        assert_eq!(error.write(&mut message, quote), Some(message.len()));
        let view = icmpv4::View::new(&message).expect("we wrote it");
        let (kind, code) = error.type_and_code();
        assert_eq!((view.message_type(), view.code(), view.body()), (kind as u8, code, quote));
        assert_eq!(checksum::of(&message), 0, "with its checksum in place the sum is all ones");
    }
    assert_eq!(Error::TimeExceeded.write(&mut message[1..], quote), None);
}
