//! Grace periods (`router/table/publish.rs`): a slot is not written while a reader may have it.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use xrouter_loom::every_order;
use xrouter_loom::table::publish::{Epochs, Grace, Slots};

/// A table of one entry, which names one of two slots. loom sees a write to a slot that is not
/// ordered after each reader's reads of it.
struct Table {
    epochs: Epochs,
    entry: AtomicUsize,
    slots: [UnsafeCell<u64>; 2],
}

/// What lies in a slot that the entry names: never this.
const UNUSED: u64 = 0;

impl Table {
    /// Slot 0 is named, and in use.
    fn new(readers: usize) -> (Arc<Self>, Slots) {
        let mut slots = Slots::new(2);
        assert_eq!(slots.allocate(), Some(0));
        let table = Self {
            epochs: Epochs::new(readers),
            entry: AtomicUsize::new(0),
            slots: [UnsafeCell::new(7), UnsafeCell::new(UNUSED)],
        };
        (Arc::new(table), slots)
    }

    /// One round of a reader's loop.
    fn look(&self) {
        let slot = self.entry.load(Ordering::Acquire);
        // SAFETY: what is under test; loom looks after it.
        self.slots[slot].with(|value| assert_ne!(unsafe { *value }, UNUSED));
    }

    /// Control: name another slot with another value. Without a free slot nothing happens.
    fn change(&self, slots: &mut Slots, value: u64) {
        let Some(slot) = slots.allocate() else { return };
        let slot = slot as usize;
        // SAFETY: as in `look`.
        self.slots[slot].with_mut(|place| unsafe { *place = value });
        let old = self.entry.load(Ordering::Relaxed);
        self.entry.store(slot, Ordering::Release);
        slots.retire(u32::try_from(old).unwrap());
        slots.reclaim(Grace::new(&self.epochs));
    }
}

#[test]
fn a_slot_is_free_when_its_reader_has_passed() {
    every_order(3, || {
        let (table, mut slots) = Table::new(1);
        table.epochs.online(0);
        let reader = {
            let table = table.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    table.look();
                    table.epochs.pass(0);
                }
            })
        };
        for value in 8..11 {
            table.change(&mut slots, value);
            slots.reclaim(Grace::new(&table.epochs));
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_reader_that_slept_is_waited_for_again() {
    every_order(3, || {
        let (table, mut slots) = Table::new(1);
        let reader = {
            let table = table.clone();
            thread::spawn(move || {
                table.epochs.online(0);
                table.look();
                table.epochs.offline(0);
                table.epochs.online(0);
                table.look();
                table.epochs.offline(0);
            })
        };
        for value in 8..11 {
            table.change(&mut slots, value);
        }
        reader.join().unwrap();
        slots.reclaim(Grace::new(&table.epochs));
        assert_eq!(slots.used(), 1, "nobody is there to be waited for");
    });
}

#[test]
fn the_slowest_of_two_readers_counts() {
    every_order(3, || {
        let (table, mut slots) = Table::new(2);
        let readers = [0, 1].map(|reader| {
            let table = table.clone();
            thread::spawn(move || {
                table.epochs.online(reader);
                table.look();
                table.epochs.offline(reader);
            })
        });
        for value in 8..10 {
            table.change(&mut slots, value);
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
