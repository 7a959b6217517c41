//! Neighbours that the kernel's stack is not to learn for itself.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourState};
use netlink_packet_route::route::RouteProtocol;

use super::{Netlink, NetlinkError, PROTOCOL};
use crate::packet::ethernet::MacAddress;

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
}
