//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227).
//!
//! Only bytes are judged here. Whether a sender is on this link, asked for, or claims our own
//! address is for those who know addresses: see RFC 826 "Packet Reception", RFC 1812 3.3.2.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use super::ethernet::{self, MacAddress, ether_type};
use super::{octets_at, put, u16_at};

/// Length of an ARP packet for IPv4 over Ethernet, without the Ethernet header, in octets.
pub const PACKET: usize = 28;
/// Length of a whole frame with an ARP packet, without padding, in octets.
pub const FRAME: usize = ethernet::HEADER + PACKET;

const HARDWARE_ETHERNET: u16 = 1;

mod field {
    pub const HARDWARE_TYPE: usize = 0;
    pub const PROTOCOL_TYPE: usize = 2;
    pub const HARDWARE_LEN: usize = 4;
    pub const PROTOCOL_LEN: usize = 5;
    pub const OPERATION: usize = 6;
    pub const SENDER_MAC: usize = 8;
    pub const SENDER_ADDRESS: usize = 14;
    pub const TARGET_MAC: usize = 18;
    pub const TARGET_ADDRESS: usize = 24;
}

/// What an ARP packet wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Who has the target address?
    Request = 1,
    /// The sender has the sender address.
    Reply = 2,
}

/// Why a packet is not ARP for IPv4 over Ethernet, in the order RFC 826 asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Shorter than 28 octets.
    Truncated,
    /// ar$hrd is not 1, Ethernet.
    HardwareType,
    /// ar$hln is not 6.
    HardwareLength,
    /// ar$pro is not 0x0800, IPv4.
    ProtocolType,
    /// ar$pln is not 4.
    ProtocolLength,
    /// ar$op is neither request nor reply.
    Operation,
}

/// A well-formed ARP packet.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    packet: &'a [u8; PACKET],
    operation: Operation,
}

impl<'a> View<'a> {
    /// Look at the payload of an Ethernet frame as ARP; padding after it is left alone.
    ///
    /// # Errors
    /// The first check of RFC 826 "Packet Reception" that fails.
    pub fn new(payload: &'a [u8]) -> Result<Self, Malformed> {
        let packet = payload.first_chunk::<PACKET>().ok_or(Malformed::Truncated)?;
        let require = |ok: bool, fault: Malformed| if ok { Ok(()) } else { Err(fault) };
        require(
            u16_at(packet, field::HARDWARE_TYPE) == HARDWARE_ETHERNET,
            Malformed::HardwareType,
        )?;
        require(packet[field::HARDWARE_LEN] == 6, Malformed::HardwareLength)?;
        require(u16_at(packet, field::PROTOCOL_TYPE) == ether_type::IPV4, Malformed::ProtocolType)?;
        require(packet[field::PROTOCOL_LEN] == 4, Malformed::ProtocolLength)?;
        let operation = match u16_at(packet, field::OPERATION) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Malformed::Operation),
        };
        Ok(Self { packet, operation })
    }

    /// Request or reply.
    #[inline]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// ar$sha: the sender's hardware address.
    #[inline]
    pub fn sender_mac(&self) -> MacAddress {
        MacAddress(octets_at(self.packet, field::SENDER_MAC))
    }

    /// ar$spa: the sender's IPv4 address; 0.0.0.0 in a probe.
    #[inline]
    pub fn sender_address(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(octets_at(self.packet, field::SENDER_ADDRESS))
    }

    /// ar$tha: in a request without meaning, usually zeros.
    #[inline]
    pub fn target_mac(&self) -> MacAddress {
        MacAddress(octets_at(self.packet, field::TARGET_MAC))
    }

    /// ar$tpa: the address asked for.
    #[inline]
    pub fn target_address(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(octets_at(self.packet, field::TARGET_ADDRESS))
    }

    /// Whether the sender asks if an address that it wants for itself is free (RFC 5227 1.1).
    #[inline]
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::Request && self.sender_address().is_unspecified()
    }

    /// Whether the sender tells everyone about its own address: a gratuitous request or reply
    /// (RFC 5227 3, RFC 5944 4.6).
    #[inline]
    pub fn is_gratuitous(&self) -> bool {
        self.sender_address() == self.target_address() && !self.sender_address().is_unspecified()
    }

    /// The packet as values.
    pub fn packet(&self) -> Packet {
        Packet {
            operation: self.operation(),
            sender_mac: self.sender_mac(),
            sender_address: self.sender_address(),
            target_mac: self.target_mac(),
            target_address: self.target_address(),
        }
    }
}

