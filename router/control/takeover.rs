//! The cards of a kernel that is forwarding are taken. What takes its time (programs, memory, sockets)
//! comes first, and leaves every frame that comes in to the kernel. Then whoever asked for it gives the
//! taps what the cards have (the switch): what the kernel forwards into them meanwhile, workers send on.
//! At the end the cards' frames are taken, one card right after the other, by a router that knows the
//! kernel's routes and neighbours already.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Router;
use super::attach::{AttachError, Found};
use super::neighbour::{Heard, Message};
use super::netlink::NetlinkError;
use super::netlink::belongings::Known;
use super::netlink::link::Link;
use super::port::Card;
use super::request::Request;
use super::start::StartError;
use crate::config::Source;
use crate::id::PortId;

/// Longest time to learn the kernel's routes, when nobody forwards by them yet.
const PATIENCE: Duration = Duration::from_secs(2);

/// What makes the taps have what the cards have had.
pub type Switch<'a> = LocalBoxFuture<'a, Result<(), NetlinkError>>;

impl Router {
    /// Start the router in the place of a kernel that is forwarding: its cards are up, and stay the
    /// kernel's until all is prepared and `switch` is done.
    ///
    /// # Errors
    /// [`StartError`], and the cards are the kernel's again. What `switch` has done remains.
    pub async fn start_in_place(
        source: Source,
        requests: mpsc::Receiver<Request>,
        switch: Switch<'_>,
    ) -> Result<Self, StartError> {
        Self::start_with(source, requests, Some(switch)).await
    }

    pub(super) async fn attach_in_place(&mut self, switch: Switch<'_>) -> Result<(), StartError> {
        let mut links = Vec::new();
        for id in self.ports.ids() {
            let link = self.prepare(id).await.map_err(|cause| self.not_attached(id, cause))?;
            links.push((id, link));
        }
        switch.await?;
        for id in self.ports.ids() {
            self.follow_addresses(id).await;
        }
        self.learn_all_routes().await;
        let taps: Vec<u32> = self.ports.iter().map(|port| port.tap_index).collect();
        let neighbours = self.netlink.known_neighbours(&taps).await?;
        self.learn_neighbours(&neighbours);
        for (id, link) in &links {
            let taken = self.take_quietly(*id, link).await;
            taken.map_err(|cause| self.not_attached(*id, cause))?;
            // A port forgets its own when it comes up.
            self.learn_neighbours(&neighbours);
        }
        Ok(())
    }

    /// Everything but what comes in: that goes on to the kernel. What the kernel sends by the tap goes
    /// out already.
    async fn prepare(&mut self, id: PortId) -> Result<Link, AttachError> {
        let Found { device, link, mtu } = self.find(id).await?;
        let (program, sockets) = self.open(id, &device)?;
        let quieted = self.netlink.not_yet_quieted(&link)?;
        self.seat(id, Card::new(&device, mtu, quieted, program, &sockets));
        self.connect(id, sockets)?;
        Ok(link)
    }

    async fn take_quietly(&mut self, id: PortId, link: &Link) -> Result<(), AttachError> {
        let quieted = self.netlink.quiet(link).await?;
        if let Some(card) = &mut self.ports[id.index()].card {
            card.quieted = quieted;
        }
        self.dress(id).await?;
        self.let_in(id).await
    }

    /// All of the kernel's routes, before the first packet asks for one. What is missing after a while
    /// comes later.
    async fn learn_all_routes(&mut self) {
        let all = async {
            while self.mirror.is_behind() {
                let outcome = self.mirror.ready().await;
                self.follow_kernel(outcome);
            }
        };
        if timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("the kernel's routes are not all here yet");
        }
    }

    /// Whom the kernel knows, by taps, is known here. What it says may be old: each is asked when it is
    /// used.
    fn learn_neighbours(&mut self, neighbours: &[(u32, Known)]) {
        let now = self.now();
        for (tap, known) in neighbours {
            let Some(port) = self.port_of_tap(*tap) else { continue };
            // As if it had just asked for us.
            let message = match known.address {
                IpAddr::V4(_) => Message::ArpRequest { for_us: true },
                IpAddr::V6(_) => Message::Solicitation { for_us: true },
            };
            let (address, mac) = (known.address, Some(known.mac));
            let heard = Heard { port, address, mac, message, on_link: true, ours: false };
            self.neighbours.heard(&heard, now, &mut self.actions);
        }
        self.act();
    }
}
