//! Neighbour discovery for IPv6 over Ethernet (RFC 4861): messages that are valid, and those that
//! a router sends.
//!
//! Before working on this file, read RFC 4861 sections 4, 6.1 and 7.1. What is not valid by them
//! is silently discarded; most of the checks exist because someone was attacked without them.
#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

use super::ethernet::{self, MacAddress, ether_type};
use super::icmpv6::{self, Type};
use super::{ipv6, octets_at, protocol, put};

/// Length of the longest frame that a builder here makes, in octets.
pub const FRAME_MAX: usize = ethernet::HEADER + ipv6::HEADER + TARGET_MESSAGE + OPTION;

/// The hop limit that proves that no router has forwarded a message.
const HOP_LIMIT: u8 = 255;
/// Length of a solicitation or advertisement of a neighbour before its options.
const TARGET_MESSAGE: usize = 24;
/// Length of a link-layer address option for Ethernet.
const OPTION: usize = 8;

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Which check of RFC 4861 6.1 or 7.1 a message failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// It is no message of neighbour discovery at all.
    Foreign,
    /// In a fragment, which no such message may be (RFC 6980 section 5).
    Fragment,
    /// The hop limit is not 255: it comes from another link.
    HopLimit,
    /// The checksum is not right.
    Checksum,
    /// The code is not 0.
    Code,
    /// Shorter than the type demands.
    Length,
    /// The target is a multicast address.
    TargetMulticast,
    /// An option has the length 0, or ends after the message.
    OptionLength,
    /// A solicitation from :: has a source link-layer address.
    UnspecifiedWithLinkLayer,
    /// A solicitation from :: does not go to a solicited-node group.
    UnspecifiedNotSolicitedNode,
    /// An advertisement to a group says that it was solicited.
    SolicitedMulticast,
    /// A router's message does not come from a link-local address.
    SourceNotLinkLocal,
}

/// A valid message. What it says about addresses is still to be believed or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// Which routers are there?
    RouterSolicitation {
        /// The sender's hardware address, if it gives one.
        source_mac: Option<MacAddress>,
    },
    /// A router presents itself. A router does not listen to it.
    RouterAdvertisement,
    /// Who has `target`? Or, from ::, has nobody?
    NeighbourSolicitation(Solicitation),
    /// I have.
    NeighbourAdvertisement(Advertisement),
    /// There is a better first hop. A router does not listen to it (RFC 4861 8.2).
    Redirect,
}

/// What a neighbour solicitation says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Solicitation {
    /// The address asked for.
    pub target: Ipv6Addr,
    /// The sender's hardware address, if it gives one.
    pub source_mac: Option<MacAddress>,
}

/// What a neighbour advertisement says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advertisement {
    /// The address whose owner speaks.
    pub target: Ipv6Addr,
    /// Its hardware address, if it gives one.
    pub target_mac: Option<MacAddress>,
    /// R: the sender is a router.
    pub router: bool,
    /// S: this answers a solicitation.
    pub solicited: bool,
    /// O: replace the hardware address known before.
    pub overrides: bool,
}

/// Whether an ICMPv6 message of this type belongs to neighbour discovery.
#[inline]
pub fn is_ndp(message_type: u8) -> bool {
    (133..=137).contains(&message_type)
}

impl Message {
    /// Read the message that `packet` carries.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn parse(packet: &ipv6::View) -> Result<Self, Malformed> {
        let upper = packet.upper_layer();
        if upper.protocol != protocol::ICMPV6 || !upper.complete {
            return Err(Malformed::Foreign);
        }
        if upper.fragment.is_some() {
            return Err(Malformed::Fragment);
        }
        let message = packet.packet().get(upper.offset..).unwrap_or_default();
        let kind = message.first().and_then(|&number| Type::new(number));
        let kind = kind.filter(|&kind| is_ndp(kind as u8)).ok_or(Malformed::Foreign)?;
        let body = check_common(packet, message, kind)?;
        match kind {
            Type::NeighbourSolicitation => solicitation(packet, body),
            Type::NeighbourAdvertisement => advertisement(packet, body),
            Type::RouterSolicitation => router_solicitation(packet, body),
            _ if !ipv6::is_link_local(packet.source()) => Err(Malformed::SourceNotLinkLocal),
            Type::Redirect => Ok(Self::Redirect),
            _ => Ok(Self::RouterAdvertisement),
        }
    }
}

/// The parts of a message behind its first four octets.
struct Body<'a> {
    /// As long as the type demands, less those four octets.
    fixed: &'a [u8],
    source_mac: Option<MacAddress>,
    target_mac: Option<MacAddress>,
}

