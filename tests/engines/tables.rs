//! The tables as the program reads them and as the workers do: the same next hop for every address,
//! whatever routes have come and gone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use xrouter::id::{NextHopId, PortId};
use xrouter::io::xdp::Facts;
use xrouter::packet::ethernet::{HEADER, MacAddress};
use xrouter::packet::ipv4;
use xrouter::packet::text::parse_line;
use xrouter::table::adjacency::BY_DRIVER;
use xrouter::table::publish::Epochs;
use xrouter::table::{Adjacency, Budget, Fib, FibWriter};

use crate::number;
use crate::program::{Engine, ROOM, Ruling, shared};
use crate::random::Random;

/// Changes of each family's routes, if `ENGINES_UPDATES` does not say it.
const UPDATES: usize = 100_000;
/// After so many changes what they have freed is used again.
const RECLAIM: usize = 64;
/// About so many routes are there at a time.
const ROUTES: usize = 1500;
const NEXT_HOPS: usize = 100;
const OURS: MacAddress = MacAddress([2, 0, 0, 0, 1, 1]);
/// So small that it is full now and then.
const BUDGET: Budget =
    Budget { groups4: 300, nodes6: 2048, skips6: 500, next_hops: 200, ecmp_groups: 1 };

/// Addresses of one kind, as numbers.
struct Family {
    /// Bits of an address.
    len: u8,
    /// Routes shorter than this are rare: they fill many entries.
    short: u8,
    /// What most addresses have in common, and the bits that are any.
    common: u128,
    any: u128,
    /// A packet whose destination is to be replaced, and where that is.
    packet: &'static str,
    destination: usize,
    address: fn(u128) -> IpAddr,
}

const V4: Family = Family {
    len: 32,
    short: 14,
    common: 0x0a00_0000,
    any: 0x000f_ffff,
    packet: "ip 192.0.2.1 > 192.0.2.2 / data 8",
    destination: HEADER + 16,
    address: |bits| Ipv4Addr::from_bits(u32::try_from(bits).expect("32 bits")).into(),
};

const V6: Family = Family {
    len: 128,
    short: 36,
    common: 0x2001_0db8 << 96,
    any: 0x0001_0001_0003_0000_ffff_ffff_0000_ffff,
    packet: "ip6 3fff::1 > 3fff::2 / data 8",
    destination: HEADER + 24,
    address: |bits| Ipv6Addr::from_bits(bits).into(),
};

#[test]
fn both_engines_find_the_same_ipv4_routes() {
    Lab::new(&V4).run();
}

#[test]
fn both_engines_find_the_same_ipv6_routes() {
    Lab::new(&V6).run();
}

/// The tables, their writer and both readers.
struct Lab {
    family: &'static Family,
    engine: Engine,
    fib: Arc<Fib>,
    writer: FibWriter,
    hops: Vec<NextHopId>,
    routes: Vec<IpNet>,
    random: Random,
    packet: Vec<u8>,
    /// Lookups that found a route, that found none, and routes that had no room.
    found: u64,
    missed: u64,
    refused: u64,
}

impl Lab {
    fn new(family: &'static Family) -> Self {
        let (shared, memory) = shared(BUDGET, 0);
        let (fib, mut writer) = FibWriter::new(BUDGET, memory).expect("memory");
        let [from, to] = [0, 1].map(|number| PortId::new(number).expect("a port"));
        let facts = Facts {
            port: from,
            mac: OURS,
            mtu: 1500,
            engine: BY_DRIVER,
            active: true,
            fast: true,
            unfinished_checksums: false,
        };
        let hops = (1..=NEXT_HOPS).map(|_| {
            let hop = writer.allocate(Adjacency::forward(to, 1, 1500, [0; 6], OURS.octets()));
            let hop = hop.expect("room");
            let way = Adjacency::forward(to, 1, 1500, mac(hop), OURS.octets());
            writer.set(hop, way.with_engines(BY_DRIVER));
            hop
        });
        let hops = hops.collect();
        let line = format!("lan < eth 02:00:00:00:01:02 > {OURS} / {}", family.packet);
        let (_, _, packet) = parse_line(&line).unwrap_or_else(|error| panic!("{error}"));
        Self {
            family,
            engine: Engine::new(facts, &[], &shared),
            fib,
            writer,
            hops,
            routes: Vec::new(),
            random: Random::new(family.len.into()),
            packet,
            found: 0,
            missed: 0,
            refused: 0,
        }
    }

