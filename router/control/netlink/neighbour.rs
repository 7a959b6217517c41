//! Neighbours that the kernel's stack is not to learn for itself: ours, and those of others.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use futures::TryStreamExt;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::RouteProtocol;

use super::{Netlink, NetlinkError, PROTOCOL};
use crate::packet::ethernet::MacAddress;

/// A neighbour: its device's number, its address, its MAC.
pub type Known = ((u32, IpAddr), MacAddress);

impl Netlink {
    /// Tell the kernel a neighbour's MAC for good: no ARP or NDP that comes up the tap changes it.
    /// It takes the place of what the kernel has learned.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn install_neighbour(
        &self,
        index: u32,
        address: IpAddr,
        mac: MacAddress,
    ) -> Result<(), NetlinkError> {
        let mut request = self.handle.neighbours().add(index, address).replace();
        let protocol = NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL));
        request.message_mut().attributes.push(protocol);
        let request = request.link_layer_address(&mac.octets()).state(NeighbourState::Permanent);
        let done = request.execute().await;
        done.map_err(|e| NetlinkError::new(format_args!("neighbour {address}"), "install", e))
    }

    /// Have the kernel learn a neighbour for itself again; that it does is no error.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn remove_neighbour(&self, index: u32, address: IpAddr) -> Result<(), NetlinkError> {
        let mut message = self.handle.neighbours().add(index, address).message_mut().clone();
        message.header.state = NeighbourState::None;
        let done = self.handle.neighbours().del(message).execute().await;
        match done.map_err(|e| NetlinkError::new(format_args!("neighbour {address}"), "remove", e))
        {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }

    /// The static neighbours that others have given the kernel, by device and address.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn static_neighbours(&self) -> Result<Vec<Known>, NetlinkError> {
        self.neighbours(static_mac).await
    }

    /// The neighbours that the kernel has learned, by device and address.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn learned_neighbours(&self) -> Result<Vec<Known>, NetlinkError> {
        self.neighbours(learned_mac).await
    }

    async fn neighbours(
        &self,
        mac: fn(&NeighbourMessage) -> Option<MacAddress>,
    ) -> Result<Vec<Known>, NetlinkError> {
        let dump = self.handle.neighbours().get().execute();
        let found: Result<Vec<NeighbourMessage>, _> = dump.try_collect().await;
        let messages = found.map_err(|e| NetlinkError::new("neighbours", "list", e))?;
        Ok(messages.iter().filter_map(|m| Some((key(m)?, mac(m)?))).collect())
    }
}

/// Which neighbour a message is about: its device and its address. None if it is no neighbour of
/// IP's, but a bridge's or a tunnel's.
pub fn key(message: &NeighbourMessage) -> Option<(u32, IpAddr)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
            Some(IpAddr::V4(*address))
        }
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some(IpAddr::V6(*address))
        }
        _ => None,
    });
    Some((message.header.ifindex, address?))
}

/// The MAC of a neighbour that somebody other than we has told the kernel for good. Groups have
/// such entries, too, made by the kernel itself.
pub fn static_mac(message: &NeighbourMessage) -> Option<MacAddress> {
    if !matches!(message.header.state, NeighbourState::Permanent | NeighbourState::Noarp) {
        return None;
    }
    let ours = NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL));
    if message.attributes.contains(&ours) {
        return None;
    }
    mac_of(message)
}

/// The MAC of a neighbour that the kernel has learned, and uses.
fn learned_mac(message: &NeighbourMessage) -> Option<MacAddress> {
    let usable = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
    );
    mac_of(message).filter(|_| usable)
}

fn mac_of(message: &NeighbourMessage) -> Option<MacAddress> {
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(octets) => octets.as_slice().try_into().ok(),
        _ => None,
    });
    mac.map(MacAddress).filter(|mac| mac.is_unicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(state: NeighbourState, mac: [u8; 6], protocol: u8) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = 7;
        message.header.state = state;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 1, 0, 9].into())),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
            NeighbourAttribute::Protocol(RouteProtocol::Other(protocol)),
        ];
        message
    }

    #[test]
    fn who_counts_as_static() {
        let (host, group) = ([2, 0, 0, 0, 0, 9], [1, 0, 0x5e, 0, 0, 5]);
        let of = |state, mac, protocol| static_mac(&message(state, mac, protocol));
        assert_eq!(of(NeighbourState::Permanent, host, 0), Some(MacAddress(host)));
        assert_eq!(of(NeighbourState::Noarp, host, 0), Some(MacAddress(host)));
        assert_eq!(of(NeighbourState::Reachable, host, 0), None);
        assert_eq!(of(NeighbourState::Noarp, group, 0), None);
        assert_eq!(of(NeighbourState::Permanent, host, PROTOCOL), None, "ours");
        let learned = |state| learned_mac(&message(state, host, 0));
        assert_eq!(learned(NeighbourState::Stale), Some(MacAddress(host)));
        assert_eq!(learned(NeighbourState::Failed), None);
        assert_eq!(learned(NeighbourState::Permanent), None);
        let bridged = NeighbourMessage::default();
        assert_eq!(key(&bridged), None);
        assert_eq!(key(&message(NeighbourState::Stale, host, 0)), Some((7, [10, 1, 0, 9].into())));
    }
}
