//! Cards come and go: a port's card is taken, and given back.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Router;
use super::lacks::Lacks;
use super::netlink::NetlinkError;
use super::netlink::link::Link;
use super::netlink::monitor::LinkEvent;
use super::netlink::quiet::Quieted;
use super::open::{Opened, QUEUES_MAX};
use super::port::{Card, Port};
use super::succession::dismiss_heir;
use crate::id::PortId;
use crate::io::device::{Device, DeviceError};
use crate::io::heir::HeirError;
use crate::io::xdp::XdpError;
use crate::io::xsk::{Socket, XskError};
use crate::table::interface::Snapshot;
use crate::worker::{Attachment, Command, Handover};

/// A card could not be taken; the message names the device and the mend.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The device is not there, or not what a port needs.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The kernel did not do what it was asked.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The XDP program could not be put in place.
    #[error(transparent)]
    Xdp(#[from] XdpError),
    /// A socket could not be bound.
    #[error(transparent)]
    Xsk(#[from] XskError),
    /// The kernel could not be made to forward when the router ends.
    #[error(transparent)]
    Heir(#[from] HeirError),
    /// The tap could not be made to look like the port.
    #[error(transparent)]
    Tap(#[from] crate::io::tap::TapError),
    /// A queue of the tap could not be had.
    #[error("tap {device}: {cause}; raise the limit of open files (`ulimit -n`)")]
    Descriptors {
        /// The tap.
        device: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// XDP programs could not be told of the device.
    #[error("the map of devices: {0}")]
    Devices(std::io::Error),
    /// The card's MTU does not fit a chunk of the UMEM.
    #[error(
        "{device}: an MTU of {mtu} does not fit: at most {most} octets; \
             `ip link set dev {device} mtu {most}`, or the port's key `mtu`"
    )]
    Mtu {
        /// The device.
        device: String,
        /// Its MTU.
        mtu: u32,
        /// The largest that fits.
        most: u32,
    },
    /// The card has more queues than can be used, and packets of the others would be missed.
    #[error(
        "{device}: {queues} queues ({added} of them added by the driver for XDP), of which {most} \
             can be used; {}",
        fewer_queues(device, *most, *added)
    )]
    Queues {
        /// The device.
        device: String,
        /// Its queues.
        queues: usize,
        /// How many of them came with the XDP program.
        added: usize,
        /// Those that can be used.
        most: usize,
    },
}

/// A card that is to be taken.
#[derive(Debug)]
pub(super) struct Found {
    pub device: Device,
    pub link: Link,
    /// The largest IP packet of the port.
    pub mtu: u16,
}

/// The mend for a card with too many queues. Those that the driver adds cannot be had fewer.
fn fewer_queues(device: &str, most: usize, added: usize) -> String {
    let key = format!("raise the port's key `queues` (at most {QUEUES_MAX})");
    match most.saturating_sub(added) {
        0 => key,
        left => format!("`ethtool -L {device} combined {left}`, or {key}"),
    }
}

impl Router {
    /// Take the port's card, and use it. Either all of it, or nothing remains.
    pub(super) async fn attach(&mut self, id: PortId) -> Result<(), AttachError> {
        let opened = self.prepare(id).await?;
        let mut outcome = self.take_over(id, opened).await;
        if outcome.is_ok() {
            outcome = self.activate(id).await;
        }
        if outcome.is_err() {
            self.detach(id).await;
        }
        outcome
    }

    /// Open the port's card: quiet it, bind a socket to each queue, put the XDP program in place,
    /// which leaves all to the kernel. Either all of it, or nothing remains.
    pub(super) async fn prepare(&self, id: PortId) -> Result<Opened, AttachError> {
        let found = self.find(id).await?;
        self.warn_of_addresses(&found.link).await?;
        let quieted = self.netlink.quiet(&found.link).await?;
        match self.open(id, &found.device) {
            Ok((program, sockets)) => {
                Ok(Opened { found, quieted: Some(quieted), program, sockets })
            }
            Err(error) => {
                self.give_back(quieted).await;
                Err(error)
            }
        }
    }

    /// The same of a card by which the kernel goes on to forward: it is quieted when it is activated.
    pub(super) async fn prepare_in_use(&self, id: PortId) -> Result<Opened, AttachError> {
        let found = self.find(id).await?;
        let (program, sockets) = self.open(id, &found.device)?;
        Ok(Opened { found, quieted: None, program, sockets })
    }

