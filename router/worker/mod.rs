//! One core: receive, process, transmit, answer mail, breathe.
//!
//! A worker owns its UMEM, its queues of every port and its queues of the taps, and writes nothing
//! that others write, but for the limits on what the kernel's stack gets (`table/police.rs`). It
//! reads the shared tables, and speaks with control through its mailbox.
#![forbid(unsafe_code)]

mod handover;
mod held;
mod mailbox;
mod pace;
mod port;

pub use handover::Handover;
pub use mailbox::{Allowance, Attachment, Command, Mail, Mailbox, SEND_MAX, SmallFrame};
pub use pace::Poll;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use crate::frame::{Area, Frame, Pool};
use crate::id::PortId;
use crate::pipeline::counters::{Places, WorkerCounters};
use crate::pipeline::verdict::{Awaited, DropReason, Refusal, Verdict};
use crate::pipeline::{
    self, Batch, Local, Outbox, Tables,
    report::{Hearing, Report},
};
use crate::table::Fib;
use crate::table::interface::Snapshot;
use crate::table::meter::Nanos;
use crate::table::publish::Epochs;
use held::{Held, Kept};
use pace::Pace;
use port::Port;

/// Commands that are obeyed in one round.
const COMMANDS_PER_ROUND: usize = 64;

/// What a worker is made of.
#[derive(Debug)]
pub struct Setup {
    /// The worker's number: its place in `epochs`.
    pub number: usize,
    /// Routes and next hops.
    pub fib: Arc<Fib>,
    /// Interfaces.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where the worker says that it holds no reference to any table.
    pub epochs: Arc<Epochs>,
    /// What the worker counts.
    pub counters: Arc<WorkerCounters>,
    /// To and from control.
    pub mailbox: Arc<Mailbox>,
    /// Frames from workers that have no queue of a port of ours.
    pub handover: Arc<Handover>,
    /// Whether to sleep when there is nothing to do.
    pub poll: Poll,
    /// How many ports the router has, and their limits.
    pub allowance: Allowance,
    /// Frames that may wait for one neighbour.
    pub hold_packets: usize,
    /// The moment that all workers call zero.
    pub start: Instant,
}

/// How long a round may write to taps: the kernel's stack runs in the write, and may be slow, while
/// the receive rings (1024 frames unless router.toml says otherwise) fill up.
const PUNT_MAX: Duration = Duration::from_micros(250);

/// Be a worker until [`Command::Stop`] comes.
pub fn run(setup: &Setup, mut area: Area) {
    let pool = Pool::new(&mut area);
    let mut worker = Worker::new(setup, pool);
    while worker.round() {}
    worker.finish();
}

struct Worker<'w> {
    setup: &'w Setup,
    snapshot: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    local: Local<'w>,
    pool: Pool<'w>,
    ports: Vec<Port>,
    batch: Batch<'w>,
    out: Outbox<'w>,
    held: Held<'w>,
    pace: Pace,
    /// Chunks that are left for fragments, for the tap and for control's frames.
    reserve: usize,
    /// Chunks that each socket may have to receive into, so that none takes them all.
    share: u32,
    stopping: bool,
}

impl<'w> Worker<'w> {
    fn new(setup: &'w Setup, pool: Pool<'w>) -> Self {
        let local = Local {
            now: Nanos::ZERO,
            utc_at_start: utc_at(setup.start),
            counters: &setup.counters,
            icmp_errors: setup.allowance.icmp_errors.clone(),
            policers: Arc::clone(&setup.allowance.policers),
            ip_id: 0,
            hearing: Hearing::new(),
            reports: arrayvec::ArrayVec::new(),
        };
        let numbers = (0..setup.allowance.ports).filter_map(PortId::new);
        let ports: Vec<_> = numbers.map(Port::absent).collect();
        let mut pace = Pace::new(setup.poll);
        pace.watch(&ports, &setup.mailbox.worker_bell);
        let frames_max = pool.total() / 4;
        Self {
            setup,
            snapshot: Cache::new(setup.snapshot.clone()),
            local,
            pool,
            out: Outbox::new(ports.len()),
            ports,
            batch: Batch::new(),
            held: Held::new(setup.hold_packets, frames_max),
            pace,
            reserve: frames_max / 2,
            share: 0,
            stopping: false,
        }
    }

