//! The taps: made to look like their cards, and mended when somebody sets one down or deletes it.
#![forbid(unsafe_code)]

use super::Router;
use super::attach::AttachError;
use super::netlink::address;
use super::netlink::link::{Appearance, Link};
use super::port::Port;
use crate::id::PortId;
use crate::io::device;
use crate::io::tap::{self, Tap, TapError};
use crate::worker::Command;

impl Router {
    /// Make the tap look like the card, with the port's addresses.
    pub(super) async fn dress(&mut self, id: PortId) -> Result<(), AttachError> {
        let port = &self.ports[id.index()];
        let Some(card) = &port.card else { return Ok(()) };
        let appearance = Appearance { mac: card.mac, mtu: card.mtu.into() };
        port.tap.set_carrier(card.running)?;
        self.netlink.dress_tap(port.name(), appearance).await?;
        let wanted = address::with_link_local(card.mac, &port.config.addresses);
        self.netlink.sync_addresses(port.tap_index, &wanted).await?;
        Ok(())
    }

    pub(super) fn port_of_tap(&self, ifindex: u32) -> Option<PortId> {
        self.ports.iter().find(|port| port.tap_index == ifindex).map(Port::id)
    }

    /// A tap that is set down loses its IPv6 addresses and every route over it, and gets none of
    /// them back when it is set up.
    pub(super) async fn tap_is(&mut self, id: PortId, link: &Link) {
        let was_up = std::mem::replace(&mut self.ports[id.index()].tap_up, link.up);
        if link.up == was_up {
            return;
        }
        let name = self.ports[id.index()].name();
        tracing::info!("port {name}: the tap is {}", if link.up { "up" } else { "down" });
        if !link.up {
            return;
        }
        if let Err(error) = self.dress(id).await {
            tracing::error!("port {}: {error}", self.ports[id.index()].name());
        }
        for route in &self.config.routes {
            if let Err(error) =
                self.netlink.install_route(route.to, &self.target(&route.action)).await
            {
                tracing::warn!("{error}");
            }
        }
    }

    /// Somebody deleted the tap. Transit goes on; the kernel's stack gets a new one.
    pub(super) async fn tap_is_gone(&mut self, id: PortId) {
        let port = &mut self.ports[id.index()];
        tracing::warn!("port {}: the tap was deleted; another is made", port.name());
        port.has_tap = false;
        if let Err(error) = self.renew_tap(id).await {
            tracing::error!("port {}: {error}", self.ports[id.index()].name());
        }
    }

    /// Taps that were deleted and could not be made again at once.
    pub(super) async fn renew_taps(&mut self) {
        let gone = self.ports.iter().filter(|port| !port.has_tap).map(Port::id);
        for id in gone.collect::<Vec<_>>() {
            if let Err(error) = self.renew_tap(id).await {
                tracing::debug!("port {}: {error}", self.ports[id.index()].name());
            }
        }
    }

    /// Its routes come back when the news arrives that it is up ([`Router::tap_is`]).
    async fn renew_tap(&mut self, id: PortId) -> Result<(), AttachError> {
        let persist = self.config.router.taps_persist;
        let port = &mut self.ports[id.index()];
        let mut tap = Tap::create(port.name(), port.tap_queues.len(), persist)?;
        port.tap_index = device::index(port.name())?;
        port.tap_queues = Queues::new(tap.take_queues());
        (port.tap, port.tap_up, port.has_tap) = (tap, false, true);
        self.dress(id).await?;
        let port = &mut self.ports[id.index()];
        for number in 0..port.attach_tap_queues()? {
            self.workers[number].tell(Command::Tap(id, port.tap_queue(number)?));
        }
        Ok(())
    }
}

/// The queues of a port's tap. The kernel sends by as many of them as workers read.
#[derive(Debug)]
pub(super) struct Queues {
    /// One for each worker that the card had a queue for at start; workers get clones, so that the
    /// tap outlives a card.
    all: Vec<tap::Queue>,
    /// The first so many are attached.
    attached: usize,
}

impl Queues {
    pub fn new(all: Vec<tap::Queue>) -> Self {
        Self { attached: all.len(), all }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The one that is always attached.
    pub fn first(&self) -> Option<&tap::Queue> {
        self.all.first()
    }

    /// The worker that has this queue of the card: one without a queue of the tap has none.
    pub fn worker_of(&self, card_queue: usize) -> usize {
        card_queue % self.all.len()
    }

    /// Attach those that are read when the card has so many queues, and detach the others: what the
    /// kernel puts into a queue that nobody reads is lost. How many are read: by the first workers.
    fn follow(&mut self, card_queues: usize) -> std::io::Result<usize> {
        let read = card_queues.clamp(1, self.all.len());
        while self.attached > read {
            self.all[self.attached - 1].set_attached(false)?;
            self.attached -= 1;
        }
        while self.attached < read {
            self.all[self.attached].set_attached(true)?;
            self.attached += 1;
        }
        Ok(read)
    }
}

impl Port {
    /// Have the kernel send by as many queues of the tap as workers read; how many that is.
    pub(super) fn attach_tap_queues(&mut self) -> Result<usize, AttachError> {
        let Some(card) = &self.card else { return Ok(0) };
        self.tap_queues.follow(card.queues).map_err(|source| {
            let device = self.name().to_owned();
            AttachError::Tap(TapError { device, call: "TUNSETQUEUE", source })
        })
    }

    /// The tap's queue for this worker.
    pub(super) fn tap_queue(&self, worker: usize) -> Result<tap::Queue, AttachError> {
        self.tap_queues.all[worker]
            .try_clone()
            .map_err(|cause| AttachError::Descriptors { device: self.name().to_owned(), cause })
    }
}
