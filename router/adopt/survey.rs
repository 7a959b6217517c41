//! What there is: the cards with all that they have, and what else decides over packets here.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::{AdoptError, names};
use crate::control::netlink::address::Address;
use crate::control::netlink::belongings::{Belongings, Known};
use crate::control::netlink::filters::filters;
use crate::control::netlink::link::Link;
use crate::control::netlink::routes::KernelRoute;
use crate::control::netlink::{Netlink, sysctl};
use crate::io::device::Device;

/// A card of the running kernel.
#[derive(Debug)]
pub struct Card {
    /// The device.
    pub link: Link,
    /// Its driver.
    pub driver: String,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// The routes through it, but for those that its addresses bring.
    pub routes: Vec<KernelRoute>,
    /// How many routes lead through it, by who made them.
    pub counts: BTreeMap<u8, usize>,
    /// The neighbours behind it.
    pub neighbours: Vec<Known>,
    /// Groups that the kernel listens to there, by their MACs.
    pub groups: usize,
    /// How the kernel treats packets there.
    pub settings: Settings,
    /// Devices that lie on it: VLANs, macvlans.
    pub above: Vec<String>,
    /// The bridge, bond or VRF that it is a member of.
    pub member_of: Option<String>,
}

/// Sysctls of a card that are keys of a port, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// What is asked of a source address: 0 nothing, 1 the way back, 2 a way back.
    pub rp_filter: u32,
    /// Hosts are told of better routers.
    pub send_redirects: bool,
    /// ARP requests are answered for hosts behind other cards.
    pub proxy_arp: bool,
}

/// What was found before anything is touched.
#[derive(Debug)]
pub struct Survey {
    /// The cards, in the order in which they were named.
    pub cards: Vec<Card>,
    /// What they have, to be had by others.
    pub(super) belongings: Belongings,
    /// `net.ipv4.ip_forward`.
    pub forwards4: bool,
    /// `net.ipv6.conf.all.forwarding`.
    pub forwards6: bool,
    /// Priorities of rules besides the kernel's own.
    pub rules: Vec<u32>,
    /// Where netfilter looks at forwarded packets.
    pub filters: Vec<String>,
}

impl Survey {
    /// Look at the cards of these names.
    ///
    /// # Errors
    /// [`AdoptError`], if one is not there or the kernel does not tell.
    pub async fn of(netlink: &Netlink, cards: &[String]) -> Result<Self, AdoptError> {
        let all = netlink.links().await?;
        let mut links = Vec::new();
        for name in cards {
            names::check(name)?;
            let found = all.iter().find(|link| link.name == *name);
            let link = found.ok_or_else(|| AdoptError::NotThere { name: name.clone() })?;
            if links.iter().any(|other: &&Link| other.index == link.index) {
                return Err(AdoptError::Twice { name: name.clone() });
            }
            links.push(link);
        }
        let devices: Vec<u32> = links.iter().map(|link| link.index).collect();
        let belongings = netlink.belongings(&devices).await?;
        let cards = links.iter().map(|link| card(link, &all, &belongings));
        Ok(Self {
            cards: cards.collect::<Result<_, _>>()?,
            belongings,
            forwards4: sysctl::of_all("ipv4/ip_forward")? == "1",
            forwards6: sysctl::of_all("ipv6/conf/all/forwarding")? == "1",
            rules: netlink.rules_of_others().await?,
            filters: filters()?,
        })
    }

    /// The cards' names.
    pub fn names(&self) -> Vec<String> {
        self.cards.iter().map(|card| card.link.name.clone()).collect()
    }
}

fn card(link: &Link, all: &[Link], belongings: &Belongings) -> Result<Card, AdoptError> {
    // The two ends of a veth name each other.
    let lies_on_it = |other: &&Link| other.on == Some(link.index) && other.kind != "veth";
    let member_of = link.controller.map(|index| {
        let controller = all.iter().find(|other| other.index == index);
        controller.map_or_else(|| format!("device {index}"), |other| other.name.clone())
    });
    Ok(Card {
        // What is no Ethernet device has none that tells; the judge says so.
        driver: Device::find(&link.name).map(|device| device.driver).unwrap_or_default(),
        addresses: belongings.addresses(link.index),
        routes: belongings.routes(link.index),
        counts: belongings.routes_by_protocol(link.index),
        neighbours: belongings.neighbours(link.index),
        groups: sysctl::joined(&link.name)?.len(),
        settings: settings(&link.name)?,
        above: all.iter().filter(lies_on_it).map(|other| other.name.clone()).collect(),
        member_of,
        link: link.clone(),
    })
}

/// Of each the kernel takes the greater of the card's value and that of `all`.
fn settings(card: &str) -> Result<Settings, AdoptError> {
    Ok(Settings {
        rp_filter: sysctl::greater(card, "rp_filter")?,
        send_redirects: sysctl::greater(card, "send_redirects")? != 0,
        proxy_arp: sysctl::greater(card, "proxy_arp")? != 0,
    })
}
