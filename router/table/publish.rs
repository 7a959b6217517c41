//! Grace periods: when may a slot that no table names any more be used again?
//!
//! Quiescent-state based reclamation. The writer has a number, its epoch; each reader has a copy
//! of it, taken once in each round of its loop at a moment when it holds nothing out of a table.
//!
//! * Writer: unlink slots (`Release` stores) and keep them in a [`Limbo`]; some time later begin
//!   an epoch ([`Epochs::advance`]), with which all of them are stamped.
//! * Reader: load the epoch (`Acquire`), store it as its own (`Release`): whoever has the new
//!   number sees the unlinking from there on, and has finished its loads from before.
//! * Writer: once the copies of all readers have reached the stamp, the slots are free.
//!
//! A reader that sleeps has no copy and is not waited for. Between having none and reading again
//! there is a full fence on both sides ([`Epochs::online`], [`Epochs::oldest`]): either the
//! writer sees the reader, or the reader sees the unlinking.
//!
//! The XDP programs, which run inside RCU read sections and know of no epochs, are one more reader:
//! somebody who can wait for them passes in their name ([`Epochs::pass_after`]).
//!
//! `tests/loom/` tries every order of a writer's and its readers' steps.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use crossbeam::utils::CachePadded;

use crate::sync::{AtomicU64, Ordering, fence};

/// Most readers that there can be: 64 workers, and the XDP programs together.
pub const READERS_MAX: usize = 65;

/// The copy of a reader that sleeps: newer than any epoch.
const OFFLINE: u64 = u64::MAX;

/// A moment in the writer's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Epoch(u64);

/// The epochs of one writer and its readers. All readers are offline at first.
#[derive(Debug)]
pub struct Epochs {
    /// Written by the writer, read by all.
    current: CachePadded<AtomicU64>,
    /// Each written by its reader, read by the writer.
    readers: Box<[CachePadded<AtomicU64>]>,
}

impl Epochs {
    /// Epochs for so many readers, at most [`READERS_MAX`]. A reader is known by its number,
    /// which belongs to one thread; a number that is not below `readers` is a panic below.
    pub fn new(readers: usize) -> Self {
        debug_assert!(readers <= READERS_MAX);
        let offline = || CachePadded::new(AtomicU64::new(OFFLINE));
        Self {
            current: CachePadded::new(AtomicU64::new(0)),
            readers: std::iter::repeat_with(offline).take(readers).collect(),
        }
    }

    /// The reader holds nothing out of a table at this moment. Once in each round of its loop.
    #[inline]
    pub fn pass(&self, reader: usize) {
        let now = self.current.load(Ordering::Acquire);
        self.readers[reader].store(now, Ordering::Release);
    }

    /// The reader passes, as far as it is now, once `wait` has returned: for those who do not pass
    /// themselves but can be waited for.
    pub fn pass_after<E>(
        &self,
        reader: usize,
        wait: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let now = self.current.load(Ordering::Acquire);
        wait()?;
        self.readers[reader].store(now, Ordering::Release);
        Ok(())
    }

    /// The reader will not look at a table before it has said [`Epochs::online`].
    pub fn offline(&self, reader: usize) {
        self.readers[reader].store(OFFLINE, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// The reader is about to look at tables (again).
    pub fn online(&self, reader: usize) {
        self.pass(reader);
        fence(Ordering::SeqCst);
    }

    /// Begin the next epoch, which stands for all that was unlinked until now. Only the writer
    /// does this, so its load and its store need not be one operation.
    pub fn advance(&self) -> Epoch {
        let next = self.current.load(Ordering::Relaxed) + 1;
        self.current.store(next, Ordering::Release);
        Epoch(next)
    }

    /// The epoch that all readers have reached: what carries it or an earlier one is free.
    pub fn oldest(&self) -> Epoch {
        fence(Ordering::SeqCst);
        let current = self.current.load(Ordering::Relaxed);
        let copies = self.readers.iter().map(|copy| copy.load(Ordering::Acquire));
        Epoch(copies.fold(current, u64::min))
    }

    /// Whether all readers have reached this epoch.
    pub fn passed(&self, epoch: Epoch) -> bool {
        epoch <= self.oldest()
    }
}

/// What one look at the epochs allows: made once, then shown to every [`Limbo`].
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// What carries this epoch or an earlier one is free.
    oldest: Epoch,
    /// For what was unlinked since the last look.
    stamp: Epoch,
}

impl Grace {
    /// Begin an epoch, and see which one all readers have reached.
    pub fn new(epochs: &Epochs) -> Self {
        let stamp = epochs.advance();
        Self { oldest: epochs.oldest(), stamp }
    }
}

/// What was unlinked and may still be in a reader's hands.
#[derive(Debug)]
pub struct Limbo<T> {
    /// Unlinked since the last look at the epochs: an update does not touch them.
    unstamped: Vec<T>,
    /// Oldest first.
    stamped: VecDeque<(Epoch, Vec<T>)>,
}

impl<T> Default for Limbo<T> {
    fn default() -> Self {
        Self { unstamped: Vec::new(), stamped: VecDeque::new() }
    }
}

impl<T> Limbo<T> {
    /// Keep `item`, which no table names any more, until every reader has passed.
    pub fn retire(&mut self, item: T) {
        self.unstamped.push(item);
    }