impl Body<'_> {
    /// The target of a message of [`TARGET_MESSAGE`] octets.
    fn target(&self) -> Result<Ipv6Addr, Malformed> {
        let target = Ipv6Addr::from_octets(octets_at(self.fixed, 4));
        if target.is_multicast() { Err(Malformed::TargetMulticast) } else { Ok(target) }
    }

    /// All included options have a length that is greater than zero. Others than the link-layer
    /// addresses are passed over; of two of one kind the first counts.
    fn read_options(&mut self, mut options: &[u8]) -> Result<(), Malformed> {
        while let Some(&kind) = options.first() {
            let len = usize::from(*options.get(1).ok_or(Malformed::OptionLength)?) * 8;
            let (option, rest) = options.split_at_checked(len).ok_or(Malformed::OptionLength)?;
            let mac = option.first_chunk::<OPTION>().ok_or(Malformed::OptionLength)?;
            let mac = (len == OPTION).then(|| MacAddress(octets_at(mac, 2)));
            match kind {
                SOURCE_LINK_LAYER => self.source_mac = self.source_mac.or(mac),
                TARGET_LINK_LAYER => self.target_mac = self.target_mac.or(mac),
                _ => {}
            }
            options = rest;
        }
        Ok(())
    }
}

/// What RFC 4861 6.1.1, 6.1.2, 7.1.1, 7.1.2 and 8.1 have in common.
fn check_common<'a>(
    packet: &ipv6::View,
    message: &'a [u8],
    kind: Type,
) -> Result<Body<'a>, Malformed> {
    // The IP Hop Limit field has a value of 255, i.e., the packet could not possibly have been
    // forwarded by a router.
    if packet.hop_limit() != HOP_LIMIT {
        return Err(Malformed::HopLimit);
    }
    // ICMP Checksum is valid.
    if !icmpv6::is_checksum_valid(message, packet.source(), packet.destination()) {
        return Err(Malformed::Checksum);
    }
    // ICMP Code is 0.
    if message.get(1) != Some(&0) {
        return Err(Malformed::Code);
    }
    // ICMP length (derived from the IP length) is so many or more octets.
    let len = match kind {
        Type::RouterSolicitation => 8,
        Type::RouterAdvertisement => 16,
        Type::Redirect => 40,
        _ => TARGET_MESSAGE,
    };
    let (fixed, options) = message.split_at_checked(len).ok_or(Malformed::Length)?;
    let mut body = Body { fixed: &fixed[4..], source_mac: None, target_mac: None };
    body.read_options(options)?;
    Ok(body)
}

/// RFC 4861 7.1.1, the checks that are its own.
fn solicitation(packet: &ipv6::View, body: Body) -> Result<Message, Malformed> {
    // Target Address is not a multicast address.
    let target = body.target()?;
    if packet.source().is_unspecified() {
        // If the IP source address is the unspecified address, the IP destination address is a
        // solicited-node multicast address.
        if !is_solicited_node(packet.destination()) {
            return Err(Malformed::UnspecifiedNotSolicitedNode);
        }
        // If the IP source address is the unspecified address, there is no source link-layer
        // address option in the message.
        if body.source_mac.is_some() {
            return Err(Malformed::UnspecifiedWithLinkLayer);
        }
    }
    let source_mac = body.source_mac;
    Ok(Message::NeighbourSolicitation(Solicitation { target, source_mac }))
}

/// RFC 4861 7.1.2, the checks that are its own.
fn advertisement(packet: &ipv6::View, body: Body) -> Result<Message, Malformed> {
    let target = body.target()?;
    let flags = body.fixed[0];
    let solicited = flags & SOLICITED != 0;
    // If the IP Destination Address is a multicast address the Solicited flag is zero.
    if packet.destination().is_multicast() && solicited {
        return Err(Malformed::SolicitedMulticast);
    }
    Ok(Message::NeighbourAdvertisement(Advertisement {
        target,
        target_mac: body.target_mac,
        router: flags & ROUTER != 0,
        solicited,
        overrides: flags & OVERRIDE != 0,
    }))
}

/// RFC 4861 6.1.1, the check that is its own.
fn router_solicitation(packet: &ipv6::View, body: Body) -> Result<Message, Malformed> {
    if packet.source().is_unspecified() && body.source_mac.is_some() {
        return Err(Malformed::UnspecifiedWithLinkLayer);
    }
    Ok(Message::RouterSolicitation { source_mac: body.source_mac })
}

/// Whether `address` is one of ff02::1:ff00:0/104 (RFC 4291 2.7.1).
fn is_solicited_node(address: Ipv6Addr) -> bool {
    let [.., a, b, c] = address.octets();
    let any_owner = Ipv6Addr::from_octets([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c]);
    address == ipv6::solicited_node(any_owner)
}

