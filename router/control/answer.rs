//! What the router says of itself: from its state to the rows of [`super::view`].
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;
use tokio::sync::oneshot;

use super::neighbour::Neighbour;
use super::port::Port;
use super::request::Question;
use super::rib::{Action, Source, adjacency_name, kind_name};
use super::{Router, verify, view};
use crate::config::{NextHop, protocol};
use crate::id::PortId;
use crate::io::xdp::Traffic;
use crate::pipeline::counters::PortCounters;
use crate::pipeline::police::reason;
use crate::pipeline::verdict::DropReason;
use crate::table::police::Class;

impl Router {
    /// Answer: at once, or when the kernel has been asked.
    pub(super) fn reply(&mut self, question: &Question, answer: oneshot::Sender<Value>) {
        if *question == Question::Verify && self.mirror.is_on() {
            return self.mirror.verify(answer);
        }
        // Whoever asked may have gone away.
        let _ = answer.send(self.answer(question));
    }

    /// The answer to a question, as JSON.
    fn answer(&self, question: &Question) -> Value {
        let value = match question {
            Question::Ports => serde_json::to_value(self.show_ports()),
            Question::Routes => serde_json::to_value(self.show_routes()),
            Question::Lookup(address) => serde_json::to_value(self.show_lookup(*address)),
            Question::Neighbours => serde_json::to_value(self.show_neighbours()),
            Question::Counters => serde_json::to_value(self.show_counters()),
            Question::Drops => serde_json::to_value(self.show_drops()),
            Question::Police => serde_json::to_value(self.show_police()),
            Question::Workers => serde_json::to_value(self.show_workers()),
            Question::Tables => serde_json::to_value(self.show_tables()),
            Question::Kernel => serde_json::to_value(self.show_kernel()),
            Question::Verify => Ok(verify::without_kernel(&self.rib, &self.hops, &self.fib)),
            Question::Reload => serde_json::to_value(self.show_reload()),
            Question::Config => serde_json::to_value(self.show_config()),
        };
        value.unwrap_or_else(|error| unreachable!("plain structs become JSON: {error}"))
    }

    fn show_ports(&self) -> Vec<view::Port> {
        self.ports.iter().map(|port| port.view(self.now())).collect()
    }

    fn show_routes(&self) -> Vec<view::Route> {
        self.rib.best().map(|(to, source, action)| self.route(to, source, action)).collect()
    }

    fn route(&self, to: IpNet, source: Source, action: &Action) -> view::Route {
        let next_hops: Vec<_> = action.via().iter().map(|n| self.next_hop(n)).collect();
        let port = match action.does() {
            Action::Connected(port) => Some(self.port_name(*port)),
            _ => next_hops.first().map(|next| next.port.clone()),
        };
        view::Route {
            to: to.to_string(),
            via: next_hops.first().map(|next| next.via.clone()),
            port,
            origin: source.origin.name().to_owned(),
            protocol: action.note().map(|note| protocol::name(note.protocol)),
            metric: source.metric,
            kind: kind_name(action).to_owned(),
            next_hops,
            elsewhere: action.note().map_or(0, |note| note.elsewhere),
        }
    }

    fn next_hop(&self, next: &NextHop) -> view::NextHop {
        let neighbour = self.neighbour(next.port, next.via);
        view::NextHop {
            via: next.via.to_string(),
            port: self.port_name(next.port),
            weight: next.weight,
            mac: neighbour.and_then(|n| n.mac).map(|mac| mac.to_string()),
            state: neighbour.map(|n| n.state.to_string()),
        }
    }

    fn show_lookup(&self, address: IpAddr) -> view::Lookup {
        let found = self.rib.lookup(address);
        let gateway = found.and_then(|(_, _, action)| match action.does() {
            Action::Connected(port) => Some((*port, address)),
            other => other.via().first().map(|next| (next.port, next.via)),
        });
        let neighbour = gateway.and_then(|(port, address)| self.neighbour(port, address));
        let hop = match address {
            IpAddr::V4(address) => self.fib.fib().v4.lookup(address.into()),
            IpAddr::V6(address) => self.fib.fib().v6.lookup(address.into()),
        };
        let adjacency = hop.map(|hop| self.fib.fib().next_hops.adjacency(hop, || 0).1.kind());
        view::Lookup {
            address: address.to_string(),
            route: found.map(|(to, source, action)| self.route(to, source, action)),
            neighbour: gateway.map(|(_, address)| address.to_string()),
            mac: neighbour.and_then(|n| n.mac).map(|mac| mac.to_string()),
            state: neighbour.map(|n| n.state.to_string()),
            adjacency: adjacency.map(|kind| adjacency_name(kind).to_owned()),
        }
    }

