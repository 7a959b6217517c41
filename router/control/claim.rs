//! The router's own addresses on a link: asked for, announced, defended.
//!
//! Whenever a link comes up it is asked whether anybody else has them (RFC 5227 2.1, RFC 4862 5.4),
//! and told that they are ours. Meanwhile they are in use: a router that comes back does not keep
//! its hosts waiting (as RFC 4429 has it for IPv6). Nor does it ever give an address up: RFC 5227
//! 2.4 (c) names a link's default router as the one that should not. The operator is told of a
//! conflict, and one of the two machines is to be changed.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::time::Duration;

use super::{Router, speak};
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::meter::Nanos;

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
    probes_left: u8,
    conflicts: Vec<Conflict>,
}

impl Claims {
    fn note(&mut self, address: IpAddr, claimant: MacAddress, heard: Nanos) {
        self.conflicts.retain(|old| old.address != address && heard.since(old.heard) < SHOWN);
        self.conflicts.push(Conflict { address, claimant, heard });
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
        self.ports[id.index()].claims = Claims { probes_left: PROBES, ..Claims::default() };
        self.probe(id);
    }

    /// Once a second: ask again, and then announce what nobody else has.
    pub(super) fn go_on_claiming(&mut self) {
        for id in self.ports.ids() {
            let claims = &mut self.ports[id.index()].claims;
            let Some(left) = claims.probes_left.checked_sub(1) else { continue };
            claims.probes_left = left;
            if left > 0 { self.probe(id) } else { self.announce(id) }
        }
    }

    fn probe(&self, id: PortId) {
        let snapshot = self.snapshot.load();
        let Some(interface) = snapshot.interface(id) else { return };
        for address in interface.addresses() {
            self.send(id, speak::probe(interface, address));
        }
    }

    /// Tell the link which addresses are ours, and at which MAC.
    pub(super) fn announce(&self, id: PortId) {
        let snapshot = self.snapshot.load();
        let Some(interface) = snapshot.interface(id) else { return };
        let claims = &self.ports[id.index()].claims;
        for address in interface.addresses().filter(|&address| !claims.is_disputed(address)) {
            self.send(id, speak::announcement(interface, address));
        }
    }

    /// Somebody else uses an address of ours (RFC 5227 2.4 (c)). He is told so on the link that the
    /// address is on.
    pub(super) fn defend(&mut self, id: PortId, address: IpAddr, claimant: MacAddress) {
        let now = self.now();
        let port = &mut self.ports[id.index()];
        port.claims.note(address, claimant, now);
        let name = port.name();
        tracing::warn!("port {name}: {claimant} uses our address {address}; find and stop it");
        let snapshot = self.snapshot.load();
        let interface = snapshot.interface(id);
        if let Some(interface) = interface.filter(|i| i.addresses().any(|own| own == address)) {
            self.send(id, speak::announcement(interface, address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