    /// The port's card, as it is.
    async fn find(&self, id: PortId) -> Result<Found, AttachError> {
        let port = &self.ports[id.index()];
        let device = Device::find(&port.config.device)?;
        let link = self
            .netlink
            .link(&device.name)
            .await?
            .ok_or_else(|| DeviceError::NotFound { name: device.name.clone() })?;
        let mtu = mtu_of(port, &device, self.workers[0].memory.chunk_size)?;
        Ok(Found { device, link, mtu })
    }

    /// A card that is ready is not wanted any more.
    pub(super) async fn give_up_card(&self, opened: Opened) {
        // The program before the sockets, as in `detach`.
        drop(opened.program);
        drop(opened.sockets);
        if let Some(quieted) = opened.quieted {
            self.give_back(quieted).await;
        }
    }

    /// The card is ready: make tap, tables and workers know it.
    pub(super) async fn take_over(
        &mut self,
        id: PortId,
        opened: Opened,
    ) -> Result<(), AttachError> {
        let is_quiet = opened.quieted.is_some();
        let sockets = self.seat(id, opened);
        // While the kernel uses the card its tap has to be empty (see `silence`).
        if is_quiet {
            self.dress(id).await?;
        }
        self.connect(id, sockets)?;
        self.filter_macvlans(id, true).await;
        Ok(())
    }

    /// The port has a card, whose sockets are left.
    fn seat(&mut self, id: PortId, opened: Opened) -> Vec<(usize, Socket)> {
        let Opened { found, quieted, program, sockets } = opened;
        let mut card = Card::new(&found.device, found.mtu, quieted, program, &sockets);
        card.mtu = self.ports[id.index()].tap_mtu.map_or(card.mtu, |tap| tap.min(card.mtu));
        tracing::info!(
            "port {}: {} is taken: {}, {} queues, MTU {}, MAC {} ({})",
            self.ports[id.index()].name(),
            self.ports[id.index()].config.device,
            card.mode,
            card.queues,
            card.mtu,
            card.mac,
            card.why,
        );
        self.say_lacks(card.lacks);
        self.ports[id.index()].card = Some(card);
        sockets
    }

    /// What is sent, by the tap too, goes out by the card.
    fn connect(&mut self, id: PortId, sockets: Vec<(usize, Socket)>) -> Result<(), AttachError> {
        let ifindex = self.ports[id.index()].card.as_ref().map(|card| card.ifindex);
        self.xdp.set_device(id, ifindex).map_err(AttachError::Devices)?;
        self.ports[id.index()].choose_engine();
        self.write_adjacencies(id);
        let up = self.ports[id.index()].is_up();
        self.hops.set_link(id, up, &mut self.fib);
        self.update_groups();
        self.publish();
        self.distribute(id, sockets)?;
        self.neighbours.link_changed(id, &mut self.actions);
        self.act();
        Ok(())
    }

    /// From now on the card's frames are ours.
    pub(super) async fn activate(&mut self, id: PortId) -> Result<(), AttachError> {
        self.silence(id).await?;
        self.tell_program(id)?;
        self.appoint_heir(id).await?;
        self.claim(id);
        Ok(())
    }

    /// The kernel, if it has used the card until now, has its tap instead.
    async fn silence(&mut self, id: PortId) -> Result<(), AttachError> {
        let port = &self.ports[id.index()];
        if port.card.as_ref().is_none_or(|card| card.quieted.is_some()) {
            return Ok(());
        }
        let Found { link, .. } = self.find(id).await?;
        let quieted = self.netlink.quiet(&link).await?;
        if let Some(card) = &mut self.ports[id.index()].card {
            card.quieted = Some(quieted);
        }
        self.dress(id).await
    }

    /// Once: every port lacks the same.
    fn say_lacks(&mut self, lacks: Lacks) {
        let text = lacks.text();
        if !text.is_empty() && !std::mem::replace(&mut self.lacks_said, true) {
            tracing::warn!("{text}");
        }
    }

    /// Give every worker its part of the port.
    fn distribute(&mut self, id: PortId, sockets: Vec<(usize, Socket)>) -> Result<(), AttachError> {
        self.ports[id.index()].attach_tap_queues()?;
        let port = &self.ports[id.index()];
        let mut parts: Vec<Vec<Socket>> = (0..self.workers.len()).map(|_| Vec::new()).collect();
        for (worker, socket) in sockets {
            parts[worker].push(socket);
        }
        for (number, sockets) in parts.into_iter().enumerate() {
            let has_queue = !sockets.is_empty();
            let tap = has_queue.then(|| port.tap_queue(number)).transpose()?;
            let through = self.sender_for(number, port);
            let attachment = Box::new(Attachment { port: id, sockets, tap, through });
            self.workers[number].tell(Command::Attach(attachment));
        }
        Ok(())
    }

