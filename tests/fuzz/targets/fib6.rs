//! Changes of the IPv6 FIB.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use ipnet::Ipv6Net;
use xrouter::id::NextHopId;
use xrouter::table::FibWriter;

use super::octets::Octets;
use super::routes::{Family, Found, Inserted, Lab};

/// Where all routes are. A much shorter prefix is many thousands of stores, and no other code.
const BASE: u128 = 0x2001_0db8 << 96;
const LEN_MIN: u8 = 14;
/// The bits that vary: at both sides of each level's border.
const VARY: u128 = 0x0001_0100_0181_0101_8001_0001_0000_0181;

struct V6;

thread_local! {
    /// Its tables are large: it is emptied after each input.
    static LAB: RefCell<Lab<V6>> = RefCell::new(Lab::new());
}

/// `octets` are changes.
pub fn run(octets: &[u8]) {
    LAB.with_borrow_mut(|lab| lab.run(Octets(octets)));
}

impl Family for V6 {
    type Net = Ipv6Net;
    type Address = u128;

    fn anchor() -> Ipv6Net {
        Ipv6Net::new([0x2001, 0xffff, 0, 0, 0, 0, 0, 0].into(), 32).expect("a length")
    }

    fn net(octets: &mut Octets) -> Ipv6Net {
        let len = LEN_MIN + octets.u8() % (129 - LEN_MIN);
        let address = BASE ^ u128::from_be_bytes(octets.array()) & VARY;
        Ipv6Net::new(address.into(), len).expect("a length").trunc()
    }

    fn insert(fib: &mut FibWriter, to: Ipv6Net, hop: NextHopId) -> Inserted {
        fib.insert6(to, hop)
    }

    fn remove(fib: &mut FibWriter, to: Ipv6Net) -> Found {
        fib.remove6(to)
    }

    fn lookup(fib: &FibWriter, address: u128) -> Found {
        fib.fib().v6.lookup(address)
    }

    fn lookup_batch(fib: &FibWriter, addresses: &[u128], found: &mut [Found]) {
        fib.fib().v6.lookup_batch(addresses, found);
    }

    fn edges(to: Ipv6Net) -> [u128; 5] {
        let (first, last) = (u128::from(to.network()), u128::from(to.broadcast()));
        let middle = first + (last - first) / 2;
        [first, last, middle, first.wrapping_sub(1), last.wrapping_add(1)]
    }

    fn covers(to: Ipv6Net, address: u128) -> bool {
        to.contains(&std::net::Ipv6Addr::from(address))
    }

    fn len(to: Ipv6Net) -> u8 {
        to.prefix_len()
    }
}