/// An ARP packet as values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// ar$sha
    pub sender_mac: MacAddress,
    /// ar$spa
    pub sender_address: Ipv4Addr,
    /// ar$tha
    pub target_mac: MacAddress,
    /// ar$tpa
    pub target_address: Ipv4Addr,
}

impl Packet {
    /// Write the [`PACKET`] octets to the front of `out`; nothing if there is no room.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let packet = out.first_chunk_mut::<PACKET>()?;
        put(packet, field::HARDWARE_TYPE, &HARDWARE_ETHERNET.to_be_bytes());
        put(packet, field::PROTOCOL_TYPE, &ether_type::IPV4.to_be_bytes());
        put(packet, field::HARDWARE_LEN, &[6, 4]);
        put(packet, field::OPERATION, &(self.operation as u16).to_be_bytes());
        put(packet, field::SENDER_MAC, &self.sender_mac.octets());
        put(packet, field::SENDER_ADDRESS, &self.sender_address.octets());
        put(packet, field::TARGET_MAC, &self.target_mac.octets());
        put(packet, field::TARGET_ADDRESS, &self.target_address.octets());
        Some(PACKET)
    }

    /// Write a whole frame, from the packet's sender to `destination`, to the front of `out`.
    fn write_frame(&self, out: &mut [u8], destination: MacAddress) -> Option<usize> {
        let frame = out.first_chunk_mut::<FRAME>()?;
        let header = ethernet::write(frame, destination, self.sender_mac, ether_type::ARP)?;
        Some(header + self.write(&mut frame[header..])?)
    }
}

/// Write the frame by which the station at (`mac`, `address`) asks all for `target`: [`FRAME`]
/// octets at the front of `out`. Returns their number; nothing if there is no room.
pub fn request(
    out: &mut [u8],
    mac: MacAddress,
    address: Ipv4Addr,
    target: Ipv4Addr,
) -> Option<usize> {
    question(mac, address, MacAddress::ZERO, target).write_frame(out, MacAddress::BROADCAST)
}

/// As [`request`], but asks only the station that had the address before: a poll (RFC 1122
/// 2.3.2.1 (2)).
pub fn unicast_request(
    out: &mut [u8],
    mac: MacAddress,
    address: Ipv4Addr,
    target: Ipv4Addr,
    target_mac: MacAddress,
) -> Option<usize> {
    question(mac, address, target_mac, target).write_frame(out, target_mac)
}

fn question(
    sender_mac: MacAddress,
    sender_address: Ipv4Addr,
    target_mac: MacAddress,
    target_address: Ipv4Addr,
) -> Packet {
    let operation = Operation::Request;
    Packet { operation, sender_mac, sender_address, target_mac, target_address }
}

/// Write the frame by which `mac` says to the sender of `request` that it has the address asked
/// for: [`FRAME`] octets at the front of `out`. Returns their number; nothing if there is no room.
pub fn reply(out: &mut [u8], mac: MacAddress, request: &View) -> Option<usize> {
    let answer = Packet {
        operation: Operation::Reply,
        sender_mac: mac,
        sender_address: request.target_address(),
        target_mac: request.sender_mac(),
        target_address: request.sender_address(),
    };
    answer.write_frame(out, request.sender_mac())
}

