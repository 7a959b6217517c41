//! The one frame that is sent, and what has to arrive: built by the same code from two sets of
//! arguments.

use std::net::Ipv4Addr;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;

/// Octets of the frame; with the frame check sequence that a card adds, 64. Mirrored by
/// `FRAME_LENGTH` in traffic.bpf.c.
pub const LENGTH: usize = 60;
const IP: usize = 14;
const UDP: usize = 34;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac([u8; 6]);

impl FromStr for Mac {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let octets: Result<Vec<u8>, _> =
            text.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect();
        octets?.try_into().map(Self).ok().context("an address is six octets")
    }
}

/// What is not the same in every frame of every test.
#[derive(Args, Clone, Debug)]
pub struct Frame {
    /// Source MAC address
    #[arg(long)]
    source_mac: Mac,
    /// Destination MAC address
    #[arg(long)]
    destination_mac: Mac,
    /// Source IPv4 address
    #[arg(long)]
    source: Ipv4Addr,
    /// Destination IPv4 address
    #[arg(long)]
    destination: Ipv4Addr,
    /// Time to live
    #[arg(long, default_value_t = 64)]
    ttl: u8,
}

impl Frame {
    /// An Ethernet frame with an IPv4 packet of UDP; both checksums are right.
    pub fn octets(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        octets[..6].copy_from_slice(&self.destination_mac.0);
        octets[6..12].copy_from_slice(&self.source_mac.0);
        octets[12..IP].copy_from_slice(&[0x08, 0x00]);
        self.write_ip(&mut octets[IP..UDP]);
        self.write_udp(&mut octets[UDP..]);
        octets
    }

    fn write_ip(&self, header: &mut [u8]) {
        let length = (LENGTH - IP) as u16;
        header[0] = 0x45;
        header[2..4].copy_from_slice(&length.to_be_bytes());
        header[8] = self.ttl;
        header[9] = libc::IPPROTO_UDP as u8;
        header[12..16].copy_from_slice(&self.source.octets());
        header[16..20].copy_from_slice(&self.destination.octets());
        let checksum = !fold(sum(header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }

    fn write_udp(&self, datagram: &mut [u8]) {
        let length = (LENGTH - UDP) as u16;
        datagram[..2].copy_from_slice(&49152_u16.to_be_bytes());
        // RFC 863: discard
        datagram[2..4].copy_from_slice(&9_u16.to_be_bytes());
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        for (octet, value) in datagram[8..].iter_mut().zip(0xa0..) {
            *octet = value;
        }
        let pseudo_header = sum(&self.source.octets())
            + sum(&self.destination.octets())
            + libc::IPPROTO_UDP as u32
            + u32::from(length);
        let checksum = !fold(pseudo_header + sum(datagram));
        datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// RFC 1071: the unfolded sum of 16-bit words. All of ours are of even length.
fn sum(octets: &[u8]) -> u32 {
    octets.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum()
}

fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ttl: u8) -> [u8; LENGTH] {
        let mac = |text: &str| text.parse().unwrap();
        let (source_mac, destination_mac) = (mac("02:00:00:00:01:02"), mac("02:00:00:00:01:01"));
        let (source, destination) = (Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 3, 0, 2));
        Frame { source_mac, destination_mac, source, destination, ttl }.octets()
    }

    #[test]
    fn checksums_are_right() {
        let octets = frame(64);
        assert_eq!(fold(sum(&octets[IP..UDP])), 0xffff);
        let pseudo_header = sum(&octets[26..UDP]) + 17 + (LENGTH - UDP) as u32;
        assert_eq!(fold(pseudo_header + sum(&octets[UDP..])), 0xffff);
    }

    #[test]
    fn a_hop_changes_ttl_and_checksum_only() {
        let (before, after) = (frame(64), frame(63));
        let differ: Vec<_> = (0..LENGTH).filter(|&at| before[at] != after[at]).collect();
        assert_eq!(differ, [22, 24]);
    }

    #[test]
    fn a_mac_address_is_six_octets() {
        assert!("02:00:00:00:01".parse::<Mac>().is_err());
        assert!("02:00:00:00:01:zz".parse::<Mac>().is_err());
    }
}
