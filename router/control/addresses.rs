//! The router's own addresses: what router.toml gives a port, what programs give its tap, and the
//! routes that come with them.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

use super::Router;
use super::netlink::NetlinkError;
use super::netlink::address::Address;
use super::netlink::link::Link;
use super::port::Port;
use super::rib::{Action, Origin};
use super::start::StartError;
use super::tap::TapState;
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::TableFull;

/// An address of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Own {
    /// The address, with the length of its subnet.
    pub net: IpNet,
    pub giver: Giver,
    /// The MAC that goes with it, if it is not the port's: that of a macvlan on the tap, as keepalived
    /// makes it for a virtual router (RFC 5798 7.3).
    pub mac: Option<MacAddress>,
}

impl Own {
    /// One that router.toml gives.
    pub fn configured(net: IpNet) -> Self {
        Self { net, giver: Giver::Config, mac: None }
    }
}

/// Who gave a port an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Giver {
    /// router.toml.
    Config,
    /// An operator or a program, on the tap.
    Kernel,
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.giver, self.mac) {
            (Giver::Config, _) => write!(f, "{}", self.net),
            (Giver::Kernel, None) => write!(f, "{} (kernel)", self.net),
            (Giver::Kernel, Some(mac)) => write!(f, "{} (kernel, at {mac})", self.net),
        }
    }
}

/// There is no room for the routes of an address.
#[derive(Debug, thiserror::Error)]
#[error("route {to}: {full}; raise the budget in [tables]")]
pub(super) struct NoRoom {
    pub to: IpNet,
    pub full: TableFull,
}

impl Router {
    /// The addresses of a device are others, or may be. If it is a tap that is up, or a macvlan on
    /// one, the port follows. (A tap that is down has lost those of IPv6, and gets them back.)
    pub(super) async fn addresses_changed(&mut self, index: u32) {
        if let Some(id) = self.port_of_tap(index).or_else(|| self.port_of_macvlan(index)) {
            self.follow_addresses(id).await;
        }
    }

    /// Have the port's addresses be those that the kernel has on the tap and on the macvlans there.
    pub(super) async fn follow_addresses(&mut self, id: PortId) {
        if self.ports[id.index()].tap_state != TapState::Up {
            return;
        }
        match self.addresses_in_kernel(id).await {
            Ok(Some(wanted)) => self.set_addresses(id, &wanted),
            Ok(None) => {}
            // A macvlan was deleted meanwhile: news of that will come.
            Err(error) if error.is_absent() => {}
            Err(error) => tracing::warn!("port {}: {error}", self.ports[id.index()].name()),
        }
    }

    /// None if the tap was deleted or set down meanwhile: what it lost by that was not taken from it,
    /// and news of that will come.
    async fn addresses_in_kernel(&self, id: PortId) -> Result<Option<Vec<Own>>, NetlinkError> {
        let port = &self.ports[id.index()];
        let mut all = Vec::new();
        for address in self.netlink.addresses(port.tap_index).await? {
            let giver = match port.config.addresses.contains(&address.net) {
                true => Giver::Config,
                // The link-local address that every port has: it goes with the MAC.
                false if address.ours => continue,
                false => Giver::Kernel,
            };
            if address.usable {
                all.push(Own { net: address.net, giver, mac: None });
            }
        }
        for (&index, &mac) in &port.macvlans {
            let usable = self.netlink.addresses(index).await?.into_iter().filter(|a| a.usable);
            let own = |a: Address| Own { net: a.net, giver: Giver::Kernel, mac: Some(mac) };
            all.extend(usable.map(own));
        }
        let tap = self.netlink.link(port.name()).await?;
        Ok(tap.filter(|tap| tap.index == port.tap_index && tap.up).map(|_| all))
    }

