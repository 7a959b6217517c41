//! The multicast groups that the kernel listens to on the taps, and those by which neighbours ask
//! for our own addresses: the cards let them in.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::Router;
use super::attach::note;
use super::netlink::sysctl;
use super::port::Port;
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::packet::ipv6::solicited_node;

impl Router {
    /// Ask the kernel which groups it listens to, and have the cards let them in. The kernel tells
    /// the link of most that it joins, and so us ([`Router::update_groups_of`]); of those that it
    /// does not tell of (a packet socket's), we learn by asking again.
    pub(super) fn update_groups(&mut self) {
        for id in self.ports.ids() {
            self.update_groups_of(id);
        }
    }

    /// The same for one port.
    pub(super) fn update_groups_of(&mut self, id: PortId) {
        let port = &mut self.ports[id.index()];
        let changed = match sysctl::joined(&port.config.name) {
            Ok(groups) => port.follow_groups(groups),
            Err(error) => return tracing::warn!("{error}"),
        };
        if changed {
            self.publish();
        }
    }
}

impl Port {
    /// Where neighbours ask for the port's addresses. The kernel joins these too, but when it comes
    /// to it, and not on a tap that is down; it is we who answer.
    fn solicited(&self) -> Vec<MacAddress> {
        let addresses = self.interface().map(|interface| interface.addresses().collect::<Vec<_>>());
        let group = |address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(solicited_node(address)),
        };
        let groups = addresses.unwrap_or_default().into_iter().filter_map(group);
        groups.map(MacAddress::for_ipv6_multicast).collect()
    }

    /// Let in exactly the groups that the kernel has `joined`, those that we need, and what is sent to
    /// virtual routers that we are; whether that is a change.
    fn follow_groups(&mut self, joined: Vec<MacAddress>) -> bool {
        let mut groups = joined;
        groups.extend(self.solicited());
        groups.extend(self.addresses.iter().filter_map(|own| own.mac));
        groups.sort_unstable();
        groups.dedup();
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
