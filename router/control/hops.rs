//! Next hops of neighbours: what stands between a route and a MAC.
//!
//! A gateway has one next hop however many routes lead through it; a host on a connected subnet
//! has one, and a host route, while its MAC is known. A new MAC is one store.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::groups::Groups;
use super::rib::{Action, Rib, erase, write};
use crate::id::{NextHopId, PortId};
use crate::packet::ethernet::MacAddress;
use crate::pipeline::verdict::Awaited;
use crate::table::{Adjacency, AdjacencyKind, FibWriter, TableFull};

/// What every adjacency of a port has in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Egress {
    /// The card.
    pub ifindex: u32,
    /// The port's own MAC.
    pub mac: MacAddress,
    /// Largest IP packet, in octets.
    pub mtu: u16,
    /// Which XDP programs may send by the port: bits of `Adjacency::engines`.
    pub engines: u8,
}

#[derive(Debug)]
struct Hop {
    id: NextHopId,
    /// Routes that lead through this neighbour.
    routes: usize,
    mac: Option<MacAddress>,
    /// The neighbour's own route is in the FIB.
    host_route: bool,
}

/// The next hops of everything that has one.
#[derive(Debug)]
pub struct Hops {
    /// For the router itself.
    pub receive: NextHopId,
    /// Dropped in silence.
    pub blackhole: NextHopId,
    /// Dropped, and the sender told.
    pub unreachable: NextHopId,
    /// Dropped, and the sender told that it is forbidden.
    pub prohibit: NextHopId,
    gleans: Vec<NextHopId>,
    egress: Vec<Egress>,
    /// Which ports have a link.
    links: Vec<bool>,
    /// The sets of next hops behind routes with several.
    pub(super) groups: Groups,
    neighbours: HashMap<(PortId, IpAddr), Hop>,
    by_id: HashMap<NextHopId, (PortId, IpAddr)>,
}

impl Hops {
    /// The next hops that are always there: one of each kind, and one for each port.
    pub fn new(egress: Vec<Egress>, fib: &mut FibWriter) -> Result<Self, TableFull> {
        let mut plain = |kind| fib.allocate(Adjacency::plain(kind));
        let receive = plain(AdjacencyKind::Receive)?;
        let blackhole = plain(AdjacencyKind::Blackhole)?;
        let unreachable = plain(AdjacencyKind::Unreachable)?;
        let prohibit = plain(AdjacencyKind::Prohibit)?;
        let glean = |(number, egress): (usize, &Egress)| {
            let port = PortId::new(number).ok_or(TableFull)?;
            fib.allocate(unresolved(AdjacencyKind::Glean, port, egress))
        };
        let gleans = egress.iter().enumerate().map(glean).collect::<Result<_, _>>()?;
        Ok(Self {
            receive,
            blackhole,
            unreachable,
            prohibit,
            gleans,
            links: vec![true; egress.len()],
            egress,
            groups: Groups::default(),
            neighbours: HashMap::new(),
            by_id: HashMap::new(),
        })
    }

    /// The next hop of the subnets of `port`.
    pub fn glean(&self, port: PortId) -> NextHopId {
        self.gleans[port.index()]
    }

    /// One more port, or another one of this number. It has no link yet.
    pub fn set_port(
        &mut self,
        port: PortId,
        egress: Egress,
        fib: &mut FibWriter,
    ) -> Result<(), TableFull> {
        while self.gleans.len() <= port.index() {
            self.gleans.push(fib.allocate(Adjacency::plain(AdjacencyKind::Unreachable))?);
            self.egress.push(egress);
            self.links.push(false);
        }
        self.set_egress(port, egress, fib);
        Ok(())
    }

    /// The port has another card, MAC or MTU: every adjacency of it is written anew.
    pub fn set_egress(&mut self, port: PortId, egress: Egress, fib: &mut FibWriter) {
        self.egress[port.index()] = egress;
        self.rewrite(port, fib);
    }

    /// The link of the port is there, or is not: then whoever is behind it is unreachable at once,
    /// and groups do without the gateways there until their MACs are known again.
    pub fn set_link(&mut self, port: PortId, up: bool, fib: &mut FibWriter) {
        if std::mem::replace(&mut self.links[port.index()], up) != up {
            self.rewrite(port, fib);
        }
        for (_, hop) in self.neighbours.iter().filter(|((at, _), _)| *at == port) {
            if !up || hop.mac.is_some() {
                self.groups.set_dead(hop.id, !up, fib);
            }
        }
    }