    /// A device came or changed: perhaps a macvlan on a tap.
    pub(super) async fn macvlan_is(&mut self, link: &Link) {
        let on = link.macvlan_on.filter(|_| link.up).and_then(|on| self.port_of_tap(on));
        let was_on = self.port_of_macvlan(link.index);
        if let Some(id) = was_on.filter(|_| was_on != on) {
            self.macvlan_is_gone(id, link.index).await;
        }
        if let Some(id) = on {
            let before = self.ports[id.index()].macvlans.insert(link.index, link.mac);
            if let Some(other) = before.filter(|mac| *mac != link.mac) {
                self.set_filter(id, other, false).await;
            }
            self.set_filter(id, link.mac, true).await;
            self.follow_addresses(id).await;
        }
    }

    /// A macvlan on the port's tap was deleted, or set down.
    pub(super) async fn macvlan_is_gone(&mut self, id: PortId, index: u32) {
        if let Some(mac) = self.ports[id.index()].macvlans.remove(&index) {
            self.set_filter(id, mac, false).await;
        }
        self.follow_addresses(id).await;
    }

    /// The port's card lets in what is sent to the macvlans on its tap, or not any more.
    pub(super) async fn filter_macvlans(&self, id: PortId, on: bool) {
        for &mac in self.ports[id.index()].macvlans.values() {
            self.set_filter(id, mac, on).await;
        }
    }

    async fn set_filter(&self, id: PortId, mac: MacAddress, on: bool) {
        let port = &self.ports[id.index()];
        let Some(card) = &port.card else { return };
        if let Err(error) = self.netlink.set_filter(card.ifindex, mac, on).await {
            tracing::warn!("port {}: {error}", port.name());
        }
    }

    pub(super) fn port_of_macvlan(&self, index: u32) -> Option<PortId> {
        self.ports.iter().find(|port| port.macvlans.contains_key(&index)).map(Port::id)
    }

    /// The port has exactly these addresses from now on: what is not among them goes with its
    /// routes, what is new comes with them, is published, asked for on the link and announced. One
    /// whose routes find no room stays away, and is in the log.
    pub(super) fn set_addresses(&mut self, id: PortId, wanted: &[Own]) {
        let had = self.ports[id.index()].addresses.clone();
        let gone = had.iter().filter(|own| !wanted.contains(own));
        let new: Vec<_> = wanted.iter().filter(|own| !had.contains(own)).copied().collect();
        if had.len() == wanted.len() && new.is_empty() {
            return;
        }
        gone.for_each(|own| self.remove_address(id, own.net));
        for &own in &new {
            if let Err(error) = self.add_address(id, own) {
                tracing::error!("port {}: {}: {error}", self.ports[id.index()].name(), own.net);
            }
        }
        self.update_groups();
        self.publish();
        self.act();
        self.claim_new(id, new.iter().map(|own| own.net.addr()).collect());
    }

    /// More addresses of router.toml's for a port.
    ///
    /// # Errors
    /// There is no room for the routes of one; those before it are there.
    pub(super) fn give_addresses(&mut self, id: PortId, nets: &[IpNet]) -> Result<(), StartError> {
        for &net in nets {
            // One that a program has given the tap is router.toml's from now on.
            self.remove_address(id, net);
            self.add_address(id, Own::configured(net)).map_err(|NoRoom { to, full }| {
                StartError::Full { what: format!("route {to}"), full }
            })?;
        }
        Ok(())
    }

    /// One more address of a port, and the routes that come with it; [`Router::publish`] tells the
    /// workers. A neighbour of that address (who had it before us) is forgotten.
    ///
    /// # Errors
    /// [`NoRoom`], and nothing has changed.
    pub(super) fn add_address(&mut self, id: PortId, own: Own) -> Result<(), NoRoom> {
        self.neighbours.remove(id, own.net.addr(), &mut self.actions);
        self.ports[id.index()].addresses.push(own);
        for (to, origin, action) in routes_of(id, own.net) {
            let outcome = self.rib.insert(to, origin.into(), action, &mut self.hops, &mut self.fib);
            if let Err(full) = outcome {
                self.remove_address(id, own.net);
                return Err(NoRoom { to, full });
            }
        }
        Ok(())
    }

