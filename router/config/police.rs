//! The `[police]` section: how many packets the kernel's stack gets.
#![forbid(unsafe_code)]

use super::section::{Keys, Section};
use crate::table::police::{Class, Limits, RATE_MAX};

pub(super) const KEYS: Keys = &[
    "neighbour_per_s",
    "routing_per_s",
    "management_per_s",
    "icmp_per_s",
    "other_per_s",
    "management_ports",
];

pub(super) fn read(section: &mut Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let mut per_s = default.per_s;
    // The keys stand in the order of the classes.
    for (&key, class) in KEYS.iter().zip(Class::ALL) {
        let limit = &mut per_s[class.index()];
        *limit = section.integer(key, 1..=RATE_MAX).unwrap_or(*limit);
    }
    let management_ports = read_ports(section).unwrap_or(default.management_ports);
    Limits { per_s, management_ports }
}

fn read_ports(section: &mut Section<'_, '_>) -> Option<Vec<u16>> {
    section.get("management_ports")?;
    let mut ports = Vec::new();
    for value in section.list("management_ports", "[22, 443]") {
        let number = value.get_ref().as_integer();
        let port = number.and_then(|n| u16::from_str_radix(n.as_str(), n.radix()).ok());
        match port.filter(|&port| port != 0) {
            Some(port) => ports.push(port),
            None => {
                let (message, help) = ("this is no port", "write the number of a port: 1 to 65535");
                section.refuse("management_ports", value.span(), message, help);
            }
        }
    }
    ports.sort_unstable();
    ports.dedup();
    Some(ports)
}