    /// The neighbour does not answer: groups do without it. Whether there are any.
    pub fn fail(&mut self, port: PortId, address: IpAddr, fib: &mut FibWriter) -> bool {
        let Some(hop) = self.neighbours.get(&(port, address)) else { return false };
        self.groups.set_dead(hop.id, true, fib);
        self.groups.is_member(hop.id)
    }

    /// The gateways that groups do without, though their links are there.
    pub fn missed(&self) -> Vec<(PortId, IpAddr)> {
        let gateways = self.groups.dead().filter_map(|id| self.by_id.get(&id).copied());
        gateways.filter(|(port, _)| self.links[port.index()]).collect()
    }

    /// The next hop of a gateway, for one more route.
    pub fn use_gateway(
        &mut self,
        port: PortId,
        gateway: IpAddr,
        fib: &mut FibWriter,
    ) -> Result<NextHopId, TableFull> {
        let hop = self.hop(port, gateway, fib)?;
        hop.routes += 1;
        Ok(hop.id)
    }

    /// One route less leads through this gateway.
    pub fn release_gateway(&mut self, port: PortId, gateway: IpAddr, fib: &mut FibWriter) {
        if let Some(hop) = self.neighbours.get_mut(&(port, gateway)) {
            hop.routes = hop.routes.saturating_sub(1);
        }
        self.forget_unused(port, gateway, fib);
    }

    /// A neighbour's MAC is known, or is another one.
    ///
    /// # Errors
    /// [`TableFull`]: it stays unknown to the workers.
    pub fn install(
        &mut self,
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
        rib: &Rib,
        fib: &mut FibWriter,
    ) -> Result<(), TableFull> {
        let (adjacency, up) = (self.adjacency(port, Some(mac)), self.links[port.index()]);
        let hop = self.hop(port, address, fib)?;
        hop.mac = Some(mac);
        let (id, has_route) = (hop.id, hop.host_route);
        fib.set(id, adjacency);
        self.groups.set_dead(id, !up, fib);
        let to = IpNet::from(address);
        if !has_route && is_on_link(port, address, rib) {
            write(fib, to, id)?;
            self.hop(port, address, fib)?.host_route = true;
        }
        Ok(())
    }

    /// The routes to these destinations are others now: neighbours among them have a route of their
    /// own exactly as long as they are on the link.
    pub fn review(&mut self, within: IpNet, rib: &Rib, fib: &mut FibWriter) {
        let known = |(_, hop): &(&(PortId, IpAddr), &mut Hop)| hop.mac.is_some();
        for (&(port, address), hop) in self.neighbours.iter_mut().filter(known) {
            let to = IpNet::from(address);
            if !within.contains(&address) {
                continue;
            }
            let on_link = is_on_link(port, address, rib);
            if on_link && !hop.host_route {
                hop.host_route = write(fib, to, hop.id).is_ok();
            } else if !on_link && std::mem::take(&mut hop.host_route) && !rib.contains(to) {
                erase(fib, to);
            }
        }
    }

    /// Whether packets for this address go to it as a neighbour.
    pub fn is_neighbour(&self, address: IpAddr, hop: NextHopId) -> bool {
        self.by_id.get(&hop).is_some_and(|(_, neighbour)| *neighbour == address)
    }

    /// A neighbour's MAC is not known any more.
    pub fn withdraw(&mut self, port: PortId, address: IpAddr, rib: &Rib, fib: &mut FibWriter) {
        let adjacency = self.adjacency(port, None);
        if let Some(hop) = self.neighbours.get_mut(&(port, address)) {
            hop.mac = None;
            if std::mem::take(&mut hop.host_route) && !rib.contains(IpNet::from(address)) {
                erase(fib, IpNet::from(address));
            }
            fib.set(hop.id, adjacency);
            self.groups.set_dead(hop.id, true, fib);
        }
        self.forget_unused(port, address, fib);
    }

    /// The RIB has no route to this host any more, and it is on the link of `port`: if its MAC is
    /// known, its own route takes the place in the FIB. Whether it does.
    pub(super) fn restore_host_route(
        &mut self,
        port: PortId,
        address: IpAddr,
        fib: &mut FibWriter,
    ) -> bool {
        let hop = self.neighbours.get_mut(&(port, address)).filter(|hop| hop.mac.is_some());
        hop.is_some_and(|hop| {
            hop.host_route = write(fib, IpNet::from(address), hop.id).is_ok();
            hop.host_route
        })
    }