    /// One address less, with the routes that no other address brings, and with the neighbours that
    /// no other subnet holds.
    pub(super) fn remove_address(&mut self, id: PortId, net: IpNet) {
        let port = &mut self.ports[id.index()];
        port.addresses.retain(|own| own.net != net);
        port.claims.forget(net.addr());
        let others: Vec<_> = self
            .ports
            .iter()
            .flat_map(|port| port.addresses.iter().map(|own| (port.id(), own.net)))
            .flat_map(|(port, net)| routes_of(port, net))
            .collect();
        for (to, origin, _) in routes_of(id, net) {
            let same = others.iter().find(|other| (other.0, other.1) == (to, origin));
            match same {
                Some((_, _, action)) => {
                    let action = action.clone();
                    let _the_entry_exists =
                        self.rib.insert(to, origin.into(), action, &mut self.hops, &mut self.fib);
                }
                None => drop(self.rib.remove(to, origin.into(), &mut self.hops, &mut self.fib)),
            }
        }
        self.forget_neighbours_of(id, net);
    }

    fn forget_neighbours_of(&mut self, id: PortId, net: IpNet) {
        let left = &self.ports[id.index()].addresses;
        let alone = |address: &IpAddr| {
            net.contains(address) && !left.iter().any(|own| own.net.contains(address))
        };
        let learned = self.neighbours.iter(self.now()).filter(|n| n.port == id && !n.permanent);
        let gone: Vec<_> = learned.map(|n| n.address).filter(alone).collect();
        for address in gone {
            self.neighbours.remove(id, address, &mut self.actions);
        }
    }
}

/// The routes that come with an address of the port. A link-local one has none: it means something
/// on its own link only (RFC 4007 4).
fn routes_of(id: PortId, net: IpNet) -> Vec<(IpNet, Origin, Action)> {
    if is_link_local(&net) {
        return Vec::new();
    }
    let mut routes = vec![
        (net.trunc(), Origin::Connected, Action::Connected(id)),
        (IpNet::from(net.addr()), Origin::Local, Action::Receive),
    ];
    match net {
        IpNet::V4(net) if net.prefix_len() < 31 => {
            let broadcast = IpNet::from(IpAddr::V4(net.broadcast()));
            routes.push((broadcast, Origin::Local, Action::Broadcast));
        }
        // RFC 4291 2.6.1: the subnet's own address is any of its routers;
        // RFC 6164: but not on a link between two.
        IpNet::V6(net) if net.prefix_len() < 127 => {
            let anycast = Ipv6Net::from(net.network());
            routes.push((anycast.into(), Origin::Local, Action::Receive));
        }
        _ => {}
    }
    routes
}

/// Whether this is an address of one link only.
pub(super) fn is_link_local(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_with_an_address() {
        let id = PortId::new(0).unwrap();
        let routes = |net: &str| {
            let of = routes_of(id, net.parse().unwrap());
            of.into_iter().map(|(to, origin, _)| format!("{to} {}", origin.name())).collect()
        };
        let expected: [(&str, &[&str]); 6] = [
            ("10.1.0.1/24", &["10.1.0.0/24 connected", "10.1.0.1/32 local", "10.1.0.255/32 local"]),
            ("10.1.0.1/31", &["10.1.0.0/31 connected", "10.1.0.1/32 local"]),
            ("10.1.0.9/32", &["10.1.0.9/32 connected", "10.1.0.9/32 local"]),
            ("fd00::1/64", &["fd00::/64 connected", "fd00::1/128 local", "fd00::/128 local"]),
            ("fd00::1/127", &["fd00::/127 connected", "fd00::1/128 local"]),
            ("fe80::1/64", &[]),
        ];
        for (net, expected) in expected {
            let found: Vec<String> = routes(net);
            assert_eq!(found, expected, "{net}");
        }
    }
}
