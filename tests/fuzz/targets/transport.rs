//! TCP, UDP and their checksums in an IP packet of either kind.
#![forbid(unsafe_code)]

use xrouter::packet::transport::{self, Unfinished};
use xrouter::packet::{checksum, tcp, udp};

use super::octets::assert_within;

/// `packet` starts with an IP header; its end serves as a segment, too.
pub fn run(packet: &[u8]) {
    sums(packet);
    segment(packet);
    datagram(packet);
    finished(packet);
}

/// The sum of two halves is that of the whole; the update is what a new sum would be.
fn sums(octets: &[u8]) {
    let middle = octets.len() / 4 * 2;
    let (front, back) = octets.split_at(middle);
    let both = checksum::combine(checksum::sum(front), checksum::sum(back));
    assert_eq!(checksum::fold(both), checksum::fold(checksum::sum(octets)));
    let [a, b, c, d, ..] = *octets else { return };
    let (old, new) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let mut changed = octets.to_vec();
    changed[..2].copy_from_slice(&[c, d]);
    // A message of zeros alone is none: see `update16`.
    if changed.iter().any(|&octet| octet != 0) && octets.iter().any(|&octet| octet != 0) {
        let updated = checksum::update16(checksum::of(octets), old, new);
        assert_eq!(updated, checksum::of(&changed));
    }
}

fn segment(octets: &[u8]) {
    let Some(view) = tcp::View::new(octets) else { return };
    assert_within(view.data(), octets);
    assert_within(view.options(), octets);
    assert_eq!(tcp::HEADER + view.options().len() + view.data().len(), octets.len());
    assert_eq!(view.header_len(), tcp::HEADER + view.options().len());
}

fn datagram(octets: &[u8]) {
    let Some(view) = udp::View::new(octets) else { return };
    assert_within(view.datagram(), octets);
    assert_eq!(udp::HEADER + view.data().len(), view.datagram().len());
}

/// Finishing writes the two octets of the checksum and no others, and twice is as good as once.
fn finished(packet: &[u8]) {
    let mut once = packet.to_vec();
    let place = transport::is_unfinished(packet);
    if !transport::finish(&mut once) {
        assert_eq!((place, transport::is_valid(packet)), (None, None));
        return assert_eq!(once, packet);
    }
    assert_eq!(transport::is_valid(&once), Some(true));
    let changed: Vec<_> = (0..packet.len()).filter(|&at| once[at] != packet[at]).collect();
    assert!(changed.len() <= 2 && changed.windows(2).all(|two| two[0] + 1 == two[1]));
    if let Some(Unfinished { start, offset }) = place {
        let field = usize::from(start) + usize::from(offset);
        assert!(changed.iter().all(|&at| at == field || at == field + 1));
    }
    let mut twice = once.clone();
    transport::finish(&mut twice);
    assert_eq!(twice, once);
}
