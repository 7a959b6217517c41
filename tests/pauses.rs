//! Threads and queues that stand still: seen and said, and nobody is judged for the pause.

mod net;

use std::time::{Duration, Instant};

use net::canary::Canary;
use net::flood::{Flood, Limit};
use net::freeze::Frozen;
use net::ledger::{Books, closes, umem_comes_to_rest, umem_is_whole};
use net::{
    LAN_DEVICE, Namespace, Router, Topology, at_length, bpf, eventually, figure, frames, seconds,
    soak, started,
};

fn health(router: &Router, what: &str, key: &str, value: &str) -> String {
    router.row(what, key, value)["health"].as_str().expect("a word").to_owned()
}

fn worker_health(router: &Router) -> String {
    router.show("workers")[0]["health"].as_str().expect("a word").to_owned()
}

/// R05: a worker that does not come round is reported, once, and so is its recovery.
#[test]
fn a_stuck_worker_is_reported() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let said = |what: &str| router.log().lines().filter(|line| line.contains(what)).count();
    assert_eq!(worker_health(&router), "good");
    let frozen = Frozen::thread(router.id(), "worker-0");
    let start = Instant::now();
    eventually(seconds(10), "it is stuck", || worker_health(&router) == "stuck");
    let took = start.elapsed();
    net.lan.run("ping -c 1 -W 1 10.2.0.2").fails();
    drop(frozen);
    eventually(seconds(3), "it works again", || worker_health(&router) == "good");
    net.lan.run("ping -c 1 -W 2 10.2.0.2").succeeds();
    assert_eq!((said("is stuck"), said("works again")), (1, 1), "{}", router.log());
    figure("R05", "stuck worker seen in < 3 s", format!("{took:.1?}"), took < seconds(3));
    router.stop();
}

#[test]
fn a_stuck_worker_does_not_keep_the_router_from_stopping() {
    needs_xrouter!();
    let (_net, router) = started(Topology::builder());
    let _frozen = Frozen::thread(router.id(), "worker-0");
    router.stop();
}

/// R05: the card receives, xrouter does not.
#[test]
fn a_dead_queue_is_reported() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    take_sockets_away(&net.router, LAN_DEVICE);
    let limit = Limit { frames: u64::MAX, time: seconds(60), per_second: 100 };
    let flood = Flood::start(&net.lan, frames::resolved(), limit);
    let start = Instant::now();
    let lan = || health(&router, "ports", "name", "lan");
    eventually(seconds(10), "lan is deaf", || lan() == "deaf");
    let took = start.elapsed();
    assert_eq!(health(&router, "ports", "name", "wan"), "good");
    drop(flood);
    // What the operator is told to do: a fresh start of the card.
    net.unplug();
    eventually(seconds(3), "lan is gone", || router.row("ports", "name", "lan")["link"] != "up");
    net.plug_lan();
    net.settle();
    eventually(seconds(5), "it forwards", || net.lan.run("ping -c 1 -W 1 10.2.0.2").ok());
    eventually(seconds(5), "lan is well", || lan() == "good");
    figure("R05", "dead queue seen in < 3 s", format!("{took:.1?}"), took < seconds(3));
    router.stop();
}

/// Empty the map of sockets that the device's XDP program redirects to.
fn take_sockets_away(namespace: &Namespace, device: &str) {
    let maps = bpf::maps_of(namespace, bpf::program_on(namespace, device));
    let is_xskmap = |map: &u64| namespace.run(&format!("bpftool map show id {map}")).has("xskmap");
    let map = maps.into_iter().find(is_xskmap).expect("the program has a map of sockets");
    namespace.run(&format!("bpftool map delete id {map} key 0 0 0 0")).succeeds();
}

/// R37: the whole process is stopped for two seconds, again and again, while the neighbours'
/// timers are as short as can be. The rings hold what comes meanwhile.
#[test]
fn a_stopped_process_loses_no_neighbour() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let config = net.config().router("ring = 4096");
    let config =
        config.and("[resolution]\nreachable_s = 1\ndelay_s = 1\nretransmit_ms = 300\nprobes = 3");
    let router = Router::start(&net, &config);
    let canary = Canary::start(&net);
    // Questions, not announcements: those ask for the router itself.
    let others = "src host 10.2.0.1 and not dst host 10.2.0.1";
    let asks = net.wan.watch("eth0", &format!("'arp and ether broadcast and {others}'"));
    for round in 0..at_length(4, 2) * soak() {
        router.signal(libc::SIGSTOP);
        std::thread::sleep(seconds(2));
        router.signal(libc::SIGCONT);
        // Each time at another moment of the neighbours' lives.
        std::thread::sleep(Duration::from_millis(1000 + 370 * u64::from(round % 5)));
        let states: Vec<_> = router.show("neighbours").iter().map(|n| n["state"].clone()).collect();
        assert!(!states.iter().any(|state| state == "FAILED" || state == "INCOMPLETE"));
        assert_eq!(worker_health(&router), "good");
    }
    let flight = canary.stop();
    let asked = asks.interrupt().lines_with("ARP");
    umem_comes_to_rest(&router);
    umem_is_whole(&router);
    Books::at_rest(&router).close();
    figure("R37", "canary over pauses of 2 s: loss 0", flight, flight.lost_nothing());
    figure("R37", "neighbours lost by a pause: 0", asked, asked == 0);
    router.stop();
}

/// R05: control stands still: what is known is forwarded; what waits for it does not wait for ever.
#[test]
fn without_control_transit_goes_on() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let chunks = umem_is_whole(&router);
    let canary = Canary::start(&net);
    let frozen = Frozen::thread(router.id(), "xrouter");
    let limit = Limit { frames: 40, time: seconds(5), per_second: 100 };
    let _sent = Flood::start(&net.lan, frames::unresolved(), limit).wait();
    // Longer than the patience of the workers with what is held.
    std::thread::sleep(seconds(7));
    drop(frozen);
    eventually(seconds(3), "what was held has expired", || router.dropped("hold_expired") > 0);
    let flight = canary.stop();
    closes(&router, chunks);
    figure("R05", "control stuck for 7 s: transit loss 0", flight, flight.lost_nothing());
    router.stop();
}

/// Frames for a port that another worker serves, while that worker is stuck.
#[test]
fn a_stuck_worker_is_given_no_more_than_its_ring_holds() {
    needs_xrouter!();
    let net = Topology::builder().queues(2).build();
    net.wan.run("ethtool -L eth0 rx 1 tx 1").succeeds();
    net.router.run("ethtool -L wan0 rx 1 tx 1").succeeds();
    let mut config = net.config().router("workers = [0, 1]");
    // Many flows, so that some come by each queue.
    let hosts = 50..66;
    for host in hosts.clone() {
        let entry = format!("address = \"10.2.0.{host}\"\nmac = \"02:00:0a:02:00:02\"");
        config = config.and(&format!("[[neighbour]]\n{entry}\nport = \"wan\""));
    }
    let router = Router::start(&net, &config);
    let chunks = umem_is_whole(&router);
    let to = |host| frames::udp4(std::net::Ipv4Addr::new(10, 2, 0, host), 64, 18);
    let limit = Limit { frames: u64::MAX, time: seconds(30), per_second: 10_000 };
    let flood = Flood::start(&net.lan, hosts.map(to).collect(), limit);
    let frozen = Frozen::thread(router.id(), "worker-0");
    eventually(seconds(5), "drops are counted", || router.dropped("handover_full") > 100);
    drop(frozen);
    drop(flood);
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
    closes(&router, chunks);
    router.stop();
}
