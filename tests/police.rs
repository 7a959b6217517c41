//! Control-plane policing (RFC 6192; C198-C201): what floods the router's own stack gets its share
//! and no more, and takes nothing from the rest.

mod net;

use std::net::Ipv4Addr;
use std::time::Instant;

use net::flood::{Flood, Limit};
use net::ledger::Books;
use net::{Config, Router, Topology, frames, seconds};

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
/// Where BFD listens (RFC 5881).
const BFD: u16 = 3784;
/// Packets per second of the flood: each of its three classes is far above its limit below.
const FLOOD_PER_S: u32 = 15_000;

/// Limits that a slow machine can exceed, too.
fn config(net: &Topology) -> Config {
    net.config().and("[police]\nicmp_per_s = 100\nother_per_s = 1000\nneighbour_per_s = 100")
}

/// A row of `show police`: limit, admitted, dropped.
fn class(router: &Router, class: &str) -> (u64, u64, u64) {
    let rows = router.show("police");
    let row = rows.iter().find(|row| row["port"] == "lan" && row["class"] == class);
    let number = |name: &str| row.and_then(|row| row[name].as_u64()).expect("a number");
    (number("limit_per_s"), number("admitted"), number("dropped"))
}

/// ARP, ping and UDP as fast as they will; BFD, ssh and transit do not notice.
#[test]
fn a_flood_takes_its_share_and_nothing_from_the_rest() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &config(&net));
    net.lan.run("ping -c 1 10.2.0.2 && ping -c 1 10.1.0.1").succeeds();
    let before = ["icmp", "other", "neighbour"].map(|name| class(&router, name).1);
    let start = Instant::now();
    // The ARP is not for us: the kernel would get each one.
    let arp = frames::arp_request_for_others();
    let noise = vec![frames::echo4(ROUTER), frames::udp4(ROUTER, 64, 18), arp];
    let limit = Limit { frames: u64::MAX, time: seconds(6), per_second: FLOOD_PER_S };
    let flood = Flood::start(&net.lan, noise, limit);

    let limit = Limit { frames: 2000, time: seconds(20), per_second: 1000 };
    let bfd = vec![frames::udp4_to(BFD, ROUTER, 255, 24)];
    let bfd = Flood::start(&net.lan, bfd, limit).wait();
    let transit = vec![frames::udp4(Ipv4Addr::new(10, 2, 0, 2), 64, 18)];
    let (seen, transit) = (net.wan.received(), Flood::start(&net.lan, transit, limit).wait());
    let seen = net.wan.received() - seen;
    copy_over_ssh_port(&net, &router);
    flood.stop();

    let took = start.elapsed().as_secs_f64();
    assert_eq!(class(&router, "routing"), (10_000, bfd.accepted, 0));
    assert_eq!(class(&router, "management").2, 0);
    assert!(seen >= transit.accepted, "{seen} of {} in transit", transit.accepted);
    for (name, before) in ["icmp", "other", "neighbour"].into_iter().zip(before) {
        let (limit, admitted, dropped) = class(&router, name);
        let rate = (admitted - before) as f64 / took / limit as f64;
        eprintln!("{name}: {rate:.2} of the limit, {dropped} dropped");
        assert!(rate <= 1.3, "{name}: {rate:.2} of its limit");
        assert!(dropped > 1000, "{name}: {dropped} dropped");
        assert_eq!(router.dropped(&format!("policed_{name}")), dropped);
    }
    Books::at_rest(&router).close();
    router.stop();
}

fn copy_over_ssh_port(net: &Topology, router: &Router) {
    let file = net.directory.join("copied");
    let listen = format!("exec nc -l -p 22 > {}", file.display());
    let server = router.host().serve(22, &listen);
    net.lan.run("head -c 1000000 /dev/zero | nc -N -w 20 10.1.0.1 22").succeeds();
    server.wait(seconds(20)).succeeds();
    assert_eq!(std::fs::metadata(&file).expect("copied").len(), 1_000_000);
}
