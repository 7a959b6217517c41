//! Routes that change while packets go by them (R26, R27): each packet takes the old way or the new
//! one.

mod net;

use std::time::{Duration, Instant};

use net::mirror::{
    BEHIND, BEHIND6, Batch, NET, NET6, goes_by, goes_by_both, ip, lab, many, shows, verified,
};
use net::stream::{Arrivals, Stream};
use net::{HOST_DEVICE, Router, Topology, at_length, eventually, figure, seconds};

/// A route that changes, and the ways that there are.
struct Case {
    family: &'static str,
    to: &'static str,
    behind: &'static str,
    /// The hosts wan and dmz.
    gateways: [&'static str; 2],
    /// A less specific route, and where it leads: back to lan.
    cover: &'static str,
    back: &'static str,
}

const CASES: [Case; 2] = [
    Case {
        family: "IPv4",
        to: NET,
        behind: BEHIND,
        gateways: ["10.2.0.2", "10.4.0.2"],
        cover: "203.0.112.0/20",
        back: "10.1.0.2",
    },
    Case {
        family: "IPv6",
        to: NET6,
        behind: BEHIND6,
        gateways: ["2001:db8:2::2", "2001:db8:4::2"],
        cover: "2001:db8::/32",
        back: "2001:db8:1::2",
    },
];

/// R26: it goes to and fro, between others that change, too. Where it is missing for a moment,
/// packets go back to lan.
#[test]
fn a_more_specific_route_goes_to_and_fro() {
    needs_xrouter!();
    let (net, router) = lab();
    for case in &CASES {
        for (gateway, port) in case.gateways.into_iter().zip(["wan", "dmz"]) {
            goes_by(&net, &router, gateway, port);
        }
        ip(&router, &format!("route add {} via {}", case.cover, case.back));
        ip(&router, &format!("route add {} via {} proto bird", case.to, case.gateways[0]));
        shows(&router, case.to, |route| route["port"] == "wan");
        let stream = Stream::start(&net.lan, case.behind, &[&net.wan, net.dmz()]);
        let (flips, rate) = to_and_fro(&router, case);
        let arrivals = stream.stop();
        verified(&router);
        let [sent, lost] = [arrivals.sent(), arrivals.lost()];
        let (old, new) = (arrivals.at(0), arrivals.at(1));
        let ways = format!("{lost} of {sent} lost, {old} by the one and {new} by the other");
        let measured = format!("{ways}; {flips} times, between {rate:.0} changes per s");
        let used = old.min(new) > sent / 10;
        let met = used && lost == 0 && arrivals.doubled() == 0;
        let asked = format!("{}, to and fro: by the old way or the new", case.family);
        figure("R26", &asked, measured, met);
    }
}

/// A hundred times a second, with a hundred other changes each time. How often, and how many others
/// there were in a second.
fn to_and_fro(router: &Router, case: &Case) -> (u32, f64) {
    const TICK: Duration = Duration::from_millis(10);
    const OTHERS: u32 = 100;
    let others = ["add", "del"].map(|verb| many(verb, OTHERS, "10.4.0.2"));
    let mut ip = Batch::start(router);
    let (start, time) = (Instant::now(), at_length(seconds(8), seconds(3)));
    let mut ticks = 0;
    while start.elapsed() < time {
        let turn = ticks as usize % 2;
        let via = case.gateways[1 - turn];
        ip.tell(&format!("route replace {} via {via} proto bird", case.to));
        ip.tell(&others[turn]);
        ticks += 1;
        std::thread::sleep((TICK * ticks).saturating_sub(start.elapsed()));
    }
    ip.end();
    (ticks, f64::from(ticks * OTHERS) / start.elapsed().as_secs_f64())
}

/// The routes with three gateways, and without the one that comes and goes.
const THREE: &str = "nexthop via 10.2.0.2 nexthop via 10.2.0.3 nexthop via 10.4.0.2";
const WITHOUT: &str = "nexthop via 10.2.0.2 nexthop via 10.4.0.2";
/// How long it is there, and how long it is not: ten times a second.
const HALF: Duration = Duration::from_millis(50);

/// The gateways, of which wan has two, each with its port.
const GATEWAYS: [(&str, &str); 3] = [("10.2.0.2", "wan"), ("10.2.0.3", "wan"), ("10.4.0.2", "dmz")];

/// The MACs of all gateways are known.
fn know_gateways(net: &Topology, router: &Router) {
    net.wan.run(&format!("ip addr add 10.2.0.3/24 dev {HOST_DEVICE}")).succeeds();
    for (gateway, port) in GATEWAYS {
        goes_by(net, router, gateway, port);
    }
}

/// The route leads to so many gateways.
fn leads_to(router: &Router, count: usize) {
    shows(router, NET, |route| route["next_hops"].as_array().map_or(0, Vec::len) == count);
}

/// A route by these gateways, whose MACs are known.
fn shared(net: &Topology, router: &Router, hops: &str) {
    know_gateways(net, router);
    ip(router, &format!("route add {NET} proto bird {hops}"));
    leads_to(router, hops.matches("nexthop").count());
}

/// Again and again, as long as the test is to run.
fn flap(mut change: impl FnMut(usize)) {
    let (start, time) = (Instant::now(), at_length(seconds(8), seconds(3)));
    for turn in (0..).take_while(|_| start.elapsed() < time) {
        change(turn % 2);
        std::thread::sleep(HALF);
    }
    change(1);
}

/// R27: of the flows that one host had from the beginning, nothing has gone elsewhere, been lost or
/// been overtaken.
#[track_caller]
fn survivors(what: &str, arrivals: &Arrivals, host: usize) {
    let flows = arrivals.flows_of(host);
    assert!(!flows.is_empty(), "no flow to look at");
    let (missed, overtaken) = (arrivals.missed(host, &flows), arrivals.overtaken(host));
    let count = flows.len();
    let lost = format!("{missed} lost or elsewhere, {overtaken} overtaken, of {count} flows");
    let all = format!("in all {} of {} lost", arrivals.lost(), arrivals.sent());
    let asked = format!("{what} at 10 Hz: flows of the others undisturbed");
    figure("R27", &asked, format!("{lost}; {all}"), missed == 0 && overtaken == 0);
}

#[test]
fn a_gateway_that_a_route_has_now_and_then() {
    needs_xrouter!();
    let (net, router) = lab();
    shared(&net, &router, THREE);
    // Whose flows it takes when it comes back is settled by the first time.
    ip(&router, &format!("route replace {NET} proto bird {WITHOUT}"));
    ip(&router, &format!("route replace {NET} proto bird {THREE}"));
    verified(&router);
    let stream = Stream::start(&net.lan, BEHIND, &[&net.wan, net.dmz()]);
    let mut ip = Batch::start(&router);
    flap(|turn| ip.tell(&format!("route replace {NET} proto bird {}", [WITHOUT, THREE][turn])));
    ip.end();
    let arrivals = stream.stop();
    verified(&router);
    survivors("a next hop of a route", &arrivals, 1);
    assert_eq!(arrivals.lost(), 0, "nobody was gone in truth");
}

#[test]
fn a_gateway_whose_link_flaps() {
    needs_xrouter!();
    let (net, router) = lab();
    shared(&net, &router, WITHOUT);
    let dmz = &net.dmz().name;
    let change = |turn: usize| {
        net::ip(&format!("-n {dmz} link set {HOST_DEVICE} {}", ["down", "up"][turn]));
    };
    // Whose flows it takes when it comes back is settled by the first time.
    change(0);
    eventually(seconds(3), "it is gone", || router.neighbour("10.4.0.2").is_none());
    change(1);
    eventually(seconds(3), "it is back", || router.neighbour("10.4.0.2").is_some());
    goes_by_both(&net, &router, BEHIND);
    let stream = Stream::start(&net.lan, BEHIND, &[&net.wan, net.dmz()]);
    flap(change);
    let arrivals = stream.stop();
    survivors("a next hop's link", &arrivals, 0);
    goes_by_both(&net, &router, BEHIND);
    verified(&router);
}

/// As FRR and `ip` make them where the kernel itself is to move no flow in vain: a member fails, so that
/// the kernel takes it out of the group, and is put in again.
#[test]
fn a_member_of_a_resilient_group_that_fails_now_and_then() {
    needs_xrouter!();
    let (net, router) = lab();
    know_gateways(&net, &router);
    let member = |id: usize, (via, port)| format!("nexthop replace id {id} via {via} dev {port}");
    for (id, gateway) in (1..).zip(GATEWAYS) {
        ip(&router, &member(id, gateway));
    }
    let group = "id 10 group 1/2/3 type resilient buckets 64 idle_timer 30";
    ip(&router, &format!("nexthop replace {group}"));
    ip(&router, &format!("route add {NET} nhid 10 proto bird"));
    leads_to(&router, 3);
    let fails = "nexthop del id 2".to_owned();
    let is_back = format!("{}\nnexthop replace {group}", member(2, GATEWAYS[1]));
    // Whose flows it takes when it comes back is settled by the first time.
    let mut ip = Batch::start(&router);
    ip.tell(&fails);
    leads_to(&router, 2);
    ip.tell(&is_back);
    leads_to(&router, 3);
    goes_by_both(&net, &router, BEHIND);
    let stream = Stream::start(&net.lan, BEHIND, &[&net.wan, net.dmz()]);
    flap(|turn| ip.tell([&fails, &is_back][turn]));
    ip.end();
    let arrivals = stream.stop();
    leads_to(&router, 3);
    verified(&router);
    survivors("a member of a resilient group", &arrivals, 1);
    assert_eq!(arrivals.lost(), 0, "nobody was gone in truth");
}
