//! A port as control has it: the tap that is always there, and the card that may come and go.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::IoSlice;

use super::addresses::{Giver, Own, is_link_local};
use super::claim::Claims;
use super::fastpath::Engine;
use super::lacks::Lacks;
use super::netlink::link::Link;
use super::netlink::quiet::Quieted;
use super::tap::{Queues, TapState};
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
    /// The addresses that it has now.
    pub(super) addresses: Vec<Own>,
    pub(super) tap: Tap,
    /// The tap's number in the kernel.
    pub(super) tap_index: u32,
    pub(super) tap_state: TapState,
    /// A smaller MTU than the port could have, which somebody gave the tap.
    pub(super) tap_mtu: Option<u16>,
    /// The macvlans on the tap that are up, with their MACs.
    pub(super) macvlans: BTreeMap<u32, MacAddress>,
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
    /// The most that the MTU can be: by router.toml, or else by the device.
    pub mtu_max: u16,
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
    /// None: the kernel still uses it.
    pub quieted: Option<Quieted>,
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
            addresses: Vec::new(),
            tap,
            tap_index,
            tap_state: TapState::Up,
            tap_mtu: None,
            macvlans: BTreeMap::new(),
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

    /// Of its addresses, those that router.toml gives.
    pub(super) fn configured_addresses(&self) -> Vec<IpNet> {
        let configured = self.addresses.iter().filter(|own| own.giver == Giver::Config);
        configured.map(|own| own.net).collect()
    }

    /// The worker that sends for control; None without a card.
    pub(super) fn sender(&self) -> Option<usize> {
        self.card.as_ref().map(|card| card.sender)
    }

    /// One worker less has sockets of the card that is gone.
    pub(super) fn queues_closed(&mut self) {
        self.closing = self.closing.saturating_sub(1);
    }

    /// Whether frames can come and go.
    pub(super) fn is_up(&self) -> bool {
        !self.is_shut() && self.card.as_ref().is_some_and(|card| card.running)
    }

    /// Whether somebody has set the tap down, and so the port.
    pub(super) fn is_shut(&self) -> bool {
        self.tap_state == TapState::Down
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

    /// The port as the pipeline sees it; None without a card, or if it is shut.
    pub(super) fn interface(&self) -> Option<Interface> {
        let card = self.card.as_ref().filter(|_| !self.is_shut())?;
        let mut interface = Interface {
            port: self.id(),
            mac: card.mac,
            mtu: card.mtu,
            addresses4: Vec::new(),
            addresses6: Vec::new(),
            virtuals: Vec::new(),
            link_local: ipv6::link_local_of(card.mac),
            groups: card.groups.clone(),
            unfinished_checksums: card.unfinished_checksums,
            policy: self.config.policy.clone(),
        };
        for own in &self.addresses {
            match own.net {
                IpNet::V4(net) => interface.addresses4.push(net),
                IpNet::V6(net) if own.giver == Giver::Config && is_link_local(&own.net) => {
                    interface.link_local = net.addr();
                }
                IpNet::V6(net) => interface.addresses6.push(net),
            }
            interface.virtuals.extend(own.mac.map(|mac| (own.net.addr(), mac)));
        }
        Some(interface)
    }

    fn link_word(&self) -> &'static str {
        match self.is_up() {
            true => "up",
            false if self.is_shut() => "shut",
            false => "down",
        }
    }

    /// The port's row in `show ports`.
    pub(super) fn view(&self, now: Nanos) -> view::Port {
        let card = self.card.as_ref();
        let mut addresses: Vec<_> = self.addresses.iter().map(Own::to_string).collect();
        let made = self.interface().map(|interface| interface.link_local);
        let made = made.filter(|made| !self.addresses.iter().any(|own| own.net.addr() == *made));
        addresses.extend(made.map(|link_local| format!("{link_local}/64")));
        view::Port {
            name: self.config.name.clone(),
            device: self.config.device.clone(),
            mode: card.map_or("absent", |card| card.mode).to_owned(),
            engine: card.map_or("worker", |card| card.engine.name()).to_owned(),
            link: self.link_word().to_owned(),
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
