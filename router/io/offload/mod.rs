//! What a port's tap and the kernel leave to each other: checksums and the cutting of large TCP
//! segments. [`segment`] does the kernel's unfinished work on the way to the wire, [`merge`] saves
//! it work on the way up.
//!
//! Before working here, read `struct virtio_net_hdr` in `include/uapi/linux/virtio_net.h` and
//! `virtio_net_hdr_from_skb` in `include/linux/virtio_net.h`. Of what the kernel writes, `hdr_len`
//! is only a hint: it is the length of an skb's linear part, which may hold data as well.
#![forbid(unsafe_code)]

pub mod merge;
pub mod segment;
#[cfg(test)]
mod testing;

use crate::packet::ethernet::{self, ether_type};

/// Length of [`Header`] on the tap, in octets: `struct virtio_net_hdr` and the two octets of
/// `num_buffers`, as VIRTIO 1.0 has it.
pub const HEADER: usize = 12;

/// The field `flags`: the checksum at `csum_start + csum_offset` is the pseudo-header's sum only.
pub const NEEDS_CSUM: u8 = 1;
/// The field `gso_type`: no segmentation.
pub const GSO_NONE: u8 = 0;
/// The field `gso_type`: TCP over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// The field `gso_type`: TCP over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// Added to `gso_type`: the segment has CWR set, which belongs into the first piece only.
pub const GSO_ECN: u8 = 0x80;

/// `struct virtio_net_hdr` of one packet. All zero: an ordinary, finished packet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Header {
    /// [`NEEDS_CSUM`] or 0.
    pub flags: u8,
    /// One of `GSO_*`.
    pub gso_type: u8,
    /// Length of all headers, in octets; from the kernel only a hint.
    pub hdr_len: u16,
    /// Data in each segment, in octets.
    pub gso_size: u16,
    /// Where the transport header starts, in octets from the start of the Ethernet header.
    pub csum_start: u16,
    /// Where the checksum is, in octets from the start of the transport header.
    pub csum_offset: u16,
}

impl Header {
    /// As read from a tap whose header is little-endian.
    pub fn from_octets(octets: &[u8; HEADER]) -> Self {
        let [flags, gso_type, a, b, c, d, e, f, g, h, ..] = *octets;
        Self {
            flags,
            gso_type,
            hdr_len: u16::from_le_bytes([a, b]),
            gso_size: u16::from_le_bytes([c, d]),
            csum_start: u16::from_le_bytes([e, f]),
            csum_offset: u16::from_le_bytes([g, h]),
        }
    }

    /// As written to such a tap.
    pub fn octets(&self) -> [u8; HEADER] {
        let [a, b] = self.hdr_len.to_le_bytes();
        let [c, d] = self.gso_size.to_le_bytes();
        let [e, f] = self.csum_start.to_le_bytes();
        let [g, h] = self.csum_offset.to_le_bytes();
        [self.flags, self.gso_type, a, b, c, d, e, f, g, h, 0, 0]
    }

    /// Whether somebody has still to compute a checksum.
    pub fn needs_checksum(&self) -> bool {
        self.flags & NEEDS_CSUM != 0
    }
}

/// Most VLAN tags between the MAC addresses and the packet's type (802.1ad).
const TAGS_MAX: usize = 2;

/// Where the packet starts in an Ethernet frame, behind at most two VLAN tags, and its type.
fn network(frame: &[u8]) -> Option<(usize, u16)> {
    let mut at = ethernet::HEADER;
    for _ in 0..=TAGS_MAX {
        let ether_type = u16_at(frame, at - 2)?;
        if !matches!(ether_type, ether_type::VLAN | ether_type::QINQ) {
            return Some((at, ether_type));
        }
        at += 4;
    }
    None
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|&pair| u16::from_be_bytes(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_little_endian_and_round_trips() {
        let header = Header {
            flags: NEEDS_CSUM,
            gso_type: GSO_TCPV6 | GSO_ECN,
            hdr_len: 74,
            gso_size: 1440,
            csum_start: 54,
            csum_offset: 16,
        };
        assert_eq!(header.octets(), [1, 0x84, 74, 0, 0xa0, 5, 54, 0, 16, 0, 0, 0]);
        assert_eq!(Header::from_octets(&header.octets()), header);
        assert_eq!(Header::default().octets(), [0; HEADER]);
    }

    #[test]
    fn network_header_behind_tags() {
        let mut frame = [0; 64];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        assert_eq!(network(&frame), Some((14, ether_type::IPV6)));
        frame[12..22].copy_from_slice(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]);
        assert_eq!(network(&frame), Some((22, ether_type::IPV4)));
        frame[20..22].copy_from_slice(&[0x81, 0]);
        assert_eq!(network(&frame), None);
        assert_eq!(network(&frame[..13]), None);
    }
}
