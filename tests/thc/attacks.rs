//! Tools that flood and forge: while one runs, the canary flies over IPv4; afterwards IPv6 goes
//! through at once, the router has not grown and its books close.

use std::fmt;
use std::time::{Duration, Instant};

use super::crowd::{Member, gather};
use super::net::canary::{Canary, Flight};
use super::net::ledger::{Books, umem_comes_to_rest, umem_is_whole};
use super::net::{
    HOST_DEVICE, Router, Running, Topology, at_length, device_counter, eventually, figure,
    holds_within, kernel_complaints, seconds,
};
use crate::needs_xrouter;

/// The host that attacks.
pub const ATTACKER: Member = Member(1);
/// What may be sent in a second by whoever attacks: some 50 000 small packets.
const PACE: &str = "tbf rate 40mbit burst 32k limit 64k";
/// How soon IPv6 must go through when an attack is over.
const RECOVERY: Duration = seconds(1);
/// What the router's memory may grow by, in KiB.
const GROWTH: u64 = 4096;

/// Each is a tool and what it is told, without `atk6-`; what ends by itself is started again.
const ATTACKS: [&str; 20] = [
    "ndpexhaust26 IF 2001:db8:2::",
    "ndpexhaust26 -r -p IF 2001:db8:2::",
    "ndpexhaust6 IF 2001:db8:2::/64",
    "denial6 IF ROUTER 1",
    "denial6 IF WAN 3",
    "denial6 IF ROUTER 6",
    "fuzz_ip6 -a -I -F -S -D -H -R -J -1 IF WAN",
    "fuzz_ip6 -a -2 IF ROUTER",
    "flood_router26 -F IF",
    "flood_advertise6 IF ROUTER",
    "flood_solicitate6 -a IF ROUTER",
    "flood_redir6 IF ROUTER",
    "flood_mld26 IF",
    "flood_unreach6 -R IF ROUTER",
    "fake_advertise6 -w 0 IF ROUTER",
    "redir6 IF ROUTER WAN 2001:db8:1::1 2001:db8:1::1:2",
    "smurf6 IF ROUTER",
    "rsmurf6 IF ROUTER",
    "toobig6 -u IF ROUTER 2001:db8:1::2 1280",
    "thcsyn6 -D -R IF WAN 80",
];

/// What an attack has done to others.
struct Harm {
    flight: Flight,
    /// Lost by the kernel before the router saw them, of all that arrived.
    lost: (u64, u64),
    recovery: Duration,
    grown: u64,
    frames: u64,
}

impl Harm {
    fn is_none(&self) -> bool {
        self.flight.is_unharmed(self.lost.0, self.lost.1)
            && self.recovery <= RECOVERY
            && self.grown < GROWTH
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flight, lost: (lost, arrived), recovery, grown, frames } = self;
        write!(f, "{flight}; kernel lost {lost} of {arrived}; IPv6 after {recovery:.0?}; ")?;
        write!(f, "{grown} KiB; {frames} frames")
    }
}

/// Let somebody attack until this is dropped.
pub fn start(net: &Topology, attacker: Member, line: &str) -> Running {
    let line = attacker.fill_in(line);
    net.lan.spawn(&format!("while :; do atk6-{line}; sleep 0.01; done"))
}

/// How many frames the attacker has sent.
pub fn frames(net: &Topology) -> u64 {
    device_counter(&net.lan, &ATTACKER.device(), "tx", "packets")
}

#[test]
fn attacks_harm_nobody() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let mut router = Router::start(&net, &net.config().router("ring = 4096"));
    gather(&net.lan, ATTACKER.0);
    let pace = format!("tc qdisc add dev {} root {PACE}", ATTACKER.device());
    net.lan.run(&pace).succeeds();
    let (chunks, complaints) = (umem_is_whole(&router), kernel_complaints());
    reaches_wan(&net);
    for line in ATTACKS {
        let harm = attack(&net, &router, line);
        let rule = format!("thc {line}");
        figure(&rule, "nobody is harmed", &harm, harm.is_none());
        assert!(router.is_running(), "{}", router.log());
    }
    umem_comes_to_rest(&router);
    assert_eq!(umem_is_whole(&router), chunks);
    let new = kernel_complaints() - complaints;
    figure("thc attacks", "the kernel's log is clean", format!("{new} complaints"), new == 0);
    router.stop();
}

fn attack(net: &Topology, router: &Router, line: &str) -> Harm {
    let (memory, books) = (router.usage(), Books::read(router));
    let before = frames(net);
    let canary = Canary::start(net);
    let attack = start(net, ATTACKER, line);
    eventually(seconds(10), "the attack begins", || frames(net) > before);
    std::thread::sleep(at_length(Duration::from_millis(800), Duration::from_millis(400)));
    drop(attack);
    let recovery = reaches_wan(net);
    let flight = canary.stop();
    for wan in ["10.2.0.2", "2001:db8:2::2"] {
        assert!(router.neighbour(wan).is_some(), "{wan} is not known any more");
    }
    let after = Books::at_rest(router);
    after.close();
    after.no_invalid_descriptors();
    let since = |of: fn(&Books, &str) -> u64| of(&after, "lan") - of(&books, "lan");
    let lost = (since(Books::lost_by_kernel), since(Books::arrived));
    let grown = router.usage().resident.saturating_sub(memory.resident);
    Harm { flight, lost, recovery, grown, frames: frames(net) - before }
}

/// How long it takes from now until IPv6 goes through.
fn reaches_wan(net: &Topology) -> Duration {
    let start = Instant::now();
    let ping = format!("ping -6 -c 1 -W 0.2 -I {HOST_DEVICE} 2001:db8:2::2");
    let reached = holds_within(seconds(10), || net.lan.run(&ping).ok());
    assert!(reached, "the wan host is not reached over IPv6");
    start.elapsed()
}
