//! Which next hops packets are sent to: a neighbour in use is a neighbour to be confirmed.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

use super::shared::Region;
use crate::id::{NEXT_HOP_ID_MAX, NextHopId};

/// Octets of the array: one for each number that a next hop can have.
pub(super) const OCTETS: usize = NEXT_HOP_ID_MAX as usize + 1;

/// Which next hops packets were sent to, since control asked last. Written by workers and XDP
/// programs, and cleared by control (layout: `bpf/shared.h`, used).
#[derive(Debug)]
pub struct Used(Region);

impl Used {
    pub(super) fn new(memory: Region) -> Self {
        Self(memory)
    }

    /// A packet went to this next hop. Stores only if that is news: the line stays shared.
    #[inline]
    pub fn mark(&self, id: NextHopId) {
        let used = self.of(id);
        if used.load(Ordering::Relaxed) == 0 {
            used.store(1, Ordering::Relaxed);
        }
    }

    /// Whether a packet went to it since the last call.
    pub fn take(&self, id: NextHopId) -> bool {
        let used = self.of(id);
        used.load(Ordering::Relaxed) != 0 && used.swap(0, Ordering::Relaxed) != 0
    }

    #[inline]
    fn of(&self, id: NextHopId) -> &AtomicU8 {
        &self.0.words(0, OCTETS)[usize::from(id.get())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_seen_once() {
        let used = Used::new(Region::anonymous(OCTETS).unwrap());
        let (first, last) = (NextHopId::new(1).unwrap(), NextHopId::new(NEXT_HOP_ID_MAX).unwrap());
        used.mark(last);
        used.mark(last);
        assert!(!used.take(first) && used.take(last) && !used.take(last));
    }
}
