//! One ring of an AF_XDP socket: memory shared with the kernel, one producer, one consumer.
//!
//! Read Documentation/networking/af_xdp.rst ("Rings") before working on this file. Two indices
//! run freely modulo 2^32; the entry of index `i` is `i % size`. The producer writes entries and
//! then stores its index (release); the consumer loads that index (acquire), reads the entries
//! and then stores its own (release), after which the producer may write them again. These are the
//! barriers (A) to (D) of net/xdp/xsk_queue.h. Both sides work on copies of the indices and look
//! at the other's cache line only when the copy says full or empty.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Set in a ring's flags while the kernel wants a system call to go on (`XDP_USE_NEED_WAKEUP`).
const NEED_WAKEUP: u32 = libc::XDP_RING_NEED_WAKEUP;

/// An entry of the receive and the transmit ring: `struct xdp_desc` (linux/if_xdp.h).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Descriptor {
    /// Where the packet starts, as an offset in the area.
    pub address: u64,
    /// Length of the packet in octets.
    pub len: u32,
    /// `XDP_TX_METADATA` and the like.
    pub options: u32,
}

const _: () = assert!(size_of::<Descriptor>() == 16);

/// Where the parts of a ring lie.
#[derive(Debug)]
pub struct Layout<T> {
    /// The index that the producer stores.
    pub producer: NonNull<AtomicU32>,
    /// The index that the consumer stores.
    pub consumer: NonNull<AtomicU32>,
    /// The kernel's flags.
    pub flags: NonNull<AtomicU32>,
    /// The first entry.
    pub entries: NonNull<T>,
    /// Number of entries, a power of two.
    pub size: u32,
}

// SAFETY: these are addresses of memory shared with the kernel, bound to no thread; the entries
// are plain numbers (`T: Copy` wherever they are touched).
unsafe impl<T: Send> Send for Layout<T> {}

impl<T: Copy> Layout<T> {
    #[inline]
    fn load(index: NonNull<AtomicU32>, order: Ordering) -> u32 {
        // SAFETY: `Producer::new` and `Consumer::new` demand that the indices are there.
        unsafe { index.as_ref() }.load(order)
    }

    #[inline]
    fn store(index: NonNull<AtomicU32>, value: u32) {
        // SAFETY: as in `load`.
        unsafe { index.as_ref() }.store(value, Ordering::Release);
    }

    #[inline]
    fn entry(&self, index: u32) -> NonNull<T> {
        // SAFETY: `size` is a power of two, so the masked index is less than it, and `new`'s
        // caller vouched for `size` entries.
        unsafe { self.entries.add((index & (self.size - 1)) as usize) }
    }
}

/// The side that puts entries into a ring: ours for the fill and the transmit ring.
#[derive(Debug)]
pub struct Producer<T> {
    ring: Layout<T>,
    /// Entries before this index are written; those from the published index on are not shown.
    next: u32,
    /// What the consumer has not released yet starts here, as far as we know.
    consumed: u32,
}

impl<T: Copy> Producer<T> {
    /// Produce into the ring that lies at `ring`.
    ///
    /// # Safety
    /// All addresses are valid for as long as the result lives, `size` entries at `entries`;
    /// `size` is a power of two; nobody else produces into this ring.
    pub unsafe fn new(ring: Layout<T>) -> Self {
        let next = Layout::<T>::load(ring.producer, Ordering::Relaxed);
        let consumed = Layout::<T>::load(ring.consumer, Ordering::Acquire);
        Self { ring, next, consumed }
    }

    /// Whether there is room for another entry. Looks at the consumer's index only if the last
    /// look left none.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        if self.next.wrapping_sub(self.consumed) == self.ring.size {
            self.consumed = Layout::<T>::load(self.ring.consumer, Ordering::Acquire);
        }
        self.next.wrapping_sub(self.consumed) < self.ring.size
    }

    /// Write an entry; the consumer sees it after [`Producer::publish`]. False if there is no room.
    #[inline]
    pub fn push(&mut self, entry: T) -> bool {
        if !self.has_room() {
            return false;
        }
        // SAFETY: the entry lies in the ring, and the consumer has released it (acquired above).
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Show the consumer all that was pushed.
    #[inline]
    pub fn publish(&mut self) {
        Layout::<T>::store(self.ring.producer, self.next);
    }

    /// Whether the consumer has taken all that was pushed.
    #[inline]
    pub fn is_drained(&mut self) -> bool {
        self.consumed = Layout::<T>::load(self.ring.consumer, Ordering::Acquire);
        self.consumed == self.next
    }

    /// Whether the kernel asks to be called before it goes on with this ring.
    #[inline]
    pub fn needs_wakeup(&self) -> bool {
        Layout::<T>::load(self.ring.flags, Ordering::Relaxed) & NEED_WAKEUP != 0
    }
}

