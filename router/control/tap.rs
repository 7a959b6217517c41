//! The taps: made to look like their cards, and mended when somebody deletes one. What an operator
//! does to a tap is meant for its port: set down, with a smaller MTU, with another MAC, so is the port.
#![forbid(unsafe_code)]

use super::Router;
use super::attach::AttachError;
use super::netlink::NetlinkError;
use super::netlink::address;
use super::netlink::link::{Appearance, Link};
use super::port::Port;
use crate::id::PortId;
use crate::io::device;
use crate::io::tap::{self, Tap, TapError};
use crate::packet::ethernet::MacAddress;
use crate::worker::Command;

/// The least that the key `mtu` of a port may be, too.
const MTU_MIN: u16 = 576;

/// Whether a port's tap is there, and set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TapState {
    Up,
    /// Somebody set it down: the port is shut.
    Down,
    /// Made again after somebody deleted it; that it is up is not in the news yet.
    Renewed,
    /// Somebody deleted it.
    Gone,
}

impl Router {
    /// Make the tap look like the card, with the port's addresses.
    pub(super) async fn dress(&mut self, id: PortId) -> Result<(), AttachError> {
        let port = &self.ports[id.index()];
        let Some(card) = &port.card else { return Ok(()) };
        let appearance = Appearance { mac: card.mac, mtu: card.mtu.into() };
        port.tap.set_carrier(card.running)?;
        self.netlink.dress_tap(port.name(), appearance, !port.is_shut()).await?;
        let wanted = address::with_link_local(card.mac, &port.configured_addresses());
        self.netlink.sync_addresses(port.tap_index, &wanted).await?;
        Ok(())
    }

    pub(super) fn port_of_tap(&self, ifindex: u32) -> Option<PortId> {
        self.ports.iter().find(|port| port.tap_index == ifindex).map(Port::id)
    }

    /// Something of the tap has changed, by us or by others.
    pub(super) async fn tap_is(&mut self, id: PortId, link: &Link) {
        // News may be old: of a tap that was deleted since, or of what we did to it ourselves.
        let now = match self.netlink.link(self.ports[id.index()].name()).await {
            Ok(now) => now.filter(|now| now.index == link.index),
            Err(error) => return tracing::warn!("{error}"),
        };
        let Some(now) = now else { return };
        match (link.up, self.ports[id.index()].tap_state == TapState::Up) {
            (false, true) => self.shut(id),
            (true, false) => self.open_again(id).await,
            _ => {}
        }
        self.follow_tap_mtu(id, now.mtu).await;
        self.follow_tap_mac(id, now.mac).await;
    }

    /// The tap was set down: nothing comes in or goes out by the port.
    fn shut(&mut self, id: PortId) {
        let port = &mut self.ports[id.index()];
        port.tap_state = TapState::Down;
        tracing::info!("port {}: shut: the tap was set down", port.name());
        self.port_changed(id, true);
    }

    /// A tap that is set down loses its IPv6 addresses, its neighbours and every route over it, and
    /// gets none of them back when it is set up.
    async fn open_again(&mut self, id: PortId) {
        let port = &mut self.ports[id.index()];
        let before = std::mem::replace(&mut port.tap_state, TapState::Up);
        tracing::info!("port {}: the tap is up", port.name());
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
        self.remind_kernel_of_neighbours(id).await;
        self.follow_addresses(id).await;
        if before == TapState::Down {
            self.port_changed(id, true);
        }
    }

    /// The tap's MTU is the port's, up to the card's.
    async fn follow_tap_mtu(&mut self, id: PortId, asked: u32) {
        let port = &mut self.ports[id.index()];
        let Some(card) = &mut port.card else { return };
        if asked == u32::from(card.mtu) {
            return;
        }
        let (most, mtu) = (card.mtu_max, card.mtu);
        match u16::try_from(asked).ok().filter(|asked| (MTU_MIN..=most).contains(asked)) {
            Some(asked) => {
                card.mtu = asked;
                port.tap_mtu = (asked < most).then_some(asked);
                tracing::info!("port {}: the tap's MTU is {asked}: so is the port's", port.name());
                self.port_changed(id, false);
            }
            None => {
                let name = port.name();
                tracing::warn!(
                    "port {name}: an MTU of {asked} is refused: it is {MTU_MIN} to {most}, by the \
                     card's or the port's key `mtu`; it stays at {mtu}"
                );
                let undone = self.netlink.set_mtu(port.tap_index, mtu.into()).await;
                self.note_of(id, undone);
            }
        }
    }

    /// The tap's MAC is the card's: news of the card will come.
    async fn follow_tap_mac(&mut self, id: PortId, asked: MacAddress) {
        let port = &mut self.ports[id.index()];
        let Some(card) = &mut port.card else { return };
        let Some(quieted) = card.quieted.as_mut().filter(|_| asked != card.mac) else { return };
        tracing::info!("port {}: the tap's MAC is {asked}: so is the card's", port.config.name);
        if let Err(error) = self.netlink.give_mac(quieted, card.mac, asked).await {
            let undone = self.netlink.set_mac(port.tap_index, card.mac).await;
            self.note_of(id, Err(error));
            self.note_of(id, undone);
        }
    }

    pub(super) fn note_of(&self, id: PortId, outcome: Result<(), NetlinkError>) {
        if let Err(error) = outcome {
            tracing::warn!("port {}: {error}", self.ports[id.index()].name());
        }
    }

    /// Somebody deleted the tap. Transit goes on; the kernel's stack gets a new one.
    pub(super) async fn tap_is_gone(&mut self, id: PortId) {
        let port = &mut self.ports[id.index()];
        tracing::warn!("port {}: the tap was deleted; another is made", port.name());
        port.tap_state = TapState::Gone;
        if let Err(error) = self.renew_tap(id).await {
            tracing::error!("port {}: {error}", self.ports[id.index()].name());
        }
    }

    /// Taps that were deleted and could not be made again at once.
    pub(super) async fn renew_taps(&mut self) {
        let gone = self.ports.iter().filter(|port| port.tap_state == TapState::Gone).map(Port::id);
        for id in gone.collect::<Vec<_>>() {
            if let Err(error) = self.renew_tap(id).await {
                tracing::debug!("port {}: {error}", self.ports[id.index()].name());
            }
        }
    }

    /// Its routes come back when the news arrives that it is up ([`Router::tap_is`]).
    async fn renew_tap(&mut self, id: PortId) -> Result<(), AttachError> {
        let port = &mut self.ports[id.index()];
        let mut tap = Tap::create(port.name(), port.tap_queues.len(), |_| None)?;
        port.tap_index = device::index(port.name())?;
        port.tap_queues = Queues::new(tap.take_queues());
        (port.tap, port.tap_state) = (tap, TapState::Renewed);
        self.dress(id).await?;
        self.keep_tap(id)?;
        self.appoint_heir(id).await?;
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

    /// All of them.
    pub fn all(&self) -> &[tap::Queue] {
        &self.all
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
