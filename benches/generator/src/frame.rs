//! The one frame that is sent, and what has to arrive: built by the same code from two sets of
//! arguments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::skeleton::types::places as Places;

/// Octets of the frame; with the frame check sequence that a card adds, 64. Mirrored by
/// `FRAME_LENGTH` in traffic.bpf.c.
pub const LENGTH: usize = 60;
const IP: usize = 14;
const UDP: usize = 34;
const PAYLOAD6: usize = 54;
/// RFC 3692: for experiments. UDP does not fit behind an IPv6 header into 60 octets.
const EXPERIMENT: u8 = 253;

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
    /// Source address
    #[arg(long)]
    source: IpAddr,
    /// Destination address, of the same kind
    #[arg(long)]
    destination: IpAddr,
    /// Time to live, or hop limit
    #[arg(long, default_value_t = 64)]
    ttl: u8,
}

impl Frame {
    /// An Ethernet frame with a packet of UDP over IPv4, or of IPv6; its checksums are right.
    ///
    /// # Errors
    /// One address is IPv4, the other IPv6.
    pub fn octets(&self) -> Result<[u8; LENGTH]> {
        let mut octets = [0; LENGTH];
        octets[..6].copy_from_slice(&self.destination_mac.0);
        octets[6..12].copy_from_slice(&self.source_mac.0);
        let packet = &mut octets[12..];
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.write_ip4(packet, source, destination);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.write_ip6(packet, source, destination);
            }
            _ => bail!("{} and {} are of two kinds", self.source, self.destination),
        }
        Ok(octets)
    }

    /// Where the XDP programs find what they need.
    pub fn places(&self) -> Places {
        match self.destination {
            IpAddr::V4(_) => {
                Places { protocol: 23, hop_limit: 22, high: 30, low: 32, checksums: [24, 40] }
            }
            IpAddr::V6(_) => {
                Places { protocol: 20, hop_limit: 21, high: 42, low: 52, checksums: [58, 0] }
            }
        }
    }

    fn write_ip4(&self, packet: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr) {
        let (kind, rest) = packet.split_at_mut(2);
        let (header, datagram) = rest.split_at_mut(UDP - IP);
        kind.copy_from_slice(&[0x08, 0x00]);
        header[0] = 0x45;
        header[2..4].copy_from_slice(&((LENGTH - IP) as u16).to_be_bytes());
        header[8] = self.ttl;
        header[9] = libc::IPPROTO_UDP as u8;
        header[12..16].copy_from_slice(&source.octets());
        header[16..20].copy_from_slice(&destination.octets());
        let checksum = !fold(sum(header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        write_udp(datagram, sum(&header[12..20]));
    }

    /// What follows the header ends with a checksum over itself and the addresses.
    fn write_ip6(&self, packet: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) {
        let (kind, rest) = packet.split_at_mut(2);
        let (header, payload) = rest.split_at_mut(PAYLOAD6 - IP);
        kind.copy_from_slice(&[0x86, 0xdd]);
        header[0] = 0x60;
        header[4..6].copy_from_slice(&((LENGTH - PAYLOAD6) as u16).to_be_bytes());
        header[6] = EXPERIMENT;
        header[7] = self.ttl;
        header[8..24].copy_from_slice(&source.octets());
        header[24..40].copy_from_slice(&destination.octets());
        let (data, end) = payload.split_at_mut(LENGTH - PAYLOAD6 - 2);
        count_up(data);
        let checksum = !fold(sum(&header[8..40]) + sum(data));
        end.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// `addresses`: their sum, for the checksum.
fn write_udp(datagram: &mut [u8], addresses: u32) {
    let length = (LENGTH - UDP) as u16;
    datagram[..2].copy_from_slice(&49152_u16.to_be_bytes());
    // RFC 863: discard
    datagram[2..4].copy_from_slice(&9_u16.to_be_bytes());
    datagram[4..6].copy_from_slice(&length.to_be_bytes());
    count_up(&mut datagram[8..]);
    let pseudo_header = addresses + libc::IPPROTO_UDP as u32 + u32::from(length);
    let checksum = !fold(pseudo_header + sum(datagram));
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
}

fn count_up(data: &mut [u8]) {
    for (octet, value) in data.iter_mut().zip(0xa0..) {
        *octet = value;
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

    fn frame(source: &str, destination: &str, ttl: u8) -> Frame {
        let mac = |text: &str| text.parse().unwrap();
        let (source_mac, destination_mac) = (mac("02:00:00:00:01:02"), mac("02:00:00:00:01:01"));
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Frame { source_mac, destination_mac, source, destination, ttl }
    }

    fn ip4(ttl: u8) -> [u8; LENGTH] {
        frame("10.1.0.2", "10.3.0.2", ttl).octets().unwrap()
    }

    fn ip6(ttl: u8) -> [u8; LENGTH] {
        frame("fd01::2", "fd03::2", ttl).octets().unwrap()
    }

    fn differ(before: [u8; LENGTH], after: [u8; LENGTH]) -> Vec<usize> {
        (0..LENGTH).filter(|&at| before[at] != after[at]).collect()
    }

    #[test]
    fn checksums_are_right() {
        let octets = ip4(64);
        assert_eq!(fold(sum(&octets[IP..UDP])), 0xffff);
        let pseudo_header = sum(&octets[26..UDP]) + 17 + (LENGTH - UDP) as u32;
        assert_eq!(fold(pseudo_header + sum(&octets[UDP..])), 0xffff);
        assert_eq!(fold(sum(&ip6(64)[22..])), 0xffff);
    }

    #[test]
    fn a_hop_changes_ttl_and_checksum_only() {
        assert_eq!(differ(ip4(64), ip4(63)), [22, 24]);
        assert_eq!(differ(ip6(64), ip6(63)), [21]);
    }

    #[test]
    fn another_destination_changes_the_words_and_checksums_of_its_places() {
        let other = |destination| frame("10.1.0.2", destination, 64).octets().unwrap();
        assert_eq!(differ(ip4(64), other("11.3.1.2")), [24, 30, 32, 40]);
        let other = frame("fd01::2", "fd03:0:100::102", 64).octets().unwrap();
        assert_eq!(differ(ip6(64), other), [42, 52, 58]);
    }

    #[test]
    fn addresses_are_of_one_kind() {
        assert!(frame("10.1.0.2", "fd03::2", 64).octets().is_err());
    }

    #[test]
    fn a_mac_address_is_six_octets() {
        assert!("02:00:00:00:01".parse::<Mac>().is_err());
        assert!("02:00:00:00:01:zz".parse::<Mac>().is_err());
    }
}
