//! Which addresses a router or its neighbours can have, and behind which port they lie.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::port::{Port, connected};
use super::section::{At, Section};
use crate::id::PortId;

/// Why no interface can have this address, if that is so.
pub(super) fn unfit(address: IpAddr) -> Option<&'static str> {
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let reasons = [
        (address.is_multicast(), "a multicast address"),
        (address.is_loopback(), "a loopback address"),
        (address.is_unspecified(), "the unspecified address"),
        (mapped, "an IPv4-mapped address, which is never sent"),
        (address == Ipv4Addr::BROADCAST, "the broadcast address"),
    ];
    reasons.into_iter().find(|(applies, _)| *applies).map(|(_, reason)| reason)
}

/// Whether this is an IPv6 link-local address (RFC 4291 2.5.6), which means something only
/// together with a port. (The IPv4 ones of RFC 3927 lie in a subnet that a port has or has not.)
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Why the address of `net` is nobody's, if that is so: the first of a subnet is its name in IPv4
/// and all of its routers in IPv6 (RFC 4291 2.6.1), the last one is IPv4's broadcast. A subnet of
/// two addresses has only hosts (RFC 3021, RFC 6164), one of one address too.
pub(super) fn not_a_host(net: IpNet) -> Option<&'static str> {
    if net.max_prefix_len() - net.prefix_len() < 2 {
        return None;
    }
    match net {
        IpNet::V4(v4) if v4.addr() == v4.network() => Some("the network's own address"),
        IpNet::V4(v4) if v4.addr() == v4.broadcast() => Some("the subnet's broadcast address"),
        IpNet::V6(v6) if v6.addr() == v6.network() => Some("the subnet's anycast address"),
        _ => None,
    }
}

/// The first address of the subnet that a host may have, with the subnet's length.
pub(super) fn first_host(net: IpNet) -> IpNet {
    let first = match net.network() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits().saturating_add(1))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits().saturating_add(1))),
    };
    IpNet::new(first, net.prefix_len()).unwrap_or(net)
}

/// The ports of the file, for the sections that refer to them.
#[derive(Debug)]
pub(super) struct Links {
    pub ports: Vec<Port>,
    /// All names and addresses were right: one that is not found here is a mistake of its own.
    pub whole: bool,
}

impl Links {
    /// The port that `key` names.
    pub fn port(&self, section: &mut Section<'_, '_>, key: &str) -> Option<PortId> {
        let name = section.text(key)?;
        let place = self.ports.iter().position(|port| port.name == name.value);
        if place.is_none() && self.whole {
            let names: Vec<_> = self.ports.iter().map(|port| port.name.as_str()).collect();
            let message = format_args!("there is no port \"{}\"", name.value);
            let help = match names.as_slice() {
                [] => "add a [[port]] of this name".to_owned(),
                names => format!("the ports are {}", names.join(", ")),
            };
            section.refuse(key, name.span, message, help);
        }
        PortId::new(place?)
    }

    /// The port behind which the neighbour `address` is, which must be `stated` if that is given.
    /// It may lie in no subnet of a port if the file says that it is `onlink`.
    pub fn locate(
        &self,
        section: &mut Section<'_, '_>,
        key: &str,
        address: &At<IpAddr>,
        stated: Option<PortId>,
        onlink: bool,
    ) -> Option<PortId> {
        if let Some((message, help)) = self.never_a_neighbour(address.value, stated) {
            section.refuse(key, address.span.clone(), message, help);
            return None;
        }
        if is_link_local(address.value) {
            let why = "is on every port: it is link-local";
            return self.as_stated(section, key, address, stated, why);
        }
        let found = connected(&self.ports).find(|(_, net)| net.contains(&address.value));
        let problem = match found {
            _ if !self.whole => return stated,
            None if onlink => {
                let why = "could be on any port: it lies in no subnet";
                return self.as_stated(section, key, address, stated, why);
            }
            None => self.off_link(address.value),
            Some((port, net)) => match self.wrong_side(address.value, port, net, stated) {
                None => return Some(port),
                Some(problem) => problem,
            },
        };
        section.refuse(key, address.span.clone(), problem.0, problem.1);
        None
    }

    /// The port that the file states, and must state, and why.
    fn as_stated(
        &self,
        section: &mut Section<'_, '_>,
        key: &str,
        address: &At<IpAddr>,
        stated: Option<PortId>,
        why: &str,
    ) -> Option<PortId> {
        if stated.is_none() && section.get("port").is_none() {
            let message = format_args!("{} {why}", address.value);
            let help = format_args!("add port = \"{}\"", self.example());
            section.refuse(key, address.span.clone(), message, help);
        }
        stated
    }

    fn example(&self) -> &str {
        self.ports.last().map_or("wan", |port| port.name.as_str())
    }

    fn name(&self, port: PortId) -> &str {
        self.ports.get(port.index()).map_or("?", |port| port.name.as_str())
    }

    /// Message and mend if no neighbour can have this address. A link-local one that is our own on
    /// one port may be somebody else's on another.
    fn never_a_neighbour(
        &self,
        address: IpAddr,
        stated: Option<PortId>,
    ) -> Option<(String, String)> {
        let here = |n: usize| !is_link_local(address) || stated.is_some_and(|p| p.index() == n);
        let own = self.ports.iter().enumerate().find_map(|(n, port)| {
            let has = port.addresses.iter().any(|net| net.addr() == address);
            (here(n) && has).then_some(port)
        });
        let reason = match (unfit(address), own) {
            (Some(reason), _) => reason.to_owned(),
            (None, Some(port)) => format!("the router's own address on port {}", port.name),
            (None, None) => return None,
        };
        Some((format!("{address} is {reason}"), "write the address of a neighbour".to_owned()))
    }

    fn off_link(&self, address: IpAddr) -> (String, String) {
        let subnets: Vec<_> = connected(&self.ports)
            .filter(|(_, net)| net.addr().is_ipv4() == address.is_ipv4())
            .map(|(port, net)| format!("{net} ({})", self.name(port)))
            .collect();
        let help = match subnets.as_slice() {
            [] => "give a port an address in its subnet".to_owned(),
            subnets => format!("write an address out of {}", subnets.join(", ")),
        };
        (format!("{address} lies in no subnet of a port"), help)
    }

    /// Message and mend if `address`, which lies in `net` of `port`, is nobody there or is not
    /// where the file says it is.
    fn wrong_side(
        &self,
        address: IpAddr,
        port: PortId,
        net: IpNet,
        stated: Option<PortId>,
    ) -> Option<(String, String)> {
        if let Some(stated) = stated.filter(|&stated| stated != port) {
            let (right, wrong) = (self.name(port), self.name(stated));
            let message = format!("{address} is behind port {right}, not {wrong}");
            return Some((message, format!("write port = \"{right}\"")));
        }
        let reason = not_a_host(IpNet::new(address, net.prefix_len()).ok()?)?;
        let help = format!("write the address of a neighbour in {net}");
        Some((format!("{address} is {reason}"), help))
    }
}
