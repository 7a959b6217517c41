//! A router without cards: two ports, one table, gateways that are all known.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::{Context, Result};
use ipnet::IpNet;
use tables::{Family, NEXT_HOPS, Route, Table};
use xrouter::config::{NextHop, RouteAction};
use xrouter::control::hops::{Egress, Hops};
use xrouter::control::rib::{Action, Origin, Rib};
use xrouter::id::{NextHopId, PortId};
use xrouter::io::xdp::{Constants, Shared};
use xrouter::packet::ethernet::MacAddress;
use xrouter::table::fib4::GROUPS_MAX;
use xrouter::table::{ARRAYS, Budget, Fib, FibWriter, Memory};

/// MACs of the two ports.
pub const MACS: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2])];
/// MTU of both.
pub const MTU: u16 = 1500;

/// Room for a full table and 100,000 longer prefixes of each family.
pub fn budget() -> Budget {
    Budget { groups4: GROUPS_MAX, nodes6: 131_072, skips6: 131_072, ..Budget::default() }
}

/// An empty FIB, in BPF maps as the router has it. Needs CAP_BPF.
pub fn fib(budget: Budget) -> Result<(Arc<Fib>, FibWriter)> {
    let maps = maps(&budget).context("BPF maps for the FIB; run as root")?;
    Ok(FibWriter::new(budget, Memory::Maps(maps))?)
}

fn maps(budget: &Budget) -> io::Result<[OwnedFd; ARRAYS]> {
    let bounds = budget.bounds();
    let constants = Constants {
        fib4_entries: bounds.fib4_entries,
        fib6_entries: bounds.fib6_entries,
        fib6_skips: bounds.fib6_skips,
        adjacencies: bounds.adjacencies,
        ecmp_groups: bounds.ecmp_groups,
        hash_seed: 0,
    };
    let maps = Shared::create(&budget.layout(), constants)?.tables()?;
    maps.try_into().map_err(|_| io::Error::other("not all tables"))
}

/// Write a route into the FIB alone.
///
/// # Errors
/// The FIB is full.
pub fn write(fib: &mut FibWriter, family: Family, route: Route) -> Result<()> {
    let hop = NextHopId::new(route.hop).context("no next hop has this number")?;
    match route.to.net(family) {
        IpNet::V4(to) => fib.insert4(to, hop)?,
        IpNet::V6(to) => fib.insert6(to, hop)?,
    };
    Ok(())
}

/// Routes as control keeps them, and the FIB that follows them.
#[derive(Debug)]
pub struct Router {
    /// What workers see.
    pub fib: Arc<Fib>,
    /// What control changes.
    pub writer: FibWriter,
    rib: Rib,
    hops: Hops,
}

/// The port that frames come in by, and the one that they leave by.
pub fn ports() -> [PortId; 2] {
    [0, 1].map(|number| PortId::new(number).expect("there may be 64"))
}

/// The MAC of the gateway with this number.
pub fn gateway_mac(hop: u16) -> MacAddress {
    let [high, low] = hop.to_be_bytes();
    MacAddress([2, 1, 0, 0, high, low])
}

/// The gateway with this number. IPv6's have other addresses, but the same MACs.
fn gateway(family: Family, hop: u16) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from(0x0a00_0000 | u32::from(hop)).into(),
        Family::V6 => Ipv6Addr::from(0xfd00 << 112 | u128::from(hop)).into(),
    }
}

impl Router {
    /// A router without routes, which knows all gateways.
    ///
    /// # Errors
    /// No memory, or no right to it.
    pub fn new(budget: Budget) -> Result<Self> {
        let (fib, mut writer) = fib(budget)?;
        let egress = |(ifindex, mac)| Egress { ifindex, mac, mtu: MTU, engines: 0 };
        let egress = (1..).zip(MACS).map(egress);
        let hops = Hops::new(egress.collect(), &mut writer)?;
        let mut router = Self { fib, writer, rib: Rib::default(), hops };
        let [_, out] = ports();
        for hop in 1..=NEXT_HOPS {
            for family in [Family::V4, Family::V6] {
                let (address, mac) = (gateway(family, hop), gateway_mac(hop));
                router.hops.install(out, address, mac, &router.rib, &mut router.writer)?;
            }
        }
        Ok(router)
    }

    /// A router with these routes.
    ///
    /// # Errors
    /// As above, or the FIB is full.
    pub fn with(table: &Table) -> Result<Self> {
        let mut router = Self::new(budget())?;
        router.load(table)?;
        Ok(router)
    }

    /// Take a whole table in.
    ///
    /// # Errors
    /// The FIB is full.
    pub fn load(&mut self, table: &Table) -> Result<()> {
        table.routes.iter().try_for_each(|&route| self.announce(table.family, route))
    }

    /// Take a route in, by way of control's RIB.
    ///
    /// # Errors
    /// The FIB is full.
    pub fn announce(&mut self, family: Family, route: Route) -> Result<()> {
        let [_, port] = ports();
        let via = vec![NextHop { via: gateway(family, route.hop), port, weight: 1 }];
        let action = Action::Configured(RouteAction::Via(via));
        let to = route.to.net(family);
        Ok(self.rib.insert(to, Origin::Static.into(), action, &mut self.hops, &mut self.writer)?)
    }

    /// Take a route away, by way of control's RIB.
    pub fn withdraw(&mut self, family: Family, to: tables::Prefix) {
        self.rib.remove(to.net(family), Origin::Static.into(), &mut self.hops, &mut self.writer);
    }
}