    fn neighbour(&self, port: PortId, address: IpAddr) -> Option<Neighbour> {
        self.neighbours.get(port, address, self.now())
    }

    fn show_neighbours(&self) -> Vec<view::Neighbour> {
        let row = |neighbour: Neighbour| view::Neighbour {
            address: neighbour.address.to_string(),
            mac: neighbour.mac.map(|mac| mac.to_string()),
            port: self.port_name(neighbour.port),
            state: neighbour.state.to_string(),
            age_s: neighbour.age.as_secs(),
            router: neighbour.router,
        };
        self.neighbours.iter(self.now()).map(row).collect()
    }

    fn show_counters(&self) -> Vec<view::Counters> {
        self.ports
            .iter()
            .map(|port| {
                let mut row = view::Counters {
                    port: port.name().to_owned(),
                    dropped: 0,
                    passed: port.passed(),
                    counters: self.forwarded_by_programs(port.id()),
                };
                for counters in self.counters_of(port.id()) {
                    row.dropped += counters.dropped_in_all();
                    for (name, value) in counters.named() {
                        let sum = row.counters.entry(name.to_owned()).or_default();
                        *sum = sum.wrapping_add(value);
                    }
                }
                row
            })
            .collect()
    }

    /// What the XDP programs add to a port's counters, as if the workers had done it.
    fn forwarded_by_programs(&self, id: PortId) -> BTreeMap<String, u64> {
        let (mut came, mut left) = (Traffic::default(), Traffic::default());
        for other in self.ports.iter() {
            came += self.ports[id.index()].forwarded_to(other.id());
            left += other.forwarded_to(id);
        }
        let rows = [
            ("fast_path", came.frames),
            ("received", came.frames),
            ("received_octets", came.octets_in),
            ("transmitted", left.frames),
            ("transmitted_octets", left.octets_out),
        ];
        rows.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn show_drops(&self) -> Vec<view::Drop> {
        let mut rows = Vec::new();
        for port in self.ports.iter() {
            for &reason in DropReason::ALL {
                let of_worker = |counters: &PortCounters| counters.dropped[reason.index()].get();
                let packets = self.counters_of(port.id()).map(of_worker).sum();
                if packets > 0 {
                    rows.push(view::Drop {
                        port: port.name().to_owned(),
                        reason: reason.name().to_owned(),
                        packets,
                        meaning: reason.meaning().to_owned(),
                        mend: reason.mend().to_owned(),
                    });
                }
            }
        }
        rows
    }

    fn show_police(&self) -> Vec<view::Policed> {
        let row = |port: &Port, class: Class| {
            let sum = |of_worker: fn(&PortCounters, Class) -> u64| {
                self.counters_of(port.id()).map(|counters| of_worker(counters, class)).sum()
            };
            view::Policed {
                port: port.name().to_owned(),
                class: class.name().to_owned(),
                limit_per_s: self.config.police.per_s[class.index()],
                admitted: sum(|counters, class| counters.admitted[class.index()].get()),
                dropped: sum(|counters, class| counters.dropped[reason(class).index()].get()),
            }
        };
        let of_port = |port| Class::ALL.iter().map(move |&class| row(port, class));
        self.ports.iter().flat_map(of_port).collect()
    }

    fn show_tables(&self) -> Vec<view::Table> {
        let (used, refused) = (self.neighbours.len() as u64, self.neighbours.stats().refused);
        let limit = u64::from(self.config.tables.neighbours);
        let row = |(table, used, limit, refused): (&str, u64, u64, u64)| view::Table {
            table: table.to_owned(),
            used,
            limit,
            refused,
        };
        let fib = self.fib.usage().rows();
        std::iter::once(("neighbours", used, limit, refused)).chain(fib).map(row).collect()
    }

    /// What each worker counts at one port.
    pub(super) fn counters_of(&self, port: PortId) -> impl Iterator<Item = &PortCounters> {
        self.workers.iter().map(move |worker| worker.counters.port(port))
    }

    fn show_workers(&self) -> Vec<view::Worker> {
        let row = |(number, worker): (usize, &super::workers::Handle)| {
            let counters = &worker.counters;
            view::Worker {
                worker: number,
                core: worker.core,
                health: if worker.pulse.is_missed() { "stuck" } else { "good" }.to_owned(),
                rounds: counters.rounds.get(),
                idle_rounds: counters.idle_rounds.get(),
                sleeps: counters.sleeps.get(),
                mail_lost: counters.mail_lost.get(),
                invalid_descriptors: counters.invalid_descriptors.get(),
                umem: counters.ledger.get(),
            }
        };
        self.workers.iter().enumerate().map(row).collect()
    }

    fn port_name(&self, port: PortId) -> String {
        self.ports.get(port).map_or_else(String::new, |port| port.name().to_owned())
    }
}
