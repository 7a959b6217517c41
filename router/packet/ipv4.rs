//! The IPv4 header (RFC 791), checked as RFC 1812 5.2.2 wants it of a router.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use super::{checksum, octets_at, put, u16_at};

/// Length of a header without options, in octets.
pub const HEADER: usize = 20;
/// Length of the longest header, in octets.
pub const HEADER_MAX: usize = 60;
/// The smallest MTU that a link may have, in octets (RFC 791, section 3.2).
pub const MTU_MIN: u16 = 68;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

mod field {
    pub const VERSION_AND_LEN: usize = 0;
    pub const DSCP_ECN: usize = 1;
    pub const TOTAL_LEN: usize = 2;
    pub const ID: usize = 4;
    pub const FLAGS_AND_OFFSET: usize = 6;
    pub const TTL: usize = 8;
    pub const PROTOCOL: usize = 9;
    pub const CHECKSUM: usize = 10;
    pub const SOURCE: usize = 12;
    pub const DESTINATION: usize = 16;
}

/// Which check of RFC 1812 5.2.2 a packet failed. In the order they are made; the version and the
/// header length come before the checksum, which cannot be found without them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// (1) Fewer octets than a header without options has.
    Truncated,
    /// (3) The version is not 4.
    Version,
    /// (4) The header length is less than 20 octets, or more than there are.
    HeaderLength,
    /// (2) The checksum is not right.
    Checksum,
    /// (5) The total length is less than the header's, or more octets than there are.
    TotalLength,
}

/// A datagram with a valid header.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    fixed: &'a [u8; HEADER],
    /// Header and payload; its length is the header's total length.
    datagram: &'a [u8],
}

impl<'a> View<'a> {
    /// Look at `bytes`, which start with the header, as a datagram. What follows the datagram,
    /// such as Ethernet padding, is cut off.
    ///
    /// # Errors
    /// The first check of RFC 1812 5.2.2 that fails.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        // (1) The packet length reported by the Link Layer must be large enough to hold the
        // minimum length legal IP datagram (20 bytes).
        let fixed = bytes.first_chunk::<HEADER>().ok_or(Malformed::Truncated)?;
        // (3) The IP version number must be 4.
        if fixed[field::VERSION_AND_LEN] >> 4 != 4 {
            return Err(Malformed::Version);
        }
        // (4) The IP header length field must be large enough to hold the minimum length legal IP
        // datagram (20 bytes = 5 words).
        let header_len = header_len(fixed);
        let header = bytes.get(..header_len).ok_or(Malformed::HeaderLength)?;
        if header_len < HEADER {
            return Err(Malformed::HeaderLength);
        }
        // (2) The IP checksum must be correct. One's complement arithmetic has two zeros, and
        // either will do.
        // A header without options, as almost all are, is five words: no loop is needed.
        let sum = if header_len == HEADER { checksum::sum(fixed) } else { checksum::sum(header) };
        if !checksum::is_valid(sum) {
            return Err(Malformed::Checksum);
        }
        // (5) The IP total length field must be large enough to hold the IP datagram header, whose
        // length is specified in the IP header length field.
        let total_len = usize::from(u16_at(fixed, field::TOTAL_LEN));
        let datagram = bytes.get(..total_len).ok_or(Malformed::TotalLength)?;
        if total_len < header_len {
            return Err(Malformed::TotalLength);
        }
        Ok(Self { fixed, datagram })
    }

    /// Look at `bytes` as the quote of an ICMP error: a datagram that may be cut short after its
    /// header (RFC 1812 4.3.2.3), and whose checksum may not be that of the moment. Nothing if it
    /// is no IPv4 header.
    pub fn quoted(bytes: &'a [u8]) -> Option<Self> {
        let fixed = bytes.first_chunk::<HEADER>()?;
        let header_len = header_len(fixed);
        let is_header = fixed[field::VERSION_AND_LEN] >> 4 == 4 && header_len >= HEADER;
        let total_len = usize::from(u16_at(fixed, field::TOTAL_LEN)).max(header_len);
        let datagram = bytes.get(..total_len).unwrap_or(bytes);
        (is_header && header_len <= bytes.len()).then_some(Self { fixed, datagram })
    }

    /// Header and payload, without what followed them.
    #[inline]
    pub fn datagram(&self) -> &'a [u8] {
        self.datagram
    }

    /// The header with its options.
    #[inline]
    pub fn header(&self) -> &'a [u8] {
        &self.datagram[..self.header_len()]
    }

    /// What the header carries.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.datagram[self.header_len()..]
    }

    /// The options as they stand there, 0 to 40 octets.
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        &self.header()[HEADER..]
    }

    /// Length of the header with its options, in octets.
    #[inline]
    pub fn header_len(&self) -> usize {
        header_len(self.fixed)
    }

    /// Length of the datagram, in octets.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.datagram.len()
    }

    /// Differentiated services code point (upper six bits, RFC 2474) and ECN (lower two, RFC 3168).
    #[inline]
    pub fn dscp_ecn(&self) -> u8 {
        self.fixed[field::DSCP_ECN]
    }

    /// Identification: the same in all fragments of a datagram.
    #[inline]
    pub fn id(&self) -> u16 {
        u16_at(self.fixed, field::ID)
    }

    /// Whether no router may fragment the datagram.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.flags_and_offset() & DONT_FRAGMENT != 0
    }

    /// Whether this is a fragment and not the last.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.flags_and_offset() & MORE_FRAGMENTS != 0
    }

    /// Where in the whole datagram's payload this one belongs, in octets.
    #[inline]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.flags_and_offset() & FRAGMENT_OFFSET) * 8
    }

    /// Whether this is a piece of a datagram: the first, the last or any other.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.flags_and_offset() & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    /// Time to live, in hops.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.fixed[field::TTL]
    }

    /// What the payload is; see [`super::protocol`].
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.fixed[field::PROTOCOL]
    }

    /// Who sent the datagram.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(octets_at(self.fixed, field::SOURCE))
    }

    /// Who shall receive it.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(octets_at(self.fixed, field::DESTINATION))
    }

    #[inline]
    fn flags_and_offset(&self) -> u16 {
        u16_at(self.fixed, field::FLAGS_AND_OFFSET)
    }
}

