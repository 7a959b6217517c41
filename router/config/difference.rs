//! What is to be done so that a router that runs one configuration runs another: an ordered list
//! of changes, each of which can be undone.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::setting::{AT_START, Key, LIVE, OF_CARD, OF_PORT};
use super::{Config, NextHop, Port, Resolution, RouteAction, RouterSection};
use crate::id::{PORTS_MAX, PortId};
use crate::packet::ethernet::MacAddress;
use crate::table::police::Limits;
use crate::table::policy::Policy;

/// One step from one configuration to the other. Whatever has both an old and a new value changes
/// without a moment in which it has none.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "old is what runs, new what is to run; none: it is not there")]
pub enum Change {
    /// A port goes, or comes. Another card for a port of the same name is both, one by one.
    Port { old: Option<Box<Port>>, new: Option<Box<Port>> },
    /// Keys of a port that it follows while it is in use.
    Tuning { old: Box<Port>, new: Box<Port> },
    /// The addresses of a port.
    Addresses { port: PortId, old: Vec<IpNet>, new: Vec<IpNet> },
    /// Keys that stand once in the file.
    Settings { old: Box<Settings>, new: Box<Settings> },
    /// A neighbour that the file names.
    Neighbour { port: PortId, address: IpAddr, old: Option<MacAddress>, new: Option<MacAddress> },
    /// A static route.
    Route { to: IpNet, old: Option<RouteAction>, new: Option<RouteAction> },
}

/// The keys that stand once in a file and that a running router follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `[router]`: fastpath, and the budget of ICMP errors.
    pub router: RouterSection,
    /// `[policy]`
    pub policy: Policy,
    /// `[police]`
    pub police: Limits,
    /// `[resolution]`
    pub resolution: Resolution,
}

/// Keys that are read at start only, and differ.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "needs a restart: {}; nothing was changed: restart xrouter, or put back what was there",
    .0.join(", ")
)]
pub struct NeedsRestart(pub Vec<&'static str>);

impl Change {
    /// What undoes it.
    #[must_use]
    pub fn undone(&self) -> Self {
        match self.clone() {
            Self::Port { old, new } => Self::Port { old: new, new: old },
            Self::Tuning { old, new } => Self::Tuning { old: new, new: old },
            Self::Addresses { port, old, new } => Self::Addresses { port, old: new, new: old },
            Self::Settings { old, new } => Self::Settings { old: new, new: old },
            Self::Neighbour { port, address, old, new } => {
                Self::Neighbour { port, address, old: new, new: old }
            }
            Self::Route { to, old, new } => Self::Route { to, old: new, new: old },
        }
    }
}

impl Config {
    /// Give the ports the numbers that they have in `running`, by their names. New ones get numbers
    /// from `fresh` on, which no port has had yet, or else those that are free. None: there are not
    /// enough for the old and the new ports together.
    #[must_use]
    pub fn numbered_as(mut self, running: &Self, fresh: usize) -> Option<Self> {
        let mut free: BTreeSet<_> = (0..PORTS_MAX).filter_map(PortId::new).collect();
        free.retain(|id| running.port(*id).is_none());
        let mut numbers = BTreeMap::new();
        for port in &mut self.ports {
            let id = match running.port_named(&port.name) {
                Some((id, _)) => id,
                None => *free.iter().find(|id| id.index() >= fresh).or(free.first())?,
            };
            free.remove(&id);
            numbers.insert(port.id, id);
            port.id = id;
        }
        let renumber = |port: &mut PortId| *port = numbers.get(port).copied().unwrap_or(*port);
        for route in &mut self.routes {
            if let RouteAction::Via(via) = &mut route.action {
                via.iter_mut().for_each(|next| renumber(&mut next.port));
            }
        }
        self.static_neighbours.iter_mut().for_each(|neighbour| renumber(&mut neighbour.port));
        Some(self)
    }

    /// The changes that make `self` into `new`, whose ports are numbered alike, in an order in
    /// which each can be done: what something else needs comes before it, what is replaced is
    /// replaced before anything is taken away. Routes are the last: by then every port is there.
    ///
    /// # Errors
    /// [`NeedsRestart`].
    pub fn changes_to(&self, new: &Self) -> Result<Vec<Change>, NeedsRestart> {
        let restart: Vec<_> = differing(AT_START, self, new).map(|(name, ..)| name).collect();
        if !restart.is_empty() {
            return Err(NeedsRestart(restart));
        }
        Ok(self.differences_from(new))
    }

    fn differences_from(&self, new: &Self) -> Vec<Change> {
        let mut changes = ports_that_go(self, new);
        changes.extend(settings(self, new));
        changes.extend(ports_that_come(self, new));
        changes.extend(ports_that_stay(self, new));
        changes.extend(neighbours(self, new));
        changes.extend(routes(self, new));
        changes
    }

    fn settings(&self) -> Box<Settings> {
        let Self { router, policy, police, resolution, .. } = self.clone();
        Box::new(Settings { router, policy, police, resolution })
    }
}

/// The keys whose values differ, with both.
fn differing<'a, T>(
    keys: &'a [Key<T>],
    old: &'a T,
    new: &'a T,
) -> impl Iterator<Item = (&'static str, String, String)> + 'a {
    let values = keys.iter().map(move |&(name, value)| (name, value(old), value(new)));
    values.filter(|(_, old, new)| old != new)
}

fn another_card(old: &Port, new: &Port) -> bool {
    differing(OF_CARD, old, new).next().is_some()
}

/// The port of the same number and with the same card.
fn counterpart<'a>(port: &Port, config: &'a Config) -> Option<&'a Port> {
    config.port(port.id).filter(|other| !another_card(port, other))
}

