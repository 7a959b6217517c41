//! The multicast groups that the kernel listens to on the taps: the cards let them in.
#![forbid(unsafe_code)]

use super::Router;
use super::attach::note;
use super::netlink::sysctl;
use super::port::Port;
use crate::packet::ethernet::MacAddress;

impl Router {
    /// Ask the kernel which groups it listens to, and have the cards let them in.
    pub(super) fn update_groups(&mut self) {
        let mut changed = false;
        for port in &mut self.ports {
            match sysctl::joined(&port.config.name) {
                Ok(mut groups) => {
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
