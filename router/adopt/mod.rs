//! A running Linux router's cards are taken over, without a configuration and without a pause, and
//! given back as they were.
//!
//! The order of it, top to bottom: [`Survey::of`] looks, [`judge`] says why not, [`compose`] writes the
//! configuration, a [`Keeper`] waits for the router's end, [`take_over`] puts a tap in each card's place,
//! [`put_back`] and [`clear_away`] undo it, whoever calls them: the router at its end, the keeper
//! after its death, an operator after both died.
//!
//! **Invariant:** what is somewhere is added elsewhere before it is removed; and how far it came can be
//! seen from the devices' names alone.
#![forbid(unsafe_code)]

mod back;
pub mod compose;
mod judge;
mod keeper;
mod names;
mod survey;
mod take;

use std::io;

pub use back::{clear_away, is_in_use, put_back};
pub use judge::judge;
pub use keeper::{Keeper, keep};
pub use survey::{Card, Survey};
pub use take::take_over;

use crate::control::StartError;
use crate::control::netlink::NetlinkError;

/// Why cards are not taken over, or not given back.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its parts")]
pub enum AdoptError {
    #[error("there is no network device {name:?} here: see `ip link`")]
    NotThere { name: String },
    #[error("{name} is named twice")]
    Twice { name: String },
    #[error(
        "{name}: its name is too long for the one that it has meanwhile: at most {most} octets; \
             `ip link set {name} name NAME`"
    )]
    NameTooLong { name: String, most: usize },
    #[error("{name} is {why}: {mend}")]
    Unsuitable { name: String, why: String, mend: String },
    #[error(
        "this machine is no router ({key} = 0), and xrouter would make it one; `sysctl -w {key}=1`"
    )]
    NoRouter { key: &'static str },
    #[error(
        "there is a rule of priority {priority} (`ip rule`), and xrouter routes by destination alone; \
             `ip rule del priority {priority}`"
    )]
    Rules { priority: u32 },
    #[error(
        "netfilter is in the way of forwarded packets ({filter}; {count} in all), and they would pass \
             by it: firewall and NAT would be gone; --ignore-netfilter if you mean it"
    )]
    Netfilter { filter: String, count: usize },
    #[error("{name}: the tap is in use: stop the xrouter that runs")]
    InUse { name: String },
    #[error(
        "{name} cannot be renamed while it is up: {cause}; before Linux 6.2 no card can: write a \
             configuration with --write and start it"
    )]
    Rename { name: String, cause: NetlinkError },
    #[error("the keeper, who gives the cards back: {0}")]
    Keeper(#[from] io::Error),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Start(#[from] StartError),
}
