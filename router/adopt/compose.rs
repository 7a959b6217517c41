//! The router.toml that does what the kernel has done: a function of what was found.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::names;
use super::survey::{Card, Survey};
use crate::config::protocol;
use crate::control::netlink::address::{self, Address};
use crate::control::netlink::routes::{KernelHop, KernelRoute};

/// `RTPROT_BOOT` and `RTPROT_STATIC`: an operator has made these routes.
const BY_HAND: [u8; 2] = [3, 4];
/// `RT_TABLE_MAIN`.
const MAIN: u32 = 254;
/// What the key `mtu` can be.
const MTU: std::ops::RangeInclusive<u32> = 576..=3800;

/// For a router that takes the cards over: ports that have the cards' names, on cards that have
/// others. The kernel's routes and neighbours are followed as they are, and stand nowhere here.
pub fn to_run(survey: &Survey, socket: &Path) -> String {
    let mut text = String::from("# Composed by `xrouter adopt`; there is no file.\n");
    line(&mut text, "\n[router]\n# A killed router's taps are there until all is given back.");
    line(&mut text, "taps_persist = true");
    line(&mut text, format_args!("\n[api]\nsocket = {}", quoted(&socket.display().to_string())));
    for card in &survey.cards {
        let name = &card.link.name;
        port(&mut text, card, name, &names::of_card(name));
    }
    text
}

/// For a file: what would be started with it, when the cards have no addresses of their own any more.
pub fn to_keep(survey: &Survey) -> String {
    let mut text = String::from(
        "# Written by `xrouter adopt --write`: what the kernel did here. The names of the ports are free\n\
         # (\"lan\"), but not those of the cards.\n",
    );
    for card in &survey.cards {
        port(&mut text, card, &names::of_card(&card.link.name), &card.link.name);
    }
    for card in &survey.cards {
        neighbours(&mut text, card);
    }
    let routes = survey.cards.iter().flat_map(|card| &card.routes);
    let mut by_hand: Vec<_> = routes.filter(|route| is_by_hand(route)).collect();
    by_hand.sort_by_key(|route| (route.to, route.metric));
    // One with several next hops is a route of several cards.
    by_hand.dedup();
    let mut written = None;
    for route in by_hand {
        if written == Some(route.to) {
            let (to, metric) = (route.to, route.metric);
            line(&mut text, format_args!("\n# Not written: {to} metric {metric}: the least wins"));
        } else {
            static_route(&mut text, route, survey);
            written = Some(route.to);
        }
    }
    daemons(&mut text, survey);
    text
}

fn is_by_hand(route: &KernelRoute) -> bool {
    BY_HAND.contains(&route.protocol) && route.table == MAIN
}

fn port(text: &mut String, card: &Card, name: &str, device: &str) {
    line(text, format_args!("\n[[port]]\nname = {}", quoted(name)));
    line(text, format_args!("device = {}", quoted(device)));
    let permanent = card.addresses.iter().filter(|address| is_to_be_given(card, address));
    let addresses: Vec<_> = permanent.map(|a| quoted(&a.net.to_string())).collect();
    line(text, format_args!("addresses = [{}]", addresses.join(", ")));
    for other in card.addresses.iter().filter(|address| !address.permanent) {
        line(text, format_args!("# {} is not for good: whoever gave it gives it again", other.net));
    }
    if MTU.contains(&card.link.mtu) {
        line(text, format_args!("mtu = {}", card.link.mtu));
    }
    match card.settings.rp_filter {
        1 => line(text, "source_validation = \"strict\" # rp_filter = 1"),
        2 => line(text, "source_validation = \"loose\" # rp_filter = 2"),
        _ => {}
    }
    if !card.settings.send_redirects {
        line(text, "redirects = false # send_redirects = 0");
    }
    if card.settings.proxy_arp {
        line(text, "proxy_arp = true # proxy_arp = 1");
    }
}

/// The link-local address that every port has by itself needs no mention.
fn is_to_be_given(card: &Card, address: &Address) -> bool {
    address.permanent && address::with_link_local(card.link.mac, &[]) != [address.net]
}

fn neighbours(text: &mut String, card: &Card) {
    for known in card.neighbours.iter().filter(|known| known.permanent) {
        line(text, format_args!("\n# `ip neigh`: permanent\n[[neighbour]]"));
        line(text, format_args!("address = \"{}\"\nmac = \"{}\"", known.address, known.mac));
        line(text, format_args!("port = {}", quoted(&names::of_card(&card.link.name))));
    }
}

/// An operator's route as `[[route]]`, or why it is none.
fn static_route(text: &mut String, route: &KernelRoute, survey: &Survey) {
    let from = protocol::name(route.protocol);
    let hops: Option<Vec<_>> = route.hops.iter().map(|hop| next_hop(hop, survey)).collect();
    let Some(hops) = hops.filter(|hops| !hops.is_empty()) else {
        return line(text, format_args!("\n# Not written: {} ({from}): see `ip route`", route.to));
    };
    line(text, format_args!("\n# `ip route`: {from}, metric {}\n[[route]]", route.metric));
    line(text, format_args!("to = \"{}\"\nvia = [{}]", route.to, hops.join(", ")));
}

/// None for what `via` cannot say: no gateway, another card, a tunnel.
fn next_hop(hop: &KernelHop, survey: &Survey) -> Option<String> {
    let via = hop.via.filter(|_| !hop.encapsulated)?;
    let card = survey.cards.iter().find(|card| card.link.index == hop.device)?;
    let port = quoted(&names::of_card(&card.link.name));
    let onlink = if is_on_link(card, via) { "" } else { ", onlink = true" };
    let weight = hop.weight;
    Some(format!("{{ via = \"{via}\", port = {port}, weight = {weight}{onlink} }}"))
}

fn is_on_link(card: &Card, address: IpAddr) -> bool {
    let is_link_local = matches!(address, IpAddr::V6(a) if a.is_unicast_link_local());
    let given = card.addresses.iter().filter(|own| own.permanent).map(|own| own.net);
    is_link_local || given.into_iter().any(|net: IpNet| net.contains(&address))
}

/// Routes that somebody else makes again, and that are followed in the kernel.
fn daemons(text: &mut String, survey: &Survey) {
    for card in &survey.cards {
        let others = card.counts.iter().filter(|(protocol, _)| !BY_HAND.contains(protocol));
        for (&protocol, count) in others {
            let (name, by) = (&card.link.name, protocol::name(protocol));
            line(
                text,
                format_args!("\n# {count} routes by {name} are {by}'s, which makes them again."),
            );
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn line(text: &mut String, line: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _written = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests;
