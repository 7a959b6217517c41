//! What a router that is no more has left behind is removed: `xrouter release`.
#![forbid(unsafe_code)]

use super::netlink::{Netlink, NetlinkError};
use super::succession::dismiss_heir;
use crate::config::{Config, Port};
use crate::io::xdp;

/// Not all could be removed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Somebody uses the card.
    #[error(
        "port {port}: an XDP program (number {program}) is attached to {device}: does a router run? \
         stop it (SIGINT gives everything back), then try again"
    )]
    InUse {
        /// The port.
        port: String,
        /// Its card.
        device: String,
        /// The program's number.
        program: u32,
    },
    /// The kernel.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// Give the cards back that a router with this configuration has left, and remove its taps, its
/// routes, and what the kernel forwarded by. What is not there is no error.
///
/// # Errors
/// [`ReleaseError`]; what was done before stays done.
pub async fn release(config: &Config) -> Result<(), ReleaseError> {
    let netlink = Netlink::connect()?;
    for port in &config.ports {
        refuse_if_in_use(&netlink, port).await?;
    }
    for port in &config.ports {
        release_port(&netlink, port).await?;
    }
    Ok(netlink.withdraw_routes_but(&[]).await?)
}

async fn refuse_if_in_use(netlink: &Netlink, port: &Port) -> Result<(), ReleaseError> {
    let card = netlink.link(&port.device).await?;
    match card.and_then(|card| xdp::program_on(card.index)) {
        Some(program) => Err(ReleaseError::InUse {
            port: port.name.clone(),
            device: port.device.clone(),
            program,
        }),
        None => Ok(()),
    }
}

async fn release_port(netlink: &Netlink, port: &Port) -> Result<(), NetlinkError> {
    let tap = netlink.link(&port.name).await?.filter(|tap| tap.tap_queues.is_some());
    let card = netlink.link(&port.device).await?;
    if let Some(card) = &card {
        dismiss_heir(netlink, card.index, tap.as_ref().map_or(0, |tap| tap.index)).await?;
    }
    if let Some(tap) = &tap {
        netlink.delete(tap.index).await?;
    }
    match &card {
        Some(card) => netlink.give_back_orphan(card).await,
        None => Ok(()),
    }
}
