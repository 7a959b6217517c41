//! The workers as control sees them: started, told things, joined.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::watchdog::Pulse;
use crate::config::Config;
use crate::frame::{Area, Registration};
use crate::pipeline::budget::{ErrorBudget, Limits};
use crate::pipeline::counters::WorkerCounters;
use crate::worker::{self, Command, Handover, Mailbox, Setup};

/// How long a worker may take to end: one that is stuck must not keep the router from stopping.
const PATIENCE: Duration = Duration::from_millis(300);

/// The ICMP errors of one of so many workers. The rate of all is divided. A burst is not, nor what
/// one host gets: its packets may all come to one worker.
pub fn error_budget(config: &Config, workers: usize) -> ErrorBudget {
    let router = &config.router;
    let limits = Limits {
        per_s: (u64::from(router.icmp_errors_per_s) / workers as u64).max(1),
        burst: router.icmp_errors_burst.into(),
        per_host_per_s: router.icmp_errors_per_host_per_s.into(),
        per_host_burst: router.icmp_errors_per_host_burst.into(),
    };
    ErrorBudget::new(limits, config.ports.len())
}

/// One worker.
#[derive(Debug)]
pub struct Handle {
    /// The core that it runs on.
    pub core: usize,
    /// What it counts.
    pub counters: Arc<WorkerCounters>,
    /// Its mailbox.
    pub mailbox: Arc<Mailbox>,
    /// Frames for ports that it has queues of, from workers that have none.
    pub handover: Arc<Handover>,
    /// Where its UMEM lies.
    pub memory: Registration,
    /// Whether its loop goes round.
    pub pulse: Pulse,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Start a worker on `core`.
    ///
    /// # Errors
    /// The system has no room for one more thread.
    pub fn start(core: usize, setup: Setup, area: Area) -> io::Result<Self> {
        let memory = area.registration();
        let (counters, mailbox) = (setup.counters.clone(), setup.mailbox.clone());
        let handover = setup.handover.clone();
        let name = format!("worker-{}", setup.number);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            if !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
                tracing::warn!("worker {}: cannot be bound to core {core}", setup.number);
            }
            worker::run(&setup, area);
        })?;
        let (pulse, thread) = (Pulse::default(), Some(thread));
        Ok(Self { core, counters, mailbox, handover, memory, pulse, thread })
    }

    /// Tell the worker; false, and it is logged, if it does not listen.
    pub fn tell(&self, command: Command) -> bool {
        let taken = self.mailbox.command(command);
        if !taken {
            tracing::error!("the worker on core {} is stuck: a command is lost", self.core);
        }
        taken
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !thread.is_finished() {
            tracing::error!("the worker on core {} does not end: it is left behind", self.core);
        } else if thread.join().is_err() {
            tracing::error!("the worker on core {} has panicked", self.core);
        }
    }
}
