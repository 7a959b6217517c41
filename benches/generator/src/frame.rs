//! The frames that are sent, and what has to arrive: built by the same code from two sets of
//! arguments. Places and constants are mirrored by traffic.h.

use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::checksum::sum;
use crate::skeleton::types::shape as Shape;

/// Octets of the longest frame: an MTU of 1500.
const LONGEST: usize = 1514;
/// RFC 2544 counts the frame check sequence, which no veth has: 64, 570 and 1518 octets. In this
/// order seven, four and one of them are spread over the row.
const IMIX: [usize; 12] = [60, 566, 60, 60, 566, 60, 1514, 60, 566, 60, 60, 566];
/// Words of the header that the programs compare; more than IPv4 needs.
const WORDS: usize = 8;

const IP: usize = 14;
/// In the UDP header: the payload begins with the stamp.
const STAMP: usize = 8;
const STAMP_LENGTH: usize = 12;
const MAGIC: u16 = 0x7872;
const FILLER: u8 = 0xa5;
/// RFC 863: discard.
const DISCARD: u16 = 9;

/// The lowest source port of a flow, and how many there are with one address.
pub const FIRST_PORT: u16 = 32768;
pub const PORTS: u32 = 32768;

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

/// What is not the same in every test.
#[derive(Args, Clone, Debug)]
pub struct Frame {
    /// Source MAC address
    #[arg(long)]
    pub source_mac: Mac,
    /// Destination MAC address
    #[arg(long)]
    pub destination_mac: Mac,
    /// Source address, of the first flow
    #[arg(long)]
    pub source: IpAddr,
    /// Destination address, of the same kind
    #[arg(long)]
    pub destination: IpAddr,
    /// Time to live, or hop limit
    #[arg(long, default_value_t = 64)]
    pub ttl: u8,
    /// Octets of a frame without its check sequence, up to 1514; without this the shortest that
    /// holds the stamp: 60 for IPv4, 74 for IPv6
    #[arg(long)]
    pub size: Option<usize>,
    /// 64, 570 and 1518 octets with the check sequence, seven to four to one (IPv6: 78 for 64)
    #[arg(long, conflicts_with = "size")]
    pub imix: bool,
}

/// Where things are in a frame of IPv4 or IPv6.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub ip_length: usize,
    hop_limit: usize,
    protocol: usize,
    pub ip_checksum: Option<usize>,
    addresses: usize,
    /// The last word of the source address.
    pub source: usize,
    pub destination: usize,
    pub udp: usize,
}

impl Places {
    const IPV4: Self = Self {
        ip_length: 16,
        hop_limit: 22,
        protocol: 23,
        ip_checksum: Some(24),
        addresses: 26,
        source: 26,
        destination: 30,
        udp: 34,
    };
    const IPV6: Self = Self {
        ip_length: 18,
        hop_limit: 21,
        protocol: 20,
        ip_checksum: None,
        addresses: 22,
        source: 34,
        destination: 38,
        udp: 54,
    };

    pub fn udp_length(&self) -> usize {
        self.udp + 4
    }

    pub fn udp_checksum(&self) -> usize {
        self.udp + 6
    }

    /// The sequence number; six octets of time follow.
    pub fn sequence(&self) -> usize {
        self.udp + STAMP + 2
    }

    pub fn stamped(&self) -> usize {
        self.udp + STAMP + STAMP_LENGTH
    }

    /// What is not the same in every frame of one size.
    fn varying(&self) -> impl Iterator<Item = Range<usize>> {
        let checksum = self.ip_checksum.map(|at| at..at + 2);
        let others = [
            self.source..self.udp + 2,
            self.udp_checksum()..self.udp_checksum() + 2,
            self.sequence()..self.stamped(),
        ];
        checksum.into_iter().chain(others)
    }
}

/// All that the programs need to know of the frames.
#[derive(Clone, Debug)]
pub struct Template {
    /// The longest frame; all others begin as it does. Checksums and stamp are missing.
    pub octets: Vec<u8>,
    /// The bits of it that are the same in every frame.
    pub constant: Vec<u8>,
    /// One for each size, in the order in which they are sent.
    pub shapes: Vec<Shape>,
    pub places: Places,
}

