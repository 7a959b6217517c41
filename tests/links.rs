//! Links that flap, receivers that take nothing, cards that vanish: what it does to others.

mod net;

use std::time::{Duration, Instant};

use net::canary::Canary;
use net::flood::{Flood, Limit};
use net::ledger::{Books, closes, umem_comes_to_rest, umem_is_whole};
use net::{
    Config, DMZ_DEVICE, HOST_DEVICE, Router, Running, Topology, at_length, device_counter,
    eventually, figure, frames, ip, seconds, soak,
};

/// A host of the dmz that is never asked for its MAC.
const STATIC: &str = "10.4.0.50";

fn three_ports() -> (Topology, Config) {
    let net = Topology::builder().dmz().build();
    let entry = format!("address = \"{STATIC}\"\nmac = \"02:00:0a:04:00:02\"\nport = \"dmz\"");
    let config = net.config().and(&format!("[[neighbour]]\n{entry}"));
    (net, config)
}

/// Packets from lan to an address, small ones, until it is dropped.
fn stream(net: &Topology, to: &str, per_second: u32) -> Flood {
    let to = to.parse().expect("an address");
    let limit = Limit { frames: u64::MAX, time: seconds(600), per_second };
    Flood::start(&net.lan, vec![frames::udp4(to, 64, 18)], limit)
}

/// R07: the dmz's link flaps under traffic, the canary flies past it.
#[test]
fn a_link_that_flaps_under_traffic() {
    needs_xrouter!();
    let (net, config) = three_ports();
    let router = Router::start(&net, &config);
    net.dmz().run("ping -c 1 10.1.0.2").succeeds();
    let chunks = umem_is_whole(&router);
    let canary = Canary::start(&net);
    let flood = stream(&net, "10.4.0.2", 5_000);
    let mut longest = Duration::ZERO;
    for _ in 0..at_length(100, 10) * soak() {
        let period = Instant::now() + Duration::from_millis(200);
        ip(&format!("-n {} link set {HOST_DEVICE} down", net.dmz().name));
        eventually(seconds(1), "dynamic neighbours are flushed, static ones kept", || {
            // While packets come it is asked for, so it may be there, but without a MAC.
            let mac = |address| router.neighbour(address).map(|n| n["mac"].is_string());
            mac("10.4.0.2") != Some(true) && mac(STATIC) == Some(true)
        });
        let before = net.dmz().received();
        ip(&format!("-n {} link set {HOST_DEVICE} up", net.dmz().name));
        let up = Instant::now();
        eventually(seconds(5), "packets pass again", || net.dmz().received() > before + 10);
        longest = longest.max(up.elapsed());
        std::thread::sleep(period.saturating_duration_since(Instant::now()));
    }
    drop(flood);
    let flight = canary.stop();
    closes(&router, chunks);
    let resumed = format!("{longest:.2?}");
    figure("R07", "forwards <= 1 s after link up", resumed, longest <= seconds(1));
    figure("R07", "canary past a flapping link: loss 0", flight, flight.lost_nothing());
    router.stop();
}

/// R08: a card is deleted, made again, moved to another namespace and back; the others serve on.
#[test]
fn a_card_that_is_deleted_or_moved_away() {
    needs_xrouter!();
    let (net, config) = three_ports();
    let mut router = Router::start(&net, &config);
    let canary = Canary::start(&net);
    let flood = stream(&net, "10.4.0.2", 2_000);
    let absent = |router: &Router| router.row("ports", "name", "dmz")["mode"] == "absent";
    for _ in 0..at_length(3, 1) * soak() {
        net.dmz().run("ping -c 1 -W 3 10.1.0.2").succeeds();
        ip(&format!("-n {} link del {HOST_DEVICE}", net.dmz().name));
        eventually(seconds(3), "the deleted card is absent", || absent(&router));
        net.plug_dmz();
        eventually(seconds(5), "it forwards", || net.dmz().run("ping -c 1 -W 1 10.1.0.2").ok());

        let (ours, other) = (&net.router.name, &net.wan.name);
        ip(&format!("-n {ours} link set {DMZ_DEVICE} netns {other}"));
        eventually(seconds(3), "the card that moved away is absent", || absent(&router));
        ip(&format!("-n {other} link set {DMZ_DEVICE} netns {ours}"));
        eventually(seconds(5), "it is taken again", || !absent(&router));
        eventually(seconds(5), "it forwards", || net.dmz().run("ping -c 1 -W 1 10.1.0.2").ok());
    }
    drop(flood);
    let flight = canary.stop();
    assert!(router.is_running());
    umem_comes_to_rest(&router);
    umem_is_whole(&router);
    figure("R08", "canary past a vanishing card: loss 0", flight, flight.lost_nothing());
    router.stop();
}

