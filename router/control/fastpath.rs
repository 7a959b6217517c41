//! Who forwards plain packets: the XDP program in the driver, or the worker. Decided for each port,
//! on its way in and on its way out.
#![forbid(unsafe_code)]

use std::fmt;

use super::Router;
use super::attach::note;
use super::hops::Egress;
use super::port::{Card, Port};
use crate::config::{self, FastPath};
use crate::id::PortId;
use crate::io::xdp::{self, Facts, Traffic, XdpError};
use crate::table::adjacency::{BY_DRIVER, BY_STACK};
use crate::table::policy::SourceValidation;

/// What the XDP programs do with plain packets of one port.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Engine {
    /// The port's program forwards those that come in.
    pub forwards: bool,
    /// Which programs of other ports may send by it: bits of `Adjacency::engines`.
    pub engines: u8,
    /// Why it is not all that could be; empty if it is.
    pub why: &'static str,
}

const OFF: &str = "fastpath = \"off\"";
const ZERO_COPY: &str = "the worker reads and writes the card's memory itself, which is faster";
const VALIDATES: &str = "source_validation is the worker's";
const SENDS_NONE: &str = "no XDP program sends by it: the device takes no frames of theirs (a veth \
     does while its peer has GRO or an XDP program: `ethtool -K PEER gro on`)";
const UNKNOWN: &str = "no XDP program sends by it: this kernel does not tell whether the device \
     takes their frames (Linux 6.3 does); fastpath = \"on\" if it does";

impl Engine {
    /// For a port that is as `config` says, in this mode of AF_XDP. `takes_frames`: what the kernel
    /// says of the device.
    fn of(config: &config::Port, mode: &str, takes_frames: Option<bool>) -> Self {
        if config.fastpath == FastPath::Off {
            return Self { forwards: false, engines: 0, why: OFF };
        }
        let (engines, why_out) = match (takes_frames, config.fastpath) {
            (Some(true), _) | (None, FastPath::On) => (BY_DRIVER | BY_STACK, ""),
            (Some(false), _) => (BY_STACK, SENDS_NONE),
            (None, _) => (BY_STACK, UNKNOWN),
        };
        let why_not_in = match config.policy.source_validation {
            SourceValidation::Strict | SourceValidation::Loose => VALIDATES,
            SourceValidation::Off if mode != "zero-copy" || config.fastpath == FastPath::On => "",
            SourceValidation::Off => ZERO_COPY,
        };
        let why = if why_not_in.is_empty() { why_out } else { why_not_in };
        Self { forwards: why_not_in.is_empty(), engines, why }
    }

    /// The word that `show ports` has for who forwards.
    pub fn name(&self) -> &'static str {
        if self.forwards { "xdp" } else { "worker" }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.forwards { "the XDP program" } else { "the worker" };
        let colon = if self.why.is_empty() { "" } else { ": " };
        write!(f, "{who}{colon}{}", self.why)
    }
}

impl Card {
    /// Where the card's XDP program runs, as a bit of `Adjacency::engines`.
    fn runs_in(&self) -> u8 {
        if self.mode == "generic" { BY_STACK } else { BY_DRIVER }
    }

    /// What every adjacency of the card's port has in common.
    pub(super) fn egress(&self) -> Egress {
        let Self { ifindex, mac, mtu, .. } = *self;
        Egress { ifindex, mac, mtu, engines: self.engine.engines }
    }

    /// What the card's program has to know.
    pub(super) fn facts(&self, port: PortId) -> Facts {
        Facts {
            port,
            mac: self.mac,
            mtu: self.mtu,
            engine: self.runs_in(),
            active: true,
            fast: self.engine.forwards,
            unfinished_checksums: self.unfinished_checksums,
        }
    }
}

impl Port {
    /// Look who is to forward; true if that is another than before.
    pub(super) fn choose_engine(&mut self) -> bool {
        let Some(card) = &mut self.card else { return false };
        let chosen = Engine::of(&self.config, card.mode, xdp::takes_frames(card.ifindex));
        if chosen == card.engine {
            return false;
        }
        tracing::info!("port {}: plain packets: {chosen}", self.config.name);
        card.engine = chosen;
        true
    }

    /// What the port's XDP programs have sent by another port, those of earlier cards too.
    pub(super) fn forwarded_to(&self, other: PortId) -> Traffic {
        let mut traffic = self.forwarded[other.index()];
        let now = self.card.as_ref().map(|card| card.program.forwarded_to(other));
        traffic += now.and_then(Result::ok).unwrap_or_default();
        traffic
    }
}

impl Router {
    /// A device may have learned, or forgotten, to take frames from XDP programs.
    pub(super) fn choose_engines(&mut self) {
        for id in self.ports.ids() {
            self.choose_engine(id);
        }
    }

    pub(super) fn choose_engine(&mut self, id: PortId) {
        if self.ports[id.index()].choose_engine() {
            note(self.tell_program(id));
            self.write_adjacencies(id);
        }
    }

    /// Tell the port's program what the port is.
    pub(super) fn tell_program(&mut self, id: PortId) -> Result<(), XdpError> {
        let port = &mut self.ports[id.index()];
        let shut = port.is_shut();
        let Some(card) = &mut port.card else { return Ok(()) };
        let facts = card.facts(id);
        // What comes in by a shut port is the worker's to drop.
        card.program.tell(Facts { fast: facts.fast && !shut, ..facts })
    }

    /// Write the adjacencies of the port anew.
    pub(super) fn write_adjacencies(&mut self, id: PortId) {
        if let Some(card) = &self.ports[id.index()].card {
            self.hops.set_egress(id, card.egress(), &mut self.fib);
        }
    }

    /// The card is about to go, and its program counts no more: what it has counted stays.
    pub(super) fn keep_forwarded(&mut self, id: PortId) {
        let others = (0..self.ports.len()).filter_map(PortId::new);
        let totals: Vec<_> = others.map(|to| self.ports[id.index()].forwarded_to(to)).collect();
        self.ports[id.index()].forwarded[..totals.len()].copy_from_slice(&totals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn port(keys: &str) -> config::Port {
        let text = format!(
            "[[port]]\nname = 'a'\ndevice = 'eth1'\naddresses = ['192.0.2.1/24']\n{keys}\n"
        );
        Config::parse(&text, "test").unwrap().ports.remove(0)
    }

    #[test]
    fn who_forwards() {
        let of = |keys, mode, takes| {
            let engine = Engine::of(&port(keys), mode, takes);
            (engine.name(), engine.engines, engine.why)
        };
        let both = BY_DRIVER | BY_STACK;
        assert_eq!(of("", "copy", Some(true)), ("xdp", both, ""));
        assert_eq!(of("", "generic", Some(false)), ("xdp", BY_STACK, SENDS_NONE));
        assert_eq!(of("", "copy", None), ("xdp", BY_STACK, UNKNOWN));
        assert_eq!(of("fastpath = 'on'", "copy", None), ("xdp", both, ""));
        assert_eq!(of("", "zero-copy", Some(true)), ("worker", both, ZERO_COPY));
        assert_eq!(of("fastpath = 'on'", "zero-copy", Some(true)), ("xdp", both, ""));
        assert_eq!(of("fastpath = 'off'", "copy", Some(true)), ("worker", 0, OFF));
        let validates = "source_validation = 'loose'";
        assert_eq!(of(validates, "copy", Some(true)), ("worker", both, VALIDATES));
    }
}
