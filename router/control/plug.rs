//! Ports come and go while the router runs. The others do not notice.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::Router;
use super::attach::{AttachError, mtu_of, note};
use super::start::{StartError, Taps, egress, find_device};
use super::store::Store;
use crate::config;
use crate::id::PortId;
use crate::io::device::Device;

/// How long the workers may take to close the sockets of a port that goes.
const PATIENCE: Duration = Duration::from_secs(1);

impl Router {
    /// One more port: tap, next hop, card, addresses.
    pub(super) async fn plug(&mut self, port: &config::Port) -> Result<(), StartError> {
        let device = find_device(port)?;
        let (store, workers) = (&mut Store::default(), self.workers.len());
        let made = Taps { netlink: &self.netlink, store, workers }.make_port(port, &device).await?;
        let outcome = self.hops.set_port(port.id, egress(&device), &mut self.fib);
        outcome.map_err(|full| StartError::Full { what: format!("port {}", port.name), full })?;
        self.ports.put(made);
        self.allow();
        self.give_addresses(port.id, &port.addresses)?;
        let outcome = self.attach(port.id).await.and_then(|()| self.keep_tap(port.id));
        outcome.map_err(|cause| self.not_attached(port.id, cause))?;
        self.tell_kernel_of(port.id).await
    }

    /// What the file says of neighbours and routes behind a port whose tap is new.
    async fn tell_kernel_of(&mut self, id: PortId) -> Result<(), StartError> {
        let statics = self.config.static_neighbours.clone();
        for neighbour in statics.iter().filter(|neighbour| neighbour.port == id) {
            self.install_neighbour(neighbour).await?;
        }
        self.restore_kernel_routes(id).await;
        Ok(())
    }

    /// A port less; the tap goes with the last of its queues.
    pub(super) async fn unplug(&mut self, id: PortId) {
        let Some(port) = self.ports.get(id) else { return };
        let nets: Vec<_> = port.addresses.iter().map(|own| own.net).collect();
        nets.into_iter().for_each(|net| self.remove_address(id, net));
        self.act();
        self.detach(id).await;
        self.wait_for_workers(id).await;
        self.let_tap_go(id, false);
        drop(self.ports.take(id));
        self.publish();
        self.allow();
    }

    /// Until no worker has anything of the port.
    async fn wait_for_workers(&mut self, id: PortId) {
        let closed = async {
            while self.ports[id.index()].closing > 0 && self.bell.readable().await.is_ok() {
                self.read_mail();
            }
        };
        if tokio::time::timeout(PATIENCE, closed).await.is_err() {
            tracing::error!("port {}: a worker is stuck", self.ports[id.index()].name());
        }
    }

    /// Keys of a port that is in use. Its addresses stay as they are.
    pub(super) async fn tune(&mut self, new: &config::Port) -> Result<(), StartError> {
        let Some(port) = self.ports.get_mut(new.id) else { return Ok(()) };
        let addresses = std::mem::take(&mut port.config.addresses);
        port.config = config::Port { addresses, ..new.clone() };
        let outcome = self.follow_configured_mtu(new.id).await;
        outcome.map_err(|cause| StartError::Attach { port: new.name.clone(), cause })?;
        self.choose_engine(new.id);
        self.publish();
        Ok(())
    }

    async fn follow_configured_mtu(&mut self, id: PortId) -> Result<(), AttachError> {
        let chunk_size = self.workers[0].memory.chunk_size;
        let port = &self.ports[id.index()];
        if port.card.is_none() {
            return Ok(());
        }
        let device = Device::find(&port.config.device)?;
        let most = mtu_of(port, &device, chunk_size)?;
        let mtu = port.tap_mtu.map_or(most, |tap| tap.min(most));
        let Some(card) = &mut self.ports[id.index()].card else { return Ok(()) };
        card.mtu_max = most;
        if std::mem::replace(&mut card.mtu, mtu) != mtu {
            self.dress(id).await?;
            note(self.tell_program(id));
            self.write_adjacencies(id);
        }
        Ok(())
    }
}
