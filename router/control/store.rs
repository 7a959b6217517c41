//! The taps' queues with the service manager, which keeps them open from one run to the next: as long
//! as one is open, its tap stays, with its carrier, addresses, neighbours and routes, and a daemon on
//! it notices nothing.
#![forbid(unsafe_code)]

use std::io;

use crate::io::supervisor::{self, Kept, State};
use crate::io::tap::Queue;

/// What the service manager has handed back, as far as no port has taken it.
#[derive(Default, Debug)]
pub(super) struct Store {
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    /// By what name it is kept.
    label: String,
    tap: String,
    queue: Queue,
}

impl Store {
    /// What is no queue of a tap is closed, here and there.
    pub fn new(kept: Vec<Kept>) -> Self {
        let mut found = Vec::new();
        for Kept { name: label, file } in kept {
            match Queue::adopt(file) {
                Ok((tap, queue)) => found.push(Found { label, tap, queue }),
                Err(error) => {
                    tracing::warn!("kept by the service manager: {label:?}: {error}; it is closed");
                    note(supervisor::forget(&label));
                }
            }
        }
        Self { found }
    }

    /// How many queues of this tap are here.
    pub fn count(&self, tap: &str) -> usize {
        self.found.iter().filter(|found| found.tap == tap).count()
    }

    /// The queue of this tap with this number.
    pub fn take(&mut self, tap: &str, number: usize) -> Option<Queue> {
        let label = label(tap, number);
        let place = self.found.iter().position(|f| f.tap == tap && f.label == label)?;
        Some(self.found.swap_remove(place).queue)
    }

    /// What no port has taken is of no use any more.
    pub fn close_rest(&mut self) {
        for Found { label, tap, queue } in self.found.drain(..) {
            tracing::info!("kept by the service manager: {label:?}, of tap {tap}: not needed");
            queue.let_go();
            note(supervisor::forget(&label));
        }
    }
}

/// What the service manager has kept of the last run. To be called before this process opens anything.
pub fn take_kept() -> Vec<Kept> {
    supervisor::take_kept().unwrap_or_else(|error| {
        tracing::warn!("what the service manager has kept is not used: {error}");
        Vec::new()
    })
}

/// From now on these queues of the tap are kept for the next start.
pub(super) fn keep(tap: &str, queues: &[Queue]) {
    // Where the kernel does not tell that two descriptors are one file, it would be kept twice.
    forget(tap, queues.len());
    for (number, queue) in queues.iter().enumerate() {
        note(supervisor::keep(&label(tap, number), queue));
    }
}

/// So many queues of the tap are kept no longer.
pub(super) fn forget(tap: &str, queues: usize) {
    for number in 0..queues {
        note(supervisor::forget(&label(tap, number)));
    }
}

/// Tell the service manager how things stand.
pub(super) fn tell(state: State) {
    note(supervisor::tell(state));
}

fn note(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!("the service manager is not reached: {error}");
    }
}

/// The name by which a queue is kept: ASCII without a colon.
fn label(tap: &str, number: usize) -> String {
    let octet = |octet: u8| match char::from(octet) {
        plain if plain.is_ascii_graphic() => plain.to_string(),
        _ => format!("%{octet:02x}"),
    };
    format!("tap.{}.{number}", tap.bytes().map(octet).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        assert_eq!(label("lan", 0), "tap.lan.0");
        assert_eq!(label("eth0.5", 12), "tap.eth0.5.12");
        assert_eq!(label("büro", 1), "tap.b%c3%bcro.1");
    }

    #[test]
    fn what_is_no_queue_is_closed() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let store = Store::new(vec![Kept { name: "tap.lan.0".into(), file }]);
        assert_eq!(store.count("lan"), 0);
    }
}
