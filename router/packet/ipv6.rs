//! The IPv6 header and the walk over its extension headers (RFC 8200).
#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

use super::ethernet::MacAddress;
use super::{octets_at, protocol, put, u16_at, u32_at};

/// Length of the fixed header in octets.
pub const HEADER: usize = 40;
/// The smallest MTU that a link may have, in octets (RFC 8200 section 5).
pub const MTU_MIN: u16 = 1280;
/// Most extension headers that the walk passes: a packet with more is not worth more time. RFC
/// 8200 4.1 knows of seven.
pub const EXTENSION_HEADERS_MAX: usize = 8;

/// All nodes on the link (RFC 4291 2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers on the link (RFC 4291 2.7.1).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Any router of the link: the subnet-router anycast address of fe80::/64 (RFC 4291 2.6.1).
pub const LINK_LOCAL_ANYCAST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

const FRAGMENT_HEADER: usize = 8;

mod field {
    pub const PAYLOAD_LEN: usize = 4;
    pub const NEXT_HEADER: usize = 6;
    pub const HOP_LIMIT: usize = 7;
    pub const SOURCE: usize = 8;
    pub const DESTINATION: usize = 24;
}

/// Why octets are no IPv6 packet, in the order of the checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Fewer octets than a header has.
    Truncated,
    /// The version is not 6.
    Version,
    /// A payload length of 0 and hop-by-hop options: a jumbogram (RFC 2675), which no Ethernet
    /// link can carry, or a lie.
    Jumbogram,
    /// The payload length is more octets than there are.
    PayloadLength,
}

/// A packet with a whole, sensible header.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    fixed: &'a [u8; HEADER],
    /// Header and payload, as long as the header says.
    packet: &'a [u8],
}

impl<'a> View<'a> {
    /// Look at `bytes`, which start with the header, as a packet. What follows it, such as
    /// Ethernet padding, is cut off.
    ///
    /// # Errors
    /// The first check that fails.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk::<HEADER>().ok_or(Malformed::Truncated)?;
        if fixed[0] >> 4 != 6 {
            return Err(Malformed::Version);
        }
        let payload_len = usize::from(u16_at(fixed, field::PAYLOAD_LEN));
        if payload_len == 0 && fixed[field::NEXT_HEADER] == protocol::HOP_BY_HOP {
            return Err(Malformed::Jumbogram);
        }
        let packet = bytes.get(..HEADER + payload_len).ok_or(Malformed::PayloadLength)?;
        Ok(Self { fixed, packet })
    }

    /// Look at `bytes` as the quote of an ICMPv6 error: a packet that may be cut short after its
    /// header (RFC 4443 3). Nothing if it is no IPv6 header.
    pub fn quoted(bytes: &'a [u8]) -> Option<Self> {
        let fixed = bytes.first_chunk::<HEADER>()?;
        let total_len = HEADER + usize::from(u16_at(fixed, field::PAYLOAD_LEN));
        let packet = bytes.get(..total_len).unwrap_or(bytes);
        (fixed[0] >> 4 == 6).then_some(Self { fixed, packet })
    }

    /// Header and payload, without what followed them.
    #[inline]
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// Everything after the fixed header, extension headers first.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.packet[HEADER..]
    }

    /// Length of the packet with its header, in octets.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.packet.len()
    }

    /// DSCP (upper six bits) and ECN (lower two).
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.fixed[0] << 4 | self.fixed[1] >> 4
    }

    /// The flow label, 20 bits (RFC 6437).
    #[inline]
    pub fn flow_label(&self) -> u32 {
        u32_at(self.fixed, 0) & 0x000f_ffff
    }

    /// The first extension header or the upper layer; see [`super::protocol`].
    #[inline]
    pub fn next_header(&self) -> u8 {
        self.fixed[field::NEXT_HEADER]
    }

    /// How many more routers may forward the packet.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.fixed[field::HOP_LIMIT]
    }

    /// Who sent the packet.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(octets_at(self.fixed, field::SOURCE))
    }

    /// Who shall receive it; with a routing header, who shall receive it next.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(octets_at(self.fixed, field::DESTINATION))
    }

    /// The options of a hop-by-hop options header, without its first two octets; nothing if there
    /// is none, or none that lies in the packet.
    pub fn hop_by_hop_options(&self) -> Option<&'a [u8]> {
        if self.next_header() != protocol::HOP_BY_HOP {
            return None;
        }
        let len = (usize::from(*self.payload().get(1)?) + 1) * 8;
        self.payload().get(2..len)
    }

    /// Walk over the extension headers to the upper layer: no more than
    /// [`EXTENSION_HEADERS_MAX`] steps, each of at least 8 octets, never past the packet's end.
    pub fn upper_layer(&self) -> Upper {
        let mut at = Upper {
            protocol: self.next_header(),
            offset: HEADER,
            complete: false,
            fragment: None,
            routing: None,
        };
        for _ in 0..=EXTENSION_HEADERS_MAX {
            if !is_extension(at.protocol) || at.is_later_fragment() {
                at.complete = true;
                return at;
            }
            match at.step(self.packet) {
                Some(next) => at = next,
                None => return at,
            }
        }
        at
    }
}

/// Whether the walk knows how to pass a header with this number. Not ESP: what follows it is
/// encrypted.
#[inline]
pub fn is_extension(next_header: u8) -> bool {
    use protocol::{AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS | AUTHENTICATION)
}

