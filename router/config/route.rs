//! `[[route]]`: a static route.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use toml::de::DeValue;

use super::address::{Links, is_link_local};
use super::mistake::Span;
use super::port::connected;
use super::section::{At, Keys, Section, Value};
use crate::id::PortId;

/// One `[[route]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The destinations. No host bits are set.
    pub to: IpNet,
    /// What happens to packets for them.
    pub action: RouteAction,
}

/// What happens to a packet that a route matches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RouteAction {
    /// It goes to one of these next hops, of which there is at least one.
    Via(Vec<NextHop>),
    /// It is dropped without a word.
    Blackhole,
    /// It is dropped, and its sender told "host unreachable" (IPv6: "address unreachable").
    Unreachable,
    /// It is dropped, and its sender told "administratively prohibited".
    Prohibit,
}

/// One of a route's next hops.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NextHop {
    /// The neighbour. IPv6 for an IPv4 route is allowed (RFC 8950); the reverse is not.
    pub via: IpAddr,
    /// The port behind which the neighbour is.
    pub port: PortId,
    /// The share of flows that goes here is `weight` out of the sum of all weights. 1..=255.
    pub weight: u8,
}

/// Most next hops of one route.
pub const NEXT_HOPS_MAX: usize = 64;

impl Route {
    pub(super) const KEYS: Keys = &["to", "via", "port", "onlink", "type"];
}

impl NextHop {
    pub(super) const KEYS: Keys = &["via", "weight", "port", "onlink"];
}

/// Read each `[[route]]`.
pub(super) fn read_all(root: &mut Section<'_, '_>, links: &Links) -> Vec<Route> {
    let mut reader = Reader { links, seen: HashMap::new() };
    let values = root.sections("[[route]]").iter();
    let routes = values.filter_map(|value| {
        let mut section = root.open("[[route]]", Route::KEYS, value, "[[route]] above it")?;
        reader.read(&mut section)
    });
    routes.collect()
}

/// What the file says of where a next hop is.
#[derive(Clone, Copy)]
struct Place {
    port: Option<PortId>,
    onlink: bool,
}

struct Reader<'l> {
    links: &'l Links,
    /// The destinations that have a route, and where.
    seen: HashMap<IpNet, Span>,
}