    /// Who sends by the port for worker `number`; None: it does so itself.
    fn sender_for(&self, number: usize, port: &Port) -> Option<Arc<Handover>> {
        let senders = port.card.as_ref().map_or(1, |card| card.senders);
        (number >= senders).then(|| Arc::clone(&self.workers[number % senders].handover))
    }

    /// A card that still carries addresses answers for them, too.
    async fn warn_of_addresses(&self, link: &Link) -> Result<(), NetlinkError> {
        for address in self.netlink.addresses(link.index).await? {
            if address.permanent && address.net.addr().is_ipv4() {
                tracing::warn!(
                    "{} carries the address {}: the kernel would answer for it beside xrouter; \
                     `ip address del {} dev {}`",
                    link.name,
                    address.net,
                    address.net,
                    link.name,
                );
            }
        }
        Ok(())
    }

    pub(super) async fn give_back(&self, card: Quieted) {
        let name = card.name().to_owned();
        if let Err(error) = self.netlink.give_back(card).await {
            tracing::warn!("{name} could not be given back as it was: {error}");
        }
    }

    /// The card is gone, or is to be let go: nothing of it remains with us.
    pub(super) async fn detach(&mut self, id: PortId) {
        let Some(card) = &mut self.ports[id.index()].card else { return };
        // Before the sockets close: closing them under load with the program in place has
        // crashed drivers (kernel bugzilla 217712).
        card.program.detach();
        let (card, tap) = (card.ifindex, self.ports[id.index()].tap_index);
        self.note_of(id, dismiss_heir(&self.netlink, card, tap).await);
        self.filter_macvlans(id, false).await;
        self.keep_forwarded(id);
        let Some(card) = self.ports[id.index()].card.take() else { return };
        self.ports[id.index()].closing = self.workers.len();
        self.tell_all(|| Command::Detach(id));
        if let Err(error) = self.ports[id.index()].tap.set_carrier(false) {
            tracing::warn!("{error}");
        }
        self.hops.set_link(id, false, &mut self.fib);
        if let Err(error) = self.xdp.set_device(id, None) {
            tracing::warn!("the map of devices: {error}");
        }
        self.neighbours.link_changed(id, &mut self.actions);
        self.act();
        self.publish();
        if let Some(quieted) = card.quieted {
            self.give_back(quieted).await;
        }
    }

    /// News of a device.
    pub(super) async fn link_changed(&mut self, event: Result<LinkEvent, NetlinkError>) {
        match event {
            Ok(LinkEvent::Is(link)) => {
                self.mirror.device_is(&link);
                self.link_is(&link).await;
            }
            Ok(LinkEvent::Gone { index, name }) => {
                self.mirror.device_gone(index);
                if let Some(id) = self.port_of(index) {
                    tracing::warn!("port {}: {name} is gone", self.ports[id.index()].name());
                    self.detach(id).await;
                } else if let Some(id) = self.port_of_tap(index) {
                    self.tap_is_gone(id).await;
                } else if let Some(id) = self.port_of_macvlan(index) {
                    self.macvlan_is_gone(id, index).await;
                }
            }
            Ok(LinkEvent::Addresses { index }) => self.addresses_changed(index).await,
            Ok(LinkEvent::Neighbour { index, address, mac }) => {
                self.kernel_neighbour(index, address, mac);
            }
            Err(error) => tracing::error!("{error}"),
        }
    }

    fn port_of(&self, ifindex: u32) -> Option<PortId> {
        self.ports.iter().find(|port| port.has_card(ifindex)).map(Port::id)
    }

    async fn link_is(&mut self, link: &Link) {
        if let Some(id) = self.port_of(link.index) {
            self.card_is(id, link).await;
        } else if let Some(id) = self.port_of_tap(link.index) {
            self.tap_is(id, link).await;
        } else if let Some(id) = self.ports.iter().find(|p| p.waits_for(link)).map(Port::id) {
            self.attach_again(id).await;
        } else {
            self.macvlan_is(link).await;
        }
    }

    /// Cards that are not there may come back without our hearing of it.
    pub(super) async fn attach_absent(&mut self) {
        let absent = |port: &&Port| port.card.is_none() && port.closing == 0;
        let absent: Vec<_> = self.ports.iter().filter(absent).map(Port::id).collect();
        for id in absent {
            self.attach_again(id).await;
        }
    }

