//! What one worker counts. The worker alone writes; control and the API read at any time.
//!
//! The ledger of a worker closes at rest: frames in = frames out,
//! `received + from_kernel + originated = transmitted + punted + dropped + absorbed + waiting`.
#![forbid(unsafe_code)]

mod ledger;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::verdict::DropReason;
use crate::id::{PORTS_MAX, PortId};
use crate::table::police::Class;
pub use ledger::{Ledger, Places};

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
    /// ARP and neighbour discovery that control was not told of: more came than it needs to hear.
    unheard,
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