    /// Stamp what came since the last look, and take out what no reader can hold any more.
    pub fn take_passed(&mut self, grace: Grace) -> impl Iterator<Item = T> {
        if !self.unstamped.is_empty() {
            self.stamped.push_back((grace.stamp, std::mem::take(&mut self.unstamped)));
        }
        let passed = self.stamped.partition_point(|(epoch, _)| *epoch <= grace.oldest);
        self.stamped.drain(..passed).flat_map(|(_, items)| items)
    }
}

/// Numbers 0..limit, each free, in use, or in limbo.
#[derive(Debug)]
pub struct Slots {
    limit: u32,
    /// Numbers from here on were never used.
    fresh: u32,
    free: Vec<u32>,
    limbo: Limbo<u32>,
}

impl Slots {
    /// All `limit` numbers, free.
    pub fn new(limit: u32) -> Self {
        Self { limit, fresh: 0, free: Vec::new(), limbo: Limbo::default() }
    }

    /// A number for use, or nothing if all are in use or in limbo.
    pub fn allocate(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| {
            let number = (self.fresh < self.limit).then_some(self.fresh)?;
            self.fresh += 1;
            Some(number)
        })
    }

    /// Give back a number that no reader can have any more, or that none has seen.
    pub fn give_back(&mut self, number: u32) {
        self.free.push(number);
    }

    /// Give back a number that was just unlinked.
    pub fn retire(&mut self, number: u32) {
        self.limbo.retire(number);
    }

    /// Free what all readers have passed.
    pub fn reclaim(&mut self, grace: Grace) {
        self.free.extend(self.limbo.take_passed(grace));
    }

    /// How many are in use, those in limbo included.
    pub fn used(&self) -> u32 {
        self.fresh - u32::try_from(self.free.len()).unwrap_or(self.fresh)
    }

    /// How many there are.
    pub fn limit(&self) -> u32 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_passes_when_all_online_readers_did() {
        let epochs = Epochs::new(64);
        epochs.online(0);
        epochs.online(63);
        let stamp = epochs.advance();
        assert!(!epochs.passed(stamp));
        epochs.pass(0);
        assert!(!epochs.passed(stamp));
        epochs.offline(63);
        assert!(epochs.passed(stamp));
        epochs.online(63);
        assert!(epochs.passed(stamp), "who comes back sees the present");
    }

    #[test]
    fn who_is_waited_for_passes_as_far_as_it_was_before() {
        let epochs = Epochs::new(1);
        epochs.online(0);
        let before = epochs.advance();
        let mut meanwhile = None;
        let outcome = epochs.pass_after(0, || {
            meanwhile = Some(epochs.advance());
            Ok::<_, ()>(())
        });
        assert!(outcome.is_ok() && epochs.passed(before) && !epochs.passed(meanwhile.unwrap()));
        assert!(epochs.pass_after(0, || Err(())).is_err() && !epochs.passed(meanwhile.unwrap()));
    }

    #[test]
    fn a_slot_waits_for_its_readers() {
        let epochs = Epochs::new(4);
        let mut slots = Slots::new(2);
        epochs.online(3);
        assert_eq!([slots.allocate(), slots.allocate()], [Some(0), Some(1)]);
        slots.retire(0);
        epochs.pass(3);
        slots.reclaim(Grace::new(&epochs));
        assert_eq!((slots.allocate(), slots.used()), (None, 2), "retired after the pass");
        epochs.pass(3);
        slots.reclaim(Grace::new(&epochs));
        assert_eq!((slots.allocate(), slots.used()), (Some(0), 2));
        slots.give_back(1);
        assert_eq!((slots.used(), slots.limit()), (1, 2));
    }

    #[test]
    fn nobody_online_means_nobody_waits() {
        let epochs = Epochs::new(2);
        let mut slots = Slots::new(1);
        assert_eq!(slots.allocate(), Some(0));
        slots.retire(0);
        slots.reclaim(Grace::new(&epochs));
        assert_eq!(slots.allocate(), Some(0));
    }
}
