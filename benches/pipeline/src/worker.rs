//! A worker's round without its sockets.

use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use common::clock::{cpu_time, timed};
use common::router::{MACS, MTU, ports};
use tables::Family;
use xrouter::frame::{Area, Frame, Pool};
use xrouter::id::NextHopId;
use xrouter::packet::ipv6;
use xrouter::pipeline::budget::{ErrorBudget, Limits as ErrorLimits};
use xrouter::pipeline::counters::WorkerCounters;
use xrouter::pipeline::report::Hearing;
use xrouter::pipeline::{BATCH, Batch, Local, Outbox, Tables, process};
use xrouter::table::Fib;
use xrouter::table::interface::{Interface, Snapshot};
use xrouter::table::meter::Nanos;
use xrouter::table::police::{Limits, Policers};
use xrouter::table::policy::{Policy, PortPolicy};

use crate::frames::{Traffic, is_forwarded};

/// Frames that lie ready at once. Their headers are 2048 octets apart and share so few sets of the
/// second-level cache that it does not hold them all; with 256, which it holds, nothing changes.
const READY: usize = 64 * BATCH;
const CHUNK: u16 = 2048;

fn interface(number: usize) -> Interface {
    Interface {
        port: ports()[number],
        mac: MACS[number],
        mtu: MTU,
        addresses4: vec![format!("198.18.{number}.1/24").parse().expect("a subnet")],
        addresses6: vec![format!("2001:db8:{number}::1/64").parse().expect("a subnet")],
        virtuals: Vec::new(),
        link_local: ipv6::link_local_of(MACS[number]),
        groups: Vec::new(),
        unfinished_checksums: false,
        policy: PortPolicy::default(),
    }
}

/// What a worker has but its sockets.
pub struct Worker<'a, 'umem> {
    tables: Tables<'a>,
    local: Local<'a>,
    pool: Pool<'umem>,
    out: Outbox<'umem>,
    sent: Vec<Frame<'umem>>,
}

impl Worker<'_, '_> {
    /// Forward all frames; what that took, and how many of them are not as they have to be: to
    /// the gateway that `hops` names, with one hop less to live.
    pub fn run(fib: &Fib, traffic: &Traffic, hops: &[u16]) -> (Duration, usize) {
        let interfaces = [0, 1].map(|number| Some(interface(number)));
        let snapshot = Snapshot::new(interfaces.into(), Policy::default(), 1);
        let counters = WorkerCounters::new();
        let errors = ErrorLimits { per_s: 1, burst: 1, per_host_per_s: 1, per_host_burst: 1 };
        let local = Local {
            now: Nanos::ZERO,
            utc_at_start: Duration::ZERO,
            counters: &counters,
            icmp_errors: ErrorBudget::new(errors, 2),
            policers: Arc::new(Policers::new(Limits::default(), 2)),
            ip_id: 0,
            hearing: Hearing::new(),
            reports: ArrayVec::new(),
        };
        let mut area = Area::new(READY as u32, CHUNK, false).expect("memory for frames");
        let mut worker = Worker {
            tables: Tables { fib, snapshot: &snapshot },
            local,
            pool: Pool::new(&mut area),
            out: Outbox::new(2),
            sent: Vec::with_capacity(READY),
        };
        worker.forward(traffic, hops)
    }

    fn forward(&mut self, traffic: &Traffic, hops: &[u16]) -> (Duration, usize) {
        let all: Vec<_> = traffic.frames().collect();
        let (mut time, mut harmed) = (Duration::ZERO, 0);
        for (frames, hops) in all.chunks(READY).zip(hops.chunks(READY)) {
            time += self.some(frames);
            harmed += self.check(frames, hops);
        }
        (time, harmed)
    }

    /// As many frames as lie ready at once.
    fn some(&mut self, frames: &[&[u8]]) -> Duration {
        let [ingress, egress] = ports();
        let mut ready: Vec<Batch<'_>> = Vec::with_capacity(READY / BATCH);
        for frames in frames.chunks(BATCH) {
            let frames =
                frames.iter().map(|frame| self.pool.copy_of(frame, ingress).expect("room"));
            ready.push(frames.collect());
        }
        let start = cpu_time();
        for mut batch in ready {
            // As a socket does.
            batch.iter().for_each(Frame::prefetch);
            process(&mut batch, &self.tables, &mut self.local, &mut self.pool, &mut self.out);
            self.sent.extend(self.out.to_transmit(egress).drain(..));
        }
        cpu_time() - start
    }

    fn check(&mut self, frames: &[&[u8]], hops: &[u16]) -> usize {
        let missing = frames.len() - self.sent.len();
        let sent = self.sent.iter().zip(frames).zip(hops);
        let harmed =
            sent.filter(|((after, before), hop)| !is_forwarded(before, after.bytes(), **hop));
        let harmed = harmed.count();
        self.sent.drain(..).for_each(|frame| self.pool.give(frame));
        harmed + missing
    }
}

/// The lookup alone, in the batches that the pipeline has.
pub struct Alone {
    family: Family,
    v4: Vec<u32>,
    v6: Vec<u128>,
    found: [Option<NextHopId>; BATCH],
}

impl Alone {
    pub fn new(family: Family, addresses: &[u128]) -> Self {
        let v4 = addresses.iter().map(|address| (address >> 96) as u32).collect();
        Self { family, v4, v6: addresses.to_vec(), found: [None; BATCH] }
    }

    /// What all addresses take.
    pub fn run(&mut self, fib: &Fib) -> Duration {
        let found = &mut self.found;
        let (time, ()) = timed(|| match self.family {
            Family::V4 => self.v4.chunks(BATCH).for_each(|some| fib.v4.lookup_batch(some, found)),
            Family::V6 => self.v6.chunks(BATCH).for_each(|some| fib.v6.lookup_batch(some, found)),
        });
        std::hint::black_box(found);
        time
    }
}