impl Template {
    /// The beginning of these octets, in words.
    pub fn words(octets: &[u8]) -> [u64; WORDS] {
        let mut words = octets.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
        std::array::from_fn(|_| words.next().unwrap_or(0))
    }
}

impl Frame {
    pub fn is_ipv6(&self) -> bool {
        self.destination.is_ipv6()
    }

    /// The frames' common part, and what differs from size to size.
    ///
    /// # Errors
    /// One address is IPv4, the other IPv6; the size is too small for the stamp, or too large.
    pub fn template(&self) -> Result<Template> {
        let both = self.source.is_ipv6() == self.destination.is_ipv6();
        ensure!(both, "{} and {} are of two kinds", self.source, self.destination);
        let places = if self.is_ipv6() { Places::IPV6 } else { Places::IPV4 };
        let sizes = self.sizes(&places)?;
        let octets = self.octets(&places, sizes.iter().copied().max().unwrap_or(LONGEST));
        let mut constant = vec![0xff; octets.len()];
        places.varying().for_each(|range| constant[range].fill(0));
        for length in [places.ip_length, places.udp_length()] {
            constant[length..length + 2].fill(0);
        }
        let shapes = sizes.iter().map(|&size| self.shape(&places, size)).collect();
        Ok(Template { octets, constant, shapes, places })
    }

    fn sizes(&self, places: &Places) -> Result<Vec<usize>> {
        let least = places.stamped().max(60);
        if self.imix {
            return Ok(IMIX.iter().map(|&size| size.max(least)).collect());
        }
        let size = self.size.unwrap_or(least);
        ensure!((least..=LONGEST).contains(&size), "size {size}: from {least} to {LONGEST}");
        Ok(vec![size])
    }

    fn octets(&self, places: &Places, length: usize) -> Vec<u8> {
        let mut octets = vec![FILLER; length];
        octets[..places.stamped()].fill(0);
        octets[..6].copy_from_slice(&self.destination_mac.0);
        octets[6..12].copy_from_slice(&self.source_mac.0);
        let kind = if self.is_ipv6() { [0x86, 0xdd, 0x60] } else { [0x08, 0x00, 0x45] };
        octets[12..=IP].copy_from_slice(&kind);
        octets[places.hop_limit] = self.ttl;
        octets[places.protocol] = libc::IPPROTO_UDP as u8;
        let addresses = [octets_of(self.source), octets_of(self.destination)].concat();
        octets[places.addresses..places.udp].copy_from_slice(&addresses);
        // A header of IPv6 does not count itself.
        let ip_length = length - if self.is_ipv6() { places.udp } else { IP };
        let udp_length = length - places.udp;
        let words = [
            (places.ip_length, ip_length as u16),
            (places.udp, FIRST_PORT),
            (places.udp + 2, DISCARD),
            (places.udp_length(), udp_length as u16),
            (places.udp + STAMP, MAGIC),
        ];
        for (at, word) in words {
            octets[at..at + 2].copy_from_slice(&word.to_be_bytes());
        }
        octets
    }

    /// A size's lengths, and its checksums' sums of all that is the same in every frame of it.
    fn shape(&self, places: &Places, size: usize) -> Shape {
        let mut octets = self.octets(places, size);
        places.varying().for_each(|range| octets[range].fill(0));
        let word = |at: usize| u16::from_ne_bytes([octets[at], octets[at + 1]]);
        let pseudo_header = sum(&octets[places.addresses..places.udp])
            + u64::from((libc::IPPROTO_UDP as u16).to_be())
            + u64::from(word(places.udp_length()));
        Shape {
            length: size as u32,
            ip_length: word(places.ip_length),
            udp_length: word(places.udp_length()),
            ip_sum: sum(&octets[IP..places.udp]) as u32,
            udp_sum: (pseudo_header + sum(&octets[places.udp..])) as u32,
        }
    }
}

pub fn octets_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
