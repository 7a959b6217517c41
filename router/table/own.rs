//! The addresses that no packet in transit comes from, for who has no time to search: a filter.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::Region;

/// Words of the filter. With a hundred addresses in its 65,536 bits, one stranger in 650 is taken
/// for one of them, and goes the longer way.
pub const WORDS: usize = 1024;

/// Spread the two halves of an address over the bits (`bpf/shared.h`, own).
pub const FOLD: u64 = 0xff51_afd7_ed55_8ccd;
/// See [`FOLD`].
pub const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) const OCTETS: usize = WORDS * size_of::<AtomicU64>();

/// The filter: control writes it, XDP programs read it. The workers know the addresses themselves.
#[derive(Debug)]
pub(super) struct OwnFilter(Region);

impl OwnFilter {
    pub(super) fn new(memory: Region) -> Self {
        Self(memory)
    }

    /// These are the addresses from now on.
    pub(super) fn set(&self, addresses: impl Iterator<Item = IpAddr>) {
        let mut words = vec![0; WORDS];
        for address in addresses {
            let bit = bit(address);
            words[bit / 64] |= 1 << (bit % 64);
        }
        for (word, bits) in self.words().iter().zip(words) {
            word.store(bits, Ordering::Relaxed);
        }
    }

    fn words(&self) -> &[AtomicU64] {
        self.0.words(0, WORDS)
    }
}

/// The address's bit, below 64 * [`WORDS`].
fn bit(address: IpAddr) -> usize {
    let (high, low) = match address {
        IpAddr::V4(address) => (0, address.to_bits().into()),
        IpAddr::V6(address) => halves(address.to_bits()),
    };
    ((high.wrapping_mul(FOLD) ^ low).wrapping_mul(SPREAD) >> 48) as usize
}

#[expect(clippy::cast_possible_truncation, reason = "one half after the other")]
fn halves(address: u128) -> (u64, u64) {
    ((address >> 64) as u64, address as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(filter: &OwnFilter, address: &str) -> bool {
        let bit = bit(address.parse().unwrap());
        filter.words()[bit / 64].load(Ordering::Relaxed) >> (bit % 64) & 1 == 1
    }

    #[test]
    fn what_is_set_is_held_and_what_was_set_is_not() {
        let filter = OwnFilter::new(Region::anonymous(OCTETS).unwrap());
        let (mine, yours) = (["192.0.2.1", "2001:db8::1"], "192.0.2.2");
        filter.set(mine.iter().map(|address| address.parse().unwrap()));
        assert!(mine.iter().all(|address| holds(&filter, address)) && !holds(&filter, yours));
        filter.set([yours.parse().unwrap()].into_iter());
        assert!(!mine.iter().any(|address| holds(&filter, address)) && holds(&filter, yours));
    }

    #[test]
    fn strangers_are_seldom_taken_for_ours() {
        let filter = OwnFilter::new(Region::anonymous(OCTETS).unwrap());
        filter.set((0..100u32).map(|i| IpAddr::from((0xc000_0201 + (i << 8)).to_be_bytes())));
        let strangers = (0..100_000u32).map(|i| (0x0a00_0000 + i * 7).to_be_bytes());
        let taken = strangers.filter(|octets| {
            let [a, b, c, d] = octets;
            holds(&filter, &format!("{a}.{b}.{c}.{d}"))
        });
        let taken = taken.count();
        assert!(taken < 400, "{taken} of 100,000");
    }
}
