//! The card under a port, while it is ours: up, hearing every group, and saying nothing of its own.
//!
//! The kernel would put a link-local address on it, detect duplicates, solicit routers, report
//! groups, and answer ARP for the addresses of the tap. What is changed is written down in the
//! device's alias (`ip link` shows it), where it survives even a killed xrouter: the next one
//! reads there how the card was.
#![forbid(unsafe_code)]

use ipnet::IpNet;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};

use super::link::Link;
use super::sysctl::{self, Family};
use super::{Netlink, NetlinkError};
use crate::packet::ethernet::MacAddress;

/// A card that was quieted, and how it was before.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "without it the card cannot be given back as it was"]
pub struct Quieted {
    index: u32,
    name: String,
    before: State,
    /// The alias is ours to write: it was empty, or a killed xrouter's.
    noted: bool,
    /// IPv6 addresses that the kernel forgot when IPv6 was switched off, link-local ones of its
    /// own making not among them. Not in the alias: a killed xrouter loses them.
    addresses: Vec<IpNet>,
}

/// What is changed of a card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct State {
    up: bool,
    arp: bool,
    all_multicast: bool,
    ipv6: bool,
    /// Its own MAC, if we gave it another.
    mac: Option<MacAddress>,
}

/// How our alias begins.
const NOTE: &str = "xrouter has this card; it was:";
/// How the word of a MAC begins in it.
const MAC: &str = "mac=";

impl State {
    fn of(link: &Link) -> Result<Self, NetlinkError> {
        if let Some(state) = Self::from_note(&link.alias) {
            return Ok(state);
        }
        Ok(Self {
            up: link.up,
            arp: !link.no_arp,
            all_multicast: link.all_multicast,
            ipv6: sysctl::read(Family::V6, &link.name, "disable_ipv6")? == "0",
            mac: None,
        })
    }

    fn note(self) -> String {
        let words = [
            (self.up, "up"),
            (self.arp, "arp"),
            (self.all_multicast, "allmulti"),
            (self.ipv6, "ipv6"),
        ];
        let said = words.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned());
        let mac = self.mac.map(|mac| format!("{MAC}{mac}"));
        std::iter::once(NOTE.to_owned()).chain(said).chain(mac).collect::<Vec<_>>().join(" ")
    }

    fn from_note(alias: &str) -> Option<Self> {
        let words: Vec<_> = alias.strip_prefix(NOTE)?.split_whitespace().collect();
        let has = |word| words.contains(&word);
        Some(Self {
            up: has("up"),
            arp: has("arp"),
            all_multicast: has("allmulti"),
            ipv6: has("ipv6"),
            mac: words.iter().find_map(|word| word.strip_prefix(MAC)?.parse().ok()),
        })
    }
}

impl Netlink {
    /// Take the card `link` for a port: IPv6 and ARP off, all groups let in (those that the kernel
    /// joins on the tap are unknown to the card's filter), and up. IPv4 addresses that it carries
    /// stay: see [`Netlink::addresses`] to warn of them.
    ///
    /// # Errors
    /// [`NetlinkError`]; what was changed until then is noted in the card's alias.
    pub async fn quiet(&self, link: &Link) -> Result<Quieted, NetlinkError> {
        let before = State::of(link)?;
        let given = self.addresses(link.index).await?.into_iter().filter(|a| a.permanent);
        let made = |net: &IpNet| *net == super::address::link_local_of(link.mac);
        let addresses =
            given.map(|a| a.net).filter(|net| net.addr().is_ipv6() && !made(net)).collect();
        // An operator's own alias is not overwritten: then a killed xrouter leaves no trace.
        let noted = link.alias.is_empty() || State::from_note(&link.alias).is_some();
        if link.alias.is_empty() {
            self.set_alias(link.index, &before.note()).await?;
        }
        // Before it is up, or it would have spoken.
        sysctl::write(Family::V6, &link.name, "disable_ipv6", "1")?;
        self.set_flag(link.index, LinkFlags::Noarp, true, "ARP off").await?;
        self.set_flag(link.index, LinkFlags::Allmulti, true, "all groups on").await?;
        self.set_up(link.index, true).await?;
        Ok(Quieted { index: link.index, name: link.name.clone(), before, noted, addresses })
    }

    /// Give the card another MAC in the place of `now`. Its own comes back with
    /// [`Netlink::give_back`], with a successor's if we are killed.
    ///
    /// # Errors
    /// [`NetlinkError`], and the card has the MAC that it had.
    pub async fn give_mac(
        &self,
        card: &mut Quieted,
        now: MacAddress,
        mac: MacAddress,
    ) -> Result<(), NetlinkError> {
        card.before.mac.get_or_insert(now);
        if card.noted {
            self.set_alias(card.index, &card.before.note()).await?;
        }
        self.set_mac(card.index, mac).await
    }

    /// Give the card back as it was. That it is gone is no error.
    ///
    /// # Errors
    /// [`NetlinkError`] of the first step that failed; the others were tried as well.
    pub async fn give_back(&self, card: Quieted) -> Result<(), NetlinkError> {
        // The name may have changed since, or be another card's.
        let Some(link) = self.links().await?.into_iter().find(|link| link.index == card.index)
        else {
            return Ok(());
        };
        let State { up, arp, all_multicast, ipv6, mac } = card.before;
        let mut results = Vec::new();
        if let Some(mac) = mac {
            results.push(self.set_mac(link.index, mac).await);
        }
        results.extend([
            self.set_flag(link.index, LinkFlags::Noarp, !arp, "ARP on").await,
            self.set_flag(link.index, LinkFlags::Allmulti, all_multicast, "all groups off").await,
            self.set_up(link.index, up).await,
        ]);
        if ipv6 {
            results.push(sysctl::write(Family::V6, &link.name, "disable_ipv6", "0"));
            for &net in &card.addresses {
                results.push(self.put_address(link.index, net, Vec::new()).await);
            }
        }
        if State::from_note(&link.alias).is_some() {
            results.push(self.set_alias(link.index, "").await);
        }
        results.into_iter().collect()
    }

    /// Give back a card whose router was killed: what it was stands in its alias. One without a note
    /// that is quiet all the same had an alias of its own, and was as cards are.
    ///
    /// # Errors
    /// As [`Netlink::give_back`].
    pub async fn give_back_orphan(&self, link: &Link) -> Result<(), NetlinkError> {
        let usual = State { up: true, arp: true, all_multicast: false, ipv6: true, mac: None };
        let before = State::from_note(&link.alias).or(link.no_arp.then_some(usual));
        let Some(before) = before else { return Ok(()) };
        let (index, name) = (link.index, link.name.clone());
        let quieted = Quieted { index, name, before, noted: true, addresses: Vec::new() };
        self.give_back(quieted).await
    }

    async fn set_alias(&self, index: u32, alias: &str) -> Result<(), NetlinkError> {
        self.set_attribute(index, LinkAttribute::IfAlias(alias.into()), "set alias").await
    }
}

impl Quieted {
    /// The card's index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The card's name when it was taken.
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        for bits in 0..16u8 {
            let [up, arp, all_multicast, ipv6] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            for mac in [None, Some(MacAddress([2, 0, 0, 0, 0, 1]))] {
                let state = State { up, arp, all_multicast, ipv6, mac };
                assert_eq!(State::from_note(&state.note()), Some(state));
            }
        }
        assert_eq!(State::from_note("uplink to the provider"), None);
    }
}
