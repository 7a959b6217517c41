//! From the wire up the tap: consecutive segments of a TCP flow become one packet, as a card with
//! LRO or the kernel's GRO would do it, and cost one system call and one walk through the stack.
//!
//! Before working here, read `tcp_gro_receive` in `net/ipv4/tcp_offload.c`: what may be merged is
//! what it merges, so that the whole can be cut into the very same segments again.
#![forbid(unsafe_code)]

use std::io::IoSlice;

use arrayvec::ArrayVec;

use super::{GSO_TCPV4, GSO_TCPV6, Header, NEEDS_CSUM, network};
use crate::frame::{Frame, Pool};
use crate::io::tap::{Queue, WriteError};
use crate::packet::ethernet::{self, ether_type};
use crate::packet::tcp::{self, flag};
use crate::packet::{checksum, ipv4, ipv6, protocol, transport};

/// Most segments in one packet: what 64 KB hold of the usual size.
pub const SEGMENTS_MAX: usize = 44;

/// Ethernet, the longer of the two IP headers without options, TCP with all options.
const HEADERS_MAX: usize = ethernet::HEADER + ipv6::HEADER + 60;

/// Where packets for the kernel go: a tap's queue, or a list in a test.
pub trait Sink {
    /// Hand over one packet, which lies in the `pieces` in order.
    ///
    /// # Errors
    /// [`WriteError`]: nothing of it went.
    fn write(&self, header: &Header, pieces: &[IoSlice<'_>]) -> Result<(), WriteError>;
}

impl Sink for Queue {
    fn write(&self, header: &Header, pieces: &[IoSlice<'_>]) -> Result<(), WriteError> {
        Queue::write(self, header, pieces)
    }
}

/// Write `frames`, which are for the same tap, in their order, and give them back to the `pool`.
/// `done` hears of each what became of it. Segments that follow each other directly and belong
/// together go as one. After each write `go_on` is asked; if it says no, the rest stays.
pub fn write_all<'umem, const N: usize>(
    sink: &impl Sink,
    frames: &mut ArrayVec<Frame<'umem>, N>,
    pool: &mut Pool<'umem>,
    mut done: impl FnMut(&Frame<'umem>, Result<(), WriteError>),
    mut go_on: impl FnMut() -> bool,
) {
    let mut rest = frames.as_slice();
    let mut fate = Ok(());
    while !rest.is_empty() {
        let run = Run::at_front_of(rest);
        let (front, behind) = rest.split_at(run.as_ref().map_or(1, |run| run.segments));
        // A tap that is down stays down for the rest of the batch: no further calls.
        if fate != Err(WriteError::Down) {
            fate = match run {
                Some(run) => run.write(sink, front),
                None => write_one(sink, &front[0]),
            };
        }
        front.iter().for_each(|frame| done(frame, fate));
        rest = behind;
        if !go_on() {
            break;
        }
    }
    let written = frames.len() - rest.len();
    for frame in frames.drain(..written) {
        pool.give(frame);
    }
}

/// A frame as it is; if its checksum is unfinished, the kernel is told so.
fn write_one(sink: &impl Sink, frame: &Frame) -> Result<(), WriteError> {
    let header = frame.unfinished_checksum().then(|| unfinished(frame.bytes())).flatten();
    sink.write(&header.unwrap_or_default(), &[IoSlice::new(frame.bytes())])
}

fn unfinished(frame: &[u8]) -> Option<Header> {
    let (network, _) = network(frame)?;
    let found = transport::is_unfinished(&frame[network..])?;
    Some(Header {
        flags: NEEDS_CSUM,
        csum_start: u16::try_from(network).ok()? + found.start,
        csum_offset: found.offset,
        ..Header::default()
    })
}

/// A TCP segment with data, in a frame that may be merged.
#[derive(Clone, Copy, Debug)]
struct Segment<'f> {
    frame: &'f [u8],
    is_v4: bool,
    /// Where the TCP header and the data start, in octets from the start of the frame, and where
    /// the data end: before the padding, if there is any.
    transport: usize,
    data: usize,
    end: usize,
    tcp: tcp::View<'f>,
}

/// What may vary within a run, or say that it ends. All else, or a difference, is not merged.
const MERGEABLE: u8 = flag::ACK | flag::ECE | FINAL;
const FINAL: u8 = flag::PSH | flag::FIN;

impl<'f> Segment<'f> {
    fn new(frame: &'f [u8]) -> Option<Self> {
        let header = ethernet::View::new(frame)?;
        let (is_v4, transport, end) = match header.ether_type() {
            ether_type::IPV4 => in_ipv4(header.payload())?,
            ether_type::IPV6 => in_ipv6(header.payload())?,
            _ => return None,
        };
        let (transport, end) = (ethernet::HEADER + transport, ethernet::HEADER + end);
        let tcp = tcp::View::new(&frame[transport..end])?;
        let data = transport + tcp.header_len();
        let fits = tcp.flags() & flag::ACK != 0 && tcp.flags() & !MERGEABLE == 0 && data < end;
        fits.then_some(Self { frame, is_v4, transport, data, end, tcp })
    }

    fn len(&self) -> usize {
        self.end - self.data
    }

    /// Whether the flow's other segments cannot follow this one in a packet.
    fn is_final(&self) -> bool {
        self.tcp.flags() & FINAL != 0
    }

    /// Whether all that one header says for both is the same: addresses, ports, acknowledgement,
    /// window, options, TOS or class and label, TTL. Not: ID, lengths, checksums, sequence, FIN
    /// and PSH.
    fn is_alike(&self, other: &Self) -> bool {
        let same = |range: std::ops::Range<usize>| self.frame[range.clone()] == other.frame[range];
        let tcp = self.transport;
        let ip = ethernet::HEADER;
        let lower = if self.is_v4 {
            same(0..ip + 2) && same(ip + 6..ip + 10) && same(ip + 12..tcp)
        } else {
            same(0..ip + 4) && same(ip + 6..tcp)
        };
        (self.is_v4, self.transport, self.data) == (other.is_v4, other.transport, other.data)
            && lower
            && same(tcp..tcp + 4)
            && same(tcp + 8..tcp + 13)
            && (self.tcp.flags() | FINAL) == (other.tcp.flags() | FINAL)
            && same(tcp + 14..tcp + 16)
            && same(tcp + 18..self.data)
    }

    /// The sum over the pseudo-header for a TCP header with `data` octets of data.
    fn pseudo(&self, data: usize) -> u32 {
        let len = u16::try_from(self.data - self.transport + data).unwrap_or(u16::MAX);
        // The addresses stand right before the TCP header in both: no options, no extensions.
        let addresses = if self.is_v4 { 8 } else { 32 };
        let sum = checksum::sum(&self.frame[self.transport - addresses..self.transport]);
        sum + u32::from(protocol::TCP) + u32::from(len)
    }

    /// Whether the checksum is right: what is merged is not looked at again by the kernel.
    fn is_valid(&self) -> bool {
        let sum = checksum::sum(&self.frame[self.transport..self.end]);
        checksum::is_valid(checksum::combine(sum, self.pseudo(self.len())))
    }
}

/// Without options, DF set: so that the ID says nothing (RFC 6864 4.1), whole.
fn in_ipv4(packet: &[u8]) -> Option<(bool, usize, usize)> {
    let view = ipv4::View::new(packet).ok()?;
    let fits = view.protocol() == protocol::TCP
        && view.header_len() == ipv4::HEADER
        && view.dont_fragment()
        && !view.is_fragment();
    fits.then_some((true, ipv4::HEADER, view.total_len()))
}

fn in_ipv6(packet: &[u8]) -> Option<(bool, usize, usize)> {
    let view = ipv6::View::new(packet).ok()?;
    (view.next_header() == protocol::TCP).then_some((false, ipv6::HEADER, view.total_len()))
}

/// Segments that go up as one packet.
#[derive(Debug)]
struct Run<'f> {
    first: Segment<'f>,
    /// How many: at least two.
    segments: usize,
    /// Octets of data in all of them.
    data: usize,
    /// FIN and PSH of the last.
    last: u8,
}

impl<'f> Run<'f> {
    /// The longest run that `frames` start with; nothing if their first goes alone.
    fn at_front_of(frames: &'f [Frame]) -> Option<Self> {
        let (first_frame, rest) = frames.split_first()?;
        let first = Segment::new(first_frame.bytes())?;
        let mut run = Self { first, segments: 1, data: first.len(), last: 0 };
        let mut ended = first.is_final();
        for frame in rest.iter().take(SEGMENTS_MAX - 1) {
            let Some(next) = Segment::new(frame.bytes()) else { break };
            if ended || !run.continues_with(&next) {
                break;
            }
            // The first is summed only when it is not to go alone.
            let is_new = run.segments == 1;
            if is_new && !first_frame.unfinished_checksum() && !first.is_valid() {
                break;
            }
            if !frame.unfinished_checksum() && !next.is_valid() {
                break;
            }
            run.segments += 1;
            run.data += next.len();
            run.last = next.tcp.flags() & FINAL;
            ended = next.is_final() || next.len() < first.len();
        }
        (run.segments > 1).then_some(run)
    }