/// R06: nobody reads what goes to the dmz: it is dropped and counted, and no other port waits.
#[test]
fn a_receiver_that_takes_nothing_holds_up_nobody() {
    needs_xrouter!();
    let (net, config) = three_ports();
    let router = Router::start(&net, &config.router("ring = 128"));
    let chunks = umem_is_whole(&router);
    let canary = Canary::start(&net);
    let before = router.usage();
    // Without a carrier the kernel takes one packet in each call: the transmit ring overflows.
    ip(&format!("-n {} link set {HOST_DEVICE} down", net.dmz().name));
    let limit = Limit { frames: u64::MAX, time: seconds(600), per_second: 80_000 };
    let to = STATIC.parse().expect("an address");
    let flood = Flood::start(&net.wan, vec![frames::udp4_from(2, to, 64, 18)], limit);
    // That lasts until control has heard of it: then nobody is there.
    let dropped = || router.dropped("transmit_full") + router.dropped("host_unreachable");
    eventually(seconds(5), "drops are counted", || dropped() > 1000);
    std::thread::sleep(at_length(seconds(3), seconds(1)) * soak());
    assert_eq!(umem_is_whole(&router), chunks);
    drop(flood);
    let flight = canary.stop();
    let grown = router.usage().resident.saturating_sub(before.resident);
    umem_comes_to_rest(&router);
    Books::at_rest(&router).close();
    figure("R06", "canary past a dead receiver: loss 0", flight, flight.lost_nothing());
    figure("R06", "memory growth < 1 MiB", format!("{grown} KiB"), grown < 1024);
    router.stop();
}

/// R06: the receiver is there and its card takes packets, but nobody takes them out of the card: its
/// NAPI thread has what a busy core leaves over, which is next to nothing.
#[test]
fn a_receiver_whose_napi_starves_holds_up_nobody() {
    needs_xrouter!();
    let (net, config) = three_ports();
    let router = Router::start(&net, &config.router("ring = 128"));
    let chunks = umem_is_whole(&router);
    let canary = Canary::start(&net);
    let before = router.usage();
    let hog = starve(&net);
    let lost = || device_counter(&net.router, DMZ_DEVICE, "tx", "dropped");
    let lost_before = lost();
    let limit = Limit { frames: u64::MAX, time: seconds(600), per_second: 80_000 };
    let to = STATIC.parse().expect("an address");
    let flood = Flood::start(&net.wan, vec![frames::udp4_from(2, to, 64, 18)], limit);
    let overflown = || lost() - lost_before + router.dropped("transmit_full") > 1000;
    eventually(seconds(5), "the card's queue overflows", overflown);
    std::thread::sleep(at_length(seconds(3), seconds(1)) * soak());
    assert_eq!(umem_is_whole(&router), chunks);
    drop((flood, hog));
    let flight = canary.stop();
    let grown = router.usage().resident.saturating_sub(before.resident);
    umem_comes_to_rest(&router);
    Books::at_rest(&router).close();
    figure("R06", "canary past a starved receiver: loss 0", flight, flight.lost_nothing());
    figure("R06", "starved receiver: memory growth < 1 MiB", format!("{grown} KiB"), grown < 1024);
    router.stop();
}

const XDP_PASS: u8 = 2;

/// From now on the dmz host's packets are received by a thread that runs when its core is idle; and
/// while what this returns lives, it is not.
#[track_caller]
fn starve(net: &Topology) -> Running {
    let dmz = net.dmz();
    // Without a program NAPI has just what may be merged.
    let object = net.compile("pass", "xdp", XDP_PASS);
    let object = object.display();
    ip(&format!("-n {} link set {HOST_DEVICE} xdpdrv obj {object} sec xdp", dmz.name));
    let switch = format!("echo 1 > /sys/class/net/{HOST_DEVICE}/threaded");
    // A /sys of the namespace.
    dmz.run(&format!("ip netns exec {} sh -c '{switch}'", dmz.name)).succeeds();
    let thread = dmz.run(&format!("pgrep napi/{HOST_DEVICE}")).succeeds().stdout;
    let thread = thread.trim();
    dmz.run(&format!("chrt --idle --pid 0 {thread} && taskset -pc 0 {thread}")).succeeds();
    dmz.spawn("exec taskset -c 0 timeout 60 sh -c 'while :; do :; done'")
}
