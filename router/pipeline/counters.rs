//! What one worker counts. The worker alone writes; control and the API read at any time.
//!
//! The ledger of a worker closes at rest: frames in = frames out,
//! `received + from_kernel + originated = transmitted + punted + dropped + absorbed + waiting`.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use super::verdict::DropReason;
use crate::id::{PORTS_MAX, PortId};
use crate::table::police::Class;

/// A counter with one writer: no read-modify-write instruction is needed.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Count `n` more. Only the owning worker calls this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Replace the value: for gauges.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Count `n` less: for gauges.
    #[inline]
    pub fn take(&self, n: u64) {
        self.add(n.wrapping_neg());
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! port_counters {
    ($($(#[doc = $doc:literal])* $field:ident),* $(,)?) => {
        /// The counters of one port in one worker, in frames unless they say octets.
        #[derive(Debug)]
        pub struct PortCounters {
            $($(#[doc = $doc])* pub $field: Counter,)*
            /// Dropped, by [`DropReason::index`]; the port is the one that the frame came in by.
            pub dropped: [Counter; DropReason::COUNT],
            /// Let through to the kernel's stack, by [`Class::index`].
            pub admitted: [Counter; Class::ALL.len()],
        }

        impl Default for PortCounters {
            fn default() -> Self {
                Self {
                    $($field: Counter::default(),)*
                    dropped: std::array::from_fn(|_| Counter::default()),
                    admitted: std::array::from_fn(|_| Counter::default()),
                }
            }
        }

        impl PortCounters {
            /// Every counter but those by reason and by class, with its name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.get())),*].into_iter()
            }
        }
    };
}

port_counters! {
    /// From the wire.
    received,
    /// Octets of those.
    received_octets,
    /// Into the transmit ring, to the wire.
    transmitted,
    /// Octets of those.
    transmitted_octets,
    /// Up the tap, to the kernel.
    punted,
    /// Down the tap, from the kernel, as frames on the wire (a large segment is several).
    from_kernel,
    /// Made here: ICMP errors, ARP and NDP, further fragments.
    originated,
    /// Said something to control, and were then done with.
    absorbed,
    /// ICMP and ICMPv6 errors sent (part of `originated`).
    icmp_errors,
    /// ICMP and ICMPv6 errors not sent because the budget was spent.
    icmp_suppressed,
    /// Redirects sent (part of `originated`).
    redirects,
    /// Handed to the worker that owns the egress port's queue.
    handed_over,
    /// Waiting for a neighbour's MAC now; the port is the one that the frame came in by.
    waiting,
    /// The kernel's own count: the receive ring was full (`rx_ring_full`).
    kernel_rx_ring_full,
    /// The kernel's own count: the fill ring was empty (`rx_fill_ring_empty_descs`).
    kernel_rx_fill_ring_empty,
    /// The kernel's own count: dropped for another reason (`rx_dropped`).
    kernel_rx_dropped,
    /// The kernel's own count: descriptors of ours that it refused to fill (`rx_invalid_descs`).
    kernel_rx_invalid_descs,
    /// The kernel's own count: descriptors of ours that it refused to send (`tx_invalid_descs`).
    kernel_tx_invalid_descs,
}

impl PortCounters {
    /// Count one drop.
    #[inline]
    pub fn drop(&self, reason: DropReason) {
        self.dropped[reason.index()].add(1);
    }

    /// All drops together.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().map(Counter::get).sum()
    }
}

/// Where the chunks of a worker's UMEM are; the sum of all but `total` is `total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
            std::hint::spin_loop();
        }
    }
}

/// Everything that one worker counts.
#[derive(Debug)]
pub struct WorkerCounters {
    ports: Box<[PortCounters]>,
    /// Where the UMEM's chunks are, as of the worker's last sample.
    pub ledger: Ledger,
    /// Rounds of the loop.
    pub rounds: Counter,
    /// Rounds in which nothing arrived.
    pub idle_rounds: Counter,
    /// Times that the worker went to sleep.
    pub sleeps: Counter,
    /// Messages to control that did not fit into the ring.
    pub mail_lost: Counter,
    /// Receive descriptors that named a chunk which the kernel was not lent.
    pub invalid_descriptors: Counter,
}

impl WorkerCounters {
    /// All zero.
    pub fn new() -> Self {
        Self {
            ports: (0..PORTS_MAX).map(|_| PortCounters::default()).collect(),
            ledger: Ledger::default(),
            rounds: Counter::default(),
            idle_rounds: Counter::default(),
            sleeps: Counter::default(),
            mail_lost: Counter::default(),
            invalid_descriptors: Counter::default(),
        }
    }

    /// The counters of one port.
    #[inline]
    pub fn port(&self, port: PortId) -> &PortCounters {
        &self.ports[port.index()]
    }
}

impl Default for WorkerCounters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_never_torn() {
        let ledger = Ledger::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 0..200_000 {
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
