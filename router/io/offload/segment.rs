//! From the tap to the wire: a large TCP segment becomes frames, an unfinished checksum a finished
//! one, as a card with TSO would do it.
#![forbid(unsafe_code)]

use super::{GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, Header, network, u16_at};
use crate::frame::{Frame, NoRoom, Pool};
use crate::id::PortId;
use crate::packet::ethernet::ether_type;
use crate::packet::tcp::{self, flag};
use crate::packet::{checksum, ipv4, ipv6, transport, udp};

/// Who computes the TCP and UDP checksums that the kernel left open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// We do, here.
    Here,
    /// The egress does: frames whose checksum it can find are marked unfinished.
    Egress,
}

/// What the kernel asked for makes no sense. It says nothing of the packet's sender.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error, Debug)]
pub enum Malformed {
    /// A kind of segmentation that we did not offer, or not the packet's.
    #[error("segmentation of another kind than the packet's")]
    Kind,
    /// The checksum lies outside the packet, or where TCP has none.
    #[error("the checksum's place is not in the packet")]
    Checksum,
    /// The TCP or IP header is cut short, or nothing follows it.
    #[error("headers cut short")]
    Headers,
    /// Segments of no octets, or of more than IP can carry.
    #[error("impossible segment size")]
    Size,
}

/// The frames that one packet from a tap makes, one after the other. The packet's buffer is
/// consumed: each segment's headers are written right before its data, over data that has left
/// already, so that every frame is one copy.
#[derive(Debug)]
pub struct Segments<'p> {
    packet: &'p mut [u8],
    finish: Finish,
    work: Work,
}

#[derive(Clone, Copy, Debug)]
enum Work {
    /// One frame as it is, with a checksum to be finished or none.
    Whole(Option<Open>),
    Cut(Cut),
    Done,
}

/// A checksum to be finished.
#[derive(Clone, Copy, Debug)]
struct Open {
    start: usize,
    field: usize,
}

/// A TCP segment being cut. All places are octets from the start of the frame.
#[derive(Clone, Copy, Debug)]
struct Cut {
    network: usize,
    is_v4: bool,
    transport: usize,
    /// Length of all headers.
    headers: usize,
    /// Data in each segment but the last.
    size: usize,
    /// The flags of the whole.
    flags: u8,
    /// The pseudo-header's sum, but for the length.
    pseudo: u32,
    /// Where the next segment's data start, in octets from the start of the buffer.
    at: usize,
}

impl<'p> Segments<'p> {
    /// The frames of `packet`, which was read with `header`.
    ///
    /// # Errors
    /// [`Malformed`]: nothing of it can be sent.
    pub fn new(header: &Header, packet: &'p mut [u8], finish: Finish) -> Result<Self, Malformed> {
        let work = match header.gso_type {
            GSO_NONE if header.needs_checksum() => Work::Whole(Some(Open::find(header, packet)?)),
            GSO_NONE => Work::Whole(None),
            _ => Work::Cut(Cut::find(header, packet)?),
        };
        Ok(Self { packet, finish, work })
    }

    /// The next frame, made for `port`. `NoRoom` for one that had to be left out, because the pool
    /// is empty or its chunks are too small; the next may fit again.
    pub fn next<'umem>(
        &mut self,
        pool: &mut Pool<'umem>,
        port: PortId,
    ) -> Option<Result<Frame<'umem>, NoRoom>> {
        match self.work {
            Work::Done => None,
            Work::Whole(open) => {
                self.work = Work::Done;
                Some(copy(self.packet, open, self.finish, pool, port))
            }
            Work::Cut(cut) => {
                let end = self.packet.len().min(cut.at + cut.size);
                cut.patch(self.packet, end);
                let segment = &self.packet[cut.at - cut.headers..end];
                let open = Open { start: cut.transport, field: cut.transport + tcp::CHECKSUM };
                let frame = copy(segment, Some(open), self.finish, pool, port);
                self.work = cut.advance(self.packet, end);
                Some(frame)
            }
        }
    }
}

impl Open {
    fn find(header: &Header, packet: &[u8]) -> Result<Self, Malformed> {
        let start = usize::from(header.csum_start);
        let field = start + usize::from(header.csum_offset);
        if field + 2 > packet.len() {
            return Err(Malformed::Checksum);
        }
        Ok(Self { start, field })
    }

    /// Whether this is the TCP or UDP checksum of the packet itself, which an egress finds again:
    /// not that of a packet in a tunnel, say.
    fn is_plain(self, frame: &[u8]) -> bool {
        let Some((network, _)) = network(frame) else { return false };
        transport::is_unfinished(&frame[network..]).is_some_and(|found| {
            let start = network + usize::from(found.start);
            (start, start + usize::from(found.offset)) == (self.start, self.field)
        })
    }

    /// The field holds the pseudo-header's sum, so a sum over everything from `start` on counts it.
    fn finish(self, frame: &mut [u8]) {
        let checksum = match checksum::of(&frame[self.start..]) {
            // RFC 768: an all zero UDP checksum means that there is none. For TCP the two are one.
            0 if self.field - self.start == udp::CHECKSUM => 0xffff,
            checksum => checksum,
        };
        put(frame, self.field, &checksum.to_be_bytes());
    }
}