    fn run(mut self) {
        let (updates, epochs) = (number("ENGINES_UPDATES", UPDATES), Epochs::new(0));
        for update in 0..updates {
            let changed = self.change();
            self.look_around(changed);
            if update % RECLAIM == 0 {
                self.writer.reclaim(&epochs);
            }
        }
        let Self { found, missed, refused, .. } = self;
        println!("{updates} changes, {found} routes found, {missed} not, {refused} refused");
        assert!(found > 0 && missed > 0 && refused > 0, "not all was seen");
    }

    /// A route comes, changes or goes.
    fn change(&mut self) -> IpNet {
        let goes = !self.routes.is_empty() && self.random.below(2 * ROUTES) < self.routes.len();
        if goes {
            let number = self.random.below(self.routes.len());
            let net = self.routes.swap_remove(number);
            let removed = match net {
                IpNet::V4(net) => self.writer.remove4(net),
                IpNet::V6(net) => self.writer.remove6(net),
            };
            assert!(removed.is_some(), "{net} was there");
            return net;
        }
        let (net, hop) = (self.net(), self.random.pick(&self.hops));
        let inserted = match net {
            IpNet::V4(net) => self.writer.insert4(net, hop),
            IpNet::V6(net) => self.writer.insert6(net, hop),
        };
        match inserted {
            Ok(None) => self.routes.push(net),
            Ok(Some(_before)) => {}
            Err(_full) => self.refused += 1,
        }
        net
    }

    /// Any prefix; often one within, around or beside one that is there.
    fn net(&mut self) -> IpNet {
        let (random, family) = (&mut self.random, self.family);
        let lengths =
            if random.once_in(5000) { 0..family.short } else { family.short..family.len + 1 };
        let len = lengths.start + u8::try_from(random.below(lengths.len())).expect("a length");
        let mut bits = family.common | u128::from(random.number()) << 64 & family.any;
        bits |= u128::from(random.number()) & family.any;
        if !self.routes.is_empty() && random.once_in(2) {
            let other = random.pick(&self.routes);
            let own = (1 << random.below(usize::from(family.len))) - 1;
            bits = number_of(other.network()) & !own | bits & own;
        }
        IpNet::new((family.address)(bits), len).expect("a length").trunc()
    }

    /// Look up addresses at the edges of a prefix, around and in it.
    fn look_around(&mut self, net: IpNet) {
        let [first, last] = [net.network(), net.broadcast()].map(number_of);
        let all = u128::MAX >> (128 - self.family.len);
        let inside = first | u128::from(self.random.number()) << 32 & (last ^ first);
        for bits in [first, last, first.wrapping_sub(1) & all, last.wrapping_add(1) & all, inside] {
            let address = (self.family.address)(bits);
            if is_plain(address) {
                self.compare(address);
            }
        }
    }

    fn compare(&mut self, address: IpAddr) {
        let worker = match address {
            IpAddr::V4(address) => self.fib.v4.lookup(address.to_bits()),
            IpAddr::V6(address) => self.fib.v6.lookup(address.to_bits()),
        };
        let program = self.ask_program(address);
        assert_eq!(program, worker.map(mac), "{address} after these: {:?}", self.routes);
        *if worker.is_some() { &mut self.found } else { &mut self.missed } += 1;
    }

    /// The MAC that the program sends a packet for this address to, if any.
    fn ask_program(&mut self, address: IpAddr) -> Option<[u8; 6]> {
        let field = &mut self.packet[self.family.destination..];
        match address {
            IpAddr::V4(address) => {
                field[..4].copy_from_slice(&address.octets());
                ipv4::write_checksum(&mut self.packet[HEADER..HEADER + ipv4::HEADER]);
            }
            IpAddr::V6(address) => field[..16].copy_from_slice(&address.octets()),
        }
        let mut room = [0; ROOM];
        let (ruling, octets) = self.engine.run(&self.packet, &mut room);
        let to = octets.first_chunk().copied();
        to.filter(|_| ruling == Ruling::Forwarded)
    }
}

/// The MAC of a next hop here, which names it.
fn mac(hop: NextHopId) -> [u8; 6] {
    let [high, low] = hop.get().to_be_bytes();
    [2, 0, 0, 9, high, low]
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Whether an address has no meaning of its own: packets to others go up.
fn is_plain(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let first = address.octets()[0];
            (1..224).contains(&first) && first != 127 && !address.is_link_local()
        }
        IpAddr::V6(address) => {
            let is_link_local = address.is_unicast_link_local();
            address.to_bits() >> 64 != 0 && !is_link_local && !address.is_multicast()
        }
    }
}
