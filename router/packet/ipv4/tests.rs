#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;
use crate::packet::protocol;

const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// A header of UDP with id 7 and its 26 octets, then 3 of padding.
fn padded() -> Vec<u8> {
    let mut bytes = vec![0xa5; 49];
    Header { id: 7, ..Header::new(A, B, protocol::UDP, 26) }.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn golden_header() {
    let golden = "4500002e00074000401126b20a0100020a020002";
    assert_eq!(padded()[..20], hex(golden));
    assert_eq!(padded()[20..], [0xa5; 29]);
}

#[test]
fn accessors() {
    let bytes = padded();
    let view = View::new(&bytes).unwrap();
    assert_eq!((view.header_len(), view.total_len(), view.payload().len()), (20, 46, 26));
    assert_eq!((view.source(), view.destination()), (A, B));
    assert_eq!((view.ttl(), view.protocol(), view.id()), (64, protocol::UDP, 7));
    assert!(view.dont_fragment() && !view.more_fragments() && !view.is_fragment());
    assert!(view.options().is_empty());
}

#[test]
fn ttl_and_checksum_vectors() {
    // Input, output; the second must give 0x0000 and not 0xffff (RFC 1624 section 3).
    let vectors = [
        ("4500002e66b90000401100000a0100020a020002", "4500002e66b900003f1101000a0100020a020002"),
        ("4500002e67b900004011feff0a0100020a020002", "4500002e67b900003f1100000a0100020a020002"),
        ("4500002e67b800004011ff000a0100020a020002", "4500002e67b800003f1100010a0100020a020002"),
        // The other zero is accepted, and goes.
        ("4500002e66b900004011ffff0a0100020a020002", "4500002e66b900003f1101000a0100020a020002"),
    ];
    for (before, after) in vectors {
        let mut packet = hex(before);
        packet.resize(46, 0);
        assert!(View::new(&packet).is_ok(), "{before}");
        assert_eq!(decrement_ttl(&mut packet), Some(63));
        assert_eq!(packet[..20], hex(after));
    }
}

#[test]
fn ttl_zero_stays() {
    let mut bytes = padded();
    bytes[8] = 0;
    let before = bytes.clone();
    assert_eq!(decrement_ttl(&mut bytes), None);
    assert_eq!(bytes, before);
    assert_eq!(decrement_ttl(&mut bytes[..19]), None);
}

#[test]
fn each_check_has_its_name() {
    let wrong = |change: fn(&mut Vec<u8>)| {
        let mut bytes = padded();
        change(&mut bytes);
        View::new(&bytes).unwrap_err()
    };
    assert_eq!(wrong(|b| b.truncate(19)), Malformed::Truncated);
    assert_eq!(wrong(|b| b[0] = 0x55), Malformed::Version);
    assert_eq!(wrong(|b| b[0] = 0x44), Malformed::HeaderLength);
    assert_eq!(wrong(|b| b[0] = 0x4f), Malformed::HeaderLength);
    assert_eq!(wrong(|b| b.truncate(45)), Malformed::TotalLength);
    for bit in 0..16 {
        let mut bytes = padded();
        bytes[10 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(View::new(&bytes).unwrap_err(), Malformed::Checksum);
    }
    for total_len in [0, 19, 50, 0xffff_u16] {
        let mut bytes = padded();
        bytes[2..4].copy_from_slice(&total_len.to_be_bytes());
        write_checksum(&mut bytes[..20]);
        assert_eq!(View::new(&bytes).unwrap_err(), Malformed::TotalLength);
    }
}

#[test]
fn options_belong_to_the_header() {
    let mut bytes = padded();
    bytes[0] = 0x46;
    bytes[20..24].copy_from_slice(&[0x94, 4, 0, 0]);
    write_checksum(&mut bytes[..24]);
    let view = View::new(&bytes).unwrap();
    assert_eq!(view.options(), [0x94, 4, 0, 0]);
    assert_eq!((view.header().len(), view.payload().len()), (24, 22));
}

prop_compose! {
    fn header()(
        dscp_ecn: u8, payload_len in 0u16..=65515, id: u16, dont_fragment: bool,
        more_fragments: bool, offset in 0u16..8192, ttl: u8, protocol: u8, addresses: [u32; 2],
    ) -> Header {
        Header {
            dscp_ecn, payload_len, id, dont_fragment, more_fragments,
            fragment_offset: offset * 8,
            ttl, protocol,
            source: addresses[0].into(),
            destination: addresses[1].into(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(header in header()) {
        let mut bytes = vec![0xa5; 65535];
        header.write(&mut bytes).unwrap();
        let view = View::new(&bytes).unwrap();
        let read = Header {
            dscp_ecn: view.dscp_ecn(),
            payload_len: u16::try_from(view.payload().len()).unwrap(),
            id: view.id(),
            dont_fragment: view.dont_fragment(),
            more_fragments: view.more_fragments(),
            fragment_offset: u16::try_from(view.fragment_offset()).unwrap(),
            ttl: view.ttl(),
            protocol: view.protocol(),
            source: view.source(),
            destination: view.destination(),
        };
        prop_assert_eq!(read, header);
        let other = etherparse::Ipv4HeaderSlice::from_slice(&bytes[..20]).unwrap();
        prop_assert_eq!(other.header_checksum(), other.to_header().calc_header_checksum());
    }

    #[test]
    fn decrement_is_full_recomputation(header in header(), options in 0usize..=10) {
        let mut bytes = vec![0xa5; HEADER + options * 4];
        header.write(&mut bytes).unwrap();
        bytes[0] = 0x45 + u8::try_from(options).unwrap();
        write_checksum(&mut bytes);
        let mut expected = bytes.clone();
        expected[8] = expected[8].saturating_sub(1);
        write_checksum(&mut expected);
        decrement_ttl(&mut bytes);
        prop_assert_eq!(&bytes, &expected);
        prop_assert_ne!(bytes[10..12].to_vec(), vec![0xff, 0xff]);
    }

    #[test]
    fn any_octets(mut octets in prop::collection::vec(any::<u8>(), 0..100), likely: bool) {
        if likely && let Some(header) = octets.get_mut(..20) {
            header[0] = 0x45;
            header[2] = 0;
            write_checksum(header);
        }
        if let Ok(view) = View::new(&octets) {
            prop_assert_eq!(view.header().len() + view.payload().len(), view.total_len());
            prop_assert!(view.total_len() <= octets.len());
        }
    }
}
