//! The workers as control sees them: planned, started, told things, joined.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::attach::largest_mtu;
use super::start::{StartError, system};
use super::watchdog::Pulse;
use crate::config::{self, Config};
use crate::frame::{Area, Registration};
use crate::id::{PORTS_MAX, PortId};
use crate::io::device::Device;
use crate::io::event::Bell;
use crate::pipeline::budget::{ErrorBudget, Limits};
use crate::pipeline::counters::WorkerCounters;
use crate::table::Fib;
use crate::table::interface::Snapshot;
use crate::table::police::{self, Policers};
use crate::table::publish::Epochs;
use crate::worker::{self, Allowance, Command, Handover, Mailbox, Poll, Setup};

/// Frames that may be on their way from one worker to another.
const HANDOVER_DEPTH: usize = 256;

/// How long a worker may take to end: one that is stuck must not keep the router from stopping.
const PATIENCE: Duration = Duration::from_millis(300);

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

/// What all workers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub start: Instant,
    pub fib: Arc<Fib>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub epochs: Arc<Epochs>,
    pub policers: Arc<Policers>,
    pub bell: Arc<Bell>,
}

impl Shared {
    /// What so many workers need. The XDP programs are one more reader of the tables.
    pub fn new(
        config: &Config,
        fib: Arc<Fib>,
        workers: usize,
        hash_seed: u32,
    ) -> Result<Self, StartError> {
        let snapshot = Snapshot::new(Vec::new(), config.policy.clone(), hash_seed);
        Ok(Self {
            start: Instant::now(),
            fib,
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            epochs: Arc::new(Epochs::new(workers + 1)),
            policers: policers(config),
            bell: Arc::new(Bell::new().map_err(system("socketpair", ""))?),
        })
    }
}

/// The cores that get a worker: those that are named, or all but core 0 (it is the system's, unless
/// it is alone), but no more than the cards have queues.
pub(super) fn plan_workers(config: &Config, devices: &[Device]) -> Result<Vec<usize>, StartError> {
    let here: Vec<_> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let mut cores = match &config.router.workers {
        Some(named) => named.clone(),
        None if here.len() > 1 => here.iter().copied().filter(|&core| core != 0).collect(),
        None => vec![0],
    };
    if let Some(&core) = cores.iter().find(|core| !here.is_empty() && !here.contains(core)) {
        return Err(StartError::NoCore { core, cores: here });
    }
    let queues = devices.iter().map(|device| device.queues.receive.max(1) as usize);
    let most = queues.max().unwrap_or(1);
    if cores.len() > most {
        tracing::info!(
            "{} workers for {} cores: no card has more queues (`ethtool -L DEVICE combined N`)",
            most,
            cores.len(),
        );
        cores.truncate(most);
    }
    for device in devices {
        let queues = device.queues.receive.max(1) as usize;
        if queues > cores.len() {
            tracing::info!("{}: {queues} queues for {} workers", device.name, cores.len());
        } else if queues < cores.len() {
            tracing::info!(
                "{}: {queues} queues for {} workers: the others hand their packets over",
                device.name,
                cores.len(),
            );
        }
    }
    Ok(cores)
}

/// A worker on each of these cores, with its packet memory.
pub(super) fn start_workers(
    config: &Config,
    devices: &[Device],
    cores: &[usize],
    shared: &Shared,
) -> Result<Vec<Handle>, StartError> {
    let chunk_size = chunk_size(config, devices);
    let ports = config.ports.len();
    let allowance = allowance(config, cores.len(), ports, &shared.policers);
    let start = |(number, &core): (usize, &usize)| {
        let frames = config.router.frames.unwrap_or_else(|| default_frames(config, devices, cores));
        let area = Area::new(frames, chunk_size, config.router.huge_pages).map_err(system(
            format!("UMEM of {frames} frames"),
            "; lower [router] frames, or without huge pages set huge_pages = false",
        ))?;
        let first = PortId::new(0).ok_or(StartError::NoPorts)?;
        let mailbox = Mailbox::new(shared.bell.clone()).map_err(system("socketpair", ""))?;
        let bell = mailbox.worker_bell.clone();
        let setup = Setup {
            number,
            fib: shared.fib.clone(),
            snapshot: shared.snapshot.clone(),
            epochs: shared.epochs.clone(),
            counters: Arc::new(WorkerCounters::new()),
            mailbox: Arc::new(mailbox),
            handover: Arc::new(Handover::new(HANDOVER_DEPTH, first, bell)),
            poll: match config.router.poll {
                config::Poll::Adaptive => Poll::Adaptive,
                config::Poll::Busy => Poll::Busy,
            },
            allowance: allowance.clone(),
            hold_packets: config.tables.hold_packets as usize,
            start: shared.start,
        };
        Handle::start(core, setup, area).map_err(system("a thread", ""))
    };
    cores.iter().enumerate().map(start).collect()
}

/// What each of so many workers may do for so many ports.
pub(super) fn allowance(
    config: &Config,
    workers: usize,
    ports: usize,
    policers: &Arc<Policers>,
) -> Allowance {
    let icmp_errors = error_budget(config, workers, ports);
    Allowance { ports, icmp_errors, policers: Arc::clone(policers) }
}

/// The ICMP errors of one of so many workers, for so many ports. The rate of all is divided. A burst is not, nor what
/// one host gets: its packets may all come to one worker.
pub fn error_budget(config: &Config, workers: usize, ports: usize) -> ErrorBudget {
    let router = &config.router;
    let limits = Limits {
        per_s: (u64::from(router.icmp_errors_per_s) / workers as u64).max(1),
        burst: router.icmp_errors_burst.into(),
        per_host_per_s: router.icmp_errors_per_host_per_s.into(),
        per_host_burst: router.icmp_errors_per_host_burst.into(),
    };
    ErrorBudget::new(limits, ports)
}

/// The limits on what the kernel's stack gets, for every port that there can be.
pub(super) fn policers(config: &Config) -> Arc<Policers> {
    Arc::new(Policers::new(police_limits(config), PORTS_MAX))
}

/// What `[police]` says; whatever it says, our own web page is management.
fn police_limits(config: &Config) -> police::Limits {
    let mut limits = config.police.clone();
    limits.management_ports.extend(config.api.listen.iter().map(SocketAddr::port));
    limits.management_ports.sort_unstable();
    limits
}

/// 2048 octets hold what Ethernet usually carries; a longer MTU needs 4096.
fn chunk_size(config: &Config, devices: &[Device]) -> u16 {
    let mtus = config.ports.iter().zip(devices);
    let longest = mtus.map(|(port, device)| port.mtu.map_or(device.mtu, u32::from)).max();
    if longest.is_some_and(|mtu| mtu > u32::from(largest_mtu(2048))) { 4096 } else { 2048 }
}

/// Enough chunks to fill each queue's fill ring (two rings), to have one more ring sent, and one
/// in hand.
fn default_frames(config: &Config, devices: &[Device], cores: &[usize]) -> u32 {
    let queues: u32 = devices.iter().map(|device| device.queues.receive.max(1)).sum();
    let workers = u32::try_from(cores.len()).unwrap_or(1).max(1);
    let ports = u32::try_from(devices.len()).unwrap_or(1);
    queues.div_ceil(workers).max(ports) * 4 * config.router.ring
}
