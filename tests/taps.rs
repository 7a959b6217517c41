//! Taps that are down, deleted, full, or slow: transit goes on, nothing leaks, nobody spins.

mod net;

use std::time::Duration;

use net::canary::Canary;
use net::flood::{Flood, Limit};
use net::ledger::{Books, closes, umem_comes_to_rest, umem_is_whole};
use net::{Router, Topology, at_length, eventually, figure, frames, ip, seconds, soak, started};

/// Packets from lan for the router's own stack.
fn for_the_stack(net: &Topology, per_second: u32) -> Flood {
    let limit = Limit { frames: u64::MAX, time: seconds(600), per_second };
    Flood::start(&net.lan, frames::for_the_router(), limit)
}

/// The router's own stack is reached over both families.
#[track_caller]
fn answers_again(net: &Topology) {
    let ping = "ping -c 1 -W 1 10.1.0.1 && ping -6 -c 1 -W 1 2001:db8:1::1";
    eventually(seconds(5), "the router answers again", || net.lan.run(ping).ok());
}

/// Of one core, while nothing goes on.
fn idle_share(router: &Router) -> f64 {
    const TIME: Duration = seconds(2);
    let before = router.usage().core;
    std::thread::sleep(TIME);
    (router.usage().core - before).as_secs_f64() / TIME.as_secs_f64()
}

/// R09: the tap is set down while packets go up it, and with it its port: others do not notice.
#[test]
fn a_tap_that_is_down() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder().dmz());
    let chunks = umem_is_whole(&router);
    let canary = Canary::start(&net);
    let limit = Limit { frames: u64::MAX, time: seconds(600), per_second: 2_000 };
    let to = "10.4.0.1".parse().expect("an address");
    let flood = Flood::start(net.dmz(), vec![frames::udp4_from(4, to, 64, 18)], limit);
    let host = &router.host().name;
    for _ in 0..at_length(5, 2) * soak() {
        let before = router.dropped("port_down");
        ip(&format!("-n {host} link set dmz down"));
        eventually(seconds(3), "drops are counted", || router.dropped("port_down") > before + 100);
        ip(&format!("-n {host} link set dmz up"));
        eventually(seconds(5), "the router answers again", || {
            net.dmz().run("ping -c 1 -W 1 10.4.0.1 && ping -6 -c 1 -W 1 2001:db8:4::1").ok()
        });
    }
    drop(flood);
    ip(&format!("-n {host} link set dmz down"));
    let flight = canary.stop();
    closes(&router, chunks);
    let idle = idle_share(&router);
    figure("R09", "tap down: transit loss of others 0", flight, flight.lost_nothing());
    figure("R09", "tap down: idle CPU < 5 %", format!("{:.1} %", 100.0 * idle), idle < 0.05);
    router.stop();
}

/// R09: the tap is deleted: a new one takes its place, and transit does not notice.
#[test]
fn a_tap_that_is_deleted() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config().route("10.9.0.0/16", "10.1.0.2"));
    let chunks = umem_is_whole(&router);
    let look = "(ip route show; ip -6 route show; ip -br addr) | sort";
    let routes = || router.host().run(look).stdout;
    let (before, descriptors) = (routes(), router.usage().descriptors);
    let canary = Canary::start(&net);
    let flood = for_the_stack(&net, 2_000);
    let host = &router.host().name;
    // Until something came before the new one was there, which takes some milliseconds.
    let (mut times, wanted) = (0, at_length(5, 2) * soak());
    while times < wanted || router.dropped("tap_down") == 0 {
        ip(&format!("-n {host} link del lan"));
        answers_again(&net);
        times += 1;
        assert!(times < wanted + 200, "nothing came while there was no tap");
    }
    drop(flood);
    let flight = canary.stop();
    closes(&router, chunks);
    let idle = idle_share(&router);
    assert_eq!(routes(), before, "addresses and routes are as they were");
    assert_eq!(router.usage().descriptors, descriptors);
    figure("R09", "tap deleted: transit loss 0", flight, flight.lost_nothing());
    figure("R09", "tap deleted: idle CPU < 5 %", format!("{:.1} %", 100.0 * idle), idle < 0.05);
    router.stop();
}

/// R09: the kernel sends 100 000 packets as fast as it can.
#[test]
fn a_tap_whose_queue_is_full() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let chunks = umem_is_whole(&router);
    net.lan.run("ping -c 1 10.1.0.1").succeeds();
    let canary = Canary::start(&net);
    let burst = "import socket\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        for _ in range(100000):\n    s.sendto(b'x' * 18, ('10.1.0.2', 9))";
    router.host().run(&format!("/usr/bin/python3 -c \"{burst}\"")).succeeds();
    let flight = canary.stop();
    umem_comes_to_rest(&router);
    assert_eq!(umem_is_whole(&router), chunks);
    let books = Books::at_rest(&router);
    books.close();
    let lost = router.host().run("ip -s link show dev lan").succeeds();
    eprintln!("{} came down the tap; the tap's own counters:\n{lost}", books.sum("from_kernel"));
    figure("R09", "tap flooded by the kernel: transit loss 0", flight, flight.lost_nothing());
    net.lan.run("ping -c 1 10.1.0.1").succeeds();
    router.stop();
}

/// R09: the kernel takes its time over each packet: its filter has many rules, and none matches.
#[test]
fn a_kernel_that_is_slow() {
    needs_xrouter!();
    const RULES: u32 = 4000;
    let (net, router) = started(Topology::builder());
    let chunks = umem_is_whole(&router);
    let rules: String = (1..=RULES).map(|mark| format!("meta mark {mark} drop\n")).collect();
    let table = format!(
        "table inet slow {{\nchain input {{\ntype filter hook input priority 0;\n{rules}}}\n}}\n"
    );
    let file = net.directory.join("slow.nft");
    std::fs::write(&file, table).expect("the directory is writable");
    let canary = Canary::start(&net);
    router.host().run(&format!("nft -f {}", file.display())).succeeds();
    let flood = for_the_stack(&net, 20_000);
    let (time, before) = (at_length(seconds(15), seconds(5)) * soak(), router.usage().core);
    std::thread::sleep(time);
    let share = (router.usage().core - before).as_secs_f64() / time.as_secs_f64();
    drop(flood);
    let flight = canary.stop();
    closes(&router, chunks);
    assert!(router.dropped("policed_icmp") > 1000, "it was more than the kernel is given");
    let found = format!("{flight}; {:.0} % of a core", 100.0 * share);
    figure("R09", "slow kernel behind the tap: transit loss 0", found, flight.lost_nothing());
    answers_again(&net);
    router.stop();
}
