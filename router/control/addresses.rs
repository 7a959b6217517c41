//! The router's own addresses: what router.toml gives a port, what programs give its tap, and the
//! routes that come with them.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

use super::Router;
use super::rib::{Action, Origin};
use crate::id::PortId;
use crate::table::TableFull;

/// An address of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Own {
    /// The address, with the length of its subnet.
    pub net: IpNet,
    pub giver: Giver,
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
        let by = if self.giver == Giver::Kernel { " (kernel)" } else { "" };
        write!(f, "{}{by}", self.net)
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

    /// One more address of a port, and the routes that come with it; [`Router::publish`] tells the
    /// workers. A neighbour of that address (who had it before us) is forgotten.
    ///
    /// # Errors
    /// [`NoRoom`], and nothing has changed.
    pub(super) fn add_address(&mut self, id: PortId, own: Own) -> Result<(), NoRoom> {
        self.neighbours.remove(id, own.net.addr(), &mut self.actions);
        self.ports[id.index()].addresses.push(own);
        for (to, origin, action) in routes_of(id, own.net) {
            let outcome = self.rib.insert(to, origin, action, &mut self.hops, &mut self.fib);
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
        self.ports[id.index()].addresses.retain(|own| own.net != net);
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
                        self.rib.insert(to, origin, action, &mut self.hops, &mut self.fib);
                }
                None => drop(self.rib.remove(to, origin, &mut self.hops, &mut self.fib)),
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
