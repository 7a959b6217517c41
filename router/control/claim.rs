//! The router's own addresses on a link: asked for, announced, defended.
//!
//! Whenever a link comes up, or an address to it, it is asked whether anybody else has them (RFC 5227
//! 2.1, RFC 4862 5.4), and told that they are ours. Meanwhile they are in use: a router that comes back does not keep
//! its hosts waiting (as RFC 4429 has it for IPv6). Nor does it ever give an address up: RFC 5227
//! 2.4 (c) names a link's default router as the one that should not. The operator is told of a
//! conflict, and one of the two machines is to be changed.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::time::Duration;

use super::addresses::Giver;
use super::{Router, speak};
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::interface::Interface;
use crate::table::meter::Nanos;
use crate::worker::SmallFrame;

/// How often a link is asked, a second apart: RFC 4862 asks once, RFC 5227 three times.
const PROBES: u8 = 2;
/// How long a conflict is shown after it was last heard of.
const SHOWN: Duration = Duration::from_secs(300);

/// An address of ours that somebody else uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Conflict {
    address: IpAddr,
    claimant: MacAddress,
    heard: Nanos,
}

/// What is known of the addresses of one port.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// What the link is asked about, and how often it still will be.
    asked: Vec<(IpAddr, u8)>,
    conflicts: Vec<Conflict>,
}

impl Claims {
    fn note(&mut self, address: IpAddr, claimant: MacAddress, heard: Nanos) {
        self.conflicts.retain(|old| old.address != address && heard.since(old.heard) < SHOWN);
        self.conflicts.push(Conflict { address, claimant, heard });
    }

    /// A second has passed: what is to be asked again, and, with 0, what is to be announced.
    fn next_round(&mut self) -> Vec<(IpAddr, u8)> {
        self.asked.iter_mut().for_each(|(_, left)| *left -= 1);
        let round = self.asked.clone();
        self.asked.retain(|(_, left)| *left > 0);
        round
    }

    /// The address is not ours any more.
    pub fn forget(&mut self, address: IpAddr) {
        self.asked.retain(|(asked, _)| *asked != address);
        self.conflicts.retain(|conflict| conflict.address != address);
    }

    fn is_disputed(&self, address: IpAddr) -> bool {
        self.conflicts.iter().any(|conflict| conflict.address == address)
    }

    /// A sentence for each conflict that has been heard of lately.
    pub fn view(&self, now: Nanos) -> Vec<String> {
        let lately = self.conflicts.iter().filter(|conflict| now.since(conflict.heard) < SHOWN);
        let say = |c: &Conflict| format!("{} is also used by {}", c.address, c.claimant);
        lately.map(say).collect()
    }
}

impl Router {
    /// The link of the port came up: ask whether our addresses are free. [`Router::go_on_claiming`]
    /// does the rest.
    pub(super) fn claim(&mut self, id: PortId) {
        self.ports[id.index()].claims = Claims::default();
        let snapshot = self.snapshot.load_full();
        let addresses = snapshot.interface(id).map(|i| i.addresses().collect());
        self.claim_new(id, addresses.unwrap_or_default());
    }

    /// Ask whether these addresses of the port are free, if there is a link to ask on.
    pub(super) fn claim_new(&mut self, id: PortId, addresses: Vec<IpAddr>) {
        let port = &mut self.ports[id.index()];
        if !port.is_up() {
            return;
        }
        port.claims.asked.extend(addresses.iter().map(|&address| (address, PROBES)));
        for address in addresses {
            self.probe(id, address);
        }
    }

    /// Once a second: ask again, and then announce what nobody else has.
    pub(super) fn go_on_claiming(&mut self) {
        for id in self.ports.ids() {
            for (address, left) in self.ports[id.index()].claims.next_round() {
                if left > 0 { self.probe(id, address) } else { self.announce(id, address) }
            }
        }
    }

    fn probe(&self, id: PortId, address: IpAddr) {
        self.say(id, address, speak::probe);
    }

    /// Tell the link which addresses are ours, and at which MAC.
    pub(super) fn announce_all(&self, id: PortId) {
        let snapshot = self.snapshot.load();
        let Some(interface) = snapshot.interface(id) else { return };
        interface.addresses().for_each(|address| self.announce(id, address));
    }

    fn announce(&self, id: PortId, address: IpAddr) {
        if !self.ports[id.index()].claims.is_disputed(address) {
            self.say(id, address, speak::announcement);
        }
    }

    /// Say something of an address on its link, if the port has it still.
    fn say(
        &self,
        id: PortId,
        address: IpAddr,
        words: fn(&Interface, IpAddr) -> Option<SmallFrame>,
    ) {
        let snapshot = self.snapshot.load();
        let interface = snapshot.interface(id);
        if let Some(interface) = interface.filter(|i| i.addresses().any(|own| own == address)) {
            self.send(id, words(interface, address));
        }
    }

    /// Somebody else uses an address of ours (RFC 5227 2.4 (c)). He is told so on the link that the
    /// address is on, unless a program gave it to us: a virtual router's address moves, and which
    /// of the two has it is keepalived's to say.
    pub(super) fn defend(&mut self, id: PortId, address: IpAddr, claimant: MacAddress) {
        let now = self.now();
        self.ports[id.index()].claims.note(address, claimant, now);
        let name = self.ports[id.index()].name();
        if self.is_given_by_program(address) {
            tracing::info!("port {name}: {claimant} has {address}, too, or has it from us now");
            return;
        }
        tracing::warn!("port {name}: {claimant} uses our address {address}; find and stop it");
        self.say(id, address, speak::announcement);
    }

    fn is_given_by_program(&self, address: IpAddr) -> bool {
        let mut own = self.ports.iter().flat_map(|port| &port.addresses);
        own.any(|own| own.net.addr() == address && own.giver == Giver::Kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_twice_and_then_announced() {
        let ours = IpAddr::from([10, 1, 0, 1]);
        let mut claims = Claims { asked: vec![(ours, PROBES)], ..Claims::default() };
        assert_eq!(claims.next_round(), [(ours, 1)]);
        assert_eq!(claims.next_round(), [(ours, 0)]);
        assert!(claims.next_round().is_empty());
    }

    #[test]
    fn a_conflict_is_shown_until_it_has_not_been_heard_of_for_a_while() {
        let (ours, other) = (IpAddr::from([10, 1, 0, 1]), IpAddr::from([10, 1, 0, 3]));
        let claimant = |last| MacAddress([2, 0, 0, 0, 0, last]);
        let mut claims = Claims::default();
        claims.note(ours, claimant(7), Nanos::from_secs(0));
        claims.note(ours, claimant(8), Nanos::from_secs(10));
        assert_eq!(
            claims.view(Nanos::from_secs(309)),
            ["10.1.0.1 is also used by 02:00:00:00:00:08"]
        );
        assert!(claims.is_disputed(ours) && !claims.is_disputed(other));
        assert!(claims.view(Nanos::from_secs(310)).is_empty());
        claims.note(other, claimant(9), Nanos::from_secs(310));
        assert!(!claims.is_disputed(ours), "forgotten");
    }
}