/// Write the frame by which the station at (`mac`, `address`) announces itself to all (RFC 5227
/// 2.3): [`FRAME`] octets at the front of `out`. Returns their number; nothing if there is no
/// room.
pub fn announcement(out: &mut [u8], mac: MacAddress, address: Ipv4Addr) -> Option<usize> {
    question(mac, address, MacAddress::ZERO, address).write_frame(out, MacAddress::BROADCAST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const HOST: MacAddress = MacAddress([2, 0, 0, 0, 1, 2]);
    const OUR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
    const THEIR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

    #[rustfmt::skip]
    const REQUEST: [u8; FRAME] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6,
        0, 1, 8, 0, 6, 4, 0, 1,
        2, 0, 0, 0, 0, 1, 10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 10, 1, 0, 2,
    ];

    #[test]
    fn golden_request() {
        let mut out = [0xa5; 64];
        assert_eq!(request(&mut out, MAC, OUR, THEIR), Some(42));
        assert_eq!(out[..42], REQUEST);
        assert_eq!(out[42..], [0xa5; 22]);
        let view = View::new(&out[14..]).unwrap();
        assert_eq!(view.packet(), question(MAC, OUR, MacAddress::ZERO, THEIR));
    }

    #[test]
    fn reply_turns_the_request_round() {
        let mut out = [0xa5; FRAME];
        assert_eq!(reply(&mut out, HOST, &View::new(&REQUEST[14..]).unwrap()), Some(42));
        assert_eq!(out[..14], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 2, 8, 6]);
        let expected = Packet {
            operation: Operation::Reply,
            sender_mac: HOST,
            sender_address: THEIR,
            target_mac: MAC,
            target_address: OUR,
        };
        assert_eq!(View::new(&out[14..]).unwrap().packet(), expected);
    }

    #[test]
    fn kinds_of_request() {
        let mut out = [0xa5; FRAME];
        announcement(&mut out, MAC, OUR).unwrap();
        let view = View::new(&out[14..]).unwrap();
        assert!(view.is_gratuitous() && !view.is_probe());
        request(&mut out, MAC, Ipv4Addr::UNSPECIFIED, OUR).unwrap();
        let view = View::new(&out[14..]).unwrap();
        assert!(view.is_probe() && !view.is_gratuitous());
        unicast_request(&mut out, MAC, OUR, THEIR, HOST).unwrap();
        assert_eq!(out[..6], HOST.octets());
        assert_eq!(View::new(&out[14..]).unwrap().target_mac(), HOST);
    }

    #[test]
    fn each_wrong_field_has_its_name() {
        let wrong = [
            (1, 6, Malformed::HardwareType),
            (2, 9, Malformed::ProtocolType),
            (4, 8, Malformed::HardwareLength),
            (5, 16, Malformed::ProtocolLength),
            (7, 0, Malformed::Operation),
            (7, 3, Malformed::Operation),
            (6, 1, Malformed::Operation),
        ];
        for (at, value, fault) in wrong {
            let mut packet = REQUEST[14..].to_vec();
            packet[at] = value;
            assert_eq!(View::new(&packet).unwrap_err(), fault);
        }
        for len in 0..PACKET {
            assert_eq!(View::new(&REQUEST[14..14 + len]).unwrap_err(), Malformed::Truncated);
        }
    }

    #[test]
    fn no_room_writes_nothing() {
        let mut out = [0xa5; FRAME - 1];
        assert_eq!(announcement(&mut out, MAC, OUR), None);
        assert_eq!(out, [0xa5; FRAME - 1]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            reply: bool, macs: [[u8; 6]; 2], addresses: [u32; 2],
        ) {
            let packet = Packet {
                operation: if reply { Operation::Reply } else { Operation::Request },
                sender_mac: MacAddress(macs[0]),
                sender_address: addresses[0].into(),
                target_mac: MacAddress(macs[1]),
                target_address: addresses[1].into(),
            };
            let mut out = [0xa5; PACKET];
            packet.write(&mut out).unwrap();
            prop_assert_eq!(View::new(&out).unwrap().packet(), packet);
        }

        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(view) = View::new(&octets) {
                let _ = (view.packet(), view.is_probe(), view.is_gratuitous());
            }
        }
    }
}
