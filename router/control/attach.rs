//! Cards come and go: a port's card is taken, and given back.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Router;
use super::hops::Egress as HopEgress;
use super::lacks::Lacks;
use super::netlink::link::Link;
use super::netlink::monitor::LinkEvent;
use super::netlink::{NetlinkError, sysctl};
use super::port::{Card, Port};
use crate::config::{PortMode, RouterSection};
use crate::id::PortId;
use crate::io::device::{self, Device, DeviceError};
use crate::io::xdp::{Attached, Mode, Program, XdpError};
use crate::io::xsk::{Bind, BindMode, BusyPoll, Socket, XskError};
use crate::table::interface::Snapshot;
use crate::worker::{Attachment, Command, Handover};

/// Queues of a card that can be used: the XDP program's map of sockets has that many places.
const QUEUES_MAX: usize = 64;

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

/// The mend for a card with too many queues. Those that the driver adds cannot be had fewer.
fn fewer_queues(device: &str, most: usize, added: usize) -> String {
    let key = format!("raise the port's key `queues` (at most {QUEUES_MAX})");
    match most.saturating_sub(added) {
        0 => key,
        left => format!("`ethtool -L {device} combined {left}`, or {key}"),
    }
}

impl Router {
    /// Take the port's card: quiet it, bind a socket to each queue, put the XDP program in place,
    /// and give each worker its part. Either all of it, or nothing remains.
    pub(super) async fn attach(&mut self, id: PortId) -> Result<(), AttachError> {
        let port = &self.ports[id.index()];
        let device = Device::find(&port.config.device)?;
        let link = self
            .netlink
            .link(&device.name)
            .await?
            .ok_or_else(|| DeviceError::NotFound { name: device.name.clone() })?;
        let mtu = mtu_of(port, &device, self.workers[0].memory.chunk_size)?;
        self.warn_of_addresses(&link).await?;
        let quieted = self.netlink.quiet(&link).await?;
        let opened = self.open(id, &device);
        let (program, sockets) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.give_back(quieted).await;
                return Err(error);
            }
        };
        let (mode, why) = mode_of(&program, &sockets);
        let card = Card {
            ifindex: device.ifindex,
            mac: device.mac,
            mtu,
            running: device.running,
            queues: sockets.len(),
            senders: senders(&sockets, device.queues.transmit),
            mode,
            why,
            lacks: Lacks::of(sockets.iter().map(|(_, socket)| socket)),
            tx_metadata: sockets.iter().all(|(_, socket)| socket.tx_metadata()),
            unfinished_checksums: mode != "zero-copy",
            groups: Vec::new(),
            sender: sockets.first().map_or(0, |(worker, _)| *worker),
            quieted,
            program,
        };
        let outcome = self.take_over(id, card, sockets).await;
        if outcome.is_err() {
            self.detach(id).await;
        }
        outcome
    }

    /// The card is ready: make tap, tables and workers know it.
    async fn take_over(
        &mut self,
        id: PortId,
        card: Card,
        sockets: Vec<(usize, Socket)>,
    ) -> Result<(), AttachError> {
        let egress = HopEgress { ifindex: card.ifindex, mac: card.mac, mtu: card.mtu };
        let running = card.running;
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
        self.dress(id).await?;
        self.hops.set_egress(id, egress, &mut self.fib);
        self.hops.set_link(id, running, &mut self.fib);
        self.update_groups();
        self.publish();
        self.distribute(id, sockets)?;
        if let Some(card) = &mut self.ports[id.index()].card {
            card.program.activate(true)?;
        }
        self.neighbours.link_changed(id, &mut self.actions);
        self.act();
        if running {
            self.claim(id);
        }
        Ok(())
    }

    /// Once: every port lacks the same.
    fn say_lacks(&mut self, lacks: Lacks) {
        let text = lacks.text();
        if !text.is_empty() && !std::mem::replace(&mut self.lacks_said, true) {
            tracing::warn!("{text}");
        }
    }

    /// Program and sockets of a card, each socket with the worker that it is for.
    fn open(
        &self,
        id: PortId,
        device: &Device,
    ) -> Result<(Program, Vec<(usize, Socket)>), AttachError> {
        let port = &self.ports[id.index()];
        let mut program = Program::load(device.ifindex, device.mac)?;
        let (xdp_mode, bind_modes) = modes(port.config.mode);
        program.attach(xdp_mode)?;
        let queues = queues_of(port, device)?;
        let mut sockets = Vec::new();
        for queue in 0..queues {
            let worker = port.tap_queues.worker_of(queue);
            let memory = &self.workers[worker].memory;
            let number = u32::try_from(queue).unwrap_or(u32::MAX);
            let bind = |mode| Bind {
                ifindex: device.ifindex,
                queue: number,
                ring: self.config.router.ring,
                mode,
                busy_poll: busy_poll(&self.config.router),
            };
            let first = Socket::bind(memory, id, &bind(bind_modes.0));
            let socket = match (first, bind_modes.1) {
                (Err(XskError::NoZeroCopy(_)), Some(second)) => {
                    Socket::bind(memory, id, &bind(second))?
                }
                (outcome, _) => outcome?,
            };
            program.set_socket(number, socket.fd())?;
            sockets.push((worker, socket));
        }
        Ok((program, sockets))
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

    pub(super) async fn give_back(&self, card: super::netlink::quiet::Quieted) {
        let name = card.name().to_owned();
        if let Err(error) = self.netlink.give_back(card).await {
            tracing::warn!("{name} could not be given back as it was: {error}");
        }
    }

    /// The card is gone, or is to be let go: nothing of it remains with us.
    pub(super) async fn detach(&mut self, id: PortId) {
        let Some(mut card) = self.ports[id.index()].card.take() else { return };
        // Before the sockets close: closing them under load with the program in place has
        // crashed drivers (kernel bugzilla 217712).
        card.program.detach();
        self.ports[id.index()].closing = self.workers.len();
        self.tell_all(|| Command::Detach(id));
        if let Err(error) = self.ports[id.index()].tap.set_carrier(false) {
            tracing::warn!("{error}");
        }
        self.hops.set_link(id, false, &mut self.fib);
        self.neighbours.link_changed(id, &mut self.actions);
        self.act();
        self.publish();
        self.give_back(card.quieted).await;
    }

    /// News of a device.
    pub(super) async fn link_changed(&mut self, event: Result<LinkEvent, NetlinkError>) {
        match event {
            Ok(LinkEvent::Is(link)) => self.link_is(&link).await,
            Ok(LinkEvent::Gone { index, name }) => {
                if let Some(id) = self.port_of(index) {
                    tracing::warn!("port {}: {name} is gone", self.ports[id.index()].name());
                    self.detach(id).await;
                } else if let Some(id) = self.port_of_tap(index) {
                    self.tap_is_gone(id).await;
                }
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
        let Some(card) = &mut port.card else { return };
        let asked = port.config.mtu.map_or(link.mtu, |mtu| link.mtu.min(mtu.into()));
        let fits = mtu_that_fits(asked, link.mtu, chunk_size);
        if fits.is_none() {
            tracing::error!(
                "port {}: an MTU of {asked} does not fit: it stays at {}; restart xrouter for \
                 larger chunks, at most {}",
                port.config.name,
                card.mtu,
                largest_mtu(chunk_size),
            );
        }
        let mtu = fits.unwrap_or(card.mtu);
        let (link_changed, mac_changed) = (card.running != link.running, card.mac != link.mac);
        if !link_changed && !mac_changed && card.mtu == mtu {
            return;
        }
        (card.running, card.mac, card.mtu) = (link.running, link.mac, mtu);
        let egress = HopEgress { ifindex: card.ifindex, mac: card.mac, mtu };
        note(card.program.set_mac(link.mac));
        let state = if link.running { "up" } else { "down" };
        tracing::info!("port {}: link {state}, MTU {mtu}, MAC {}", port.config.name, link.mac);
        if let Err(error) = self.dress(id).await {
            tracing::error!("port {}: {error}", self.ports[id.index()].name());
        }
        self.hops.set_egress(id, egress, &mut self.fib);
        self.hops.set_link(id, link.running, &mut self.fib);
        self.update_groups();
        self.publish();
        if link_changed {
            self.neighbours.link_changed(id, &mut self.actions);
            self.act();
        }
        if link.running {
            if link_changed {
                self.claim(id)
            } else {
                self.announce(id)
            }
            self.ask_missed();
        }
    }

    /// Ask the kernel which groups it listens to, and have the cards let them in.
    pub(super) fn update_groups(&mut self) {
        let mut changed = false;
        for port in &mut self.ports {
            match sysctl::joined(&port.config.name) {
                Ok(mut groups) => {
                    groups.sort_unstable();
                    groups.dedup();
                    changed |= port.follow_groups(groups);
                }
                Err(error) => tracing::warn!("{error}"),
            }
        }
        if changed {
            self.publish();
        }
    }

    /// Make a new snapshot of the interfaces the one that workers read.
    pub(super) fn publish(&mut self) {
        let interfaces = self.ports.iter().map(Port::interface).collect();
        let seed = self.snapshot.load().hash_seed;
        let snapshot = Snapshot::new(interfaces, self.config.policy.clone(), seed);
        let old = self.snapshot.swap(Arc::new(snapshot));
        self.retired.push((old, self.epochs.advance()));
    }
}

impl Port {
    /// Let exactly `groups` in; whether that is a change.
    fn follow_groups(&mut self, groups: Vec<crate::packet::ethernet::MacAddress>) -> bool {
        let Some(card) = &mut self.card else { return false };
        if groups == card.groups {
            return false;
        }
        for &group in card.groups.iter().filter(|group| !groups.contains(group)) {
            note(card.program.leave(group));
        }
        for &group in groups.iter().filter(|group| !card.groups.contains(group)) {
            note(card.program.join(group));
        }
        card.groups = groups;
        true
    }
}

fn note(outcome: Result<(), XdpError>) {
    if let Err(error) = outcome {
        tracing::warn!("{error}");
    }
}

/// The largest IP packet of the port: what router.toml says, or the card.
fn mtu_of(port: &Port, device: &Device, chunk_size: u16) -> Result<u16, AttachError> {
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

/// The queues that a socket is needed for, once the program is in place: virtio_net takes as many
/// more into use as there are processors, if it has them, and frames come in by those too.
fn queues_of(port: &Port, before: &Device) -> Result<usize, AttachError> {
    let queues = device::queues(&before.name)?.receive.max(1) as usize;
    let most = port.config.queues.map_or(QUEUES_MAX, usize::from).min(QUEUES_MAX);
    if queues > most {
        let added = queues.saturating_sub(before.queues.receive as usize);
        return Err(AttachError::Queues { device: before.name.clone(), queues, added, most });
    }
    Ok(queues)
}

/// How many workers can send: the kernel sends nothing from a socket whose queue is not one of
/// those that the device transmits by. Those that came with the program are not.
fn senders(sockets: &[(usize, Socket)], transmit_queues: u32) -> usize {
    let owners = sockets.iter().map(|(worker, _)| worker + 1).max().unwrap_or(1);
    owners.min(transmit_queues.max(1) as usize)
}

/// How the program is attached, and how sockets are bound: first, and if that cannot be.
fn modes(mode: PortMode) -> (Mode, (BindMode, Option<BindMode>)) {
    match mode {
        PortMode::Auto => (Mode::Auto, (BindMode::ZeroCopy, Some(BindMode::Copy))),
        PortMode::ZeroCopy => (Mode::Driver, (BindMode::ZeroCopy, None)),
        PortMode::Copy => (Mode::Driver, (BindMode::Copy, None)),
        PortMode::Generic => (Mode::Generic, (BindMode::Copy, None)),
    }
}

fn busy_poll(router: &RouterSection) -> Option<BusyPoll> {
    (router.busy_poll_us > 0).then(|| BusyPoll {
        microseconds: router.busy_poll_us,
        budget: u32::from(router.busy_poll_budget),
    })
}

/// What the generic mode costs, and the mend.
const GENERIC: &str = "slow, and packets that a host's GSO makes are lost (`ethtool -K DEVICE gso off \
     tso off` there)";

/// What became of the wish for the best mode, and why.
fn mode_of(program: &Program, sockets: &[(usize, Socket)]) -> (&'static str, String) {
    let zero_copy = sockets.iter().all(|(_, socket)| socket.mode() == BindMode::ZeroCopy);
    match program.attached() {
        Some(Attached::Generic { reason: Some(reason) }) => {
            ("generic", format!("the driver did not take the program: {reason}; {GENERIC}"))
        }
        Some(Attached::Generic { reason: None }) => {
            ("generic", format!("as configured; {GENERIC}"))
        }
        _ if zero_copy => ("zero-copy", "the driver reads and writes our memory".to_owned()),
        _ => ("copy", "the driver has native XDP, but no zero-copy".to_owned()),
    }
}