/// Where the walk over the extension headers ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upper {
    /// The header found: TCP, UDP, ICMPv6, ESP, unknown, or "no next header". If the walk is not
    /// complete, the extension header that it could not pass.
    pub protocol: u8,
    /// Where that header starts, in octets from the start of the packet; at most the packet's
    /// length. For a fragment that is not the first: where its piece of the payload starts.
    pub offset: usize,
    /// Whether the walk came to an end. False if an extension header is cut short, or if there
    /// are more than [`EXTENSION_HEADERS_MAX`].
    pub complete: bool,
    /// The (last) fragment header passed.
    pub fragment: Option<Fragment>,
    /// The (last) routing header passed.
    pub routing: Option<Routing>,
}

/// What a fragment header says (RFC 8200 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Where in the fragmentable part this piece belongs, in octets.
    pub offset: usize,
    /// Whether this is not the last piece.
    pub more: bool,
    /// The same in all pieces of a packet.
    pub id: u32,
    /// The header that the fragmentable part starts with: the same in all pieces.
    pub next_header: u8,
}

/// What a routing header says (RFC 8200 4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Routing {
    /// Where the header starts, in octets from the start of the packet.
    pub offset: usize,
    /// Routing type; 0 is deprecated (RFC 5095).
    pub kind: u8,
    /// How many nodes are still to be visited.
    pub segments_left: u8,
}

impl Upper {
    /// Whether the packet is one piece of several. False for an atomic fragment (RFC 6946), which
    /// is a whole packet.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.more || fragment.offset != 0)
    }

    /// Whether the upper layer's header is in another packet.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }

    /// Pass the extension header that `self` stands at; nothing if it does not end in `packet`.
    fn step(mut self, packet: &[u8]) -> Option<Self> {
        let header = packet.get(self.offset..)?;
        let (&next, &len) = (header.first()?, header.get(1)?);
        let len = match self.protocol {
            // Its second octet is reserved.
            protocol::FRAGMENT => FRAGMENT_HEADER,
            // RFC 4302 2.2: in 4-octet units, minus 2.
            protocol::AUTHENTICATION => (usize::from(len) + 2) * 4,
            _ => (usize::from(len) + 1) * 8,
        };
        let header = header.get(..len)?;
        match self.protocol {
            protocol::FRAGMENT => self.fragment = Some(Fragment::read(header)),
            protocol::ROUTING => {
                let (kind, segments_left) = (header[2], header[3]);
                self.routing = Some(Routing { offset: self.offset, kind, segments_left });
            }
            _ => {}
        }
        self.protocol = next;
        self.offset += len;
        Some(self)
    }
}

impl Fragment {
    /// `header` is [`FRAGMENT_HEADER`] octets long.
    fn read(header: &[u8]) -> Self {
        let offset_and_more = u16_at(header, 2);
        Self {
            offset: usize::from(offset_and_more & !7),
            more: offset_and_more & 1 != 0,
            id: u32_at(header, 4),
            next_header: header[0],
        }
    }
}

/// Take one from the hop limit of the packet whose header `header` starts with. Returns what is
/// left; nothing, and nothing is changed, if it is 0 already or there is no whole header.
#[inline]
pub fn decrement_hop_limit(header: &mut [u8]) -> Option<u8> {
    let header = header.first_chunk_mut::<HEADER>()?;
    let left = header[field::HOP_LIMIT].checked_sub(1)?;
    header[field::HOP_LIMIT] = left;
    Some(left)
}

/// Give back the hop that [`decrement_hop_limit`] took. Nothing, and nothing is changed, if it can
/// have taken none.
pub fn restore_hop_limit(header: &mut [u8]) -> Option<()> {
    let header = header.first_chunk_mut::<HEADER>()?;
    header[field::HOP_LIMIT] = header[field::HOP_LIMIT].checked_add(1)?;
    Some(())
}

/// A header as values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// DSCP (upper six bits) and ECN (lower two).
    pub traffic_class: u8,
    /// The flow label; its upper 12 bits are not sent.
    pub flow_label: u32,
    /// Length of what follows the header, in octets.
    pub payload_len: u16,
    /// What follows the header; see [`super::protocol`].
    pub next_header: u8,
    /// How many routers may forward the packet.
    pub hop_limit: u8,
    /// Who sends the packet.
    pub source: Ipv6Addr,
    /// Who shall receive it.
    pub destination: Ipv6Addr,
}

impl Header {
    /// The header of a packet of our own, with a hop limit of 64.
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, payload_len: u16) -> Self {
        Self {
            traffic_class: 0,
            flow_label: 0,
            payload_len,
            next_header,
            hop_limit: 64,
            source,
            destination,
        }
    }

    /// Write the header to the front of `out`. Returns its length, [`HEADER`]; nothing if there
    /// is no room.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let header = out.first_chunk_mut::<HEADER>()?;
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0x000f_ffff;
        put(header, 0, &first.to_be_bytes());
        put(header, field::PAYLOAD_LEN, &self.payload_len.to_be_bytes());
        header[field::NEXT_HEADER] = self.next_header;
        header[field::HOP_LIMIT] = self.hop_limit;
        put(header, field::SOURCE, &self.source.octets());
        put(header, field::DESTINATION, &self.destination.octets());
        Some(HEADER)
    }
}

/// The group that the owner of `address` listens to for neighbour solicitations (RFC 4291 2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from_octets([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// Whether `address` is a unicast address of one link only, fe80::/10 (RFC 4291 2.5.6).
#[inline]
pub const fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// The link-local address made from `mac`: fe80::/64 and the modified EUI-64 (RFC 4291 appendix A,
/// RFC 2464 section 5).
pub const fn link_local_of(mac: MacAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.octets();
    Ipv6Addr::from_octets([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests;
