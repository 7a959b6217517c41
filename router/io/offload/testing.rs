//! Packets for the tests of both directions.

use proptest::prelude::*;

use crate::frame::{Area, Frame, Pool};
use crate::id::PortId;
use crate::packet::{ethernet, ipv4, ipv6, transport};

/// One TCP segment of a flow, as a test wants it.
#[derive(Clone, Debug)]
pub struct Flow {
    pub is_v4: bool,
    pub tagged: bool,
    pub options: usize,
    pub sequence: u32,
    pub flags: u8,
    pub id: u16,
}

pub fn flow() -> impl Strategy<Value = Flow> {
    let flags = prop_oneof![Just(0x10), Just(0x18), Just(0x11), Just(0x19), Just(0x50), Just(0xd8)];
    (any::<(bool, bool, u32, u16)>(), 0usize..=10, flags).prop_map(
        |((is_v4, tagged, sequence, id), words, flags)| Flow {
            is_v4,
            tagged,
            options: words * 4,
            sequence,
            flags,
            id,
        },
    )
}

impl Flow {
    pub fn network(&self) -> usize {
        if self.tagged { 18 } else { 14 }
    }

    pub fn transport(&self) -> usize {
        self.network() + if self.is_v4 { 20 } else { 40 }
    }

    pub fn headers(&self) -> usize {
        self.transport() + 20 + self.options
    }

    /// The segment with `data` and a right checksum.
    pub fn packet(&self, data: &[u8]) -> Vec<u8> {
        let mut packet = vec![2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa];
        if self.tagged {
            packet.extend([0x81, 0, 0, 7]);
        }
        let len = 20 + self.options + data.len();
        if self.is_v4 {
            packet.extend([8, 0, 0x45, 0]);
            packet.extend(u16::try_from(20 + len).unwrap().to_be_bytes());
            packet.extend(self.id.to_be_bytes());
            packet.extend([0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            ipv4::write_checksum(&mut packet[self.network()..]);
        } else {
            packet.extend([0x86, 0xdd, 0x60, 0, 0, 1]);
            packet.extend(u16::try_from(len).unwrap().to_be_bytes());
            packet.extend([6, 64]);
            packet.extend((1..=32).map(|n| if n == 1 || n == 17 { 0x20 } else { n }));
        }
        packet.extend([0, 80, 0x13, 0x37]);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend([0, 0, 0, 9]);
        packet.extend([u8::try_from(5 + self.options / 4).unwrap() << 4, self.flags]);
        packet.extend([1, 0, 0, 0, 0, 0]);
        packet.extend(std::iter::repeat_n(1, self.options));
        packet.extend(data);
        assert!(transport::finish(&mut packet[self.network()..]));
        packet
    }

    /// The same as the kernel hands it to a card: the pseudo-header's sum in the checksum field.
    pub fn unfinished(&self, data: &[u8]) -> Vec<u8> {
        let mut packet = self.packet(data);
        let start = self.transport();
        // What is over the segment is known; take it out of the finished checksum again.
        let field = start + 16;
        let finished = u16::from_be_bytes([packet[field], packet[field + 1]]);
        packet[field..field + 2].fill(0);
        let segment = crate::packet::checksum::fold(crate::packet::checksum::sum(&packet[start..]));
        let pseudo = crate::packet::checksum::fold(u32::from(!finished) + u32::from(!segment));
        packet[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
        packet
    }
}

pub fn port() -> PortId {
    PortId::new(3).unwrap()
}

pub fn with_pool(chunks: u32, run: impl FnOnce(&mut Pool<'_>)) {
    let mut area = Area::new(chunks, 2048, false).unwrap();
    let mut pool = Pool::new(&mut area);
    run(&mut pool);
    assert_eq!(pool.free(), pool.total(), "a frame was not given back");
}

/// The octets of a frame, which goes back to the pool.
pub fn into_octets<'umem>(frame: Frame<'umem>, pool: &mut Pool<'umem>) -> Vec<u8> {
    let octets = frame.bytes().to_vec();
    pool.give(frame);
    octets
}

/// Whether IP header and transport checksum are right and the lengths those of the frame.
pub fn is_right(frame: &[u8]) -> bool {
    let Some((network, _)) = super::network(frame) else { return false };
    let packet = &frame[network..];
    let len = match ethernet::View::new(frame).map(|_| packet[0] >> 4) {
        Some(4) => ipv4::View::new(packet).map(|view| view.total_len()).ok(),
        _ => ipv6::View::new(packet).map(|view| view.total_len()).ok(),
    };
    len == Some(packet.len()) && transport::is_valid(packet) == Some(true)
}
