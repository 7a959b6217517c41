//! `[[port]]`: a network card, the name of its tap, and the addresses that the router has there.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{Links, first_host, is_link_local, not_a_host, unfit};
use super::mistake::Span;
use super::policy;
use super::router::{FastPath, read_fastpath};
use super::section::{Keys, Section};
use crate::id::{PORTS_MAX, PortId};
use crate::table::policy::PortPolicy;

/// One `[[port]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its number: its place in the file, unless it had another while the router ran.
    pub id: PortId,
    /// What the operator calls the port; the tap's name. At most 15 octets.
    pub name: String,
    /// The kernel's name of the card.
    pub device: String,
    /// How AF_XDP is used on the card.
    pub mode: PortMode,
    /// The router's addresses on this port with the length of their subnets: the host bits are
    /// those of the address. Link-local addresses may be among them.
    pub addresses: Vec<IpNet>,
    /// The longest IP packet that is sent here, in octets; nothing: what the card says.
    pub mtu: Option<u16>,
    /// Most queues that the card may have in use; nothing: 64.
    pub queues: Option<u16>,
    /// Whether the XDP program may forward plain packets of this port: the port's own word, or
    /// else the router's.
    pub fastpath: FastPath,
    /// What is done here where there is a choice.
    pub policy: PortPolicy,
}

/// How AF_XDP is used on a card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortMode {
    /// The best that works: zero-copy, else copy, else generic.
    Auto,
    /// The card writes into the UMEM itself; an error if its driver cannot.
    ZeroCopy,
    /// XDP in the driver; the kernel copies each packet.
    Copy,
    /// XDP in the kernel's stack: any card, and the slowest.
    Generic,
}

/// Shortest path MTU that every IPv6 link must have (RFC 8200 section 5), in octets.
const IPV6_MTU_MIN: u16 = 1280;
/// Octets of a name that the kernel takes for a device (`IFNAMSIZ` less the closing zero).
const NAME_MAX: usize = 15;
/// Names that mean something else to the kernel.
const RESERVED: [&str; 5] = [".", "..", "all", "default", "lo"];

impl Port {
    pub(super) const KEYS: Keys = &[
        "name",
        "device",
        "mode",
        "addresses",
        "mtu",
        "queues",
        "fastpath",
        "directed_broadcast",
        "source_validation",
        "redirects",
        "proxy_arp",
    ];
}

/// The subnets of `ports`, link-local ones left out, each once for each port.
pub(super) fn connected(ports: &[Port]) -> impl Iterator<Item = (PortId, IpNet)> {
    ports.iter().flat_map(|port| {
        let nets = port.addresses.iter().map(IpNet::trunc).enumerate();
        nets.filter(|(n, net)| {
            let before = &port.addresses[..*n];
            !is_link_local(net.addr()) && before.iter().all(|other| other.trunc() != *net)
        })
        .map(move |(_, net)| (port.id, net))
    })
}

/// Read each `[[port]]`. A port with a mistake keeps its place, so that numbers stay right.
pub(super) fn read_all(root: &mut Section<'_, '_>, fastpath: FastPath) -> Links {
    let mut reader =
        Reader { fastpath, names: HashMap::new(), ports: Vec::new(), whole: true, full: false };
    for value in root.sections("[[port]]") {
        let Some(mut section) = root.open("[[port]]", Port::KEYS, value, "[[port]] above it")
        else {
            reader.whole = false;
            continue;
        };
        reader.read(&mut section);
    }
    Links { ports: reader.ports, whole: reader.whole }
}

struct Reader<'a> {
    /// What the router says, for a port that says nothing.
    fastpath: FastPath,
    /// The names that are taken, what for and where.
    names: HashMap<&'a str, (&'static str, Span)>,
    ports: Vec<Port>,
    whole: bool,
    /// There are more ports than numbers.
    full: bool,
}

impl<'a> Reader<'a> {
    fn read(&mut self, section: &mut Section<'a, '_>) {
        let id = PortId::new(self.ports.len());
        if id.is_none() && !std::mem::replace(&mut self.full, true) {
            let message = format_args!("a router has at most {PORTS_MAX} ports");
            section.refuse("name", section.span_of("name"), message, "leave this one out");
        }
        let before = section.mistakes.count();
        let name = self.read_name(section, "name", "\"lan\"");
        let device = self.read_name(section, "device", "\"eth1\"");
        let addresses = self.read_addresses(section);
        self.whole &= section.mistakes.count() == before && !self.full;
        let port = |id| Port {
            id,
            name,
            device,
            mode: read_mode(section).unwrap_or(PortMode::Auto),
            mtu: read_mtu(section, &addresses),
            queues: section.integer("queues", 1..=64),
            fastpath: read_fastpath(section).unwrap_or(self.fastpath),
            policy: policy::read_port(section),
            addresses,
        };
        self.ports.extend(id.map(port));
    }

