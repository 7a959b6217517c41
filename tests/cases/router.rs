//! The tables of the router that a case's config.toml describes, as control fills them at start.

use std::net::Ipv6Addr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv6Net};

use crate::case::HASH_SEED;
use xrouter::config::{Config, FastPath, Port};
use xrouter::control::hops::{Egress, Hops};
use xrouter::control::rib::{Action, Origin, Rib};
use xrouter::id::PortId;
use xrouter::packet::ethernet::MacAddress;
use xrouter::packet::ipv6;
use xrouter::pipeline::Tables;
use xrouter::table::adjacency::{BY_DRIVER, BY_STACK};
use xrouter::table::interface::{Interface, Snapshot};
use xrouter::table::{Budget, Fib, FibWriter, Memory};

/// What a card says that no port's `mtu` overrules.
const MTU: u16 = 1500;

/// A router without cards.
#[derive(Debug)]
pub struct Router {
    fib: Arc<Fib>,
    snapshot: Snapshot,
    pub writer: FibWriter,
    rib: Rib,
    pub hops: Hops,
}

impl Router {
    /// The router that `config` describes. Its ports have the MACs 02:00:00:00:01:01,
    /// 02:00:00:00:02:01, and so on.
    pub fn new(config: &Config) -> Self {
        Self::within(config, Memory::Anonymous)
    }

    /// The same, with its FIB in this memory.
    pub fn within(config: &Config, memory: Memory) -> Self {
        let (fib, mut writer) = FibWriter::new(budget(config), memory).expect("memory");
        let interfaces: Vec<_> = config.ports().map(|(id, port)| interface(id, port)).collect();
        let egress = interfaces.iter().zip(&config.ports).zip(1..);
        let egress = egress.map(|((interface, port), ifindex)| Egress {
            ifindex,
            mac: interface.mac,
            mtu: interface.mtu,
            engines: if port.fastpath == FastPath::Off { 0 } else { BY_DRIVER | BY_STACK },
        });
        let hops = Hops::new(egress.collect(), &mut writer).expect("room");
        let seed = config.router.hash_seed.unwrap_or(HASH_SEED);
        let interfaces = interfaces.into_iter().map(Some).collect();
        let snapshot = Snapshot::new(interfaces, config.policy.clone(), seed);
        writer.set_own(snapshot.never_sources());
        let mut router = Self { fib, snapshot, writer, rib: Rib::default(), hops };
        router.install(config);
        router
    }

    /// What the pipeline sees.
    pub fn tables(&self) -> Tables<'_> {
        Tables { fib: &self.fib, snapshot: &self.snapshot }
    }

    fn install(&mut self, config: &Config) {
        for (id, net) in config.connected() {
            self.add(net, Origin::Connected, Action::Connected(id));
        }
        for port in &config.ports {
            port.addresses.iter().filter(|net| !is_link_local(net)).for_each(|&net| self.own(net));
        }
        for route in &config.routes {
            self.add(route.to, Origin::Static, Action::Configured(route.action.clone()));
        }
        for known in &config.static_neighbours {
            let (port, address, mac) = (known.port, known.address, known.mac);
            self.hops.install(port, address, mac, &self.rib, &mut self.writer).expect("room");
        }
    }

    /// The routes that come with an address of the router.
    fn own(&mut self, net: IpNet) {
        self.add(net.addr().into(), Origin::Local, Action::Receive);
        match net {
            IpNet::V4(net) if net.prefix_len() < 31 => {
                let broadcast = std::net::IpAddr::from(net.broadcast());
                self.add(broadcast.into(), Origin::Local, Action::Broadcast);
            }
            IpNet::V6(net) if net.prefix_len() < 127 => {
                let anycast = Ipv6Net::from(net.network());
                self.add(anycast.into(), Origin::Local, Action::Receive);
            }
            _ => {}
        }
    }

    fn add(&mut self, to: IpNet, origin: Origin, action: Action) {
        self.rib.insert(to, origin.into(), action, &mut self.hops, &mut self.writer).expect("room");
    }
}

fn interface(id: PortId, port: &Port) -> Interface {
    let mac = MacAddress([2, 0, 0, 0, id.octet() + 1, 1]);
    let mut interface = Interface {
        port: id,
        mac,
        mtu: port.mtu.unwrap_or(MTU),
        addresses4: Vec::new(),
        addresses6: Vec::new(),
        virtuals: Vec::new(),
        link_local: ipv6::link_local_of(mac),
        groups: Vec::new(),
        // A veth's peer leaves checksums to the card that it takes us for.
        unfinished_checksums: port.device.starts_with("veth"),
        policy: port.policy.clone(),
    };
    for net in &port.addresses {
        match net {
            IpNet::V4(net) => interface.addresses4.push(*net),
            IpNet::V6(own) if is_link_local(net) => interface.link_local = own.addr(),
            IpNet::V6(net) => interface.addresses6.push(*net),
        }
    }
    interface.groups = groups(&interface);
    interface
}

/// The groups that a forwarding kernel joins on a tap with these addresses (RFC 1122 3.3.7,
/// RFC 4291 2.8).
fn groups(interface: &Interface) -> Vec<MacAddress> {
    let own = interface.addresses6.iter().map(Ipv6Net::addr).chain([interface.link_local]);
    let nodes: Vec<Ipv6Addr> = own.map(ipv6::solicited_node).collect();
    let all = [ipv6::ALL_NODES, ipv6::ALL_ROUTERS];
    let groups6 = nodes.into_iter().chain(all).map(MacAddress::for_ipv6_multicast);
    let all_hosts = MacAddress::for_ipv4_multicast([224, 0, 0, 1].into());
    let mut groups: Vec<_> = groups6.chain([all_hosts]).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// The room that `[tables]` of `config` gives.
pub fn budget(config: &Config) -> Budget {
    let tables = &config.tables;
    let small = |number: u32| u16::try_from(number).expect("checked");
    Budget {
        groups4: tables.ipv4_groups,
        nodes6: tables.ipv6_nodes,
        skips6: tables.ipv6_skips,
        next_hops: small(tables.next_hops),
        ecmp_groups: small(tables.ecmp_groups),
    }
}

fn is_link_local(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(net) if ipv6::is_link_local(net.addr()))
}
