//! No load, much load, mixed load: idle cores, fair shares, and nothing that grows.

mod net;

use std::time::{Duration, Instant};

use net::canary::Canary;
use net::flood::{Flood, Limit};
use net::ledger::{Books, closes, umem_is_whole};
use net::{
    HOST_DEVICE, Host, Router, Topology, Usage, at_length, eventually, figure, frames, ip, seconds,
    soak,
};

/// R34: an idle router costs nothing and loses no packet when it wakes.
#[test]
fn idle_and_then_a_packet() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
    let (before, start) = (router.usage().core, Instant::now());
    std::thread::sleep(at_length(seconds(8), seconds(2)) * soak());
    let share = (router.usage().core - before).as_secs_f64() / start.elapsed().as_secs_f64();
    let pings = ["ping -c 1 -W 2 10.2.0.2", "ping -6 -c 1 -W 2 2001:db8:2::2"];
    let lost = pings.iter().filter(|ping| !net.lan.run(ping).ok()).count();
    figure("R34", "idle CPU <= 1 %", format!("{:.2} %", 100.0 * share), share <= 0.01);
    figure("R34", "first packet after idle: loss 0", format!("{lost} of 2 lost"), lost == 0);
    router.stop();
}

/// More than the router can take, from this host to that address.
fn overload(from: &Host, subnet: u8, to: [u8; 4], time: Duration) -> Flood {
    let limit = Limit { frames: u64::MAX, time, per_second: 60_000 };
    Flood::start(from, vec![frames::udp4_from(subnet, to.into(), 64, 18)], limit)
}

/// Packets that came in by a port and were not dropped.
fn carried(books: &Books, port: &str) -> u64 {
    books.of(port, "received") - books.of(port, "dropped")
}

/// R35: of two loads that are the same, neither gets less than half as much as the other.
#[track_caller]
fn shares_fairly(what: &str, before: &Books, after: &Books, ports: [&str; 2]) {
    let [a, b] = ports.map(|port| carried(after, port) - carried(before, port));
    assert!(a.min(b) > 1000, "{a} and {b} packets");
    let measured = format!("{a} and {b} packets");
    figure("R35", &format!("{what}: shares within 1:2"), measured, 2 * a.min(b) >= a.max(b));
}

#[test]
fn two_directions_and_two_senders_share_fairly() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let router = Router::start(&net, &net.config());
    for host in [&net.lan, net.dmz()] {
        host.run("ping -c 1 10.2.0.2").succeeds();
    }
    let time = at_length(seconds(3), seconds(1)) * soak();
    let (lan, wan) = ([10, 1, 0, 2], [10, 2, 0, 2]);

    let before = Books::at_rest(&router);
    let floods = [overload(&net.lan, 1, wan, time), overload(&net.wan, 2, lan, time)];
    floods.into_iter().for_each(|flood| assert!(flood.wait().accepted > 1000));
    let between = Books::at_rest(&router);
    shares_fairly("two directions", &before, &between, ["lan", "wan"]);

    let floods = [overload(&net.lan, 1, wan, time), overload(net.dmz(), 4, wan, time)];
    floods.into_iter().for_each(|flood| assert!(flood.wait().accepted > 1000));
    let after = Books::at_rest(&router);
    shares_fairly("two senders to one", &between, &after, ["lan", "dmz"]);
    after.close();
    router.stop();
}

/// What gets through from lan to wan in a second of more than the router can take.
fn transit(net: &Topology, router: &Router, time: Duration) -> u64 {
    let (before, start) = (Books::read(router), Instant::now());
    assert!(overload(&net.lan, 1, [10, 2, 0, 2], time).wait().accepted > 1000);
    let packets = carried(&Books::read(router), "lan") - carried(&before, "lan");
    packets * 1000 / u64::try_from(start.elapsed().as_millis()).expect("a short time")
}