    /// `name` or `device`: both are names in the kernel, where each is used once.
    fn read_name(
        &mut self,
        section: &mut Section<'a, '_>,
        key: &'static str,
        example: &str,
    ) -> String {
        let Some(name) = section.required_text(key, example) else { return String::new() };
        if let Some(message) = unfit_name(name.value) {
            let help = format_args!("write a name such as {example}: at most {NAME_MAX} octets");
            section.refuse(key, name.span, message, help);
            return String::new();
        }
        if let Some((taken_as, place)) = self.names.get(name.value).cloned() {
            let message = format!("\"{}\" is a port's {taken_as} already", name.value);
            let help = "the tap gets the port's name, so all names and devices must differ";
            section.contradict(key, name.span, Some(place), message, help);
        } else {
            self.names.insert(name.value, (key, name.span));
        }
        name.value.to_owned()
    }

    fn read_addresses(&self, section: &mut Section<'_, '_>) -> Vec<IpNet> {
        let mut addresses = Vec::new();
        for text in section.texts("addresses", "[\"192.168.1.1/24\"]") {
            let checked = parse_address(text.value)
                .and_then(|net| self.check_address(net, &addresses).map_or(Ok(net), Err));
            match checked {
                Ok(net) => addresses.push(net),
                Err((message, help)) => section.refuse("addresses", text.span, message, help),
            }
        }
        addresses
    }

    /// Message and mend if `net` is here already, or its subnet on another port.
    fn check_address(&self, net: IpNet, here: &[IpNet]) -> Option<(String, String)> {
        if here.iter().any(|other| other.addr() == net.addr()) {
            let message = format!("{} is given twice", net.addr());
            return Some((message, "leave one of them out".to_owned()));
        }
        let overlaps = |other: &IpNet| other.contains(&net) || net.contains(other);
        let (id, other) = connected(&self.ports)
            .filter(|_| !is_link_local(net.addr()))
            .find(|(_, other)| overlaps(other))?;
        let name = self.ports.get(id.index()).map_or("?", |port| port.name.as_str());
        let message = format!("{} overlaps {other}, which is on port {name}", net.trunc());
        Some((message, "give each port subnets of its own".to_owned()))
    }
}

/// Why the kernel takes no device of this name, if that is so (`dev_valid_name`; and `%` makes it
/// count: the tap `lan%d` would be `lan0`).
fn unfit_name(name: &str) -> Option<String> {
    let wrong = |c: char| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control();
    match name {
        "" => Some("the name is empty".to_owned()),
        long if long.len() > NAME_MAX => Some(format!("the name has {} octets", long.len())),
        name if RESERVED.contains(&name) => Some(format!("the kernel keeps \"{name}\" for itself")),
        name => name.chars().find(|&c| wrong(c)).map(|c| format!("a name cannot have {c:?} in it")),
    }
}

/// One of `addresses`: message and mend if it is none.
fn parse_address(text: &str) -> Result<IpNet, (String, String)> {
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(match text.parse::<IpAddr>() {
            Ok(address) => {
                let length = if address.is_ipv4() { 24 } else { 64 };
                let help = format!("write it with its length, such as \"{address}/{length}\"");
                (format!("{address} has no subnet"), help)
            }
            Err(_) => {
                let help = "write an address and its subnet's length, such as \"192.168.1.1/24\"";
                (format!("\"{text}\" is not an address with a subnet"), help.to_owned())
            }
        });
    };
    if let Some(reason) = unfit(net.addr()) {
        let help = "write an address that one host can have";
        return Err((format!("{} is {reason}", net.addr()), help.to_owned()));
    }
    if net.prefix_len() == 0 {
        let help = "write the subnet's length; the default route is a [[route]] to 0.0.0.0/0";
        return Err((format!("{net} puts every address on this port"), help.to_owned()));
    }
    match not_a_host(net) {
        Some(reason) => {
            let help = format!("write a host's address, such as \"{}\"", first_host(net));
            Err((format!("{} is {reason}", net.addr()), help))
        }
        None => Ok(net),
    }
}

fn read_mode(section: &mut Section<'_, '_>) -> Option<PortMode> {
    let choices = [
        ("auto", PortMode::Auto),
        ("zero-copy", PortMode::ZeroCopy),
        ("copy", PortMode::Copy),
        ("generic", PortMode::Generic),
    ];
    section.choice("mode", &choices)
}

fn read_mtu(section: &mut Section<'_, '_>, addresses: &[IpNet]) -> Option<u16> {
    let mtu = section.integer("mtu", 576..=3800)?;
    if mtu < IPV6_MTU_MIN && addresses.iter().any(|net| net.addr().is_ipv6()) {
        let message = format_args!("{mtu} is too small for the port's IPv6 address");
        let help = format_args!("write {IPV6_MTU_MIN} or more, or leave the IPv6 addresses out");
        section.refuse("mtu", section.span_of("mtu"), message, help);
    }
    Some(mtu)
}