    /// One breath; false when it was the last.
    fn round(&mut self) -> bool {
        self.local.now = Nanos::from(self.setup.start.elapsed());
        let received = self.receive() + self.read_taps() + self.take_handed_over();
        let obeyed = self.obey();
        self.hold();
        let punted_all = self.punt();
        let sent_all = self.transmit();
        self.report();
        self.sample();
        self.setup.epochs.pass(self.setup.number); // quiescent: no table is referred to here
        let busy = received + obeyed > 0 || !sent_all || !punted_all;
        self.breathe(busy);
        !self.stopping
    }

    /// From the wire, port after port, each batch through the pipeline.
    fn receive(&mut self) -> usize {
        let mut received = 0;
        let tables = Tables { fib: &self.setup.fib, snapshot: self.snapshot.load() };
        for port in &mut self.ports {
            for socket in port.sockets() {
                socket.complete(&mut self.pool);
                received += socket.receive(&mut self.pool, &mut self.batch);
                socket.refill(&mut self.pool, self.share, self.reserve);
                socket.wake_fill();
                pipeline::process(
                    &mut self.batch,
                    &tables,
                    &mut self.local,
                    &mut self.pool,
                    &mut self.out,
                );
            }
        }
        received
    }

    /// From the kernel's stack. Asking a tap costs a system call, also when it has nothing.
    fn read_taps(&mut self) -> usize {
        if !self.pace.tap_is_due(self.local.now) {
            return 0;
        }
        let tables = Tables { fib: &self.setup.fib, snapshot: self.snapshot.load() };
        let mut read = 0;
        for port in &mut self.ports {
            let (local, out) = (&mut self.local, &mut self.out);
            read += port.read_tap(&mut self.pool, local.counters, |frame, pool| {
                pipeline::kernel::from_kernel(frame, &tables, local, pool, out);
            });
        }
        self.pace.tap_gave(read, self.local.now);
        read
    }

    /// From workers that have no queue of the port.
    fn take_handed_over(&mut self) -> usize {
        let mut taken = 0;
        let (pool, out, counters) = (&mut self.pool, &mut self.out, self.local.counters);
        let mut adopt = |parcel: &handover::Parcel| {
            originate(&parcel.bytes, parcel.port, counters, pool, out);
        };
        while taken < pipeline::BATCH && self.setup.handover.take(&mut adopt) {
            taken += 1;
        }
        taken
    }

