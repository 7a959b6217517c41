//! Bytes and their meaning. No state, no time, no allocation on the packet path.
//!
//! A *view* is a ruler laid over received octets: one fallible constructor makes every check, and
//! the accessors after it cannot fail. A *header* (or a builder function) is the other direction:
//! what it can say can be sent, written into a `&mut [u8]` of the caller. A builder returns the
//! number of octets it wrote, or nothing if the buffer is too short.
//!
//! Nothing here panics on octets that came from the network, whatever they are.
#![forbid(unsafe_code)]

pub mod arp;
pub mod checksum;
pub mod describe;
pub mod ethernet;
pub mod flow;
pub mod hop_by_hop;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv4_options;
pub mod ipv6;
pub mod ndp;
pub mod protocol;
pub mod redirect;
pub mod tcp;
pub mod text;
pub mod transport;
pub mod udp;

/// The 16-bit number at `at`, sent most significant octet first. The caller's view has checked
/// that it is there.
#[inline]
fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

/// The 32-bit number at `at`, as [`u16_at`].
#[inline]
fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets_at(octets, at))
}

/// The `N` octets at `at`, as [`u16_at`].
#[inline]
fn octets_at<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    let mut copy = [0; N];
    copy.copy_from_slice(&octets[at..at + N]);
    copy
}

/// Write `octets` at `at`. The caller has checked that there is room.
#[inline]
fn put(out: &mut [u8], at: usize, octets: &[u8]) {
    out[at..at + octets.len()].copy_from_slice(octets);
}
