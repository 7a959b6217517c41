//! Changes of the IPv4 FIB.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use ipnet::Ipv4Net;
use xrouter::id::NextHopId;
use xrouter::table::FibWriter;

use super::octets::Octets;
use super::routes::{Family, Found, Inserted, Lab};

/// Where all routes are. A much shorter prefix is many thousands of stores, and no other code.
const BASE: u32 = 0x0a00_0000;
const LEN_MIN: u8 = 14;
/// The bits that vary: at both sides of the border between the two tables.
const VARY: u32 = 0x0003_8381;

struct V4;

thread_local! {
    /// Its tables are large: it is emptied after each input.
    static LAB: RefCell<Lab<V4>> = RefCell::new(Lab::new());
}

/// `octets` are changes.
pub fn run(octets: &[u8]) {
    LAB.with_borrow_mut(|lab| lab.run(Octets(octets)));
}

impl Family for V4 {
    type Net = Ipv4Net;
    type Address = u32;

    fn anchor() -> Ipv4Net {
        Ipv4Net::new([10, 255, 0, 1].into(), 32).expect("a length")
    }

    fn net(octets: &mut Octets) -> Ipv4Net {
        let len = LEN_MIN + octets.u8() % (33 - LEN_MIN);
        let address = BASE | u32::from_be_bytes(octets.array()) & VARY;
        Ipv4Net::new(address.into(), len).expect("a length").trunc()
    }

    fn insert(fib: &mut FibWriter, to: Ipv4Net, hop: NextHopId) -> Inserted {
        fib.insert4(to, hop)
    }

    fn remove(fib: &mut FibWriter, to: Ipv4Net) -> Found {
        fib.remove4(to)
    }

    fn lookup(fib: &FibWriter, address: u32) -> Found {
        fib.fib().v4.lookup(address)
    }

    fn lookup_batch(fib: &FibWriter, addresses: &[u32], found: &mut [Found]) {
        fib.fib().v4.lookup_batch(addresses, found);
    }

    fn edges(to: Ipv4Net) -> [u32; 5] {
        let (first, last) = (u32::from(to.network()), u32::from(to.broadcast()));
        let middle = first + (last - first) / 2;
        [first, last, middle, first.wrapping_sub(1), last.wrapping_add(1)]
    }

    fn covers(to: Ipv4Net, address: u32) -> bool {
        to.contains(&std::net::Ipv4Addr::from(address))
    }

    fn len(to: Ipv4Net) -> u8 {
        to.prefix_len()
    }
}
