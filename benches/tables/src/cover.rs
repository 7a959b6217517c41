//! Which prefix is the longest that covers another.

use prefix_trie::PrefixSet;

use crate::Prefix;

/// A set of prefixes that can be asked for covers.
#[derive(Default)]
pub struct Covers(PrefixSet<(u128, u8)>);

impl Covers {
    /// One prefix more.
    pub fn insert(&mut self, prefix: Prefix) {
        self.0.insert((prefix.bits, prefix.len));
    }

    /// The longest of the set that covers `prefix`, itself included.
    pub fn of(&self, prefix: Prefix) -> Option<Prefix> {
        let (bits, len) = self.0.get_lpm(&(prefix.bits, prefix.len))?;
        Some(Prefix { bits, len })
    }
}
