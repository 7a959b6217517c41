//! Fragmentation of IPv4 on the way out (RFC 791 3.2, RFC 1812 4.2.2.7).
#![forbid(unsafe_code)]

use crate::frame::{Frame, Pool};
use crate::id::PortId;
use crate::packet::ipv4_options::{Walk, kind};
use crate::packet::{ethernet, ipv4, transport};

use super::Outbox;
use super::counters::PortCounters;
use super::verdict::DropReason;

/// Cut `frame`, an IPv4 packet ready to leave, into pieces of at most `mtu` octets and put them in
/// the outbox. The frame itself becomes the first piece. If a chunk or the room for data is
/// lacking, nothing leaves: a datagram with a hole is of no use.
pub(super) fn split<'umem>(
    mut frame: Frame<'umem>,
    port: PortId,
    mtu: u16,
    counters: &PortCounters,
    pool: &mut Pool<'umem>,
    out: &mut Outbox<'umem>,
) {
    if frame.unfinished_checksum() {
        transport::finish(&mut frame.bytes_mut()[ethernet::HEADER..]);
        frame.mark_unfinished(false);
    }
    let Some(plan) = Plan::of(&frame, mtu) else {
        counters.drop(DropReason::TooBig);
        return pool.give(frame);
    };
    if pool.free() < plan.pieces() - 1 {
        counters.drop(DropReason::NoFrame);
        return pool.give(frame);
    }
    let ingress = frame.ingress();
    let mut tail = arrayvec::ArrayVec::<Frame<'umem>, PIECES_MAX>::new();
    for number in 1..plan.pieces() {
        if let Some(mut piece) = plan.piece(number, &frame, ingress, pool) {
            piece.mark_unfinished(false);
            tail.push(piece);
        }
    }
    plan.first(&mut frame);
    out.transmit(port, frame, counters, pool);
    for piece in tail {
        counters.originated.add(1);
        out.transmit(port, piece, counters, pool);
    }
}

/// A chunk holds less than 4096 octets, and a piece carries at least 8.
const PIECES_MAX: usize = 512;

/// How a datagram is cut.
struct Plan {
    /// The IPv4 header's length, options included.
    header: usize,
    /// Octets of data in all pieces but the last: a multiple of 8.
    data: usize,
    /// Octets of data in the whole datagram.
    total: usize,
    /// Where the datagram's data itself begins, if it is a fragment already; octets.
    offset: usize,
    more: bool,
}

impl Plan {
    fn of(frame: &Frame, mtu: u16) -> Option<Self> {
        let packet = ipv4::View::new(frame.bytes().get(ethernet::HEADER..)?).ok()?;
        let header = packet.header_len();
        let data = usize::from(mtu).checked_sub(header)? & !7;
        let total = packet.total_len() - header;
        let (offset, more) = (packet.fragment_offset(), packet.more_fragments());
        let plan = (data > 0).then_some(Self { header, data, total, offset, more })?;
        (plan.pieces() <= PIECES_MAX).then_some(plan)
    }

    fn pieces(&self) -> usize {
        self.total.div_ceil(self.data)
    }

    /// Piece `number` (from 1) as a frame of its own: the header with those options that are to be
    /// in every piece, and its share of the data.
    fn piece<'umem>(
        &self,
        number: usize,
        frame: &Frame,
        ingress: PortId,
        pool: &mut Pool<'umem>,
    ) -> Option<Frame<'umem>> {
        let start = number * self.data;
        let share = self.data.min(self.total - start);
        let payload = ethernet::HEADER + self.header;
        let length = payload + share;
        let mut piece = pool.copy_of(&frame.bytes()[..length], ingress).ok()?;
        let bytes = piece.bytes_mut();
        bytes[payload..].copy_from_slice(&frame.bytes()[payload + start..][..share]);
        let last = number + 1 == self.pieces();
        let header = &mut bytes[ethernet::HEADER..];
        keep_copied_options(&mut header[ipv4::HEADER..self.header]);
        self.place(header, self.header + share, self.offset + start, self.more || !last);
        Some(piece)
    }

    /// Make the datagram its own first piece.
    fn first(&self, frame: &mut Frame) {
        let length = self.header + self.data.min(self.total);
        frame.truncate(ethernet::HEADER + length);
        // What fits whole is never split: others follow.
        self.place(&mut frame.bytes_mut()[ethernet::HEADER..], length, self.offset, true);
    }

    /// Say in a piece's header how long it is and where in the datagram it belongs.
    fn place(&self, header: &mut [u8], total_len: usize, offset: usize, more: bool) {
        #[expect(clippy::cast_possible_truncation, reason = "a datagram has at most 65535 octets")]
        let (total_len, units) = (total_len as u16, (offset / 8) as u16);
        header[2..4].copy_from_slice(&total_len.to_be_bytes());
        let flags = if more { MORE_FRAGMENTS } else { 0 };
        header[6..8].copy_from_slice(&(flags | units).to_be_bytes());
        ipv4::write_checksum(&mut header[..self.header]);
    }
}

const MORE_FRAGMENTS: u16 = 0x2000;

/// RFC 791 3.1: an option whose copied flag is not set is in the first piece only; in the others
/// no-operation takes its place, so that the header keeps its length.
fn keep_copied_options(options: &mut [u8]) {
    const COPIED: u8 = 0x80;
    let mut walk = Walk::default();
    while let Ok(Some(place)) = walk.step(options) {
        if place.kind & COPIED == 0 {
            options[place.start..place.end].fill(kind::NO_OPERATION);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Area;
    use crate::packet::text::parse_line;
    use crate::pipeline::counters::WorkerCounters;

    /// Lengths of what leaves, and how many datagrams were dropped as too big.
    fn split_over(mtu: u16) -> (Vec<usize>, u64) {
        let options = "01".repeat(40);
        let line = format!(
            "wan > eth 02:00:00:00:02:01 > 02:00:00:00:02:02 \
             / ip 10.1.0.2 > 10.2.0.2 opt {options} / data 20"
        );
        let (_, _, octets) = parse_line(&line).unwrap();
        let mut area = Area::new(16, 2048, false).unwrap();
        let mut pool = Pool::new(&mut area);
        let port = PortId::new(0).unwrap();
        let (counters, mut out) = (WorkerCounters::new(), Outbox::new(1));
        let counters = counters.port(port);
        let frame = pool.copy_of(&octets, port).unwrap();
        split(frame, port, mtu, counters, &mut pool, &mut out);
        let sent: Vec<_> = out.to_transmit(port).drain(..).collect();
        let lengths = sent.iter().map(Frame::len).collect();
        sent.into_iter().for_each(|frame| pool.give(frame));
        assert_eq!(pool.free(), pool.total());
        (lengths, counters.dropped[DropReason::TooBig.index()].get())
    }

    /// RFC 791 3.2: every link carries 68 octets, the longest header and the shortest piece.
    #[test]
    fn the_longest_header_leaves_room_for_eight_octets_or_none() {
        let frame = ethernet::HEADER + 60;
        assert_eq!(split_over(68), (vec![frame + 8, frame + 8, frame + 4], 0));
        assert_eq!(split_over(67), (vec![], 1));
        assert_eq!(split_over(60), (vec![], 1));
        assert_eq!(split_over(20), (vec![], 1));
    }
}