    fn continues_with(&self, next: &Segment) -> bool {
        let in_order = u32::try_from(self.data)
            .is_ok_and(|data| self.first.tcp.sequence().wrapping_add(data) == next.tcp.sequence());
        let headers = self.first.data - ethernet::HEADER;
        in_order
            && next.len() <= self.first.len()
            && headers + self.data + next.len() <= usize::from(u16::MAX)
            && self.first.is_alike(next)
    }

    fn write(&self, sink: &impl Sink, frames: &[Frame]) -> Result<(), WriteError> {
        let mut headers = [0; HEADERS_MAX];
        let headers = &mut headers[..self.first.data];
        headers.copy_from_slice(&self.first.frame[..self.first.data]);
        self.patch(headers);
        let mut pieces = ArrayVec::<_, { SEGMENTS_MAX + 1 }>::new();
        pieces.push(IoSlice::new(headers));
        let mut left = self.data;
        for frame in frames {
            // All but the last have as much data as the first; padding is left behind.
            let len = left.min(self.first.len());
            pieces.push(IoSlice::new(&frame.bytes()[self.first.data..self.first.data + len]));
            left -= len;
        }
        sink.write(&self.header(), &pieces)
    }

    /// The headers of the whole, from those of the first.
    fn patch(&self, headers: &mut [u8]) {
        let first = &self.first;
        let (lower, tcp) = headers.split_at_mut(first.transport);
        let ip = &mut lower[ethernet::HEADER..];
        if first.is_v4 {
            let len = first.data - ethernet::HEADER + self.data;
            put_len(&mut ip[2..], len);
            ipv4::write_checksum(ip);
        } else {
            put_len(&mut ip[4..], tcp.len() + self.data);
        }
        tcp[13] |= self.last;
        let pseudo = checksum::fold(first.pseudo(self.data));
        tcp[tcp::CHECKSUM..tcp::CHECKSUM + 2].copy_from_slice(&pseudo.to_be_bytes());
    }

    fn header(&self) -> Header {
        let places = [self.first.data, self.first.len(), self.first.transport];
        let [hdr_len, gso_size, csum_start] = places.map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        Header {
            flags: NEEDS_CSUM,
            gso_type: if self.first.is_v4 { GSO_TCPV4 } else { GSO_TCPV6 },
            hdr_len,
            gso_size,
            csum_start,
            csum_offset: 16,
        }
    }
}

/// `Run::continues_with` keeps it within 16 bits.
fn put_len(at: &mut [u8], len: usize) {
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    at[..2].copy_from_slice(&len.to_be_bytes());
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