fn copy<'umem>(
    packet: &[u8],
    open: Option<Open>,
    finish: Finish,
    pool: &mut Pool<'umem>,
    port: PortId,
) -> Result<Frame<'umem>, NoRoom> {
    let mut frame = pool.copy_of(packet, port)?;
    match open {
        Some(open) if finish == Finish::Egress && open.is_plain(frame.bytes()) => {
            frame.mark_unfinished(true);
        }
        Some(open) => open.finish(frame.bytes_mut()),
        None => {}
    }
    Ok(frame)
}

impl Cut {
    fn find(header: &Header, packet: &[u8]) -> Result<Self, Malformed> {
        let (network, ether_type) = network(packet).ok_or(Malformed::Headers)?;
        let is_v4 = match (header.gso_type & !GSO_ECN, ether_type) {
            (GSO_TCPV4, ether_type::IPV4) => true,
            (GSO_TCPV6, ether_type::IPV6) => false,
            _ => return Err(Malformed::Kind),
        };
        let transport = usize::from(header.csum_start);
        if !header.needs_checksum() || usize::from(header.csum_offset) != tcp::CHECKSUM {
            return Err(Malformed::Checksum);
        }
        let shortest = if is_v4 { ipv4::HEADER } else { ipv6::HEADER };
        if transport < network + shortest {
            return Err(Malformed::Headers);
        }
        let segment = packet.get(transport..).ok_or(Malformed::Headers)?;
        let view = tcp::View::new(segment).ok_or(Malformed::Headers)?;
        let headers = transport + view.header_len();
        let size = usize::from(header.gso_size);
        if headers == packet.len() {
            return Err(Malformed::Headers);
        }
        if size == 0 || headers - network + size > usize::from(u16::MAX) {
            return Err(Malformed::Size);
        }
        let pseudo = without_len(segment)?;
        let flags = view.flags();
        Ok(Self { network, is_v4, transport, headers, size, flags, pseudo, at: headers })
    }

    /// Write the headers of the segment whose data are `at..end` right before them. What changes
    /// from one to the next by counting, `advance` has counted.
    fn patch(&self, packet: &mut [u8], end: usize) {
        let (is_first, is_last) = (self.at == self.headers, end == packet.len());
        let data = end - self.at;
        let frame = &mut packet[self.at - self.headers..self.at];
        let (lower, tcp) = frame.split_at_mut(self.transport);
        let ip = &mut lower[self.network..];
        if self.is_v4 {
            put(ip, 2, &octets(self.headers - self.network + data));
            ipv4::write_checksum(ip);
        } else {
            put(ip, 4, &octets(self.headers - self.network - ipv6::HEADER + data));
        }
        tcp[13] = self.flags_of(is_first, is_last);
        let len =
            checksum::combine(self.pseudo, u32::from(u16::from_be_bytes(octets(tcp.len() + data))));
        put(tcp, tcp::CHECKSUM, &checksum::fold(len).to_be_bytes());
    }

    /// RFC 3168 6.1.2: CWR once, so in the first. FIN and PSH speak of the end of the data.
    fn flags_of(&self, is_first: bool, is_last: bool) -> u8 {
        let mut flags = self.flags;
        if !is_first {
            flags &= !flag::CWR;
        }
        if !is_last {
            flags &= !(flag::FIN | flag::PSH);
        }
        flags
    }

    /// Copy the headers to where the next segment's belong and count in them.
    fn advance(mut self, packet: &mut [u8], end: usize) -> Work {
        if end == packet.len() {
            return Work::Done;
        }
        let (old, new) = (self.at - self.headers, end - self.headers);
        packet.copy_within(old..self.at, new);
        let frame = &mut packet[new..end];
        if self.is_v4 {
            // RFC 6864: only the IDs of fragmentable datagrams matter, but those must differ.
            add16(&mut frame[self.network + 4..]);
        }
        add32(&mut frame[self.transport + 4..], end - self.at);
        self.at = end;
        Work::Cut(self)
    }
}

/// The pseudo-header's sum that stands in the checksum field of `segment`, without the length. So
/// the addresses need not be known: with a routing header they are not those of the IPv6 header.
fn without_len(segment: &[u8]) -> Result<u32, Malformed> {
    let field = u16_at(segment, tcp::CHECKSUM).ok_or(Malformed::Headers)?;
    let len = u32::try_from(segment.len()).map_err(|_| Malformed::Size)?;
    Ok(checksum::combine(u32::from(field), u32::from(!checksum::fold(len))))
}

/// A length as it is written in a header; `Cut::find` has checked that it fits.
fn octets(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn add16(octets: &mut [u8]) {
    if let Some(field) = octets.first_chunk_mut() {
        *field = u16::from_be_bytes(*field).wrapping_add(1).to_be_bytes();
    }
}

/// Sequence numbers are modulo 2^32 (RFC 9293 3.4).
fn add32(octets: &mut [u8], n: usize) {
    if let (Some(field), Ok(n)) = (octets.first_chunk_mut(), u32::try_from(n)) {
        *field = u32::from_be_bytes(*field).wrapping_add(n).to_be_bytes();
    }
}

fn put(out: &mut [u8], at: usize, octets: &[u8]) {
    out[at..at + octets.len()].copy_from_slice(octets);
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