/// R10: the router's own host sends as fast as it can, beside more transit than there is room for.
#[test]
fn the_host_behind_the_taps_and_transit_share_fairly() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let time = at_length(seconds(4), seconds(2)) * soak();
    let alone = transit(&net, &router, time);

    let server = net.wan.serve(5201, "exec iperf3 -s");
    let canary = Canary::start(&net);
    let host = router.host().spawn("exec iperf3 -u -b 0 -l 18 -t 600 -c 10.2.0.2");
    let sent = || Books::read(&router).sum("from_kernel");
    eventually(seconds(5), "the host sends", || sent() > 1000);
    let (before, start) = (sent(), Instant::now());
    let beside = transit(&net, &router, time);
    let own = (sent() - before) as f64 / start.elapsed().as_secs_f64();
    drop((host, server));
    let flight = canary.stop();
    let measured = format!("{beside} of {alone} per s, the host {own:.0} per s");
    let met = 2 * beside >= alone;
    figure("R10", "the host at full speed: transit >= 50 % of its rate alone", &measured, met);
    figure("R10", "the host is not starved, either: >= 1000 per s", &measured, own >= 1000.0);
    let met = 2 * flight.received >= flight.sent && flight.longest_gap < seconds(1);
    figure("R10", "nor the canary: most arrives, gap < 1 s", flight, met);
    Books::at_rest(&router).close();
    router.stop();
}

/// A mixture of everything, and links and taps that come and go meanwhile. With SOAK=n for n
/// minutes (R33), else for seconds.
#[test]
fn mixed_load_with_churn() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let router = Router::start(&net, &net.config());
    let chunks = umem_is_whole(&router);
    let minutes = std::env::var_os("SOAK").map(|_| seconds(60) * soak());
    let time = minutes.unwrap_or(at_length(seconds(8), seconds(4)));
    let canary = Canary::start(&net);
    let mixture = [
        frames::resolved(),
        frames::unresolved(),
        frames::invalid(),
        frames::for_the_router(),
        vec![frames::udp4([10, 4, 0, 2].into(), 64, 1400)],
    ];
    let limit = Limit { frames: u64::MAX, time, per_second: 15_000 };
    let flood = Flood::start(&net.lan, mixture.concat(), limit);
    let churn = [
        (&net.dmz().name, format!("link set {HOST_DEVICE} down")),
        (&net.dmz().name, format!("link set {HOST_DEVICE} up")),
        (&net.router.name, "link set dmz down".to_owned()),
        (&net.router.name, "link set dmz up".to_owned()),
    ];
    let start = Instant::now();
    let mut samples: Vec<(f64, Usage)> = Vec::new();
    for (namespace, change) in churn.iter().cycle() {
        if !flood.is_running() {
            break;
        }
        ip(&format!("-n {namespace} {change}"));
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(umem_is_whole(&router), chunks);
        // What is allocated with the first packets of each kind is no growth.
        if start.elapsed() > time / 4 {
            samples.push((start.elapsed().as_secs_f64(), router.usage()));
        }
    }
    assert!(flood.wait().accepted > 1000);
    let flight = canary.stop();
    closes(&router, chunks);
    nothing_grows(&samples, minutes.is_some());
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let ratio = flight.lost() as f64 / flight.sent as f64;
    figure("R33", "mixed load: loss ratio <= 1e-5", flight, ratio <= 1e-5);
    router.stop();
}

#[track_caller]
fn nothing_grows(samples: &[(f64, Usage)], is_soak: bool) {
    let (first, last) = (samples[0].1, samples[samples.len() - 1].1);
    let grown = last.resident.saturating_sub(first.resident);
    figure("R33", "memory growth < 1 MiB", format!("{grown} KiB"), grown < 1024);
    let descriptors = format!("{} and {}", first.descriptors, last.descriptors);
    figure("R33", "descriptors constant", descriptors, first.descriptors == last.descriptors);
    if is_soak {
        let slope = slope(samples) * 3600.0 / 1024.0;
        figure("R33", "memory slope < 1 MiB/h", format!("{slope:.2} MiB/h"), slope < 1.0);
    }
}

/// KiB in a second, by least squares.
#[expect(clippy::cast_precision_loss, reason = "less than 2^52 KiB")]
fn slope(samples: &[(f64, Usage)]) -> f64 {
    let points = || samples.iter().map(|(time, usage)| (*time, usage.resident as f64));
    let count = samples.len() as f64;
    let mean = |of: fn((f64, f64)) -> f64| points().map(of).sum::<f64>() / count;
    let (mean_time, mean_size) = (mean(|(time, _)| time), mean(|(_, size)| size));
    let covariance: f64 = points().map(|(t, s)| (t - mean_time) * (s - mean_size)).sum();
    let variance: f64 = points().map(|(time, _)| (time - mean_time).powi(2)).sum();
    covariance / variance
}
