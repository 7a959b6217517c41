//! Where a worker's chunks are, as one sample. `tests/loom/` tries every order of a writer's and a
//! reader's steps.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicU64, fence, spin_loop};

/// Where the chunks of a worker's UMEM are; the sum of all but `total` is `total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Places {
    /// In the pool.
    pub free: u64,
    /// With the kernel, to be filled (fill ring and receive path), all ports.
    pub receive: u64,
    /// With the kernel, to be sent (transmit and completion rings), all ports.
    pub transmit: u64,
    /// Waiting for a neighbour's MAC.
    pub held: u64,
    /// Between two steps of the loop: waiting for the tap, for a ring, for another worker.
    pub queued: u64,
    /// All chunks there are.
    pub total: u64,
}

/// The worker's last sample of [`Places`]. Its numbers belong together, so a reader must not see
/// some of one sample and some of the next: a sequence lock, with the worker as the one writer,
/// who never waits (H.-J. Boehm, "Can seqlocks get along with programming language memory
/// models?", MSPC 2012).
#[derive(Debug, Default)]
pub struct Ledger {
    /// Odd while a sample is being written.
    version: AtomicU64,
    sample: [AtomicU64; 6],
}

impl Ledger {
    /// Publish a sample. Only the owning worker calls this.
    pub fn set(&self, places: Places) {
        let Places { free, receive, transmit, held, queued, total } = places;
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        fence(Release);
        for (place, number) in
            self.sample.iter().zip([free, receive, transmit, held, queued, total])
        {
            place.store(number, Relaxed);
        }
        self.version.store(version.wrapping_add(2), Release);
    }

    /// The last sample. Tries again while the worker is writing, which takes it nanoseconds.
    pub fn get(&self) -> Places {
        loop {
            let before = self.version.load(Acquire);
            let [free, receive, transmit, held, queued, total] =
                self.sample.each_ref().map(|place| place.load(Relaxed));
            fence(Acquire);
            if before.is_multiple_of(2) && self.version.load(Relaxed) == before {
                return Places { free, receive, transmit, held, queued, total };
            }
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_never_torn() {
        const SAMPLES: u64 = if cfg!(miri) { 60 } else { 200_000 };
        let ledger = Ledger::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 0..SAMPLES {
                    ledger.set(Places {
                        free: n,
                        held: 1_000_000 - n,
                        total: n,
                        ..Places::default()
                    });
                }
            });
            while !writer.is_finished() {
                let seen = ledger.get();
                let empty = seen == Places::default();
                assert!(empty || (seen.free + seen.held == 1_000_000 && seen.free == seen.total));
            }
        });
    }
}