impl Reader<'_> {
    fn read(&mut self, section: &mut Section<'_, '_>) -> Option<Route> {
        let to = self.read_to(section);
        let action = self.read_action(section, to);
        Some(Route { to: to?, action: action? })
    }

    fn read_to(&mut self, section: &mut Section<'_, '_>) -> Option<IpNet> {
        let text = section.required_text("to", "\"10.0.0.0/8\"")?;
        let checked = parse_prefix(text.value).and_then(|to| match self.owner(to) {
            None => Ok(to),
            Some(name) => {
                let help = "leave the route out: a port's own subnet needs none";
                Err((format!("{to} is on port {name} already"), help.to_owned()))
            }
        });
        let to = match checked {
            Ok(to) => to,
            Err((message, help)) => {
                section.refuse("to", text.span, message, help);
                return None;
            }
        };
        if let Some(earlier) = self.seen.insert(to, text.span.clone()) {
            let message = format_args!("{to} has a route already");
            let help = "make them one: via = [{ via = \"...\" }, { via = \"...\" }]";
            section.contradict("to", text.span, Some(earlier), message, help);
        }
        Some(to)
    }

    /// The name of the port whose subnet is just `to`.
    fn owner(&self, to: IpNet) -> Option<&str> {
        let (id, _) = connected(&self.links.ports).find(|(_, net)| *net == to)?;
        self.links.ports.get(id.index()).map(|port| port.name.as_str())
    }

    fn read_action(&self, section: &mut Section<'_, '_>, to: Option<IpNet>) -> Option<RouteAction> {
        if section.get("type").is_none() {
            return self.read_via(section, to).map(RouteAction::Via);
        }
        for key in ["via", "port", "onlink"] {
            if let Some(value) = section.get(key) {
                let message = "a route with a type leads nowhere";
                let help = format_args!("leave `{key}` out, or `type`");
                section.refuse(key, value.span(), message, help);
            }
        }
        let choices = [
            ("blackhole", RouteAction::Blackhole),
            ("unreachable", RouteAction::Unreachable),
            ("prohibit", RouteAction::Prohibit),
        ];
        section.choice("type", &choices)
    }

    fn read_via(&self, section: &mut Section<'_, '_>, to: Option<IpNet>) -> Option<Vec<NextHop>> {
        let before = section.mistakes.count();
        let place = self.read_place(section);
        let Some(value) = section.get("via") else {
            let help = "add via = \"ADDRESS\", or type = \"blackhole\"";
            section.refuse("via", section.span.clone(), "missing", help);
            return None;
        };
        let hops = match value.get_ref() {
            DeValue::String(_) => Vec::from_iter(self.read_hop(section, to, place, 1)),
            _ => self.read_hops(section, to, place),
        };
        (section.mistakes.count() == before).then_some(hops)
    }

    fn read_place(&self, section: &mut Section<'_, '_>) -> Place {
        let port = self.links.port(section, "port");
        Place { port, onlink: section.boolean("onlink").unwrap_or(false) }
    }

    fn read_hops(
        &self,
        section: &mut Section<'_, '_>,
        to: Option<IpNet>,
        place: Place,
    ) -> Vec<NextHop> {
        let list = section.list("via", "\"ADDRESS\" or [{ via = \"ADDRESS\" }, ...]");
        let mut hops: Vec<NextHop> = Vec::new();
        for value in list {
            let Some(hop) = self.read_member(section, value, to, place) else { continue };
            if hops.iter().any(|other| (other.via, other.port) == (hop.via, hop.port)) {
                let message = format_args!("{} is given twice", hop.via);
                section.refuse("via", value.span(), message, "give it once, with a weight");
            }
            hops.push(hop);
        }
        let empty =
            section.get("via").and_then(|v| v.get_ref().as_array()).filter(|_| list.is_empty());
        if empty.is_some() || list.len() > NEXT_HOPS_MAX {
            let message = format_args!("{} next hops", list.len());
            let help = format_args!("give the route 1 to {NEXT_HOPS_MAX} of them");
            section.refuse("via", section.span_of("via"), message, help);
        }
        hops
    }

    /// One member of a list: `{ via = "ADDRESS", weight = 2, port = "wan" }`.
    fn read_member<'a>(
        &self,
        section: &mut Section<'a, '_>,
        value: Value<'a>,
        to: Option<IpNet>,
        of_route: Place,
    ) -> Option<NextHop> {
        let wanted = "it as { via = \"ADDRESS\" }, with a weight if you like";
        let mut hop = section.open("[[route]] via", NextHop::KEYS, value, wanted)?;
        let own = self.read_place(&mut hop);
        let place =
            Place { port: own.port.or(of_route.port), onlink: own.onlink || of_route.onlink };
        let weight = hop.integer("weight", 1..=255).unwrap_or(1);
        self.read_hop(&mut hop, to, place, weight)
    }

    /// `via` of a route or of a member of its list.
    fn read_hop(
        &self,
        section: &mut Section<'_, '_>,
        to: Option<IpNet>,
        place: Place,
        weight: u8,
    ) -> Option<NextHop> {
        let text = section.required_text("via", "\"ADDRESS\"")?;
        let Ok(via) = text.value.parse::<IpAddr>() else {
            let message = format_args!("\"{}\" is not an address", text.value);
            section.refuse("via", text.span, message, "write an address without a length");
            return None;
        };
        if matches!(to, Some(IpNet::V6(_))) && via.is_ipv4() {
            let message = "an IPv6 route cannot have an IPv4 next hop";
            section.refuse("via", text.span, message, "write the neighbour's IPv6 address");
            return None;
        }
        let at = At { value: via, span: text.span };
        let port = self.links.locate(section, "via", &at, place.port, place.onlink)?;
        Some(NextHop { via, port, weight })
    }
}

/// A destination: message and mend if `text` is none.
fn parse_prefix(text: &str) -> Result<IpNet, (String, String)> {
    let Ok(net) = text.parse::<IpNet>() else {
        let help = match text.parse::<IpAddr>() {
            Ok(address) if address.is_ipv4() => format!("write \"{text}/32\" for this one host"),
            Ok(_) => format!("write \"{text}/128\" for this one host"),
            Err(_) if text == "default" => "write \"0.0.0.0/0\" or \"::/0\"".to_owned(),
            Err(_) => "write an address and a length, such as \"10.0.0.0/8\"".to_owned(),
        };
        return Err((format!("\"{text}\" is not a prefix"), help));
    };
    if net != net.trunc() {
        let message = format!("{net} has bits set behind its length");
        return Err((message, format!("write \"{}\"", net.trunc())));
    }
    if net.addr().is_multicast() || is_link_local(net.addr()) {
        let help = "leave it out: this is not a unicast prefix that a router forwards";
        return Err((format!("{net} cannot be routed"), help.to_owned()));
    }
    Ok(net)
}