/// A station on the link: where frames to it go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Station {
    /// Its hardware address.
    pub mac: MacAddress,
    /// One of its addresses.
    pub address: Ipv6Addr,
}

impl Station {
    /// The group `group` as a receiver.
    fn group(group: Ipv6Addr) -> Self {
        Self { mac: MacAddress::for_ipv6_multicast(group), address: group }
    }
}

/// Write the frame by which `from` asks the solicited-node group who has `target` (RFC 4861
/// 7.2.2) to the front of `out`. Returns its length; nothing if there is no room.
pub fn solicit(out: &mut [u8], from: Station, target: Ipv6Addr) -> Option<usize> {
    let to = Station::group(ipv6::solicited_node(target));
    write_solicitation(out, from, to, target, Some(from.mac))
}

/// As [`solicit`], but asks only `target`, the station that had its address before: a probe (RFC
/// 4861 7.3.3).
pub fn probe(out: &mut [u8], from: Station, target: Station) -> Option<usize> {
    write_solicitation(out, from, target, target.address, Some(from.mac))
}

/// Write the frame by which `mac` asks whether `tentative` is free (duplicate address detection,
/// RFC 4862 5.4.2) to the front of `out`. Returns its length; nothing if there is no room.
pub fn detect_duplicate(out: &mut [u8], mac: MacAddress, tentative: Ipv6Addr) -> Option<usize> {
    let from = Station { mac, address: Ipv6Addr::UNSPECIFIED };
    let to = Station::group(ipv6::solicited_node(tentative));
    write_solicitation(out, from, to, tentative, None)
}

fn write_solicitation(
    out: &mut [u8],
    from: Station,
    to: Station,
    target: Ipv6Addr,
    source_mac: Option<MacAddress>,
) -> Option<usize> {
    let option = source_mac.map(|mac| (SOURCE_LINK_LAYER, mac));
    write_frame(out, from, to, Type::NeighbourSolicitation, 0, target, option)
}

/// Write the frame by which `from` answers a solicitation for its address to `to`, who sent it
/// (RFC 4861 7.2.4), to the front of `out`. Returns its length; nothing if there is no room.
/// A solicitation from :: is answered by [`announce`].
pub fn advertise(out: &mut [u8], from: Station, to: Station, router: bool) -> Option<usize> {
    write_advertisement(out, from, to, SOLICITED | router_flag(router))
}

/// Write the frame by which `from` tells all nodes on the link its hardware address (RFC 4861
/// 7.2.6; 7.2.4 for solicitations from ::) to the front of `out`. Returns its length; nothing if
/// there is no room.
pub fn announce(out: &mut [u8], from: Station, router: bool) -> Option<usize> {
    write_advertisement(out, from, Station::group(ipv6::ALL_NODES), router_flag(router))
}

fn router_flag(router: bool) -> u8 {
    if router { ROUTER } else { 0 }
}

fn write_advertisement(out: &mut [u8], from: Station, to: Station, flags: u8) -> Option<usize> {
    let option = Some((TARGET_LINK_LAYER, from.mac));
    let flags = flags | OVERRIDE;
    write_frame(out, from, to, Type::NeighbourAdvertisement, flags, from.address, option)
}

/// One frame of neighbour discovery, whole.
fn write_frame(
    out: &mut [u8],
    from: Station,
    to: Station,
    kind: Type,
    flags: u8,
    target: Ipv6Addr,
    option: Option<(u8, MacAddress)>,
) -> Option<usize> {
    let message_len = TARGET_MESSAGE + if option.is_some() { OPTION } else { 0 };
    let out = out.get_mut(..ethernet::HEADER + ipv6::HEADER + message_len)?;
    ethernet::write(out, to.mac, from.mac, ether_type::IPV6)?;
    let (header, message) = out[ethernet::HEADER..].split_at_mut(ipv6::HEADER);
    let payload_len = u16::try_from(message_len).ok()?;
    let ip = ipv6::Header::new(from.address, to.address, protocol::ICMPV6, payload_len);
    ipv6::Header { hop_limit: HOP_LIMIT, ..ip }.write(header)?;
    put(message, 0, &[kind as u8, 0, 0, 0, flags, 0, 0, 0]);
    put(message, 8, &target.octets());
    if let Some((kind, mac)) = option {
        put(message, TARGET_MESSAGE, &[kind, 1]);
        put(message, TARGET_MESSAGE + 2, &mac.octets());
    }
    icmpv6::write_checksum(message, from.address, to.address);
    Some(out.len())
}

#[cfg(test)]
mod tests;
