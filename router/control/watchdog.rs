//! Whether workers work and cards deliver. Said once for each change; what to do about it is the
//! operator's decision.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::Router;
use super::netlink::statistics;
use super::port::Port;
use crate::id::PortId;

/// From one look to the next.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// Looks without a sign of life until it is missed: in less than 3 s. An idle worker sleeps for up
/// to a second, and may get its core late.
const LOOKS: u32 = 3;

/// A count that has to go on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pulse {
    seen: u64,
    missed: u32,
}

impl Pulse {
    /// Look at the count. `expected`: it should have gone on since the last look. True if it has
    /// just been given up, or goes on again.
    fn look(&mut self, count: u64, expected: bool) -> bool {
        let was_missed = self.is_missed();
        if count != self.seen {
            self.missed = 0;
        } else if expected {
            self.missed = LOOKS.min(self.missed + 1);
        }
        self.seen = count;
        self.is_missed() != was_missed
    }

    /// Whether it has been standing still for too long.
    pub fn is_missed(&self) -> bool {
        self.missed >= LOOKS
    }
}

/// Whether the frames that come to a card come to us.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Reception {
    /// Frames that the card has counted.
    arrived: u64,
    /// Frames that we have, or know the fate of.
    known: Pulse,
}

impl Reception {
    /// As [`Pulse::look`].
    fn look(&mut self, arrived: u64, known: u64) -> bool {
        // A new card counts from 0.
        let expected = arrived > self.arrived;
        self.arrived = arrived;
        self.known.look(known, expected)
    }

    /// Whether the card gets frames and we do not.
    pub fn is_deaf(&self) -> bool {
        self.known.is_missed()
    }
}

impl Router {
    pub(super) fn watch(&mut self) {
        for worker in &mut self.workers {
            if worker.pulse.look(worker.counters.rounds.get(), true) {
                say_of_worker(worker.core, worker.pulse.is_missed());
            }
        }
        match statistics::arrivals() {
            Ok(arrivals) => self.watch_ports(&arrivals),
            Err(error) => tracing::warn!("{error}"),
        }
    }

    fn watch_ports(&mut self, arrivals: &[(String, u64)]) {
        for id in self.ports.ids() {
            let device = &self.ports[id.index()].config.device;
            let found = arrivals.iter().find(|(name, _)| name == device);
            let Some(&(_, arrived)) = found else { continue };
            let known = self.known_frames(id);
            let port = &mut self.ports[id.index()];
            if port.card.is_some() && port.reception.look(arrived, known) {
                say_of_port(port.name(), &port.config.device, port.reception.is_deaf());
            }
        }
    }

    /// Frames from the wire whose fate is known, however bad.
    fn known_frames(&self, port: PortId) -> u64 {
        let of_worker = |counters: &crate::pipeline::counters::PortCounters| {
            counters.received.get()
                + counters.kernel_rx_dropped.get()
                + counters.kernel_rx_ring_full.get()
        };
        let port_itself = &self.ports[port.index()];
        let forwarded = |other: &Port| port_itself.forwarded_to(other.id()).frames;
        let of_program = port_itself.passed() + self.ports.iter().map(forwarded).sum::<u64>();
        self.counters_of(port).map(of_worker).sum::<u64>() + of_program
    }
}

fn say_of_worker(core: usize, stuck: bool) {
    if stuck {
        tracing::error!(
            "the worker on core {core} is stuck or does not get its core: its ports forward \
             nothing; look for what else runs there (`top -H`), or restart xrouter"
        );
    } else {
        tracing::info!("the worker on core {core} works again");
    }
}

fn say_of_port(name: &str, device: &str, deaf: bool) {
    if deaf {
        tracing::error!(
            "port {name}: {device} receives frames, but none reach xrouter; look at \
             `ethtool -S {device}` and `bpftool net`, or restart xrouter"
        );
    } else {
        tracing::info!("port {name}: frames of {device} reach xrouter again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_missed_once_and_comes_back_once() {
        let mut pulse = Pulse::default();
        let changes = [5, 6, 6, 6, 6, 6, 7, 8].map(|count| pulse.look(count, true));
        assert_eq!(changes, [false, false, false, false, true, false, true, false]);
        assert!(!pulse.is_missed());
    }

    #[test]
    fn silence_where_nothing_is_expected_is_no_illness() {
        let mut reception = Reception::default();
        for _ in 0..10 {
            assert!(!reception.look(100, 100));
        }
        assert!(!reception.look(101, 100) && !reception.look(101, 100), "it may be on its way");
        assert!(!reception.look(102, 100) && !reception.is_deaf());
        assert!(reception.look(103, 100) && reception.is_deaf());
        assert!(reception.look(104, 101) && !reception.is_deaf());
    }

    #[test]
    fn a_new_card_that_counts_from_0_is_not_deaf() {
        let mut reception = Reception::default();
        for arrived in [100, 0, 0, 0] {
            assert!(!reception.look(arrived, 100));
        }
    }
}
