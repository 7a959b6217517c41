use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::io::offload::segment::{Finish, Segments};
use crate::io::offload::testing::{Flow, flow, into_octets, is_right, port, with_pool};

/// A tap that keeps what it is given.
#[derive(Default)]
struct Kept {
    packets: RefCell<Vec<(Header, Vec<u8>)>>,
    refuse: Option<WriteError>,
}

impl Sink for Kept {
    fn write(&self, header: &Header, pieces: &[IoSlice<'_>]) -> Result<(), WriteError> {
        let packet = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        self.packets.borrow_mut().push((*header, packet));
        self.refuse.map_or(Ok(()), Err)
    }
}

/// What goes up the tap of these frames; each with whether its checksum is unfinished.
fn merged(frames: &[(Vec<u8>, bool)]) -> Vec<(Header, Vec<u8>)> {
    let tap = Kept::default();
    let mut told = 0;
    with_pool(64, |pool| {
        let mut batch = ArrayVec::<_, 64>::new();
        for (octets, unfinished) in frames {
            let mut frame = pool.copy_of(octets, port()).unwrap();
            frame.mark_unfinished(*unfinished);
            batch.push(frame);
        }
        write_all(&tap, &mut batch, pool, |_, fate| told += usize::from(fate.is_ok()), || true);
    });
    assert_eq!(told, frames.len());
    tap.packets.into_inner()
}

fn finished(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<(Vec<u8>, bool)> {
    frames.into_iter().map(|frame| (frame, false)).collect()
}

/// As the kernel's GSO would.
fn cut(header: &Header, packet: &mut [u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut segments = Segments::new(header, packet, Finish::Here).unwrap();
    with_pool(1, |pool| {
        while let Some(frame) = segments.next(pool, port()) {
            frames.push(into_octets(frame.unwrap(), pool));
        }
    });
    frames
}

fn plain(sequence: u32) -> Flow {
    Flow { is_v4: true, tagged: false, options: 12, sequence, flags: 0x10, id: 5 }
}

fn shared_header(size: u16) -> Header {
    Header {
        flags: NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 66,
        gso_size: size,
        csum_start: 34,
        csum_offset: 16,
    }
}

proptest! {
    /// What the kernel cuts itself comes together again, and the whole can be cut into the same.
    #[test]
    fn merge_undoes_segment(
        flow in flow(), data in prop::collection::vec(any::<u8>(), 1..20_000), size in 500u16..1400,
    ) {
        let flow = Flow { tagged: false, flags: flow.flags & !flag::CWR, ..flow };
        let header = Header {
            gso_type: if flow.is_v4 { GSO_TCPV4 } else { GSO_TCPV6 },
            csum_start: flow.transport().try_into().unwrap(),
            hdr_len: flow.headers().try_into().unwrap(),
            ..shared_header(size)
        };
        let whole = flow.unfinished(&data);
        let frames = cut(&header, &mut whole.clone());
        let up = merged(&finished(frames.clone()));
        prop_assert_eq!(up.len(), 1);
        if frames.len() > 1 {
            prop_assert_eq!(&up[0], &(header, whole));
            prop_assert_eq!(cut(&up[0].0, &mut up[0].1.clone()), frames);
        } else {
            prop_assert_eq!(&up[0], &(Header::default(), flow.packet(&data)));
        }
    }

    /// Whatever the order and mixture, each flow's octets come up in order and with right sums.
    #[test]
    fn nothing_is_lost_or_reordered(
        order in prop::collection::vec((0usize..3, 1usize..1200, any::<bool>()), 1..60),
    ) {
        let mut next = [u32::MAX - 2000, 7, 1 << 20];
        let mut sent = [const { Vec::new() }; 3];
        let mut frames = Vec::new();
        for (who, len, push) in order {
            let flags = if push { 0x18 } else { 0x10 };
            let flow = Flow {
                is_v4: who != 1, options: who * 16, flags, ..plain(next[who])
            };
            let data: Vec<u8> = (0..=255).cycle().skip(who).take(len).collect();
            next[who] = next[who].wrapping_add(u32::try_from(len).unwrap());
            frames.push(flow.packet(&data));
            sent[who].extend(data);
        }
        let mut got = [const { Vec::new() }; 3];
        for (header, mut packet) in merged(&finished(frames)) {
            let is_single = header == Header::default();
            let pieces = if is_single { vec![packet] } else { cut(&header, &mut packet) };
            for piece in pieces {
                prop_assert!(is_right(&piece));
                let view = Segment::new(&piece).unwrap();
                let who = (view.tcp.header_len() - 20) / 16;
                got[who].extend_from_slice(&piece[view.data..view.end]);
            }
        }
        prop_assert_eq!(got, sent);
    }

    #[test]
    fn nothing_panics(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..20),
        unfinished: bool,
    ) {
        let frames: Vec<_> = frames.into_iter().map(|frame| (frame, unfinished)).collect();
        prop_assert_eq!(merged(&frames).len(), frames.len());
    }

    #[test]
    fn a_spoilt_segment_goes_alone_and_as_it_is(
        at in 0usize..400, bit in 0u8..8, which in 0usize..3,
    ) {
        let mut frames: Vec<_> = [0, 400, 800].map(|at| plain(at).packet(&[5; 400])).to_vec();
        let at = if at < 66 { at } else { at + 60 };
        frames[which][at] ^= 1 << bit;
        let spoilt = frames[which].clone();
        let up = merged(&finished(frames));
        // Bits of the Ethernet header are not covered by any checksum, but they part flows.
        prop_assert!(up.contains(&(Header::default(), spoilt)));
    }
}

#[test]
fn padding_does_not_become_data() {
    let mut frames = vec![plain(0).packet(b"ab"), plain(2).packet(b"c")];
    frames[1].extend([0; 9]);
    let up = merged(&finished(frames));
    assert_eq!(up, [(shared_header(2), plain(0).unfinished(b"abc"))]);
}

#[test]
fn what_parts_a_run() {
    let pair = |change: fn(&mut Flow), len: usize| {
        let mut second = plain(4);
        change(&mut second);
        merged(&finished([plain(0).packet(&[1; 4]), second.packet(&vec![2; len])])).len()
    };
    assert_eq!(pair(|_| (), 4), 1);
    assert_eq!(pair(|_| (), 5), 2, "longer than the first");
    assert_eq!(pair(|_| (), 0), 2, "a mere acknowledgement");
    assert_eq!(pair(|flow| flow.sequence = 5, 4), 2, "a gap");
    assert_eq!(pair(|flow| flow.flags = 0x90, 4), 2, "CWR");
    assert_eq!(pair(|flow| flow.flags = 0x50, 4), 2, "ECN echo begins");
    assert_eq!(pair(|flow| flow.flags = 0x14, 4), 2, "reset");
    assert_eq!(pair(|flow| flow.options = 8, 4), 2, "other options");
    assert_eq!(pair(|flow| flow.is_v4 = false, 4), 2, "another protocol");
    assert_eq!(pair(|flow| flow.flags = 0x19, 4), 1, "the end of the data");
}

#[test]
fn a_push_ends_a_run() {
    let pushed = Flow { flags: 0x18, ..plain(4) };
    let frames = [plain(0).packet(&[1; 4]), pushed.packet(&[2; 4]), plain(8).packet(&[3; 4])];
    let up = merged(&finished(frames));
    assert_eq!(up.len(), 2);
    assert_eq!(up[0].1[34 + 13], 0x18);
}

#[test]
fn limits_of_segments_and_octets() {
    let frames = |len: u32, n: u32| {
        finished((0..n).map(|i| plain(i * len).packet(&vec![0; len as usize]))).to_vec()
    };
    let up = merged(&frames(100, 64));
    assert_eq!(
        up.iter().map(|(_, packet)| (packet.len() - 66) / 100).collect::<Vec<_>>(),
        [44, 20]
    );
    let up = merged(&frames(1700, 50));
    assert_eq!(
        up.iter().map(|(_, packet)| (packet.len() - 66) / 1700).collect::<Vec<_>>(),
        [38, 12]
    );
}

#[test]
fn an_unfinished_checksum_is_said_so() {
    let alone = merged(&[(plain(0).unfinished(b"abc"), true)]);
    assert_eq!(alone[0].0, Header { gso_type: 0, hdr_len: 0, ..shared_header(0) });
    let pair = [(plain(0).unfinished(b"abc"), true), (plain(3).packet(b"def"), false)];
    assert_eq!(merged(&pair), [(shared_header(3), plain(0).unfinished(b"abcdef"))]);
}

#[test]
fn a_tap_that_is_down_is_asked_once_and_a_full_one_again() {
    for (refuse, calls) in [(WriteError::Down, 1), (WriteError::Full, 3)] {
        let tap = Kept { refuse: Some(refuse), ..Kept::default() };
        let mut fates = Vec::new();
        with_pool(4, |pool| {
            let mut batch = ArrayVec::<_, 4>::new();
            for sequence in [1, 100, 200] {
                batch.push(pool.copy_of(&plain(sequence).packet(b"x"), port()).unwrap());
            }
            write_all(&tap, &mut batch, pool, |_, fate| fates.push(fate), || true);
        });
        assert_eq!(fates, [Err(refuse); 3]);
        assert_eq!(tap.packets.borrow().len(), calls);
    }
}
