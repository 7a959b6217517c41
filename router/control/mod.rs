//! The truth about the router, and its only writer: one thread, one loop over what happens.
//!
//! Everything that decides is a function of (state, event, now) and is tested without sockets:
//! [`neighbour`], [`rib`], [`hops`]. This file is the loop and nothing else; `start.rs` makes what
//! it needs (`fib.rs`), `attach.rs` takes cards (`open.rs`) and lets them go, `fastpath.rs` says who
//! forwards, `grace.rs` waits for XDP programs, `membership.rs` follows the
//! kernel's groups, `tap.rs` mends taps, `addresses.rs` has the router's own addresses and `claim.rs`
//! speaks for them, `watchdog.rs` sees what stands still, `learn.rs` hears the workers, `mirror.rs`
//! takes the kernel's routes over, `verify.rs` compares them, `answer.rs` shows it all. From one run to
//! the next: `succession.rs`, `store.rs`, `release.rs`.
#![forbid(unsafe_code)]

mod addresses;
mod answer;
mod attach;
pub mod change;
mod claim;
mod fastpath;
mod fib;
mod grace;
mod groups;
pub mod hops;
mod lacks;
mod learn;
mod membership;
mod mirror;
pub mod neighbour;
pub mod netlink;
mod open;
mod plug;
pub mod port;
mod ports;
pub mod release;
mod reload;
pub mod request;
pub mod rib;
mod speak;
mod start;
mod statics;
mod store;
mod succession;
mod tap;
mod verify;
pub mod view;
mod watchdog;
pub mod workers;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::config::Config;
pub use crate::io::supervisor::Kept;
use crate::io::supervisor::State;
use crate::io::xdp;
use crate::table::FibWriter;
use crate::table::interface::Snapshot;
use crate::table::meter::Nanos;
use crate::table::police::Policers;
use crate::table::publish::Epochs;
use grace::Grace;
use hops::Hops;
use mirror::Mirror;
use neighbour::{Action, Neighbours};
use netlink::Netlink;
use netlink::monitor::LinkMonitor;
use ports::Ports;
use reload::Running;
use request::Request;
use rib::Rib;
pub use start::StartError;
pub use store::take_kept;
pub use succession::{End, Predecessor, Switch};
use workers::Handle;

/// Housekeeping: neighbours in use, groups joined, cards that came back, table space.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A running router.
#[derive(Debug)]
pub struct Router {
    config: Config,
    /// The text that it stands in.
    running: Running,
    start: Instant,
    epochs: Arc<Epochs>,
    fib: FibWriter,
    rib: Rib,
    hops: Hops,
    neighbours: Neighbours,
    /// What the neighbour table wants done; empty between two events.
    actions: Vec<Action>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Snapshots that a worker may still be reading: freed here, never by a worker.
    retired: Vec<(Arc<Snapshot>, crate::table::publish::Epoch)>,
    /// What the kernel lacks is in the log.
    lacks_said: bool,
    /// The maps of all XDP programs.
    xdp: xdp::Shared,
    ports: Ports,
    // After `ports`: sockets and programs go before the workers' memory does.
    workers: Vec<Handle>,
    policers: Arc<Policers>,
    /// Waits for XDP programs; None until workers run.
    grace: Option<Grace>,
    /// Taps were there: another router, or the kernel, had the cards until now.
    inherited: bool,
    netlink: Netlink,
    links: LinkMonitor,
    mirror: Mirror,
    /// Becomes readable when a worker has said something.
    bell: UnixStream,
    requests: mpsc::Receiver<Request>,
}

impl Router {
    /// The time that everybody in this router means.
    fn now(&self) -> Nanos {
        Nanos::from(self.start.elapsed())
    }

    /// Be the router until `stop` is ready, then leave the machine as it was found, or to a successor.
    pub async fn run(mut self, stop: impl Future<Output = End>) {
        tokio::pin!(stop);
        store::tell(State::Ready);
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        let mut looks = tokio::time::interval(watchdog::INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let how = loop {
            let deadline = self.neighbours.next_deadline();
            let timer = tokio::time::sleep(deadline.unwrap_or(Nanos::MAX).since(self.now()));
            let trial = self.trial_ends();
            let end_of_trial = tokio::time::sleep(trial.unwrap_or(Nanos::MAX).since(self.now()));
            tokio::select! {
                how = &mut stop => break how,
                _ = self.bell.readable() => self.read_mail(),
                Some(request) = self.requests.recv() => self.serve(request).await,
                event = self.links.next() => self.link_changed(event).await,
                outcome = self.mirror.ready() => {
                    self.follow_kernel(outcome);
                    // Or else, in a storm, nobody would see what else is ready.
                    tokio::task::yield_now().await;
                }
                () = timer, if deadline.is_some() => self.tick(),
                () = end_of_trial, if trial.is_some() => self.take_back().await,
                _ = looks.tick() => self.watch(),
                _ = housekeeping.tick() => self.keep_house().await,
            }
        };
        store::tell(State::Stopping);
        self.end(how).await;
    }

    async fn serve(&mut self, request: Request) {
        match request {
            Request::Show { question, answer } => self.reply(&question, answer),
            // Whoever asked may have gone away.
            Request::Do { order, answer } => drop(answer.send(self.obey(order).await)),
        }
    }

    /// Make what was freed in the tables available again, once nobody can hold it.
    fn reclaim(&mut self) {
        self.fib.reclaim(&self.epochs);
        if let Some(grace) = &self.grace {
            grace.ring();
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        self.neighbours.tick(now, &mut self.actions);
        self.act();
    }

    async fn keep_house(&mut self) {
        let now = self.now();
        for (port, address) in self.hops.used(&self.fib) {
            self.neighbours.used(port, address, now);
        }
        self.ask_missed();
        self.go_on_claiming();
        self.update_groups();
        self.attach_absent().await;
        self.renew_taps().await;
        self.choose_engines();
        self.reclaim();
        self.hops.groups.write(&mut self.fib);
        self.retired.retain(|(_, epoch)| !self.epochs.passed(*epoch));
    }
}