    fn obey(&mut self) -> usize {
        let mut obeyed = 0;
        while obeyed < COMMANDS_PER_ROUND {
            let Some(command) = self.setup.mailbox.next_command() else { break };
            self.execute(command);
            obeyed += 1;
        }
        if self.pace.tick_is_due(self.local.now) {
            self.local.utc_at_start = utc_at(self.setup.start); // somebody may have set the clock
            self.expire();
            self.ask_kernel();
        }
        obeyed
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Attach(attachment) => {
                let port = attachment.port;
                self.ports[port.index()].attach(*attachment);
                self.sockets_changed();
            }
            Command::Detach(port) => self.detach(port),
            Command::Allow(allowance) => self.allow(*allowance),
            Command::Tap(port, tap) => {
                self.ports[port.index()].change_tap(tap);
                self.sockets_changed();
            }
            Command::Send(port, bytes) => {
                originate(&bytes, port, self.local.counters, &mut self.pool, &mut self.out);
            }
            Command::Release(awaited) => self.release(awaited),
            Command::Fail(awaited) => self.fail(awaited),
            Command::Stop => self.stopping = true,
        }
    }

    /// A port that is new has no queues yet.
    fn allow(&mut self, allowance: Allowance) {
        let numbers = (self.ports.len()..allowance.ports).filter_map(PortId::new);
        self.ports.extend(numbers.map(Port::absent));
        self.out.grow(self.ports.len());
        self.local.icmp_errors = allowance.icmp_errors;
        self.local.policers = allowance.policers;
    }

    fn detach(&mut self, port: PortId) {
        self.ports[port.index()].detach();
        self.pool.reclaim(port);
        self.sockets_changed();
        self.say(Mail::Detached(port));
    }

    fn sockets_changed(&mut self) {
        self.pace.watch(&self.ports, &self.setup.mailbox.worker_bell);
        let sockets: usize = self.ports.iter_mut().map(|port| port.sockets().len()).sum();
        let share = (self.pool.total() - self.reserve) / sockets.max(1);
        self.share = u32::try_from(share).unwrap_or(u32::MAX);
    }

    fn release(&mut self, awaited: Awaited) {
        let tables = Tables { fib: &self.setup.fib, snapshot: self.snapshot.load() };
        self.held.take(awaited, |frame| {
            self.local.counters.port(frame.ingress()).waiting.take(1);
            pipeline::resume(frame, &tables, &mut self.local, &mut self.pool, &mut self.out);
        });
    }

    fn fail(&mut self, awaited: Awaited) {
        let tables = Tables { fib: &self.setup.fib, snapshot: self.snapshot.load() };
        let verdict = Verdict::Refuse(Refusal::HostUnreachable);
        self.held.take(awaited, |frame| {
            self.local.counters.port(frame.ingress()).waiting.take(1);
            let (local, pool, out) = (&mut self.local, &mut self.pool, &mut self.out);
            pipeline::settle(frame, verdict, &tables, local, pool, out);
        });
    }

    fn expire(&mut self) {
        let (pool, counters) = (&mut self.pool, self.local.counters);
        self.held.take_expired(self.local.now, |frame| {
            counters.port(frame.ingress()).waiting.take(1);
            drop_frame(frame, DropReason::HoldExpired, counters, pool);
        });
    }

    /// Let what needs a neighbour's MAC wait, and ask control for it.
    fn hold(&mut self) {
        let (pool, counters) = (&mut self.pool, self.local.counters);
        for (awaited, frame) in self.out.to_hold().drain(..) {
            let ingress = counters.port(frame.ingress());
            match self.held.keep(awaited, frame, self.local.now) {
                Kept::Waits { ask, pushed_out } => {
                    ingress.waiting.add(1);
                    if let Some(oldest) = pushed_out {
                        counters.port(oldest.ingress()).waiting.take(1);
                        drop_frame(oldest, DropReason::HoldOverflow, counters, pool);
                    }
                    if ask && self.local.reports.try_push(Report::Wanted(awaited)).is_err() {
                        counters.mail_lost.add(1);
                    }
                }
                Kept::Full(frame) => drop_frame(frame, DropReason::NeighboursFull, counters, pool),
            }
        }
    }

    /// Up to the kernel's stack, which does its work while we write: no longer than transit can
    /// wait. False if something is left for the next round.
    fn punt(&mut self) -> bool {
        let mut until = None;
        let mut punted_all = true;
        for port in &mut self.ports {
            let frames = self.out.to_punt(port.id());
            if !frames.is_empty() {
                let until = *until.get_or_insert_with(|| Instant::now() + PUNT_MAX);
                port.punt(frames, until, &mut self.pool, self.local.counters);
                punted_all &= frames.is_empty();
            }
        }
        punted_all
    }

    /// Out to the wire; false if something is left for the next round.
    fn transmit(&mut self) -> bool {
        let mut sent_all = true;
        for port in &mut self.ports {
            let frames = self.out.to_transmit(port.id());
            port.transmit(frames, &mut self.pool, self.local.counters);
            sent_all &= port.flush();
        }
        sent_all
    }

    /// What the pipeline found out, to control.
    fn report(&mut self) {
        if self.local.reports.is_empty() {
            return;
        }
        for report in std::mem::take(&mut self.local.reports) {
            if !self.setup.mailbox.say(Mail::Report(report)) {
                self.local.counters.mail_lost.add(1);
            }
        }
        self.setup.mailbox.control_bell.ring();
    }

    fn say(&mut self, mail: Mail) {
        if !self.setup.mailbox.say(mail) {
            self.local.counters.mail_lost.add(1);
        }
        self.setup.mailbox.control_bell.ring();
    }

    /// Where the chunks are, for everybody to see.
    fn sample(&mut self) {
        let (mut receive, mut transmit, mut invalid) = (0u64, 0u64, 0u64);
        for port in &mut self.ports {
            for socket in port.sockets() {
                let lent = socket.lent();
                receive += u64::from(lent.receive);
                transmit += u64::from(lent.transmit);
                invalid += socket.counters().invalid_descriptors;
            }
        }
        self.local.counters.ledger.set(Places {
            free: self.pool.free() as u64,
            receive,
            transmit,
            held: self.held.len() as u64,
            queued: self.out.len() as u64,
            total: self.pool.total() as u64,
        });
        self.local.counters.invalid_descriptors.set(invalid);
        self.local.counters.rounds.add(1);
    }

    /// What the kernel counted at our sockets, for everybody to see. A system call for each.
    fn ask_kernel(&mut self) {
        for port in &mut self.ports {
            let counters = self.local.counters.port(port.id());
            port.show_statistics(counters);
        }
    }

    /// Sleep if there has been nothing to do for a while.
    fn breathe(&mut self, busy: bool) {
        if busy {
            return self.pace.worked(self.local.now);
        }
        self.local.counters.idle_rounds.add(1);
        if self.pace.may_sleep(self.local.now) {
            self.ask_kernel();
            self.local.counters.sleeps.add(1);
            self.setup.epochs.offline(self.setup.number);
            self.pace.sleep(!self.held.is_empty());
            self.setup.epochs.online(self.setup.number);
            self.setup.mailbox.worker_bell.silence();
        }
    }

    /// Every frame goes back to the pool; the sockets close.
    fn finish(mut self) {
        self.setup.epochs.offline(self.setup.number);
        for port in &mut self.ports {
            port.detach();
            self.pool.reclaim(port.id());
            let id = port.id();
            self.out.to_transmit(id).drain(..).for_each(|frame| self.pool.give(frame));
            self.out.to_punt(id).drain(..).for_each(|frame| self.pool.give(frame));
        }
        self.out.to_hold().drain(..).for_each(|(_, frame)| self.pool.give(frame));
        self.held.take_expired(Nanos::MAX, |frame| self.pool.give(frame));
    }
}

/// UTC at `start`, since the Unix epoch, by the clock as it is set now.
fn utc_at(start: Instant) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(start.elapsed())
}

/// Send a frame that did not come in by a port of this worker.
fn originate<'umem>(
    bytes: &[u8],
    port: PortId,
    counters: &WorkerCounters,
    pool: &mut Pool<'umem>,
    out: &mut Outbox<'umem>,
) {
    let counters = counters.port(port);
    counters.originated.add(1);
    match pool.copy_of(bytes, port) {
        Ok(frame) => out.transmit(port, frame, counters, pool),
        Err(_) => counters.drop(DropReason::NoFrame),
    }
}

fn drop_frame<'umem>(
    frame: Frame<'umem>,
    reason: DropReason,
    counters: &WorkerCounters,
    pool: &mut Pool<'umem>,
) {
    counters.port(frame.ingress()).drop(reason);
    pool.give(frame);
}
