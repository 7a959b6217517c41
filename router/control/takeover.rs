//! The cards of a kernel that is forwarding are taken. What takes its time (programs, memory, sockets)
//! comes first, and leaves every frame to the kernel. Then whoever asked for it gives the taps what
//! the cards have (the switch), and at the end the cards are taken one right after the other, by a
//! router that knows the kernel's routes and neighbours already.
#![forbid(unsafe_code)]

use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Router;
use super::attach::{AttachError, Found};
use super::neighbour::{Heard, Message};
use super::netlink::NetlinkError;
use super::open::Opened;
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
        let mut cards: Vec<(PortId, Found, Opened)> = Vec::new();
        for id in self.ports.ids() {
            let (found, opened) =
                self.prepare(id).await.map_err(|cause| self.not_attached(id, cause))?;
            cards.push((id, found, opened));
        }
        switch.await?;
        for id in self.ports.ids() {
            self.follow_addresses(id).await;
        }
        self.learn_all_routes().await;
        for (id, found, opened) in cards {
            let taken = self.take_quietly(id, &found, opened).await;
            taken.map_err(|cause| self.not_attached(id, cause))?;
        }
        self.learn_neighbours().await?;
        Ok(())
    }

    /// Everything but the card itself: its frames go on to the kernel.
    async fn prepare(&self, id: PortId) -> Result<(Found, Opened), AttachError> {
        let found = self.find(id).await?;
        let opened = self.open(id, &found.device)?;
        Ok((found, opened))
    }

    async fn take_quietly(
        &mut self,
        id: PortId,
        found: &Found,
        opened: Opened,
    ) -> Result<(), AttachError> {
        let quieted = self.netlink.quiet(&found.link).await?;
        self.take(id, found, quieted, opened).await
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

    /// Whom the kernel knows is known here. What it says may be old: each is asked when it is used.
    async fn learn_neighbours(&mut self) -> Result<(), NetlinkError> {
        let taps: Vec<_> = self.ports.iter().map(|port| (port.id(), port.tap_index)).collect();
        let devices: Vec<u32> = taps.iter().map(|(_, tap)| *tap).collect();
        let belongings = self.netlink.belongings(&devices).await?;
        let now = self.now();
        for (port, tap) in taps {
            for known in belongings.neighbours(tap) {
                let (address, mac) = (known.address, Some(known.mac));
                // As if it had just asked for us.
                let message = match address.is_ipv4() {
                    true => Message::ArpRequest { for_us: true },
                    false => Message::Solicitation { for_us: true },
                };
                let heard = Heard { port, address, mac, message, on_link: true, ours: false };
                self.neighbours.heard(&heard, now, &mut self.actions);
            }
        }
        self.act();
        Ok(())
    }
}
