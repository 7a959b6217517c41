//! The routes that come with the router's addresses, and their way into the FIB.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv6Net};

use super::Router;
use super::rib::{Action, Origin};
use super::start::StartError;
use crate::id::PortId;

/// The routes of all addresses. Two addresses may want the same one: it goes with the last of them.
pub(super) type OwnRoutes = BTreeMap<(IpNet, Origin), Action>;

/// What goes with `addresses` of `port`.
fn of_port(port: PortId, addresses: &[IpNet], routes: &mut OwnRoutes) {
    for net in addresses.iter().filter(|net| !is_link_local(net)) {
        routes.insert((net.trunc(), Origin::Connected), Action::Connected(port));
        routes.insert((IpNet::from(net.addr()), Origin::Local), Action::Receive);
        match net {
            IpNet::V4(net) if net.prefix_len() < 31 => {
                let broadcast = IpNet::from(std::net::IpAddr::V4(net.broadcast()));
                routes.insert((broadcast, Origin::Local), Action::Broadcast);
            }
            // RFC 4291 2.6.1: the subnet's own address is any of its routers;
            // RFC 6164: but not on a link between two.
            IpNet::V6(net) if net.prefix_len() < 127 => {
                let anycast = Ipv6Net::from(net.network());
                routes.insert((anycast.into(), Origin::Local), Action::Receive);
            }
            _ => {}
        }
    }
}

fn is_link_local(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

impl Router {
    /// The routes of the addresses that the ports have.
    pub(super) fn own_routes(&self) -> OwnRoutes {
        let mut routes = OwnRoutes::new();
        self.ports.iter().for_each(|p| of_port(p.id(), &p.config.addresses, &mut routes));
        routes
    }

    /// Bring the FIB from the routes `before` to those of the ports' addresses now. A route that is
    /// in both is not touched.
    pub(super) fn follow_own_routes(&mut self, before: &OwnRoutes) -> Result<(), StartError> {
        let now = self.own_routes();
        for (key @ &(to, origin), action) in &now {
            if before.get(key) != Some(action) {
                self.add_route(to, origin, action.clone())?;
            }
        }
        for &(to, origin) in before.keys().filter(|key| !now.contains_key(key)) {
            self.rib.remove(to, origin, &mut self.hops, &mut self.fib);
        }
        Ok(())
    }
}