#[inline]
fn header_len(fixed: &[u8; HEADER]) -> usize {
    usize::from(fixed[field::VERSION_AND_LEN] & 0x0f) * 4
}

/// Take one hop from the time to live of the packet whose header `header` starts with, and mend
/// the checksum (RFC 1812 5.3.1, RFC 1624). Returns what is left; nothing, and nothing is changed,
/// if the time to live is 0 already or there is no whole header.
#[inline]
pub fn decrement_ttl(header: &mut [u8]) -> Option<u8> {
    let header = header.first_chunk_mut::<HEADER>()?;
    // The word whose upper octet is the time to live, as a whole: a store of one octet and a load of
    // two would wait for each other.
    let old_word = u16_at(header, field::TTL);
    let new_word = old_word.checked_sub(0x0100)?;
    put(header, field::TTL, &new_word.to_be_bytes());
    let checksum = checksum::update16(u16_at(header, field::CHECKSUM), old_word, new_word);
    put(header, field::CHECKSUM, &checksum.to_be_bytes());
    Some(header[field::TTL])
}

/// A header without options, as values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Differentiated services code point (upper six bits) and ECN (lower two).
    pub dscp_ecn: u8,
    /// Length of what follows the header, in octets; no more than 65515.
    pub payload_len: u16,
    /// Identification; matters only where `dont_fragment` is false (RFC 6864).
    pub id: u16,
    /// No router may fragment the datagram.
    pub dont_fragment: bool,
    /// This is a fragment and not the last.
    pub more_fragments: bool,
    /// Where in the whole datagram's payload this one belongs, in octets; a multiple of 8.
    pub fragment_offset: u16,
    /// Time to live, in hops.
    pub ttl: u8,
    /// What the payload is; see [`super::protocol`].
    pub protocol: u8,
    /// Who sends the datagram.
    pub source: Ipv4Addr,
    /// Who shall receive it.
    pub destination: Ipv4Addr,
}

impl Header {
    /// The header of a datagram of our own: 64 hops, not fragmented, and by nobody to be.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload_len: u16) -> Self {
        Self {
            dscp_ecn: 0,
            payload_len,
            id: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol,
            source,
            destination,
        }
    }

    /// Write the header with its checksum to the front of `out`. Returns its length, [`HEADER`];
    /// nothing if there is no room, or if the datagram would be longer than 65535 octets.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let header = out.first_chunk_mut::<HEADER>()?;
        let total_len = u16::try_from(HEADER + usize::from(self.payload_len)).ok()?;
        header[field::VERSION_AND_LEN] = 0x45;
        header[field::DSCP_ECN] = self.dscp_ecn;
        put(header, field::TOTAL_LEN, &total_len.to_be_bytes());
        put(header, field::ID, &self.id.to_be_bytes());
        put(header, field::FLAGS_AND_OFFSET, &self.flags_and_offset().to_be_bytes());
        header[field::TTL] = self.ttl;
        header[field::PROTOCOL] = self.protocol;
        put(header, field::SOURCE, &self.source.octets());
        put(header, field::DESTINATION, &self.destination.octets());
        write_checksum(header);
        Some(HEADER)
    }

    fn flags_and_offset(&self) -> u16 {
        let dont_fragment = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        let more_fragments = if self.more_fragments { MORE_FRAGMENTS } else { 0 };
        dont_fragment | more_fragments | (self.fragment_offset / 8)
    }
}

/// Write the checksum over `header`, a whole header with its options, into its place. Shorter than
/// 20 octets it stays as it is.
pub fn write_checksum(header: &mut [u8]) {
    if header.len() >= HEADER {
        put(header, field::CHECKSUM, &[0, 0]);
        let checksum = checksum::of(header);
        put(header, field::CHECKSUM, &checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
