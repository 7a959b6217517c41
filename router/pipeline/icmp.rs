//! ICMP errors: a packet that is not forwarded becomes, in its own chunk, the message that tells
//! its sender why (RFC 792, RFC 1812 4.3, RFC 1191, RFC 4443 2.4 and 3, RFC 8201).
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frame::Frame;
use crate::id::PortId;
use crate::packet::ethernet::{self, ether_type};
use crate::packet::{icmpv4, icmpv6, ipv4, ipv6, protocol};

use super::budget::Kind;
use super::forward::{error_source4, error_source6};
use super::verdict::Refusal;
use super::{Local, Tables};

/// RFC 1812 4.3.2.5: errors go with precedence 6, internetwork control.
const PRECEDENCE_CONTROL: u8 = 0xc0;

/// Turn `frame` into the error that `refusal` asks for. False, and the frame is to be dropped, if
/// none may be sent, none can be, or the budget is spent.
pub(super) fn answer(
    frame: &mut Frame,
    refusal: Refusal,
    tables: &Tables,
    local: &mut Local,
) -> bool {
    let Some(packet) = ethernet::View::new(frame.bytes()) else { return false };
    if packet.destination().is_multicast() {
        return false; // RFC 1812 4.3.2.7, RFC 4443 2.4 (e.4)
    }
    let kind = packet.ether_type();
    let made = match kind {
        ether_type::IPV4 => answer4(frame, refusal, tables, local),
        ether_type::IPV6 => answer6(frame, refusal, tables, local),
        _ => None,
    };
    if made.is_some() {
        frame.mark_own();
        frame.mark_unfinished(false);
    }
    made.is_some()
}

/// The budget comes last: an error that is not sent for another reason does not cost anything.
fn within_budget(
    frame: &Frame,
    refusal: Refusal,
    host: IpAddr,
    tables: &Tables,
    local: &mut Local,
) -> Option<()> {
    let kind = if let Refusal::TooBig { .. } = refusal { Kind::TooBig } else { Kind::Other };
    let (port, seed) = (frame.ingress(), tables.snapshot.hash_seed);
    if local.icmp_errors.take(local.now, kind, port, host, seed) {
        return Some(());
    }
    local.counters.port(port).icmp_suppressed.add(1);
    None
}

fn answer4(frame: &mut Frame, refusal: Refusal, tables: &Tables, local: &mut Local) -> Option<()> {
    let offending = ipv4::View::new(frame.bytes().get(ethernet::HEADER..)?).ok()?;
    let sender = offending.source();
    let for_all = tables.snapshot.is_broadcast(offending.destination());
    if for_all || !may_answer4(&offending) {
        return None;
    }
    let from = error_source4(sender, frame.ingress(), tables)?;
    within_budget(frame, refusal, sender.into(), tables, local)?;
    write4(frame, from, sender, error4(refusal), local)
}

/// Turn `frame`, from its IP header on, into this message about it, from `from` to `sender`.
pub(super) fn write4(
    frame: &mut Frame,
    from: Ipv4Addr,
    sender: Ipv4Addr,
    error: icmpv4::Error,
    local: &mut Local,
) -> Option<()> {
    local.ip_id = local.ip_id.wrapping_add(1);
    let packet = enclose(frame, ipv4::HEADER + icmpv4::HEADER, icmpv4::ERROR_DATAGRAM_MAX)?;
    let (header, message) = packet.split_at_mut_checked(ipv4::HEADER)?;
    let length = u16::try_from(message.len()).ok()?;
    ipv4::Header {
        dscp_ecn: PRECEDENCE_CONTROL,
        id: local.ip_id,
        dont_fragment: false,
        ..ipv4::Header::new(from, sender, protocol::ICMP, length)
    }
    .write(header)?;
    error.write_header(message).map(drop)
}

/// RFC 1812 4.3.2.7: when no error may be sent; nor about a packet to all hosts of a subnet.
pub(super) fn may_answer4(offending: &ipv4::View) -> bool {
    let source = offending.source();
    let unicast = |address: Ipv4Addr| {
        let first = address.octets()[0];
        first != 0 && first != 127 && first < 224
    };
    let is_error = offending.protocol() == protocol::ICMP
        && offending.payload().first().is_none_or(|&kind| !icmpv4::is_informational(kind));
    unicast(source)
        && !offending.destination().is_multicast()
        && offending.fragment_offset() == 0
        && !is_error
}

fn error4(refusal: Refusal) -> icmpv4::Error {
    use icmpv4::{Error, Unreachable};
    match refusal {
        Refusal::TimeExceeded => Error::TimeExceeded,
        Refusal::NoRoute => Error::Unreachable(Unreachable::Net),
        Refusal::HostUnreachable | Refusal::BeyondScope => Error::Unreachable(Unreachable::Host),
        Refusal::Prohibited => Error::Unreachable(Unreachable::CommunicationProhibited),
        Refusal::TooBig { mtu } => Error::FragmentationNeeded { mtu },
        Refusal::ParameterProblem { pointer, .. } => {
            let [_, pointer] = pointer.to_be_bytes(); // a header has at most 60 octets
            Error::ParameterProblem { pointer }
        }
    }
}

