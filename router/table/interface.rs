//! What changes rarely: the router's interfaces, as one immutable snapshot that control swaps
//! whole and a worker loads once in a batch.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::own::SmallFilter;
use crate::table::policy::{Policy, PortPolicy};

/// Something with addresses: today a port itself, later a VLAN on it, a tunnel, a bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// The port that its frames come and go by.
    pub port: PortId,
    /// The MAC that it answers with.
    pub mac: MacAddress,
    /// Largest IP packet, in octets.
    pub mtu: u16,
    /// IPv4 addresses, each with its subnet.
    pub addresses4: Vec<Ipv4Net>,
    /// IPv6 addresses, each with its subnet; `link_local` is not among them.
    pub addresses6: Vec<Ipv6Net>,
    /// Those of the addresses that have a MAC of their own: a virtual router's (RFC 5798 7.3).
    pub virtuals: Vec<(IpAddr, MacAddress)>,
    /// RFC 4291 2.5.6: every interface has one.
    pub link_local: Ipv6Addr,
    /// The multicast MACs that the kernel's stack listens to on this interface, sorted.
    pub groups: Vec<MacAddress>,
    /// Hosts behind this port may leave TCP and UDP checksums to their "card", which is us: a
    /// veth, a tap, a virtio card.
    pub unfinished_checksums: bool,
    /// What is done here where there is a choice.
    pub policy: PortPolicy,
}

impl Interface {
    /// Every address of this interface, the link-local one last.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.addresses4.iter().map(|net| IpAddr::V4(net.addr()));
        let v6 = self.addresses6.iter().map(|net| IpAddr::V6(net.addr()));
        v4.chain(v6).chain([IpAddr::V6(self.link_local)])
    }

    /// Whether frames to `mac`, which is no group's, are for this interface.
    #[inline]
    pub fn takes(&self, mac: MacAddress) -> bool {
        mac == self.mac || self.virtuals.iter().any(|(_, other)| *other == mac)
    }

    /// The MAC that goes with this address of the interface.
    pub fn mac_of(&self, address: IpAddr) -> MacAddress {
        let own = self.virtuals.iter().find(|(other, _)| *other == address);
        own.map_or(self.mac, |(_, mac)| *mac)
    }

    /// Whether `address` is one of this interface's IPv4 addresses.
    pub fn has4(&self, address: Ipv4Addr) -> bool {
        self.addresses4.iter().any(|net| net.addr() == address)
    }

    /// Whether `address` is one of this interface's IPv6 addresses, the link-local one included.
    pub fn has6(&self, address: Ipv6Addr) -> bool {
        address == self.link_local || self.addresses6.iter().any(|net| net.addr() == address)
    }

    /// Whether `address` can be a neighbour's: in a subnet of this interface, and not its broadcast.
    pub fn on_link4(&self, address: Ipv4Addr) -> bool {
        self.addresses4.iter().any(|net| net.contains(&address)) && !self.is_broadcast(address)
    }

    /// Whether `address` lies in a subnet of this interface, or is link-local.
    pub fn on_link6(&self, address: Ipv6Addr) -> bool {
        address.is_unicast_link_local() || self.addresses6.iter().any(|net| net.contains(&address))
    }

    /// Whether `address` is the broadcast address of a subnet here (RFC 3021: a /31 has none).
    pub fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        self.addresses4.iter().any(|net| net.prefix_len() < 31 && net.broadcast() == address)
    }

    /// Whether the kernel listens to this multicast MAC.
    pub fn joined(&self, group: MacAddress) -> bool {
        self.groups.binary_search(&group).is_ok()
    }

    /// The IPv4 address to speak with to `peer`: one of the subnet that they share, else the first.
    pub fn source4(&self, peer: Ipv4Addr) -> Option<Ipv4Addr> {
        let shared = self.addresses4.iter().find(|net| net.contains(&peer));
        shared.or(self.addresses4.first()).map(Ipv4Net::addr)
    }

    /// The IPv6 address to speak with to `peer`: link-local to link-local, else one of the subnet
    /// that they share, else the first (RFC 6724 rules 1, 2 and 8, as far as they matter here).
    pub fn source6(&self, peer: Ipv6Addr) -> Ipv6Addr {
        if peer.is_unicast_link_local() {
            return self.link_local;
        }
        self.beyond_link6(peer).unwrap_or(self.link_local)
    }

    /// The IPv6 address to speak with to `peer`, wherever it is: not the link-local one.
    pub fn beyond_link6(&self, peer: Ipv6Addr) -> Option<Ipv6Addr> {
        let shared = self.beyond_link().find(|net| net.contains(&peer));
        shared.or_else(|| self.beyond_link().next()).map(Ipv6Net::addr)
    }

    /// The IPv6 addresses that mean something beyond this link (RFC 4007 4).
    fn beyond_link(&self) -> impl Iterator<Item = &Ipv6Net> {
        self.addresses6.iter().filter(|net| !net.addr().is_unicast_link_local())
    }
}

