//! A port as control has it: the tap that is always there, and the card that may come and go.
#![forbid(unsafe_code)]

use std::io::IoSlice;

use super::claim::Claims;
use super::fastpath::Engine;
use super::lacks::Lacks;
use super::netlink::link::Link;
use super::netlink::quiet::Quieted;
use super::tap::Queues;
use super::view;
use super::watchdog::Reception;
use crate::config;
use crate::id::{PORTS_MAX, PortId};
use crate::io::offload::Header;
use crate::io::tap::Tap;
use crate::io::xdp::{Program, Traffic};
use crate::packet::ethernet::MacAddress;
use crate::packet::ipv6;
use crate::table::interface::Interface;
use crate::table::meter::Nanos;
use crate::worker::SmallFrame;
use ipnet::IpNet;

/// One port.
#[derive(Debug)]
pub struct Port {
    /// What router.toml says of it.
    pub(super) config: config::Port,
    pub(super) tap: Tap,
    /// The tap's number in the kernel.
    pub(super) tap_index: u32,
    /// Whether the tap is there: somebody may delete it.
    pub(super) has_tap: bool,
    /// Whether the tap is set up.
    pub(super) tap_up: bool,
    pub(super) tap_queues: Queues,
    pub(super) card: Option<Card>,
    /// Whether the card's frames come to us.
    pub(super) reception: Reception,
    /// Workers that have still to close their sockets of a card that is gone.
    pub(super) closing: usize,
    /// Why there is no card, as last logged: once is enough.
    pub(super) complaint: String,
    /// Who else uses our addresses.
    pub(super) claims: Claims,
    /// What the XDP programs of earlier cards have sent, by port.
    pub(super) forwarded: [Traffic; PORTS_MAX],
}

/// The card of a port, while there is one.
#[derive(Debug)]
pub(super) struct Card {
    pub ifindex: u32,
    pub mac: MacAddress,
    pub mtu: u16,
    pub running: bool,
    pub program: Program,
    pub engine: Engine,
    pub queues: usize,
    /// Workers 0 up to this one send by queues of their own.
    pub senders: usize,
    pub mode: &'static str,
    pub why: String,
    pub lacks: Lacks,
    /// The kernel finishes checksums (AF_XDP TX metadata).
    pub tx_metadata: bool,
    /// Whoever is behind this card may leave checksums unfinished.
    pub unfinished_checksums: bool,
    /// Multicast MACs that the kernel listens to on the tap, sorted: the program lets them in.
    pub groups: Vec<MacAddress>,
    /// The worker that sends what control has to say.
    pub sender: usize,
    pub quieted: Quieted,
}

impl Card {
    /// Why the mode is what it is, and what the kernel lacks for it.
    fn why(&self) -> String {
        let parts = [self.why.clone(), self.engine.why.to_owned(), self.lacks.text()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

impl Port {
    pub(super) fn new(config: config::Port, mut tap: Tap, tap_index: u32) -> Self {
        let tap_queues = Queues::new(tap.take_queues());
        Self {
            config,
            tap,
            tap_index,
            has_tap: true,
            tap_up: true,
            tap_queues,
            card: None,
            reception: Reception::default(),
            closing: 0,
            complaint: String::new(),
            claims: Claims::default(),
            forwarded: [Traffic::default(); PORTS_MAX],
        }
    }

    /// The port's number.
    pub fn id(&self) -> PortId {
        self.config.id
    }

    /// The port's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The worker that sends for control; None without a card.
    pub(super) fn sender(&self) -> Option<usize> {
        self.card.as_ref().map(|card| card.sender)
    }

    /// One worker less has sockets of the card that is gone.
    pub(super) fn queues_closed(&mut self) {
        self.closing = self.closing.saturating_sub(1);
    }

    /// Whether this event is about the card that the port has.
    pub(super) fn has_card(&self, ifindex: u32) -> bool {
        self.card.as_ref().is_some_and(|card| card.ifindex == ifindex)
    }

    /// Whether a card of this name is waited for.
    pub(super) fn waits_for(&self, link: &Link) -> bool {
        self.card.is_none() && self.closing == 0 && self.config.device == link.name
    }

    /// Write a frame to the kernel's stack, as if it had come from the wire.
    pub(super) fn tell_kernel(&self, frame: Option<SmallFrame>) {
        let (Some(frame), Some(queue)) = (frame, self.tap_queues.first()) else { return };
        if let Err(error) = queue.write(&Header::default(), &[IoSlice::new(&frame)]) {
            tracing::debug!("port {}: the kernel did not take an answer: {error:?}", self.name());
        }
    }

    /// Frames that the XDP program left to the kernel.
    pub(super) fn passed(&self) -> u64 {
        let counters = self.card.as_ref().map(|card| card.program.counters());
        counters.and_then(Result::ok).map_or(0, |c| c.passed_not_ours + c.passed_ether_type)
    }

    /// The port as the pipeline sees it; None without a card.
    pub(super) fn interface(&self) -> Option<Interface> {
        let card = self.card.as_ref()?;
        let mut interface = Interface {
            port: self.id(),
            mac: card.mac,
            mtu: card.mtu,
            addresses4: Vec::new(),
            addresses6: Vec::new(),
            link_local: ipv6::link_local_of(card.mac),
            groups: card.groups.clone(),
            unfinished_checksums: card.unfinished_checksums,
            policy: self.config.policy.clone(),
        };
        for net in &self.config.addresses {
            match net {
                IpNet::V4(net) => interface.addresses4.push(*net),
                IpNet::V6(net) if ipv6::is_link_local(net.addr()) => {
                    interface.link_local = net.addr();
                }
                IpNet::V6(net) => interface.addresses6.push(*net),
            }
        }
        Some(interface)
    }

    /// The port's row in `show ports`.
    pub(super) fn view(&self, now: Nanos) -> view::Port {
        let card = self.card.as_ref();
        let mut addresses: Vec<_> = self.config.addresses.iter().map(IpNet::to_string).collect();
        addresses.extend(self.interface().map(|interface| format!("{}/64", interface.link_local)));
        let up = card.is_some_and(|card| card.running);
        view::Port {
            name: self.config.name.clone(),
            device: self.config.device.clone(),
            mode: card.map_or("absent", |card| card.mode).to_owned(),
            engine: card.map_or("worker", |card| card.engine.name()).to_owned(),
            link: if up { "up" } else { "down" }.to_owned(),
            health: if self.reception.is_deaf() { "deaf" } else { "good" }.to_owned(),
            mac: card.map_or_else(String::new, |card| card.mac.to_string()),
            mtu: card.map_or(0, |card| card.mtu),
            addresses,
            queues: card.map_or(0, |card| card.queues),
            checksums: match card {
                Some(card) if card.tx_metadata => "kernel",
                _ => "worker",
            }
            .to_owned(),
            why: card.map_or_else(|| self.complaint.clone(), Card::why),
            conflicts: self.claims.view(now),
        }
    }
}