fn answer6(frame: &mut Frame, refusal: Refusal, tables: &Tables, local: &mut Local) -> Option<()> {
    let offending = ipv6::View::new(frame.bytes().get(ethernet::HEADER..)?).ok()?;
    let sender = offending.source();
    if !may_answer6(&offending) {
        return None;
    }
    let from = error_source6(sender, frame.ingress(), tables)?;
    within_budget(frame, refusal, payer(sender, frame.ingress(), tables), tables, local)?;
    let packet = enclose(frame, ipv6::HEADER + icmpv6::HEADER, icmpv6::ERROR_PACKET_MAX)?;
    let (header, message) = packet.split_at_mut_checked(ipv6::HEADER)?;
    let length = u16::try_from(message.len()).ok()?;
    ipv6::Header::new(from, sender, protocol::ICMPV6, length).write(header)?;
    error6(refusal).write_header(message, from, sender).map(drop)
}

/// Whose bucket an error to `sender` is paid from. A subnet of ours is shared by many hosts, and
/// each pays for itself. One beyond is a customer's, who can take any address of it (RFC 8981), so
/// its /64 pays.
fn payer(sender: Ipv6Addr, arrived_by: PortId, tables: &Tables) -> IpAddr {
    let on_link = tables.snapshot.interface(arrived_by).is_some_and(|port| port.on_link6(sender));
    let keep = if on_link { u128::MAX } else { u128::MAX << 64 };
    Ipv6Addr::from_bits(sender.to_bits() & keep).into()
}

/// RFC 4443 2.4 (e): when no error may be sent. Of the anycast addresses that a source may not be,
/// those of our subnets beyond fe80:: have no route that leads out.
pub(super) fn may_answer6(offending: &ipv6::View) -> bool {
    let source = offending.source();
    let sender_is_one =
        !source.is_unspecified() && !source.is_multicast() && source != ipv6::LINK_LOCAL_ANYCAST;
    sender_is_one && !may_be_error(offending)
}

/// Whether the packet is an ICMPv6 error or a redirect (RFC 4443 2.4 (e.1), (e.2)), as far as it
/// tells. Of a later fragment, and of a packet whose headers are cut short, the last header that is
/// there names what is not: ICMPv6 could be an error. (Linux's `is_ineligible` lets a later fragment
/// of ICMPv6 pass.) Behind more headers than are looked at could be anything.
fn may_be_error(offending: &ipv6::View) -> bool {
    let upper = offending.upper_layer();
    let first = offending.packet().get(upper.offset).copied();
    if !upper.complete {
        return first.is_some_and(|next| next == protocol::ICMPV6 || ipv6::is_extension(next));
    }
    let kind = first.filter(|_| !upper.is_later_fragment());
    upper.protocol == protocol::ICMPV6
        && kind.is_none_or(|kind| icmpv6::is_error(kind) || kind == icmpv6::Type::Redirect as u8)
}

fn error6(refusal: Refusal) -> icmpv6::Error {
    use icmpv6::{Error, Unreachable};
    match refusal {
        Refusal::TimeExceeded => Error::TimeExceeded,
        Refusal::NoRoute => Error::Unreachable(Unreachable::NoRoute),
        Refusal::HostUnreachable => Error::Unreachable(Unreachable::Address),
        Refusal::Prohibited => Error::Unreachable(Unreachable::Prohibited),
        Refusal::BeyondScope => Error::Unreachable(Unreachable::BeyondScope),
        Refusal::TooBig { mtu } => Error::PacketTooBig { mtu: u32::from(mtu) },
        Refusal::ParameterProblem { pointer, code, .. } => {
            Error::ParameterProblem { code, pointer: u32::from(pointer) }
        }
    }
}

/// Put `added` octets between the Ethernet header and the packet, cut the whole to `longest`
/// octets of IP, and turn the Ethernet header round: a route will give it other addresses, a
/// link-local peer has none but these. Returns what follows the Ethernet header.
pub(super) fn enclose<'f>(
    frame: &'f mut Frame,
    added: usize,
    longest: usize,
) -> Option<&'f mut [u8]> {
    let old = ethernet::View::new(frame.bytes())?.header();
    frame.truncate(ethernet::HEADER + longest - added);
    frame.prepend(u16::try_from(added).ok()?).ok()?;
    let bytes = frame.bytes_mut();
    ethernet::write(bytes, old.source, old.destination, old.ether_type)?;
    bytes.get_mut(ethernet::HEADER..)
}