/// Everything that changes rarely, immutable.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    interfaces: Vec<Option<Interface>>,
    /// Every IPv4 address of the router, sorted: each packet's source is looked up here.
    own4: Vec<Ipv4Addr>,
    /// Every IPv6 address of the router but the link-local ones, sorted: those mean something on
    /// their own link only (RFC 4007 4).
    own6: Vec<Ipv6Addr>,
    /// Every subnet's broadcast address, sorted.
    broadcasts: Vec<Ipv4Addr>,
    /// All of these, for most packets to be done with in one look.
    special: SmallFilter,
    /// Seed of the flow hash: two routers in a row do not choose alike (RFC 2992).
    pub hash_seed: u32,
    /// What is done where there is a choice.
    pub policy: Policy,
}

impl Snapshot {
    /// The snapshot of these interfaces: by port number, None where the port is not there.
    pub fn new(interfaces: Vec<Option<Interface>>, policy: Policy, hash_seed: u32) -> Self {
        let mut snapshot = Self { interfaces, policy, hash_seed, ..Self::default() };
        for interface in snapshot.interfaces.iter().flatten() {
            let nets = &interface.addresses4;
            snapshot.own4.extend(nets.iter().map(Ipv4Net::addr));
            let wide = nets.iter().filter(|net| net.prefix_len() < 31);
            snapshot.broadcasts.extend(wide.map(Ipv4Net::broadcast));
            snapshot.own6.extend(interface.beyond_link().map(Ipv6Net::addr));
        }
        snapshot.own4.sort_unstable();
        snapshot.own6.sort_unstable();
        snapshot.broadcasts.sort_unstable();
        snapshot.special = SmallFilter::of(snapshot.never_sources());
        snapshot
    }

    /// The interface of a port.
    #[inline]
    pub fn interface(&self, port: PortId) -> Option<&Interface> {
        self.interfaces.get(port.index())?.as_ref()
    }

    /// All interfaces that are there.
    pub fn present(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter().flatten()
    }

    /// The IPv4 address to speak with to `peer` by `port`: one of the port's, or any of the router's
    /// if it has none (RFC 1812 4.3.2.4); nothing if the port is not there.
    pub fn source4(&self, port: PortId, peer: Ipv4Addr) -> Option<Ipv4Addr> {
        let any = || self.present().find_map(|other| other.source4(peer));
        self.interface(port)?.source4(peer).or_else(any)
    }

    /// The addresses that no packet in transit comes from: the router's own, and the broadcast
    /// addresses of its subnets.
    pub fn never_sources(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.own4.iter().chain(&self.broadcasts).copied().map(IpAddr::V4);
        v4.chain(self.own6.iter().copied().map(IpAddr::V6))
    }

    /// Whether `address` may be one of those. Sometimes true for another, never false for one.
    #[inline]
    pub fn may_be_special(&self, address: IpAddr) -> bool {
        self.special.may_hold(address)
    }

    /// Whether `address` is one of this router's.
    #[inline]
    pub fn is_own4(&self, address: Ipv4Addr) -> bool {
        self.own4.binary_search(&address).is_ok()
    }

    /// Whether `address` is one of this router's.
    #[inline]
    pub fn is_own6(&self, address: Ipv6Addr) -> bool {
        self.own6.binary_search(&address).is_ok()
    }

    /// Whether `address` is the broadcast address of a subnet of this router.
    #[inline]
    pub fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        self.broadcasts.binary_search(&address).is_ok()
    }
}
