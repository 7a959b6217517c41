#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let header = Header::new(address("2001:db8:1::2"), address("2001:db8:2::2"), next_header, len);
    let mut bytes = vec![0xa5; HEADER];
    header.write(&mut bytes).unwrap();
    bytes.extend(payload);
    bytes
}

fn upper(next_header: u8, payload: &[u8]) -> Upper {
    View::new(&packet(next_header, payload)).unwrap().upper_layer()
}

#[test]
fn golden_header() {
    let header = Header {
        traffic_class: 0xb9,
        flow_label: 0xfff1_2345,
        ..Header::new(address("fe80::1"), ALL_NODES, protocol::UDP, 8)
    };
    let mut out = [0xa5; 48];
    assert_eq!(header.write(&mut out), Some(40));
    assert_eq!(out[..8], [0x6b, 0x91, 0x23, 0x45, 0, 8, 17, 64]);
    assert_eq!(out[8..24], address("fe80::1").octets());
    assert_eq!(out[24..40], ALL_NODES.octets());
    let view = View::new(&out).unwrap();
    assert_eq!((view.traffic_class(), view.flow_label()), (0xb9, 0x12345));
    assert_eq!(view.upper_layer().offset, 40);
    assert_eq!(header.write(&mut out[..39]), None);
}

#[test]
fn each_check_has_its_name() {
    let good = packet(protocol::UDP, &[0; 8]);
    assert_eq!(View::new(&good[..39]).unwrap_err(), Malformed::Truncated);
    assert_eq!(View::new(&good[..47]).unwrap_err(), Malformed::PayloadLength);
    let mut bytes = good.clone();
    bytes[0] = 0x40;
    assert_eq!(View::new(&bytes).unwrap_err(), Malformed::Version);
    let mut bytes = packet(protocol::HOP_BY_HOP, &[17, 0, 0xc2, 4, 0, 1, 0, 0]);
    bytes[5] = 0;
    assert_eq!(View::new(&bytes).unwrap_err(), Malformed::Jumbogram);
}

#[test]
fn padding_is_cut_and_no_payload_is_a_packet() {
    let mut bytes = packet(protocol::NO_NEXT_HEADER, &[]);
    bytes.extend([0xaa; 6]);
    let view = View::new(&bytes).unwrap();
    assert_eq!((view.total_len(), view.payload()), (40, &[][..]));
    assert!(view.upper_layer().complete);
}

#[test]
fn walk_passes_every_kind() {
    let mut payload = vec![43, 0, 1, 4, 0, 0, 0, 0]; // hop-by-hop
    payload.extend([60, 1, 4, 2]); // routing, type 4, 2 left, 16 octets
    payload.extend([0; 12]);
    payload.extend([51, 0, 1, 4, 0, 0, 0, 0]); // destination options
    payload.extend([44, 4, 0, 0]); // authentication, 24 octets
    payload.extend([0; 20]);
    payload.extend([17, 0, 0, 1, 0, 0, 0, 9]); // first fragment, id 9
    payload.extend([0; 8]);
    let upper = upper(protocol::HOP_BY_HOP, &payload);
    assert_eq!((upper.protocol, upper.offset, upper.complete), (17, 40 + 64, true));
    let fragment = Fragment { offset: 0, more: true, id: 9, next_header: 17 };
    assert_eq!(upper.fragment, Some(fragment));
    let routing = Routing { offset: 48, kind: 4, segments_left: 2 };
    assert_eq!(upper.routing, Some(routing));
    assert!(upper.is_fragment() && !upper.is_later_fragment());
}

#[test]
fn later_fragment_ends_the_walk() {
    let found = upper(44, &[60, 0, 0x05, 0xb0, 0, 0, 0, 1, 0xff, 0xff]);
    assert_eq!((found.protocol, found.offset, found.complete), (60, 48, true));
    assert_eq!(found.fragment.map(|fragment| fragment.offset), Some(1456));
    let atomic = upper(44, &[17, 0, 0, 0, 0, 0, 0, 1]);
    assert!(atomic.fragment.is_some() && !atomic.is_fragment());
}

#[test]
fn walk_stops_at_the_end_and_at_the_limit() {
    for cut in [&[][..], &[17], &[17, 1, 0, 0, 0, 0, 0, 0], &[17, 0xff]] {
        let found = upper(protocol::DESTINATION_OPTIONS, cut);
        assert_eq!((found.protocol, found.offset, found.complete), (60, 40, false));
    }
    assert!(!upper(protocol::FRAGMENT, &[17, 0, 0, 0, 0, 0, 0]).complete);
    let endless = [60, 0, 1, 4, 0, 0, 0, 0].repeat(8000);
    assert!(!upper(protocol::DESTINATION_OPTIONS, &endless).complete);
    let mut longest = [60, 0, 1, 4, 0, 0, 0, 0].repeat(EXTENSION_HEADERS_MAX);
    longest[8 * (EXTENSION_HEADERS_MAX - 1)] = protocol::UDP;
    assert!(upper(protocol::DESTINATION_OPTIONS, &longest).complete);
}

#[test]
fn hop_by_hop_options() {
    let options = |bytes: &[u8]| View::new(bytes).unwrap().hop_by_hop_options().map(Vec::from);
    assert_eq!(options(&packet(0, &[17, 0, 5, 2, 0, 0, 1, 0])), Some(vec![5, 2, 0, 0, 1, 0]));
    assert_eq!(options(&packet(0, &[17, 1, 5, 2, 0, 0, 1, 0])), None);
    assert_eq!(options(&packet(17, &[0; 8])), None);
}

#[test]
fn addresses() {
    let group = solicited_node(address("2001:db8::12:3456"));
    assert_eq!(group, address("ff02::1:ff12:3456"));
    let mac = MacAddress([0x00, 0x1b, 0x21, 0x0a, 0x0b, 0x0c]);
    assert_eq!(link_local_of(mac), address("fe80::21b:21ff:fe0a:b0c"));
    assert!(is_link_local(link_local_of(mac)) && is_link_local(address("febf::1")));
    assert!(!is_link_local(address("fec0::1")) && !is_link_local(ALL_NODES));
}

#[test]
fn hop_limit() {
    let mut bytes = packet(protocol::UDP, &[]);
    assert_eq!(decrement_hop_limit(&mut bytes), Some(63));
    assert_eq!(View::new(&bytes).unwrap().hop_limit(), 63);
    assert_eq!(restore_hop_limit(&mut bytes), Some(()));
    assert_eq!(View::new(&bytes).unwrap().hop_limit(), 64);
    bytes[7] = 0;
    assert_eq!(decrement_hop_limit(&mut bytes), None);
    assert_eq!(bytes[7], 0);
    bytes[7] = 255;
    assert_eq!(restore_hop_limit(&mut bytes), None);
    assert_eq!(bytes[7], 255);
}

proptest! {
    #[test]
    fn any_extension_headers(
        first in prop::sample::select(vec![0u8, 43, 44, 51, 60, 17]),
        payload in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(vec![0u8, 43, 44, 51, 60, 17])],
            1..200,
        ),
    ) {
        let bytes = packet(first, &payload);
        let view = View::new(&bytes).unwrap();
        let upper = view.upper_layer();
        prop_assert!(upper.offset <= view.total_len());
        let _ = view.hop_by_hop_options();
    }

    #[test]
    fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(view) = View::new(&octets) {
            prop_assert!(view.upper_layer().offset <= view.total_len());
        }
    }
}
