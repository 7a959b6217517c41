//! `[[neighbour]]`: a neighbour whose MAC address is given, not asked for.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::IpAddr;

use super::address::Links;
use super::section::{At, Keys, Section};
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;

/// One `[[neighbour]]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StaticNeighbour {
    /// Its address: in a subnet of the port, or link-local.
    pub address: IpAddr,
    /// Its MAC address: not a group's, not zero.
    pub mac: MacAddress,
    /// The port behind which it is.
    pub port: PortId,
}

impl StaticNeighbour {
    pub(super) const KEYS: Keys = &["address", "mac", "port"];
}

/// Read each `[[neighbour]]`; `neighbours_max` is the table's size.
pub(super) fn read_all(
    root: &mut Section<'_, '_>,
    links: &Links,
    neighbours_max: u32,
) -> Vec<StaticNeighbour> {
    let mut neighbours = Vec::new();
    let mut seen = HashMap::new();
    for value in root.sections("[[neighbour]]") {
        let wanted = "[[neighbour]] above it";
        let section = root.open("[[neighbour]]", StaticNeighbour::KEYS, value, wanted);
        let Some(mut section) = section else { continue };
        let Some(neighbour) = read(&mut section, links) else { continue };
        let place = section.span_of("address");
        let message = format!("{} is given twice", neighbour.address);
        if let Some(earlier) = seen.insert((neighbour.port, neighbour.address), place.clone()) {
            section.contradict("address", place, Some(earlier), message, "leave one of them out");
        } else if seen.len() > neighbours_max as usize {
            let message = format_args!("the table holds {neighbours_max} neighbours");
            section.refuse("address", place, message, "raise `neighbours` in [tables]");
        }
        neighbours.push(neighbour);
    }
    neighbours
}

fn read(section: &mut Section<'_, '_>, links: &Links) -> Option<StaticNeighbour> {
    if section.get("port").is_none() {
        section.missing("port", "\"lan\"");
    }
    let port = links.port(section, "port");
    let mac = read_mac(section);
    let address = read_address(section)?;
    let port = links.locate(section, "address", &address, port, false);
    Some(StaticNeighbour { address: address.value, mac: mac?, port: port? })
}

fn read_address(section: &mut Section<'_, '_>) -> Option<At<IpAddr>> {
    let text = section.required_text("address", "\"192.168.1.7\"")?;
    let Ok(value) = text.value.parse() else {
        let message = format_args!("\"{}\" is not an address", text.value);
        section.refuse("address", text.span, message, "write an address without a length");
        return None;
    };
    Some(At { value, span: text.span })
}

fn read_mac(section: &mut Section<'_, '_>) -> Option<MacAddress> {
    let text = section.required_text("mac", "\"02:00:00:00:00:01\"")?;
    let mac = text.value.parse::<MacAddress>().ok();
    let problem = match mac {
        Some(mac) if mac.is_unicast() => return Some(mac),
        Some(mac) if mac.is_multicast() => format!("{mac} is a group's address"),
        Some(mac) => format!("{mac} is nobody's address"),
        None => format!("\"{}\" is not a MAC address", text.value),
    };
    let help = "write the address of one card, such as \"02:00:00:00:00:01\"";
    section.refuse("mac", text.span, problem, help);
    None
}
