//! Cables pulled, processes killed: what the router leaves behind, and how it comes back.

mod net;

use std::fs;

use net::flood::{Flood, Limit};
use net::{
    HOST_DEVICE, LAN_DEVICE, Namespace, Router, Topology, WAN_DEVICE, at_length, bpf, eventually,
    figure, frames, holds_within, ip, launch, same_state, seconds, started, state, sysctl,
};

/// Packets pass within `limit` seconds, both ways and both families. Under load one may be lost.
#[track_caller]
fn forwards(net: &Topology, limit: u64) {
    for (host, address) in [
        (&net.lan, "10.2.0.2"),
        (&net.wan, "10.1.0.2"),
        (&net.lan, "2001:db8:2::2"),
        (&net.wan, "2001:db8:1::2"),
    ] {
        let ping = format!("ping -c 1 -W 1 {address}");
        eventually(seconds(limit), &format!("packets pass to {address}"), || host.run(&ping).ok());
    }
}

#[test]
fn a_link_that_goes_down_and_up() {
    let (net, _router) = started(Topology::builder());
    forwards(&net, 5);
    for _ in 0..at_length(10, 3) {
        ip(&format!("-n {} link set eth0 down", net.lan.name));
        // The sender hears of it at once (checklist C134).
        eventually(seconds(3), "10.1.0.2 is unreachable", || {
            let ping = net.wan.run("ping -c 1 -W 1 10.1.0.2");
            net::kernel_is_router() || ping.stdout.contains("Destination Host Unreachable")
        });
        net.lan.configure();
        net.settle();
        forwards(&net, 3);
    }
}

#[test]
fn an_unplugged_cable_is_seen_and_a_new_one_taken() {
    needs_xrouter!();
    let (net, mut router) = started(Topology::builder());
    for _ in 0..at_length(5, 2) {
        forwards(&net, 10);
        net.unplug();
        eventually(seconds(3), "show ports says that lan is gone", || {
            router.row("ports", "name", "lan")["link"] != "up"
        });
        // The other port serves on.
        net.wan.run("ping -c 2 -i 0.2 10.2.0.1").succeeds();
        assert!(router.is_running(), "a cable is no reason to stop");
        net.plug_lan();
        net.settle();
    }
    forwards(&net, 10);
    router.stop();
}

#[test]
fn both_cables_unplugged_under_load() {
    needs_xrouter!();
    let (net, mut router) = started(Topology::builder());
    forwards(&net, 5);
    let flood = load(&net);
    net.unplug();
    ip(&format!("-n {} link del eth0", net.wan.name));
    assert!(!holds_within(seconds(2), || !router.is_running()), "the router ended");
    drop(flood);
    router.stop();
}

/// Traffic that keeps the router busy until it is dropped, and leaves room for a ping.
fn load(net: &Topology) -> Flood {
    load_of(net, 50_000)
}

/// As much traffic as one core can send: more than the router can take.
fn full_load(net: &Topology) -> Flood {
    load_of(net, 0)
}

fn load_of(net: &Topology, per_second: u32) -> Flood {
    let frames = [frames::resolved(), frames::for_the_router(), frames::unresolved()].concat();
    let limit = Limit { frames: u64::MAX, time: seconds(600), per_second };
    Flood::start(&net.lan, frames, limit)
}

/// R12: from the start to forwarding again. A ping may be lost under a full load; many packets
/// of the load itself arrive.
#[track_caller]
fn forwards_under_full_load(net: &Topology) {
    let before = arrived(net);
    eventually(seconds(2), "the wan host receives", || arrived(net) > before + 1000);
}

fn arrived(net: &Topology) -> u64 {
    let said = net.wan.run("ip -s -j link show eth0").succeeds();
    let links: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    links[0]["stats64"]["rx"]["packets"].as_u64().expect("a number")
}

#[test]
fn sigterm_leaves_everything_as_it_was_found() {
    needs_xrouter!();
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let net = Topology::lan_wan();
        let before = state(&net.router);
        let router = Router::start(&net, &net.config());
        forwards(&net, 5);
        let flood = load(&net);
        router.stop_by(signal);
        drop(flood);
        same_state(&before, &state(&net.router));
        assert!(!net.directory.join("api.sock").exists(), "the API's socket is left");
        // The kernel has its card back.
        ip(&format!("-n {} addr add 10.1.0.1/24 dev lan0", net.router.name));
        net.lan.run("ping -c 1 -W 3 10.1.0.1").succeeds();
    }
}

/// Names of devices with an XDP program, one for each program.
fn programs(namespace: &Namespace) -> Vec<String> {
    bpf::programs(namespace).into_iter().map(|(device, _)| device).collect()
}

/// Memory pages that the kernel holds for UMEMs and the like, on the whole machine.
fn pinned_pages() -> i64 {
    let statistics = fs::read_to_string("/proc/vmstat").expect("Linux has it");
    let value = |name: &str| -> i64 {
        let line = statistics.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
    };
    value("nr_foll_pin_acquired ") - value("nr_foll_pin_released ")
}

