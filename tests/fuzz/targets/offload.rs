//! A packet from a tap with its `virtio_net_hdr`: cut into frames, which are damaged a little,
//! merged, and cut again.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::io::IoSlice;

use arrayvec::ArrayVec;

use xrouter::frame::{Area, Frame, Pool};
use xrouter::id::PortId;
use xrouter::io::offload::merge::{Sink, write_all};
use xrouter::io::offload::segment::{Finish, Segments};
use xrouter::io::offload::{GSO_NONE, HEADER, Header};
use xrouter::io::tap::WriteError;
use xrouter::packet::ethernet;
use xrouter::packet::{ipv4, ipv6, tcp, transport};

use super::octets::Octets;

/// Frames that are merged together: a batch.
const BATCH: usize = 64;
/// More frames take long and show nothing new.
const FRAMES_MAX: usize = 512;

/// A tap that keeps what it is given.
#[derive(Default)]
struct Kept(RefCell<Vec<(Header, Vec<u8>)>>);

impl Sink for Kept {
    fn write(&self, header: &Header, pieces: &[IoSlice<'_>]) -> Result<(), WriteError> {
        let packet = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        self.0.borrow_mut().push((*header, packet));
        Ok(())
    }
}

thread_local! {
    static AREA: RefCell<Area> = RefCell::new(Area::new(64, 2048, false).expect("memory"));
}

/// `octets` are the header, what is done to the frames, and the packet.
pub fn run(octets: &[u8]) {
    let mut octets = Octets(octets);
    let header = Header::from_octets(&octets.array::<HEADER>());
    assert_eq!(Header::from_octets(&header.octets()), header);
    let damage: [[u8; 3]; 3] = [octets.array(), octets.array(), octets.array()];
    AREA.with_borrow_mut(|area| {
        let mut pool = Pool::new(area);
        let Some(mut frames) = cut_once(&header, octets.0, &mut pool) else { return };
        frames.truncate(BATCH);
        damage.iter().for_each(|damage| change(&mut frames, *damage));
        merged_and_cut(&frames, &mut pool);
        assert_eq!(pool.free(), pool.total(), "a frame was not given back");
    });
}

/// The input that cuts this packet, and changes a bit of the second frame's octet `at`.
pub fn input(header: &Header, at: u8, packet: &[u8]) -> Vec<u8> {
    let damage = [BIT_WITH_CHECKSUM, 1, at, 0, 0, 0, 0, 0, 0];
    [&header.octets()[..], &damage, packet].concat()
}

/// The frames of a packet that is well-formed and has not too many of them.
fn cut_once(header: &Header, packet: &[u8], pool: &mut Pool<'_>) -> Option<Vec<Vec<u8>>> {
    let mut buffer = packet.to_vec();
    if header.gso_type != GSO_NONE && packet.len() > FRAMES_MAX * usize::from(header.gso_size) {
        return None;
    }
    let frames = cut(header, &mut buffer, pool)?;
    if header.gso_type == GSO_NONE {
        assert!(frames.iter().all(|frame| frame.len() == packet.len()));
        return Some(frames);
    }
    let segment = &packet[header.csum_start.into()..];
    let headers = usize::from(header.csum_start) + tcp::View::new(segment)?.header_len();
    let size = usize::from(header.gso_size);
    // One that is longer than a chunk is left out: then nothing can be said of the others.
    if headers + size <= pool.room() {
        let data: Vec<_> = frames.iter().flat_map(|frame| &frame[headers..]).copied().collect();
        assert_eq!(data, packet[headers..]);
        assert!(frames.iter().all(|frame| frame.len() <= headers + size));
    }
    Some(frames)
}

fn cut(header: &Header, packet: &mut [u8], pool: &mut Pool<'_>) -> Option<Vec<Vec<u8>>> {
    let mut segments = Segments::new(header, packet, Finish::Here).ok()?;
    let mut frames = Vec::new();
    while let Some(frame) = segments.next(pool, port()) {
        let Ok(frame) = frame else { continue };
        frames.push(frame.bytes().to_vec());
        pool.give(frame);
    }
    Some(frames)
}

/// In what is done to a frame: change a bit; or, with a right checksum after it, as a sender would.
const BIT: u8 = 3;
const BIT_WITH_CHECKSUM: u8 = 5;

/// Leave a frame out, exchange two, change a bit, pad one, or leave them as they are.
fn change(frames: &mut Vec<Vec<u8>>, [what, which, at]: [u8; 3]) {
    let which = usize::from(which) % frames.len().max(1);
    match what % 8 {
        1 if !frames.is_empty() => drop(frames.remove(which)),
        2 if which + 1 < frames.len() => frames.swap(which, which + 1),
        BIT | BIT_WITH_CHECKSUM => {
            let Some(frame) = frames.get_mut(which) else { return };
            frame.get_mut(usize::from(at)).into_iter().for_each(|octet| *octet ^= 1 << (what >> 5));
            if what % 8 == BIT_WITH_CHECKSUM {
                let packet = frame.get_mut(ethernet::HEADER..).unwrap_or_default();
                transport::finish(packet);
            }
        }
        4 => {
            let short = frames.get_mut(which).filter(|frame| frame.len() < 1500);
            short.into_iter().for_each(|frame| frame.extend([at; 7]));
        }
        _ => {}
    }
}

/// What goes up the tap can be cut into the frames that it was made of.
fn merged_and_cut<'umem>(frames: &[Vec<u8>], pool: &mut Pool<'umem>) {
    let tap = Kept::default();
    let mut batch = ArrayVec::<Frame<'umem>, BATCH>::new();
    for octets in frames {
        let mut frame = pool.copy_of(octets, port()).expect("room for a batch");
        let packet = octets.get(ethernet::HEADER..).unwrap_or_default();
        frame.mark_unfinished(transport::is_unfinished(packet).is_some());
        batch.push(frame);
    }
    let mut told = 0;
    write_all(&tap, &mut batch, pool, |_, fate| told += usize::from(fate == Ok(())), || true);
    assert_eq!(told, frames.len());
    let mut again = Vec::new();
    for (header, mut packet) in tap.0.into_inner() {
        let cut = cut(&header, &mut packet, pool);
        again.extend(cut.unwrap_or_else(|| panic!("{header:?} is malformed")));
    }
    assert_eq!(again.len(), frames.len());
    for (again, frame) in again.iter().zip(frames) {
        assert!(again == frame || plain(again) == plain(frame), "{again:02x?} for {frame:02x?}");
    }
}

/// The frame without what may differ after it was merged and cut: padding, the ID of a packet
/// that is never fragmented, and the checksums, which are finished.
fn plain(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let packet = &frame[ethernet::HEADER..];
    let v4 = ipv4::View::new(packet).map(|packet| packet.total_len());
    let v6 = ipv6::View::new(packet).map(|packet| packet.total_len());
    let (is_v4, len) = (v4.is_ok(), v4.ok().or(v6.ok()));
    frame.truncate(ethernet::HEADER + len.unwrap_or(usize::MAX - ethernet::HEADER));
    let packet = &mut frame[ethernet::HEADER..];
    if is_v4 {
        packet[4..6].fill(0);
        ipv4::write_checksum(&mut packet[..ipv4::HEADER]);
    }
    transport::finish(packet);
    frame
}

fn port() -> PortId {
    PortId::new(3).expect("a small number")
}
