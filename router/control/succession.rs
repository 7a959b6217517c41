//! From one router to the next: what is left behind for it, what it takes over, and the kernel that
//! may forward between the two.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::time::{Instant, timeout_at};

use super::Router;
use super::attach::AttachError;
use super::netlink::{Netlink, NetlinkError, sysctl};
use super::start::StartError;
use super::store;
use crate::config::{OnExit, RouteAction};
use crate::id::PortId;
use crate::io::heir;
use crate::io::supervisor::{self, Kept};
use crate::worker::Command;

/// How long a start waits for the kernel's routes. A million takes some seconds.
const ROUTES: Duration = Duration::from_secs(10);

/// Who has had the cards until now.
#[expect(missing_debug_implementations, reason = "a future tells nothing of itself")]
pub enum Predecessor<'a> {
    /// A router, which may have left taps and more, with what the service manager has kept of it; or
    /// nobody.
    Router(Vec<Kept>),
    /// The kernel, which forwards by them, and goes on until all is prepared.
    Kernel(Switch<'a>),
}

/// What makes the taps have what the cards have had.
pub type Switch<'a> = LocalBoxFuture<'a, Result<(), NetlinkError>>;

/// How a router is told to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// By a supervisor (SIGTERM): another start may follow.
    ForNow,
    /// By a person (SIGINT): the machine is to be as it was.
    ForGood,
}

impl Router {
    /// End, and leave behind what should be.
    pub(super) async fn end(self, how: End) {
        if how == End::ForNow && self.has_successors() {
            self.leave().await;
        } else {
            self.stop().await;
        }
    }

    /// Whether somebody goes on with what this router leaves behind.
    pub(super) fn has_successors(&self) -> bool {
        supervisor::is_there() || self.is_open()
    }

    fn is_open(&self) -> bool {
        self.config.router.on_exit == OnExit::Open
    }

    /// End, and leave all in the kernel that a successor needs: taps with their addresses and
    /// neighbours, routes, and the cards quiet and up, since a link that is set down takes seconds to
    /// come back. A card's own MAC is not given back either: the tap would have to change its.
    pub(super) async fn leave(mut self) {
        let ids = self.ports.ids();
        for &id in &ids {
            let card = self.ports[id.index()].card.as_ref();
            // Before the program goes: now the kernel has all frames, of all cards.
            card.inspect(|card| card.program.forget_sockets(card.queues));
        }
        // Each socket and each program takes the kernel some 20 ms: so the workers close theirs
        // meanwhile. No frame goes to them any more (see `detach`).
        for worker in &self.workers {
            worker.tell(Command::Stop);
        }
        for id in ids {
            self.ports[id.index()].card.iter_mut().for_each(|card| card.program.detach());
        }
        if !self.is_open() {
            self.withdraw_what_stays().await;
        }
        tracing::info!("stopped; taps and routes are left to the next start");
    }

    /// Routes that lead by no tap would stay if no successor came.
    async fn withdraw_what_stays(&self) {
        for route in &self.config.routes {
            if matches!(route.action, RouteAction::Via(_)) {
                continue;
            }
            if let Err(error) = self.netlink.withdraw_route(route.to).await {
                tracing::warn!("{error}");
            }
        }
    }

    /// What the taps have is ours before the first frame is: addresses that programs gave them, and
    /// the routes of daemons.
    pub(super) async fn inherit_routes(&mut self) {
        for id in self.ports.ids() {
            self.follow_addresses(id).await;
        }
        self.hear_all_routes().await;
    }

    /// Whom the kernel knows is known here.
    pub(super) async fn inherit_neighbours(&mut self) -> Result<(), StartError> {
        let now = self.now();
        for ((tap, address), mac) in self.netlink.learned_neighbours().await? {
            if let Some(port) = self.port_of_tap(tap) {
                self.neighbours.adopt(port, address, mac, now, &mut self.actions);
            }
        }
        self.act();
        Ok(())
    }

    async fn hear_all_routes(&mut self) {
        let deadline = Instant::now() + ROUTES;
        while self.mirror.is_behind() {
            match timeout_at(deadline, self.mirror.ready()).await {
                Ok(outcome) => self.follow_kernel(outcome),
                Err(_) => return tracing::warn!("the kernel's routes are not all here yet"),
            }
        }
    }

    /// From now on the tap stays when this process dies: with the service manager, or by itself.
    pub(super) fn keep_tap(&self, id: PortId) -> Result<(), AttachError> {
        let port = &self.ports[id.index()];
        port.tap.persist(self.config.router.taps_persist || self.is_open())?;
        store::keep(port.name(), port.tap_queues.all());
        Ok(())
    }

    /// The tap goes with this process, unless it is to `persist`.
    pub(super) fn let_tap_go(&self, id: PortId, persist: bool) {
        let port = &self.ports[id.index()];
        store::forget(port.name(), port.tap_queues.len());
        if let Err(error) = port.tap.persist(persist) {
            tracing::warn!("{error}");
        }
    }

    /// The kernel forwards by the port when no worker does, or never, as router.toml says.
    pub(super) async fn appoint_heir(&self, id: PortId) -> Result<(), AttachError> {
        let port = &self.ports[id.index()];
        let Some(card) = &port.card else { return Ok(()) };
        if self.is_open() {
            heir::appoint(card.ifindex, port.tap_index, card.program.sockets())?;
        } else {
            // The last run's may be there.
            self.note_of(id, dismiss_heir(&self.netlink, card.ifindex, port.tap_index).await);
        }
        Ok(())
    }

    /// Say what the kernel lacks to go on by itself.
    pub(super) fn warn_if_closed(&self) -> Result<(), StartError> {
        if !self.is_open() {
            return Ok(());
        }
        let of_port = self.ports.iter().map(|port| sysctl::not_forwarding(port.name()));
        let off = of_port.collect::<Result<Vec<_>, _>>()?;
        let off: BTreeSet<_> = off.into_iter().flatten().collect();
        if !off.is_empty() {
            let settings = off.into_iter().collect::<Vec<_>>().join(" ");
            tracing::warn!(
                "on_exit = \"open\", but the kernel would not forward: `sysctl -w {settings}`"
            );
        }
        Ok(())
    }
}

/// The kernel forwards by this card and this tap no more.
pub(super) async fn dismiss_heir(
    netlink: &Netlink,
    card: u32,
    tap: u32,
) -> Result<(), NetlinkError> {
    if heir::dismiss(card, tap) && !netlink.has_filters(card).await? {
        heir::clear(card);
    }
    Ok(())
}
