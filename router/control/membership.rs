//! The multicast groups that the kernel listens to on the taps, and those by which neighbours ask
//! for our own addresses: the cards let them in.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::Router;
use super::attach::note;
use super::netlink::sysctl;
use super::port::Port;
use crate::packet::ethernet::MacAddress;
use crate::packet::ipv6::solicited_node;

impl Router {
    /// Ask the kernel which groups it listens to, and have the cards let them in.
    pub(super) fn update_groups(&mut self) {
        let mut changed = false;
        for port in self.ports.iter_mut() {
            match sysctl::joined(&port.config.name) {
                Ok(mut groups) => {
                    groups.extend(port.solicited());
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

    /// Let exactly `groups` in; whether that is a change.
    fn follow_groups(&mut self, groups: Vec<MacAddress>) -> bool {
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