fn ports_that_go(old: &Config, new: &Config) -> Vec<Change> {
    let gone = old.ports.iter().filter(|port| counterpart(port, new).is_none());
    gone.map(|port| Change::Port { old: Some(Box::new(port.clone())), new: None }).collect()
}

fn ports_that_come(old: &Config, new: &Config) -> Vec<Change> {
    let added = new.ports.iter().filter(|port| counterpart(port, old).is_none());
    added.map(|port| Change::Port { old: None, new: Some(Box::new(port.clone())) }).collect()
}

fn ports_that_stay(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    for port in &new.ports {
        let Some(before) = counterpart(port, old) else { continue };
        if differing(OF_PORT, before, port).next().is_some() {
            let tuned = Port { addresses: before.addresses.clone(), ..port.clone() };
            changes.push(Change::Tuning { old: Box::new(before.clone()), new: Box::new(tuned) });
        }
        if before.addresses != port.addresses {
            let (old, new) = (before.addresses.clone(), port.addresses.clone());
            changes.push(Change::Addresses { port: port.id, old, new });
        }
    }
    changes
}

fn settings(old: &Config, new: &Config) -> Option<Change> {
    let (old, new) = (old.settings(), new.settings());
    (old != new).then_some(Change::Settings { old, new })
}

fn neighbours(old: &Config, new: &Config) -> Vec<Change> {
    let known = |config: &Config| -> BTreeMap<_, _> {
        config.static_neighbours.iter().map(|n| ((n.port, n.address), n.mac)).collect()
    };
    let change = |((port, address), old, new)| Change::Neighbour { port, address, old, new };
    differences(&known(old), &known(new)).into_iter().map(change).collect()
}

fn routes(old: &Config, new: &Config) -> Vec<Change> {
    let known = |config: &Config| -> BTreeMap<_, _> {
        config.routes.iter().map(|route| (route.to, route.action.clone())).collect()
    };
    let change = |(to, old, new)| Change::Route { to, old, new };
    differences(&known(old), &known(new)).into_iter().map(change).collect()
}

/// What is new or other comes first, so that nothing is without a way that has one before and after.
fn differences<K: Ord + Copy, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> Vec<(K, Option<V>, Option<V>)> {
    let set = new.iter().filter(|(key, value)| old.get(key) != Some(value));
    let set = set.map(|(key, value)| (*key, old.get(key).cloned(), Some(value.clone())));
    let gone = old.iter().filter(|(key, _)| !new.contains_key(key));
    set.chain(gone.map(|(key, value)| (*key, Some(value.clone()), None))).collect()
}

/// What becomes of a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// It comes.
    Added,
    /// It goes.
    Removed,
    /// It stays and is another.
    Changed,
}

/// A line of the difference, as an operator reads it: `+ route 10.9.0.0/16 via 10.2.0.2 port wan`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What becomes of it.
    pub sign: Sign,
    /// What it is.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            Sign::Added => '+',
            Sign::Removed => '-',
            Sign::Changed => '~',
        };
        write!(f, "{sign} {}", self.text)
    }
}

