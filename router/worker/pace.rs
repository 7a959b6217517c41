//! How a worker breathes: spin while there is work, sleep when there has been none for a while.
#![forbid(unsafe_code)]

use std::os::fd::AsRawFd;
use std::time::Duration;

use super::port::Port;
use crate::io::event::{Bell, Sleeper};
use crate::table::meter::Nanos;

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Poll {
    /// It sleeps until something comes.
    Adaptive,
    /// It never sleeps.
    Busy,
}

/// An idle worker spins this long before it sleeps: about the time that falling asleep and waking
/// up cost, so that waiting never costs more than twice the best.
const SPIN: Duration = Duration::from_micros(50);
/// While there is other work, a tap that was empty is asked again this often: each time is a
/// system call, and at 50 µs they cost half a per cent of a loaded worker.
const TAP_INTERVAL: Duration = Duration::from_micros(100);
/// Housekeeping: expiry of what was held.
const TICK: Duration = Duration::from_millis(100);
/// Longest sleep with nothing held: nothing depends on it, it bounds what a lost wakeup costs.
const LONG_SLEEP: Duration = Duration::from_secs(1);

/// When to look, when to sleep.
#[derive(Debug)]
pub(super) struct Pace {
    poll: Poll,
    worked_at: Nanos,
    tap_asked: Nanos,
    tap_has_more: bool,
    ticked: Nanos,
    sleeper: Sleeper,
}

impl Pace {
    pub fn new(poll: Poll) -> Self {
        Self {
            poll,
            worked_at: Nanos::ZERO,
            tap_asked: Nanos::ZERO,
            tap_has_more: false,
            ticked: Nanos::ZERO,
            sleeper: Sleeper::default(),
        }
    }

    /// Sleep on the descriptors of these ports and on the bell.
    pub fn watch(&mut self, ports: &[Port], bell: &Bell) {
        self.sleeper.clear();
        self.sleeper.watch(bell.as_raw_fd());
        for port in ports {
            port.descriptors().for_each(|fd| self.sleeper.watch(fd));
        }
    }

    pub fn tap_is_due(&self, now: Nanos) -> bool {
        self.tap_has_more || now.since(self.tap_asked) >= TAP_INTERVAL
    }

    pub fn tap_gave(&mut self, frames: usize, now: Nanos) {
        self.tap_has_more = frames > 0;
        self.tap_asked = now;
    }

    pub fn tick_is_due(&mut self, now: Nanos) -> bool {
        let due = now.since(self.ticked) >= TICK;
        if due {
            self.ticked = now;
        }
        due
    }

    pub fn worked(&mut self, now: Nanos) {
        self.worked_at = now;
    }

    pub fn may_sleep(&self, now: Nanos) -> bool {
        self.poll == Poll::Adaptive && now.since(self.worked_at) >= SPIN
    }

    /// Sleep until something comes. What woke us is not asked: the next round looks at all.
    pub fn sleep(&mut self, something_held: bool) {
        self.sleeper.sleep(if something_held { TICK } else { LONG_SLEEP });
        self.tap_has_more = true;
    }
}
