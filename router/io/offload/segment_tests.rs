use proptest::prelude::*;

use super::*;
use crate::io::offload::testing::{Flow, flow, into_octets, is_right, port, with_pool};
use crate::io::offload::{HEADER, NEEDS_CSUM};

fn header(flow: &Flow, size: u16) -> Header {
    Header {
        flags: NEEDS_CSUM,
        gso_type: if flow.is_v4 { GSO_TCPV4 } else { GSO_TCPV6 },
        hdr_len: 0xffff, // a hint, and not to be believed
        gso_size: size,
        csum_start: flow.transport().try_into().unwrap(),
        csum_offset: 16,
    }
}

/// All frames, and how many had no room.
fn all(
    header: &Header,
    packet: &mut [u8],
    finish: Finish,
    chunks: u32,
) -> Result<(Vec<Vec<u8>>, usize), Malformed> {
    let mut segments = Segments::new(header, packet, finish)?;
    let (mut frames, mut lost) = (Vec::new(), 0);
    with_pool(chunks, |pool| {
        let mut held = Vec::new();
        while let Some(frame) = segments.next(pool, port()) {
            match frame {
                Ok(frame) => held.push(frame),
                Err(NoRoom) => lost += 1,
            }
        }
        frames = held.into_iter().map(|frame| into_octets(frame, pool)).collect();
    });
    Ok((frames, lost))
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets[at..at + 4].try_into().unwrap())
}

proptest! {
    #[test]
    fn segments_make_up_the_stream(
        flow in flow(), data in prop::collection::vec(any::<u8>(), 1..20_000), size in 48u16..1400,
    ) {
        let mut packet = flow.unfinished(&data);
        let (frames, lost) = all(&header(&flow, size), &mut packet, Finish::Here, 512).unwrap();
        prop_assert_eq!(lost, 0);
        let (tcp, mut stream) = (flow.transport(), Vec::new());
        for (i, frame) in frames.iter().enumerate() {
            prop_assert!(is_right(frame), "{:x?}", frame);
            let sequence = flow.sequence.wrapping_add(u32::try_from(stream.len()).unwrap());
            prop_assert_eq!(word(frame, tcp + 4), sequence);
            if flow.is_v4 {
                let id = flow.id.wrapping_add(u16::try_from(i).unwrap());
                prop_assert_eq!(&frame[flow.network() + 4..flow.network() + 6], &id.to_be_bytes());
            }
            let mut flags = flow.flags;
            if i > 0 { flags &= !flag::CWR; }
            if i + 1 < frames.len() { flags &= !(flag::FIN | flag::PSH); }
            prop_assert_eq!(frame[tcp + 13], flags);
            stream.extend_from_slice(&frame[flow.headers()..]);
        }
        prop_assert_eq!(stream, data);
    }

    #[test]
    fn an_egress_that_finishes_gets_marked_frames(
        flow in flow(), data in prop::collection::vec(any::<u8>(), 1..3000),
    ) {
        let mut packet = flow.unfinished(&data);
        let header = header(&flow, 1000);
        let mut segments = Segments::new(&header, &mut packet, Finish::Egress).unwrap();
        with_pool(4, |pool| {
            while let Some(Ok(mut frame)) = segments.next(pool, port()) {
                assert!(frame.unfinished_checksum());
                assert!(transport::finish(&mut frame.bytes_mut()[flow.network()..]));
                assert!(is_right(frame.bytes()));
                pool.give(frame);
            }
        });
    }

    #[test]
    fn one_frame_with_an_open_checksum(
        flow in flow(), data in prop::collection::vec(any::<u8>(), 0..1400),
    ) {
        let open = Header { gso_type: GSO_NONE, ..header(&flow, 0) };
        let (frames, _) = all(&open, &mut flow.unfinished(&data), Finish::Here, 1).unwrap();
        prop_assert!(is_right(&frames[0]));
        prop_assert_eq!(frames.len(), 1);
    }

    #[test]
    fn nothing_panics(
        header: [u8; HEADER], mut packet in prop::collection::vec(any::<u8>(), 0..300), plain: bool,
    ) {
        let mut header = Header::from_octets(&header);
        if plain {
            header.gso_type &= 5;
            header.csum_start &= 0x7f;
            header.csum_offset = 16;
        }
        let _ = all(&header, &mut packet, Finish::Here, 4);
        let _ = all(&header, &mut packet, Finish::Egress, 4);
    }

    #[test]
    fn a_spoilt_packet_does_not_panic(
        flow in flow(), at in 12usize..80, octet: u8, cut in 0usize..400, size: u16,
    ) {
        let mut packet = flow.unfinished(&[7; 300]);
        if let Some(spoilt) = packet.get_mut(at) { *spoilt = octet; }
        packet.truncate(cut);
        let _ = all(&header(&flow, size), &mut packet, Finish::Egress, 4);
    }
}

fn plain() -> Flow {
    Flow { is_v4: true, tagged: false, options: 0, sequence: 1, flags: 0x18, id: 0xffff }
}

#[test]
fn an_empty_pool_loses_the_rest_and_says_how_much() {
    let mut packet = plain().unfinished(&[1; 5000]);
    let (frames, lost) = all(&header(&plain(), 1000), &mut packet, Finish::Here, 2).unwrap();
    assert_eq!((frames.len(), lost), (2, 3));
}

#[test]
fn a_finished_packet_stays_as_it_is() {
    let mut packet = plain().packet(b"hello");
    let (frames, _) = all(&Header::default(), &mut packet.clone(), Finish::Egress, 1).unwrap();
    assert_eq!(frames, [std::mem::take(&mut packet)]);
}

#[test]
fn what_makes_no_sense_is_named() {
    let wrong = |change: fn(&mut Header), cut: usize| {
        let mut header = header(&plain(), 100);
        change(&mut header);
        let mut packet = plain().unfinished(&[0; 300]);
        packet.truncate(cut);
        Segments::new(&header, &mut packet, Finish::Here).map(drop)
    };
    assert_eq!(wrong(|_| (), 354), Ok(()));
    assert_eq!(wrong(|h| h.gso_type = GSO_TCPV6, 354), Err(Malformed::Kind));
    assert_eq!(wrong(|h| h.gso_type = 5, 354), Err(Malformed::Kind));
    assert_eq!(wrong(|h| h.flags = 0, 354), Err(Malformed::Checksum));
    assert_eq!(wrong(|h| h.csum_offset = 6, 354), Err(Malformed::Checksum));
    assert_eq!(wrong(|h| h.csum_start = 33, 354), Err(Malformed::Headers));
    assert_eq!(wrong(|_| (), 54), Err(Malformed::Headers));
    assert_eq!(wrong(|h| h.gso_size = 0, 354), Err(Malformed::Size));
    assert_eq!(wrong(|h| h.gso_size = 0xffff, 354), Err(Malformed::Size));
    assert_eq!(wrong(|h| h.gso_type = GSO_NONE, 51), Err(Malformed::Checksum));
}

/// The checksum of a UDP datagram in VXLAN, say, which no egress finds: finished here.
#[test]
fn an_inner_checksum_is_finished_here() {
    let mut packet = plain().unfinished(&[0x55; 64]);
    let open = Header { flags: NEEDS_CSUM, csum_start: 60, csum_offset: 6, ..Header::default() };
    let mut segments = Segments::new(&open, &mut packet, Finish::Egress).unwrap();
    with_pool(1, |pool| {
        let frame = segments.next(pool, port()).unwrap().unwrap();
        assert!(!frame.unfinished_checksum());
        pool.give(frame);
    });
}