/// The difference as lines; the ports' names are found in one of the two configurations.
pub fn lines(changes: &[Change], old: &Config, new: &Config) -> Vec<Line> {
    let writer = Writer { old, new };
    changes.iter().flat_map(|change| writer.lines(change)).collect()
}

/// What `new` has otherwise than `old`, whether or not a running router could follow.
pub fn lines_between(old: &Config, new: Config) -> Vec<Line> {
    // More ports than there are numbers are compared as they are numbered.
    let new = new.clone().numbered_as(old, 0).unwrap_or(new);
    let mut all = lines(&old.differences_from(&new), old, &new);
    let restart = differing(AT_START, old, &new);
    all.extend(restart.map(|(key, from, to)| changed(key, &from, &to)));
    all
}

struct Writer<'c> {
    old: &'c Config,
    new: &'c Config,
}

impl Writer<'_> {
    fn lines(&self, change: &Change) -> Vec<Line> {
        match change {
            Change::Port { old, new } => {
                let text = |port: &Port| format!("port {} device {}", port.name, port.device);
                vec![whole("", old.as_deref().map(text), new.as_deref().map(text))]
            }
            Change::Tuning { old, new } => {
                let keys = differing(OF_PORT, old, new);
                keys.map(|(key, from, to)| changed(&format!("port {} {key}", old.name), &from, &to))
                    .collect()
            }
            Change::Addresses { port, old, new } => self.addresses(*port, old, new),
            Change::Settings { .. } => {
                let keys = differing(LIVE, self.old, self.new);
                keys.map(|(key, from, to)| changed(key, &from, &to)).collect()
            }
            Change::Neighbour { port, address, old, new } => {
                let text = |mac: &MacAddress| format!("mac {mac} port {}", self.name(*port));
                let what = format!("neighbour {address} ");
                vec![whole(&what, old.as_ref().map(text), new.as_ref().map(text))]
            }
            Change::Route { to, old, new } => {
                let text = |action: &RouteAction| self.action(action);
                let what = format!("route {to} ");
                vec![whole(&what, old.as_ref().map(text), new.as_ref().map(text))]
            }
        }
    }

    fn addresses(&self, port: PortId, old: &[IpNet], new: &[IpNet]) -> Vec<Line> {
        let name = self.name(port);
        let text = |net: &IpNet| format!("address {net} port {name}");
        let added = new.iter().filter(|net| !old.contains(net));
        let gone = old.iter().filter(|net| !new.contains(net));
        let added = added.map(|net| whole("", None, Some(text(net))));
        let lines: Vec<_> = added.chain(gone.map(|net| whole("", Some(text(net)), None))).collect();
        if lines.is_empty() {
            // The first of a port's addresses is what it speaks with beyond its link.
            return vec![changed(&format!("port {name} addresses"), &list(old), &list(new))];
        }
        lines
    }

    fn action(&self, action: &RouteAction) -> String {
        match action {
            RouteAction::Via(via) => {
                via.iter().map(|next| self.next_hop(next)).collect::<Vec<_>>().join(" ")
            }
            RouteAction::Blackhole => "type blackhole".to_owned(),
            RouteAction::Unreachable => "type unreachable".to_owned(),
            RouteAction::Prohibit => "type prohibit".to_owned(),
        }
    }

    fn next_hop(&self, next: &NextHop) -> String {
        let weight =
            if next.weight == 1 { String::new() } else { format!(" weight {}", next.weight) };
        format!("via {} port {}{weight}", next.via, self.name(next.port))
    }

    fn name(&self, id: PortId) -> &str {
        let port = self.new.port(id).or(self.old.port(id));
        port.map_or("?", |port| port.name.as_str())
    }
}

fn whole(what: &str, old: Option<String>, new: Option<String>) -> Line {
    match (old, new) {
        (None, Some(new)) => Line { sign: Sign::Added, text: format!("{what}{new}") },
        (Some(old), Some(new)) => changed(what.trim_end(), &old, &new),
        (old, None) => {
            let old = old.unwrap_or_default();
            Line { sign: Sign::Removed, text: format!("{what}{old}") }
        }
    }
}

fn changed(what: &str, from: &str, to: &str) -> Line {
    Line { sign: Sign::Changed, text: format!("{what}: {from} -> {to}") }
}

fn list(nets: &[IpNet]) -> String {
    nets.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
