//! Prefixes and what each has, in a hash table made for a million of them.
//!
//! One array with linear probing, at most three quarters full: asking for a prefix touches one
//! cache line, nearly always. Prefixes come from peers, so the hash has a random seed: nobody can
//! choose prefixes that all have the same place.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, Hash, Hasher};
use std::num::NonZeroU8;

use foldhash::fast::RandomState;

use super::shared::prefetch;

/// The bits of an address.
pub trait Bits: Copy + Eq + Hash {
    /// The first `len` bits, the rest 0.
    fn first(self, len: u8) -> Self;
}

impl Bits for u32 {
    fn first(self, len: u8) -> Self {
        self & !Self::MAX.checked_shr(len.into()).unwrap_or(0)
    }
}

/// The bits of an IPv6 address, not aligned to 16 octets: in a million places that is a lot of
/// padding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wide([u8; 16]);

impl From<u128> for Wide {
    #[inline]
    fn from(bits: u128) -> Self {
        Self(bits.to_ne_bytes())
    }
}

impl From<Wide> for u128 {
    #[inline]
    fn from(Wide(octets): Wide) -> Self {
        Self::from_ne_bytes(octets)
    }
}

impl Hash for Wide {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128((*self).into());
    }
}

impl Bits for Wide {
    fn first(self, len: u8) -> Self {
        let bits = u128::from(self);
        (bits & !u128::MAX.checked_shr(len.into()).unwrap_or(0)).into()
    }
}

/// Places of an empty table: a power of two, as any number of places is.
const PLACES_MIN: usize = 16;

/// A length, and one more: no prefix leaves its place zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Length(NonZeroU8);

impl Length {
    #[inline]
    fn new(len: u8) -> Self {
        Self(NonZeroU8::MIN.saturating_add(len))
    }