/// The side that takes entries out of a ring: ours for the receive and the completion ring.
#[derive(Debug)]
pub struct Consumer<T> {
    ring: Layout<T>,
    /// The next entry to take.
    next: u32,
    /// Entries before this index are there, as far as we know.
    produced: u32,
}

impl<T: Copy> Consumer<T> {
    /// Consume from the ring that lies at `ring`.
    ///
    /// # Safety
    /// As for [`Producer::new`], with consuming in place of producing.
    pub unsafe fn new(ring: Layout<T>) -> Self {
        let next = Layout::<T>::load(ring.consumer, Ordering::Relaxed);
        Self { ring, next, produced: next }
    }

    /// How many entries are there to take.
    #[inline]
    pub fn available(&mut self) -> u32 {
        if self.produced == self.next {
            self.produced = Layout::<T>::load(self.ring.producer, Ordering::Acquire);
        }
        self.produced.wrapping_sub(self.next)
    }

    /// Take the next entry. The producer gets its place back by [`Consumer::release`].
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.available() == 0 {
            return None;
        }
        // SAFETY: the entry lies in the ring, and the producer has published it (acquired above).
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Give the places of all entries taken back to the producer.
    #[inline]
    pub fn release(&mut self) {
        Layout::<T>::store(self.ring.consumer, self.next);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::UnsafeCell;
    use std::sync::Arc;

    use super::*;

    const SIZE: u32 = 8;

    /// A ring in plain memory, its indices about to wrap around.
    struct Plain {
        producer: AtomicU32,
        consumer: AtomicU32,
        flags: AtomicU32,
        entries: UnsafeCell<[u64; SIZE as usize]>,
    }

    // SAFETY: the entries are reached through one producer and one consumer only.
    unsafe impl Sync for Plain {}

    fn plain() -> Arc<Plain> {
        let start = u32::MAX - 2;
        Arc::new(Plain {
            producer: AtomicU32::new(start),
            consumer: AtomicU32::new(start),
            flags: AtomicU32::new(0),
            entries: UnsafeCell::new([0; SIZE as usize]),
        })
    }

    fn layout(ring: &Plain) -> Layout<u64> {
        Layout {
            producer: NonNull::from(&ring.producer),
            consumer: NonNull::from(&ring.consumer),
            flags: NonNull::from(&ring.flags),
            entries: NonNull::new(ring.entries.get()).unwrap().cast(),
            size: SIZE,
        }
    }

    fn both(ring: &Plain) -> (Producer<u64>, Consumer<u64>) {
        // SAFETY: one of each over a ring that the test keeps alive.
        let producer = unsafe { Producer::new(layout(ring)) };
        // SAFETY: as above.
        let consumer = unsafe { Consumer::new(layout(ring)) };
        (producer, consumer)
    }

    #[test]
    fn nothing_is_seen_before_it_is_published() {
        let ring = plain();
        let (mut producer, mut consumer) = both(&ring);
        assert!(producer.push(7));
        assert_eq!(consumer.pop(), None);
        producer.publish();
        assert_eq!((consumer.available(), consumer.pop(), consumer.pop()), (1, Some(7), None));
    }

    #[test]
    fn a_full_ring_takes_nothing_until_a_release() {
        let ring = plain();
        let (mut producer, mut consumer) = both(&ring);
        assert!((0..u64::from(SIZE)).all(|n| producer.push(n)));
        assert!(!producer.push(99) && !producer.has_room());
        producer.publish();
        assert_eq!(consumer.pop(), Some(0));
        assert!(!producer.push(99), "taken, but not released");
        consumer.release();
        assert!(producer.push(8) && !producer.push(99));
        assert!(!producer.is_drained());
        producer.publish();
        assert!((1..=8).all(|n| consumer.pop() == Some(n)));
        consumer.release();
        assert!(producer.is_drained());
    }

    #[test]
    fn the_wakeup_flag_is_one_bit_of_the_flags() {
        let ring = plain();
        let (producer, _) = both(&ring);
        ring.flags.store(!NEED_WAKEUP, Ordering::Relaxed);
        assert!(!producer.needs_wakeup());
        ring.flags.store(NEED_WAKEUP, Ordering::Relaxed);
        assert!(producer.needs_wakeup());
    }

    #[test]
    fn two_threads_pass_numbers_in_order() {
        const COUNT: u64 = if cfg!(miri) { 200 } else { 100_000 };
        let ring = plain();
        let (mut producer, mut consumer) = both(&ring);
        let writer = std::thread::spawn(move || {
            for number in 0..COUNT {
                while !producer.push(number) {
                    std::thread::yield_now();
                }
                producer.publish();
            }
        });
        for number in 0..COUNT {
            let taken = loop {
                if let Some(taken) = consumer.pop() {
                    break taken;
                }
                std::thread::yield_now();
            };
            assert_eq!(taken, number);
            consumer.release();
        }
        writer.join().unwrap();
        assert_eq!(consumer.pop(), None);
    }
}