    /// Under which names frames may wait for this neighbour.
    pub fn awaited(&self, port: PortId, address: IpAddr) -> impl Iterator<Item = Awaited> {
        let on_link = Awaited { next_hop: self.glean(port), neighbour: Some(address) };
        let gateway = self.neighbours.get(&(port, address));
        let gateway = gateway.map(|hop| Awaited { next_hop: hop.id, neighbour: None });
        std::iter::once(on_link).chain(gateway)
    }

    /// Whose MAC is awaited.
    pub fn neighbour_of(&self, awaited: Awaited) -> Option<(PortId, IpAddr)> {
        match awaited.neighbour {
            None => self.by_id.get(&awaited.next_hop).copied(),
            Some(address) => {
                let number = self.gleans.iter().position(|&glean| glean == awaited.next_hop)?;
                Some((PortId::new(number)?, address))
            }
        }
    }

    /// Neighbours that packets were sent to since the last call.
    pub fn used(&self, fib: &FibWriter) -> Vec<(PortId, IpAddr)> {
        let used = |(_, hop): &(&(PortId, IpAddr), &Hop)| fib.take_used(hop.id);
        self.neighbours.iter().filter(used).map(|(key, _)| *key).collect()
    }

    fn hop(
        &mut self,
        port: PortId,
        address: IpAddr,
        fib: &mut FibWriter,
    ) -> Result<&mut Hop, TableFull> {
        let key = (port, address);
        if !self.neighbours.contains_key(&key) {
            let id = fib.allocate(self.adjacency(port, None))?;
            fib.set_gateway(id, address);
            self.by_id.insert(id, key);
            self.groups.set_dead(id, !self.links[port.index()], fib);
            let hop = Hop { id, routes: 0, mac: None, host_route: false };
            self.neighbours.insert(key, hop);
        }
        self.neighbours.get_mut(&key).ok_or(TableFull)
    }

    /// Write every adjacency of a port anew.
    fn rewrite(&self, port: PortId, fib: &mut FibWriter) {
        let glean = unresolved(AdjacencyKind::Glean, port, &self.egress[port.index()]);
        fib.set(self.glean(port), self.if_linked(port, glean));
        for (_, hop) in self.neighbours.iter().filter(|((at, _), _)| *at == port) {
            fib.set(hop.id, self.adjacency(port, hop.mac));
        }
    }

    fn adjacency(&self, port: PortId, mac: Option<MacAddress>) -> Adjacency {
        let egress = &self.egress[port.index()];
        let (ours, mtu) = (egress.mac.octets(), egress.mtu);
        let linked = match mac {
            None => unresolved(AdjacencyKind::Incomplete, port, egress),
            Some(mac) => Adjacency::forward(port, egress.ifindex, mtu, mac.octets(), ours)
                .with_engines(egress.engines),
        };
        self.if_linked(port, linked)
    }

    fn if_linked(&self, port: PortId, adjacency: Adjacency) -> Adjacency {
        let unreachable = Adjacency::plain(AdjacencyKind::Unreachable);
        if self.links[port.index()] { adjacency } else { unreachable }
    }

    fn forget_unused(&mut self, port: PortId, address: IpAddr, fib: &mut FibWriter) {
        let unused = |hop: &&mut Hop| hop.routes == 0 && hop.mac.is_none();
        if let Some(hop) = self.neighbours.get_mut(&(port, address)).filter(unused) {
            let id = hop.id;
            fib.release(id);
            self.groups.forget(id);
            self.by_id.remove(&id);
            self.neighbours.remove(&(port, address));
        }
    }
}

fn unresolved(kind: AdjacencyKind, port: PortId, egress: &Egress) -> Adjacency {
    Adjacency::unresolved(kind, port, egress.ifindex, egress.mtu)
}

/// Whether the routes say that this address is a host on the link of `port`, and leave it to the neighbour
/// table. A link-local neighbour is not routed to.
fn is_on_link(port: PortId, address: IpAddr, rib: &Rib) -> bool {
    let found = rib.lookup(address).filter(|(to, ..)| *to != IpNet::from(address));
    let on_link = found.is_some_and(|(.., action)| *action.does() == Action::Connected(port));
    on_link && !is_link_local(address)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