    #[inline]
    fn get(self) -> u8 {
        self.0.get() - 1
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot<B, V> {
    bits: B,
    len: Length,
    value: V,
}

/// A map from prefixes, whose host bits are 0, to values.
#[derive(Debug)]
pub struct Prefixes<B, V> {
    slots: Vec<Option<Slot<B, V>>>,
    used: usize,
    /// How many prefixes there are of each length.
    of_length: [u32; 129],
    hasher: RandomState,
}

impl<B: Bits, V: Copy> Default for Prefixes<B, V> {
    fn default() -> Self {
        Self {
            slots: vec![None; PLACES_MIN],
            used: 0,
            of_length: [0; 129],
            hasher: RandomState::default(),
        }
    }
}

impl<B: Bits, V: Copy> Prefixes<B, V> {
    /// Ask for the prefix's cache line, for soon.
    #[inline]
    pub fn prefetch(&self, bits: B, len: u8) {
        prefetch(&self.slots, self.home(bits, len));
    }

    /// What the prefix has.
    #[inline]
    pub fn get(&self, bits: B, len: u8) -> Option<V> {
        self.slots[self.place(bits, len)].map(|slot| slot.value)
    }

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, bits: B, len: u8) -> Option<&mut V> {
        let place = self.place(bits, len);
        self.slots[place].as_mut().map(|slot| &mut slot.value)
    }

    /// Give the prefix this value; the one that it had.
    #[inline]
    pub fn insert(&mut self, bits: B, len: u8, value: V) -> Option<V> {
        let place = self.place(bits, len);
        let slot = Slot { bits, len: Length::new(len), value };
        let had = self.slots[place].replace(slot).map(|slot| slot.value);
        if had.is_none() {
            self.count(len);
        }
        had
    }

    /// Forget the prefix; what it had.
    pub fn remove(&mut self, bits: B, len: u8) -> Option<V> {
        let place = self.place(bits, len);
        let had = self.slots[place].take()?.value;
        self.of_length[usize::from(len)] -= 1;
        self.used -= 1;
        self.close_gap(place);
        Some(had)
    }

    /// The longest prefix shorter than `below` that covers these bits: its length, what it has.
    pub fn cover(&self, bits: B, below: u8) -> Option<(u8, V)> {
        let mut lengths = (0..below).rev().filter(|&len| self.of_length[usize::from(len)] > 0);
        lengths.find_map(|len| Some((len, self.get(bits.first(len), len)?)))
    }

    /// All prefixes in no order: bits, length, value.
    pub fn iter(&self) -> impl Iterator<Item = (B, u8, V)> {
        self.slots.iter().flatten().map(|slot| (slot.bits, slot.len.get(), slot.value))
    }

    /// Where probing for the prefix begins.
    #[inline]
    fn home(&self, bits: B, len: u8) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "as many bits as there are places")]
        let hash = self.hasher.hash_one((bits, len)) as usize;
        hash & (self.slots.len() - 1)
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }

    /// The place that the prefix has, or the vacant one that it would get: there always is one.
    #[inline]
    fn place(&self, bits: B, len: u8) -> usize {
        let (mut place, len_there) = (self.home(bits, len), Length::new(len));
        let is_other = |slot: Slot<B, V>| slot.len != len_there || slot.bits != bits;
        while self.slots[place].is_some_and(is_other) {
            place = self.after(place);
        }
        place
    }

    /// One prefix more, of this length; if the places are too few now, twice as many.
    fn count(&mut self, len: u8) {
        self.of_length[usize::from(len)] += 1;
        self.used += 1;
        if self.used > self.slots.len() / 4 * 3 {
            let places = self.slots.len() * 2;
            let old = std::mem::replace(&mut self.slots, vec![None; places]);
            for slot in old.into_iter().flatten() {
                let place = self.place(slot.bits, slot.len.get());
                self.slots[place] = Some(slot);
            }
        }
    }

    /// Nobody may find a gap between his home and himself: whoever would moves up.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.slots.len() - 1;
        let mut place = self.after(gap);
        while let Some(slot) = self.slots[place] {
            let home = self.home(slot.bits, slot.len.get());
            if place.wrapping_sub(home) & mask >= place.wrapping_sub(gap) & mask {
                self.slots[gap] = self.slots[place].take();
                gap = place;
            }
            place = self.after(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn covers(short: (u128, u8), long: u128) -> bool {
        Wide::from(long).first(short.1) == short.0.into()
    }

    proptest! {
        #[test]
        fn as_a_map_whatever_comes_and_goes(
            changes in prop::collection::vec((0u128..64, 120u8..=128, 0u8..4), 1..400),
        ) {
            let (mut table, mut map) = (Prefixes::<Wide, u8>::default(), BTreeMap::new());
            for (bits, len, value) in changes {
                let prefix = Wide::from(bits).first(len);
                let key = (u128::from(prefix), len);
                match value {
                    0 => prop_assert_eq!(table.remove(prefix, len), map.remove(&key)),
                    _ => prop_assert_eq!(table.insert(prefix, len, value), map.insert(key, value)),
                }
                let cover = |&(&(at, length), _): &(&(u128, u8), _)| {
                    length < len && covers((at, length), bits)
                };
                let longest = map.iter().filter(cover).max_by_key(|((_, length), _)| *length);
                let expected = longest.map(|(&(_, length), &value)| (length, value));
                prop_assert_eq!(table.cover(bits.into(), len), expected);
            }
            let all: BTreeMap<_, _> =
                table.iter().map(|(bits, len, value)| ((u128::from(bits), len), value)).collect();
            prop_assert_eq!(all, map);
        }
    }

    #[test]
    fn a_route_is_eight_octets_and_twenty() {
        assert_eq!(size_of::<Option<Slot<u32, [u8; 3]>>>(), 8);
        assert_eq!(size_of::<Option<Slot<Wide, [u8; 3]>>>(), 20);
        assert_eq!(size_of::<Option<Slot<u32, crate::id::NextHopId>>>(), 8);
    }

    #[test]
    fn no_bits_and_all_bits() {
        assert_eq!((u32::MAX.first(0), u32::MAX.first(32)), (0, u32::MAX));
        assert_eq!(u32::MAX.first(24), 0xffff_ff00);
        assert_eq!(Wide::from(u128::MAX).first(0), Wide::from(0));
        assert_eq!(u128::from(Wide::from(u128::MAX).first(65)), u128::MAX << 63);
    }
}
