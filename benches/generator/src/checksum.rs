//! RFC 1071, over words in the host's order: the sum comes out in the network's.

/// The unfolded sum of 16-bit words; an odd octet at the end is followed by a zero.
pub fn sum(octets: &[u8]) -> u64 {
    let (words, last) = octets.as_chunks::<2>();
    let words: u64 = words.iter().map(|word| u64::from(u16::from_ne_bytes(*word))).sum();
    words + last.first().map_or(0, |&octet| u64::from(u16::from_ne_bytes([octet, 0])))
}

/// The sum as one word.
pub fn fold(sum: u64) -> u16 {
    let mut folded = sum;
    while let carry @ 1.. = folded >> 16 {
        folded = (folded & 0xffff) + carry;
    }
    folded as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_rfc_1071() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&octets)).to_ne_bytes(), [0xdd, 0xf2]);
    }

    #[test]
    fn an_odd_octet_is_the_first_of_a_word() {
        assert_eq!(sum(&[1, 2, 3]), sum(&[1, 2, 3, 0]));
    }

    #[test]
    fn carries_are_added_until_none_is_left() {
        assert_eq!(fold(0xffff), 0xffff);
        assert_eq!(fold(0x1_ffff), 1);
        assert_eq!(fold(0xffff_ffff_0001), 1);
    }
}
