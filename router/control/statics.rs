//! Static neighbours: those of router.toml, here and in the kernel, and those that somebody gives the
//! kernel on a tap.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::Router;
use super::netlink::NetlinkError;
use super::start::StartError;
use crate::config::StaticNeighbour;
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::TableFull;

impl Router {
    /// The configured neighbours, here and in the kernel, whose stack would believe others.
    pub(super) async fn install_neighbours(&mut self) -> Result<(), StartError> {
        for entry in self.config.static_neighbours.clone() {
            self.install_neighbour(&entry).await?;
        }
        Ok(())
    }

    /// One more of them, or one with another MAC.
    pub(super) async fn install_neighbour(
        &mut self,
        entry: &StaticNeighbour,
    ) -> Result<(), StartError> {
        let added = self.add_neighbour(entry.port, entry.address, entry.mac);
        self.act();
        let what = format!("neighbour {}", entry.address);
        added.map_err(|full| StartError::Full { what, full })?;
        match self.ports.get(entry.port) {
            Some(_) => Ok(self.tell_kernel_of_neighbour(entry).await?),
            None => Ok(()),
        }
    }

    /// The configured neighbours of a port whose tap has forgotten them.
    pub(super) async fn remind_kernel_of_neighbours(&self, id: PortId) {
        for entry in self.config.static_neighbours.iter().filter(|entry| entry.port == id) {
            if let Err(error) = self.tell_kernel_of_neighbour(entry).await {
                tracing::warn!("port {}: {error}", self.ports[id.index()].name());
            }
        }
    }

    async fn tell_kernel_of_neighbour(&self, entry: &StaticNeighbour) -> Result<(), NetlinkError> {
        let tap = self.ports[entry.port.index()].tap_index;
        self.netlink.install_neighbour(tap, entry.address, entry.mac).await
    }

    /// Somebody has given the kernel a static neighbour on the device `index`, or taken it: it counts
    /// here, too, as long as it is there. After that, what router.toml says counts again.
    pub(super) fn kernel_neighbour(
        &mut self,
        index: u32,
        address: IpAddr,
        mac: Option<MacAddress>,
    ) {
        let Some(port) = self.port_of_tap(index) else { return };
        let is_it = |entry: &&StaticNeighbour| (entry.port, entry.address) == (port, address);
        let configured = self.config.static_neighbours.iter().find(is_it).map(|entry| entry.mac);
        let outcome = match mac.or(configured) {
            Some(mac) => self.add_neighbour(port, address, mac),
            None => {
                self.neighbours.remove(port, address, &mut self.actions);
                Ok(())
            }
        };
        if let Err(full) = outcome {
            let name = self.ports[port.index()].name();
            tracing::warn!(
                "port {name}: neighbour {address}: {full}; raise the budget in [tables]"
            );
        }
        self.act();
    }

    fn add_neighbour(
        &mut self,
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
    ) -> Result<(), TableFull> {
        let now = self.now();
        let added = self.neighbours.add_static(port, address, mac, now, &mut self.actions);
        added.map_err(|_| TableFull)
    }
}