    async fn attach_again(&mut self, id: PortId) {
        let outcome = self.attach(id).await;
        let port = &mut self.ports[id.index()];
        match outcome {
            Ok(()) => port.complaint.clear(),
            Err(error) => {
                let complaint = error.to_string();
                if port.complaint != complaint {
                    tracing::warn!("port {}: {complaint}", port.config.name);
                    port.complaint = complaint;
                }
            }
        }
    }

    /// The card that we have has another link state, MAC or MTU.
    async fn card_is(&mut self, id: PortId, link: &Link) {
        let chunk_size = self.workers[0].memory.chunk_size;
        let port = &mut self.ports[id.index()];
        let (most, mtu) = port.follow_mtu(link.mtu, chunk_size);
        let Some(card) = &mut port.card else { return };
        let (link_changed, mac_changed) = (card.running != link.running, card.mac != link.mac);
        card.mtu_max = most;
        if !link_changed && !mac_changed && card.mtu == mtu {
            return;
        }
        (card.running, card.mac, card.mtu) = (link.running, link.mac, mtu);
        let state = if link.running { "up" } else { "down" };
        tracing::info!("port {}: link {state}, MTU {mtu}, MAC {}", port.config.name, link.mac);
        if let Err(error) = self.dress(id).await {
            tracing::error!("port {}: {error}", self.ports[id.index()].name());
        }
        self.port_changed(id, link_changed);
    }

    /// The port has another MAC or MTU, or it came up or went down: tables, program and neighbours
    /// follow.
    pub(super) fn port_changed(&mut self, id: PortId, link_changed: bool) {
        let up = self.ports[id.index()].is_up();
        note(self.tell_program(id));
        self.write_adjacencies(id);
        self.hops.set_link(id, up, &mut self.fib);
        self.update_groups();
        self.publish();
        if link_changed {
            self.neighbours.link_changed(id, &mut self.actions);
            self.act();
        }
        if up {
            if link_changed {
                self.claim(id)
            } else {
                self.announce_all(id)
            }
            self.ask_missed();
        }
    }

    /// Make a new snapshot of the interfaces the one that workers read.
    pub(super) fn publish(&mut self) {
        let interfaces = self.ports.slots().map(|port| port.and_then(Port::interface)).collect();
        let seed = self.snapshot.load().hash_seed;
        let snapshot = Snapshot::new(interfaces, self.config.policy.clone(), seed);
        self.fib.set_own(snapshot.never_sources());
        let old = self.snapshot.swap(Arc::new(snapshot));
        self.retired.push((old, self.epochs.advance()));
    }
}

impl Port {
    /// The largest IP packet that there can be, and that there is, now that the card's MTU is
    /// `card_mtu`; if that does not fit, what it was.
    fn follow_mtu(&self, card_mtu: u32, chunk_size: u16) -> (u16, u16) {
        let asked = self.config.mtu.map_or(card_mtu, |mtu| card_mtu.min(mtu.into()));
        let was = self.card.as_ref().map_or(0, |card| card.mtu_max);
        let most = mtu_that_fits(asked, card_mtu, chunk_size).unwrap_or_else(|| {
            tracing::error!(
                "port {}: an MTU of {asked} does not fit: it stays at {was}; restart xrouter for \
                 larger chunks, at most {}",
                self.name(),
                largest_mtu(chunk_size),
            );
            was
        });
        (most, self.tap_mtu.map_or(most, |tap| tap.min(most)))
    }
}

/// Log what could not be done.
pub(super) fn note(outcome: Result<(), XdpError>) {
    if let Err(error) = outcome {
        tracing::warn!("{error}");
    }
}

/// The largest IP packet of the port: what router.toml says, or the card.
pub(super) fn mtu_of(port: &Port, device: &Device, chunk_size: u16) -> Result<u16, AttachError> {
    let asked = port.config.mtu.map_or(device.mtu, u32::from);
    mtu_that_fits(asked, device.mtu, chunk_size).ok_or_else(|| AttachError::Mtu {
        device: device.name.clone(),
        mtu: asked,
        most: u32::from(largest_mtu(chunk_size)).min(device.mtu),
    })
}

/// `asked`, if the card sends packets of that length and a chunk holds them.
fn mtu_that_fits(asked: u32, card: u32, chunk_size: u16) -> Option<u16> {
    u16::try_from(asked).ok().filter(|&mtu| asked <= card && mtu <= largest_mtu(chunk_size))
}

/// The largest IP packet that fits a chunk: less the headroom, the Ethernet header, two tags.
pub(super) fn largest_mtu(chunk_size: u16) -> u16 {
    chunk_size - crate::frame::HEADROOM - 14 - 8
}