fn count_of_maps() -> usize {
    let maps = std::process::Command::new("bpftool").args(["-j", "map"]).output();
    let maps = maps.expect("bpftool is installed").stdout;
    let maps: serde_json::Value = serde_json::from_slice(&maps).expect("bpftool writes JSON");
    maps.as_array().map_or(0, Vec::len)
}

/// R12: what remains after kill -9 stops no restart, however often.
#[test]
fn killed_under_load_and_started_again() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let config = net.config();
    let mut pages_at_most = None;
    let maps = count_of_maps();
    let pins = fs::read_dir("/sys/fs/bpf").map_or(0, Iterator::count);
    let _flood = full_load(&net);
    for round in 1..=at_length(50, 5) {
        let router = Router::start(&net, &config);
        let mut with_program = programs(&net.router);
        with_program.sort();
        assert_eq!(with_program, [LAN_DEVICE, WAN_DEVICE], "round {round}");
        forwards_under_full_load(&net);
        router.kill();
        eventually(seconds(2), "the programs go with the process", || {
            programs(&net.router).is_empty()
        });
        eventually(seconds(2), "the taps go with the process", || {
            net.router.run("ip -br link").lines_with("lan ") == 0
        });
        // What the last frames in flight still hold may stay for a while, but not add up.
        let at_most = *pages_at_most.get_or_insert_with(pinned_pages);
        eventually(seconds(10), "locked memory does not grow", || pinned_pages() <= at_most);
    }
    eventually(seconds(10), "no map is left", || count_of_maps() <= maps);
    assert_eq!(fs::read_dir("/sys/fs/bpf").map_or(0, Iterator::count), pins, "pinned objects");
}

#[test]
fn after_kill_9_the_kernel_has_the_card() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    router.kill();
    // The card may still be kept from ARP of its own, as xrouter had left it: so say who is who.
    let entry = |namespace: &str, address: &str, mac: &str, device: &str| {
        ip(&format!("-n {namespace} neigh replace {address} lladdr {mac} dev {device}"));
    };
    ip(&format!("-n {} addr replace 10.1.0.1/24 dev {LAN_DEVICE}", net.router.name));
    entry(&net.router.name, "10.1.0.2", &net.lan.mac(), LAN_DEVICE);
    entry(&net.lan.name, "10.1.0.1", "02:00:0a:01:00:01", HOST_DEVICE);
    eventually(seconds(3), "the kernel answers on the card", || {
        net.lan.run("ping -c 1 -W 1 10.1.0.1").ok()
    });
}

/// R13: what was the router's is closed from then on, even to a kernel that would forward.
#[test]
fn a_killed_router_leaves_its_links_closed() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    sysctl(&net.router, &["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    let _service = net.router.serve(2222, "exec nc -6 -lk 2222");
    let ours = ["10.1.0.1", "10.2.0.1", "2001:db8:1::1", "2001:db8:2::1"];
    let open = || -> Vec<_> {
        let is_open = |address: &&str| net.lan.run(&format!("nc -z -w 1 {address} 2222")).ok();
        ours.into_iter().filter(is_open).collect()
    };
    assert_eq!(open(), ours, "the service is there");
    let transit = "'src host 10.1.0.2 or src host 2001:db8:1::2'";
    let watch = net.wan.watch(HOST_DEVICE, transit);
    router.kill();
    let before = watch.stdout().lines().count();
    let limit = Limit { frames: 2_000, time: seconds(5), per_second: 2_000 };
    Flood::start(&net.lan, frames::resolved(), limit).wait();
    let (open, passed) = (open(), watch.interrupt().lines_with(" > ") - before);
    let measured = format!("{passed} of 2000, {} of 4", open.len());
    let met = passed == 0 && open.is_empty();
    figure("R13", "killed: nothing forwarded, no service exposed", measured, met);
}

#[test]
fn a_second_router_on_the_same_card_is_refused_clearly() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let second = launch(&net, &net.config().socket("second.sock")).wait(seconds(10)).fails();
    assert!(second.has("another xrouter"), "says why: {second}");
    forwards(&net, 3);
    router.stop();
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let before = state(&net.router);
    let third = "[[port]]\nname = \"dmz\"\ndevice = \"nosuch0\"\naddresses = [\"10.9.0.1/24\"]";
    let failed = launch(&net, &net.config().and(third)).wait(seconds(10)).fails();
    failed.says("nosuch0");
    same_state(&before, &state(&net.router));
}

#[test]
fn it_starts_on_a_card_that_is_down_and_serves_when_it_comes_up() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    ip(&format!("-n {} link set {HOST_DEVICE} down", net.lan.name));
    let router = Router::start(&net, &net.config());
    net.lan.configure();
    net.settle();
    forwards(&net, 5);
    router.stop();
}
