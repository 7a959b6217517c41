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

/// Words of the workers' filter: it stays in the first-level cache.
const SMALL_WORDS: usize = 32;

/// The workers' own filter, one version for each batch. What it does not hold is none of the
/// addresses; what it holds is to be searched for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SmallFilter([u64; SMALL_WORDS]);

impl SmallFilter {
    /// One that holds these addresses.
    pub fn of(addresses: impl Iterator<Item = IpAddr>) -> Self {
        let mut filter = Self::default();
        for address in addresses {
            let bit = bit(address);
            filter.0[bit / 64 % SMALL_WORDS] |= 1 << (bit % 64);
        }
        filter
    }

    /// Whether `address` may be one of them.
    #[inline]
    pub fn may_hold(&self, address: IpAddr) -> bool {
        let bit = bit(address);
        self.0[bit / 64 % SMALL_WORDS] >> (bit % 64) & 1 != 0
    }
}

/// The address's bit, below 64 * [`WORDS`].
#[inline]
fn bit(address: IpAddr) -> usize {
    let (high, low) = match address {
        IpAddr::V4(address) => (0, address.to_bits().into()),
        IpAddr::V6(address) => halves(address.to_bits()),
    };
    ((high.wrapping_mul(FOLD) ^ low).wrapping_mul(SPREAD) >> 48) as usize
}

#[inline]
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
    fn the_small_filter_holds_its_own_and_few_others() {
        let own = |i: u32| IpAddr::from((0xc000_0201 + (i << 8)).to_be_bytes());
        let own6 = |i: u32| IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(i)).to_be_bytes());
        let filter = SmallFilter::of((0..8).map(own).chain((0..8).map(own6)));
        assert!((0..8).all(|i| filter.may_hold(own(i)) && filter.may_hold(own6(i))));
        let strangers =
            (8..10_000).filter(|&i| filter.may_hold(own(i)) || filter.may_hold(own6(i)));
        let taken = strangers.count();
        assert!(taken < 400, "{taken} of 10,000");
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
