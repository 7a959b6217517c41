//! The Internet checksum: RFC 1071 (the sum), RFC 1624 (its update).
//!
//! Before working on this file, read RFC 1624 section 3: the older update of RFC 1141 gives
//! 0xffff where 0x0000 is right, and routers have been shipped with it.
//!
//! A *sum* here is a `u32` on its way: not folded, not inverted. [`combine`] adds two of them,
//! [`finish`] makes the 16 bits that stand in a packet.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

/// The one's complement sum of `octets` as 16-bit words in network order; an odd last octet is
/// padded with zero (RFC 1071 section 1). The parts of a message that are summed one by one must
/// all have even lengths but the last.
#[inline]
pub fn sum(octets: &[u8]) -> u32 {
    // The sum does not depend on the byte order in which it is taken (RFC 1071 section 2 (B)), so
    // this adds whole words as the machine reads them and turns only the result round.
    let (words, rest) = octets.as_chunks::<4>();
    let total: u64 = words.iter().map(|&word| u64::from(u32::from_ne_bytes(word))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let total = total + u64::from(u32::from_ne_bytes(last));
    u32::from(u16::from_be(fold_wide(total)))
}

/// The sum of what `a` and `b` are the sums of.
#[inline]
pub fn combine(a: u32, b: u32) -> u32 {
    u32::from(fold(a)) + u32::from(fold(b))
}

/// The sum as 16 bits, with end-around carry. Zero only if everything summed was zero.
#[inline]
pub fn fold(sum: u32) -> u16 {
    fold_wide(u64::from(sum))
}

#[inline]
fn fold_wide(total: u64) -> u16 {
    // As often as it can be needed, instead of until it is done: whether the last carry comes
    // depends on the packet, and a branch for it would be guessed wrong.
    let total = (total & 0xffff_ffff) + (total >> 32); // below 2^33
    let total = (total & 0xffff) + (total >> 16); // below 2^16 + 2^17
    let total = (total & 0xffff) + (total >> 16); // at most 2^16 + 1
    let total = (total & 0xffff) + (total >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "at most 0xffff after all carries")]
    let folded = total as u16;
    folded
}

/// The checksum that belongs into a packet whose sum, with a checksum field of zero, is `sum`.
#[inline]
pub fn finish(sum: u32) -> u16 {
    !fold(sum)
}

/// The checksum of `octets`, whose checksum field is zero.
#[inline]
pub fn of(octets: &[u8]) -> u16 {
    finish(sum(octets))
}

/// Whether the sum over a message with its checksum in place is right. Accepts both zeros: a field
/// of 0xffff is as valid as one of 0x0000.
///
/// Under the fuzzer every checksum is right: it would not guess one, and so never see what comes
/// after this check.
#[inline]
pub fn is_valid(sum: u32) -> bool {
    cfg!(fuzzing) || fold(sum) == 0xffff
}

/// The checksum after one 16-bit word of the message has changed from `old_word` to `new_word`
/// (RFC 1624 equation 3).
#[inline]
pub fn update16(old_checksum: u16, old_word: u16, new_word: u16) -> u16 {
    let sum = u32::from(!old_checksum) + u32::from(!old_word) + u32::from(new_word);
    match finish(sum) {
        // 0xffff is right only for a message of nothing but zeros, which no header is. Equation 3
        // gives it when the old checksum was 0xffff itself and 0xffff became 0.
        0xffff => 0,
        checksum => checksum,
    }
}

/// The sum over the pseudo-header of TCP and UDP over IPv4 (RFC 768, RFC 9293 3.1). `len` is the
/// length of the transport header and its data in octets.
#[inline]
pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, len: u16) -> u32 {
    halves(source.to_bits()) + halves(destination.to_bits()) + u32::from(protocol) + u32::from(len)
}

/// The sum over the pseudo-header of upper layers over IPv6 (RFC 8200 8.1). `len` is the length of
/// the upper layer's header and its data in octets.
#[inline]
pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, len: u32) -> u32 {
    let addresses = sum(&source.octets()) + sum(&destination.octets());
    addresses + halves(len) + u32::from(protocol)
}

#[inline]
fn halves(word: u32) -> u32 {
    (word >> 16) + (word & 0xffff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 section 4.1, word by word.
    fn slow_sum(octets: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in octets.chunks(2) {
            total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            total = (total & 0xffff) + (total >> 16);
        }
        u16::try_from(total).unwrap()
    }

    #[test]
    fn rfc1071_example() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&octets)), 0xddf2);
        assert_eq!(of(&octets), 0x220d);
    }

    #[test]
    fn nothing_and_zeros_and_ones() {
        assert_eq!(sum(&[]), 0);
        assert_eq!(fold(sum(&[0; 64])), 0);
        assert_eq!(fold(sum(&[0xff; 1500])), 0xffff);
        assert_eq!(fold(sum(&[0x12])), 0x1200);
    }

    #[test]
    fn rfc1624_example() {
        // Section 4: HC = 0xdd2f, m = 0x5555 -> m' = 0x3285.
        assert_eq!(update16(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn never_ffff() {
        assert_eq!(update16(0xffff, 0xffff, 0), 0);
        for checksum in [0, 1, 0xfeff, 0xff00, 0xfffe, 0xffff] {
            for old in 0..=0xffff {
                assert_ne!(update16(checksum, old, old.wrapping_sub(0x100)), 0xffff);
            }
        }
    }

    proptest! {
        #[test]
        fn same_as_word_by_word(octets in prop::collection::vec(any::<u8>(), 0..1600)) {
            prop_assert_eq!(fold(sum(&octets)), slow_sum(&octets));
        }

        #[test]
        fn parts_combine(octets in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..100) {
            let (front, back) = octets.split_at((at * 2).min(octets.len() & !1));
            prop_assert_eq!(fold(combine(sum(front), sum(back))), slow_sum(&octets));
        }

        #[test]
        fn update_is_full_recomputation(
            mut octets in prop::collection::vec(any::<u8>(), 20), at in 0usize..10, new: u16,
        ) {
            octets[0] = 0x45;
            let old = u16::from_be_bytes([octets[at * 2], octets[at * 2 + 1]]);
            let before = of(&octets);
            octets[at * 2..at * 2 + 2].copy_from_slice(&new.to_be_bytes());
            prop_assume!(octets.iter().any(|&octet| octet != 0));
            prop_assert_eq!(update16(before, old, new), of(&octets));
        }

        #[test]
        fn pseudo_headers(a: u32, b: u32, c: u128, d: u128, protocol: u8, len: u16) {
            let mut v4 = [a.to_be_bytes(), b.to_be_bytes()].concat();
            v4.extend([0, protocol]);
            v4.extend(len.to_be_bytes());
            let sum = pseudo_v4(a.into(), b.into(), protocol, len);
            prop_assert_eq!(fold(sum), slow_sum(&v4));

            let mut v6 = [c.to_be_bytes(), d.to_be_bytes()].concat();
            v6.extend(u32::from(len).to_be_bytes());
            v6.extend([0, 0, 0, protocol]);
            let sum = pseudo_v6(c.into(), d.into(), protocol, u32::from(len));
            prop_assert_eq!(fold(sum), slow_sum(&v6));
        }
    }
}
