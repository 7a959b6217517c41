//! Attacks from a link (R17-R21, R23-R25; RFC 6583): what somebody on the lan does as fast as he
//! can must not harm those who have nothing to do with it.

mod net;

use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use net::canary::Canary;
use net::flood::{Flood, Limit, Sent};
use net::ledger::{Books, umem_comes_to_rest, umem_is_whole};
use net::wire::{Heard, Wire};
use net::{
    Config, HOST_DEVICE, Router, Topology, at_length, figure, frames, holds_within, ip, seconds,
    soak,
};

/// Neighbours that are in use while somebody scans their subnet.
const KNOWN: u8 = 200;
/// Frames of an attack, sent round and round.
const FRAMES: u32 = 20_000;
/// What the neighbour table holds at most.
const NEIGHBOURS: u64 = 1024;
/// What the router may ask the wan for in a second, and at once.
const SOLICITATIONS: (u64, u64) = (1000, 100);

/// Large rings: a machine with two cores sometimes takes one away for a while.
fn config(net: &Topology) -> Config {
    let tables = format!("[tables]\nneighbours = {NEIGHBOURS}");
    net.config().router("ring = 4096").and(&tables)
}

fn fast() -> Limit {
    let time = at_length(seconds(15), seconds(5)) * soak();
    Limit { frames: u64::MAX, time, per_second: 50_000 }
}

/// The same numbers in every run.
fn numbers() -> impl Iterator<Item = u32> {
    let mut state = 0x9e37_79b9_u32;
    std::iter::repeat_with(move || {
        state ^= state << 13; // xorshift32 (Marsaglia 2003)
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}

/// Attack a router that is configured so, while a canary flies: it loses nothing that others do not
/// lose, the router's memory does not grow with what strangers send, and the books close.
#[track_caller]
fn under_attack<T>(
    rule: &str,
    net: &Topology,
    config: &Config,
    attack: impl FnOnce(&Router) -> T,
) -> (Router, T) {
    let router = Router::start(net, config);
    let canary = Canary::start(net);
    let before = router.usage();
    let outcome = attack(&router);
    let flight = canary.stop();
    let books = Books::at_rest(&router);
    books.close();
    let (lost, arrived) = (books.lost_by_kernel("lan"), books.arrived("lan"));
    let measured = format!("{flight}; kernel lost {lost} of {arrived}");
    figure(rule, "canary loses nothing", measured, flight.is_unharmed(lost, arrived));
    let grown = router.usage().resident.saturating_sub(before.resident);
    figure(rule, "memory grows < 4 MiB", format!("{grown} KiB"), grown < 4096);
    (router, outcome)
}

/// Attack it with nothing but these frames from the lan; how long that took.
#[track_caller]
fn flooded(
    rule: &str,
    net: &Topology,
    config: &Config,
    frames: Vec<Vec<u8>>,
    limit: Limit,
) -> (Router, Duration) {
    under_attack(rule, net, config, |_| {
        let start = Instant::now();
        Flood::start(&net.lan, frames, limit).wait();
        start.elapsed()
    })
}

/// A subnet that is scanned: its hosts, and how packets to them look.
struct Subnet {
    router: &'static str,
    host: fn(u32) -> IpAddr,
    known: fn(u8) -> IpAddr,
    newcomer: &'static str,
    latecomer: &'static str,
}

impl Subnet {
    fn udp(to: IpAddr) -> Vec<u8> {
        match to {
            IpAddr::V4(to) => frames::udp4(to, 64, 18),
            IpAddr::V6(to) => frames::udp6(to, 64, 18),
        }
    }
}

const EIGHT: Subnet = Subnet {
    router: "11.0.0.1/8",
    host: |n| Ipv4Addr::from_bits(11 << 24 | 0x80_0000 | n >> 9).into(),
    known: |n| Ipv4Addr::new(11, 1, 0, n).into(),
    newcomer: "11.2.0.1",
    latecomer: "11.2.0.2",
};

const SIXTY_FOUR: Subnet = Subnet {
    router: "2001:db8:8::1/64",
    host: |n| Ipv6Addr::from_bits(0x2001_0db8_0008_0000_dead_0000 << 32 | u128::from(n)).into(),
    known: |n| Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 1, 0, 0, n.into()).into(),
    newcomer: "2001:db8:8::2:1",
    latecomer: "2001:db8:8::2:2",
};

/// R18.
#[test]
fn a_scan_of_a_connected_8_harms_nobody() {
    scan(&EIGHT);
}

/// R18, RFC 6583.
#[test]
fn a_scan_of_a_connected_64_harms_nobody() {
    scan(&SIXTY_FOUR);
}

fn scan(subnet: &Subnet) {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let known: Vec<_> = (1..=KNOWN).map(subnet.known).collect();
    known.iter().for_each(|address| turn_up(&net, address));
    let config = config(&net).address("wan", subnet.router);
    let rule = format!("R18 {}", subnet.router);
    let (router, scanned) =
        under_attack(&rule, &net, &config, |router| scanned(&net, router, subnet, &known));
    let Scanned { flows, heard, took, used, newcomer, latecomer } = scanned;
    let arrived = heard.iter().filter(|frame| is_to(frame, &known)).count() as u64;
    let met = arrived == flows.accepted || Books::read(&router).lost_by_kernel("lan") > 0;
    let measured = format!("{} of {} lost", flows.accepted - arrived, flows.accepted);
    figure(&rule, "200 flows lose nothing", measured, met);
    solicitations(&rule, &heard, took);
    let met = used <= NEIGHBOURS;
    figure(&rule, "table within its bound", format!("{used} of {NEIGHBOURS}"), met);
    let met = newcomer <= seconds(3);
    figure(&rule, "newcomer <= 3 s", format!("{newcomer:.1?}"), met);
    let met = latecomer <= seconds(5);
    figure(&rule, "recovers < 5 s", format!("{latecomer:.1?}"), met);
}

/// What a scan did.
struct Scanned {
    /// What those sent whose neighbours were known before.
    flows: Sent,
    /// What the wan heard.
    heard: Vec<Heard>,
    took: Duration,
    /// Entries of the neighbour table at the end.
    used: u64,
    /// How long a host waited that turned up during the scan, and one that came after it.
    newcomer: Duration,
    latecomer: Duration,
}

fn scanned(net: &Topology, router: &Router, subnet: &Subnet, known: &[IpAddr]) -> Scanned {
    resolve(net, known);
    let wire = Wire::open(&net.wan, HOST_DEVICE);
    let start = Instant::now();
    let scan = targets().map(subnet.host).map(Subnet::udp).collect();
    let until_stopped = Limit { time: fast().time + seconds(60), ..fast() };
    let flood = Flood::start(&net.lan, scan, until_stopped);
    let steady = Limit { per_second: 1000, ..until_stopped };
    let flows = Flood::start(&net.lan, known.iter().copied().map(Subnet::udp).collect(), steady);
    let newcomer = time_to_answer(net, subnet.newcomer);
    std::thread::sleep(fast().time.saturating_sub(start.elapsed()));
    assert!(flood.is_running(), "the newcomer came during the attack");
    flood.stop();
    let flows = flows.stop();
    let took = start.elapsed();
    let used = neighbours(router);
    let latecomer = time_to_answer(net, subnet.latecomer);
    std::thread::sleep(Duration::from_millis(300)); // what is under way arrives
    Scanned { flows, heard: wire.heard(), took, used, newcomer, latecomer }
}

/// How many the router's table has.
#[track_caller]
fn neighbours(router: &Router) -> u64 {
    router.row("tables", "table", "neighbours")["used"].as_u64().expect("a number")
}

/// A host of the wan has this address from now on.
fn turn_up(net: &Topology, address: &dyn Display) {
    ip(&format!("-n {} addr add {address} dev eth0", net.wan.name));
}

/// Addresses that a scan comes back to after six seconds at the earliest, and among them a few that
/// it tries again and again: each of those is to be asked for once a second.
fn targets() -> impl Iterator<Item = u32> {
    let again =
        |(place, number): (u32, u32)| if place % 50 == 0 { place / 50 % 20 } else { number };
    (0..300_000).zip(numbers()).map(again)
}

/// Have the router know all of them.
fn resolve(net: &Topology, hosts: &[IpAddr]) {
    let frames = hosts.iter().copied().map(Subnet::udp).collect();
    let limit = Limit { frames: 3 * u64::from(KNOWN), time: seconds(10), per_second: 200 };
    Flood::start(&net.lan, frames, limit).wait();
}

/// A host turns up and is pinged ten times a second: how long until it answers.
fn time_to_answer(net: &Topology, address: &str) -> Duration {
    turn_up(net, &address);
    let start = Instant::now();
    let answers = || net.lan.run(&format!("ping -c 1 -W 0.2 {address}")).ok();
    assert!(holds_within(seconds(10), answers), "{address} is never reached");
    start.elapsed()
}

fn is_to(frame: &Heard, known: &[IpAddr]) -> bool {
    known.iter().any(|address| match address {
        IpAddr::V4(address) => {
            frame.octets.get(12..14) == Some(&[8, 0])
                && frame.octets.get(30..34) == Some(&address.octets())
                && frame.octets[23] == 17
        }
        IpAddr::V6(address) => {
            frame.octets.get(38..54) == Some(&address.octets()) && frame.octets[20] == 17
        }
    })
}

/// What an ARP request or a solicitation asks for.
fn target(frame: &Heard) -> Option<Vec<u8>> {
    match frame.octets.get(12..14)? {
        [8, 6] => frame.octets.get(38..42).map(<[u8]>::to_vec),
        [0x86, 0xdd] if frame.octets[20] == 58 && *frame.octets.get(54)? == 135 => {
            frame.octets.get(62..78).map(<[u8]>::to_vec)
        }
        _ => None,
    }
}

fn solicitations(rule: &str, heard: &[Heard], took: Duration) {
    let mut asked: HashMap<Vec<u8>, u64> = HashMap::new();
    heard.iter().filter_map(target).for_each(|target| *asked.entry(target).or_default() += 1);
    let (all, most) = (asked.values().sum::<u64>(), asked.values().copied().max().unwrap_or(0));
    let seconds = took.as_secs() + 1;
    let (rate, burst) = SOLICITATIONS;
    let measured = format!("{} /s", all / seconds);
    let met = all > 100 && all <= rate * seconds + burst;
    figure(rule, "asks <= 1000 /s", measured, met);
    let measured = format!("{most} in {seconds} s");
    figure(rule, "asks each <= 1 /s", measured, most <= seconds + 1);
}

/// R19: strangers without number ask who the router is.
#[test]
fn a_flood_of_strangers_harms_nobody() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let arp = numbers().take(FRAMES as usize / 2).map(frames::arp_request_of_stranger);
    let ndp = numbers().take(FRAMES as usize / 2).map(frames::solicitation_of_stranger);
    let strangers = arp.chain(ndp).collect();
    let (_router, (slowest, newcomer)) = under_attack("R19", &net, &config(&net), |router| {
        let flood = Flood::start(&net.lan, strangers, fast());
        let newcomer = time_to_answer(&net, "10.2.0.99");
        let mut slowest = Duration::ZERO;
        while flood.is_running() {
            let asked = Instant::now();
            let used = neighbours(router);
            slowest = slowest.max(asked.elapsed());
            assert!(used <= NEIGHBOURS, "{used} neighbours");
        }
        (slowest, newcomer)
    });
    figure("R19", "newcomer <= 3 s", format!("{newcomer:.1?}"), newcomer <= seconds(3));
    figure("R19", "control answers < 1 s", format!("{slowest:.0?}"), slowest < seconds(1));
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
}

/// R20: a static neighbour is not moved, whoever claims to be it, and however often.
#[test]
fn a_storm_of_claims_does_not_move_a_static_neighbour() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let (address, mac) = ("10.1.0.2", net.lan.mac());
    let fixed = format!("address = \"{address}\"\nmac = \"{mac}\"\nport = \"lan\"");
    let config = config(&net).and(&format!("[[neighbour]]\n{fixed}"));
    let claim = |number: u32| {
        let mut frame = frames::arp_request_of_stranger(number);
        frame[28..32].copy_from_slice(&[10, 1, 0, 2]);
        frame
    };
    let (router, _) = flooded("R20", &net, &config, (1..1000).map(claim).collect(), fast());
    assert_eq!(router.row("neighbours", "address", address)["mac"], mac.as_str());
}

/// R21: somebody claims the router's own address a thousand times a second.
#[test]
fn who_claims_our_address_is_reported_and_does_not_get_it() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let limit = Limit { per_second: 1000, time: seconds(5), frames: u64::MAX };
    let (router, _) = flooded("R21", &net, &config(&net), vec![frames::arp_claim()], limit);
    let log = router.log();
    let lines = log.lines().filter(|line| line.contains("uses our address 10.1.0.1")).count();
    figure("R21", "said, and not more than once in 10 s", lines, (1..=2).contains(&lines));
    net.lan.run("ip neigh flush dev eth0 && ping -c 2 -i 0.2 10.1.0.1").succeeds();
}

/// R17: a hundred thousand packets a second, each of which deserves an error.
#[test]
fn a_flood_that_asks_for_errors_gets_its_budget() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let nowhere6 = "2001:db8:ffff::1".parse().expect("an address");
    let noise = vec![
        frames::udp4(Ipv4Addr::new(10, 2, 0, 2), 1, 18),
        frames::udp4(Ipv4Addr::new(192, 0, 2, 1), 64, 18),
        frames::udp6(nowhere6, 64, 18),
        frames::udp6("2001:db8:2::2".parse().expect("an address"), 1, 18),
    ];
    let limit = Limit { per_second: 100_000, ..fast() };
    let (router, took) = flooded("R17", &net, &config(&net), noise, limit);
    let (errors, took) = (router.counter("lan", "icmp_errors"), took.as_secs() + 1);
    let met = errors > 100 && errors <= 1000 * took + 200;
    figure("R17", "errors <= 1000 /s + 200", format!("{errors} in {took} s"), met);
}

/// R24: datagrams for the router that are never completed.
#[test]
fn fragments_that_are_never_completed_fill_no_memory() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let (router, _) = flooded("R24", &net, &config(&net), frames::endless_fragments(), fast());
    let read = |file: &str| router.host().run(&format!("cat /proc/{file}")).succeeds().stdout;
    let bound: u64 = read("sys/net/ipv4/ipfrag_high_thresh").trim().parse().expect("a number");
    let stat = read("net/sockstat");
    let used = stat.lines().find_map(|line| line.strip_prefix("FRAG: inuse "));
    let used = used.and_then(|line| line.split(' ').nth(2)).and_then(|n| n.parse::<u64>().ok());
    let used = used.expect("the kernel says what fragments take");
    // The kernel looks before it takes one more.
    let met = used <= bound + 65_536;
    figure("R24", "fragments <= ipfrag_high_thresh", format!("{used} of {bound}"), met);
}

/// R23: who wants sessions and never has one takes them from nobody.
#[test]
fn a_flood_of_syns_harms_nobody() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let config = config(&net).route("198.18.0.0/15", "10.1.0.2");
    let syns = numbers().take(FRAMES as usize).map(frames::syn_of_stranger).collect();
    let (_router, took) = under_attack("R23", &net, &config, |router| {
        let listen = |port| router.host().serve(port, &format!("exec nc -l -k -p {port}"));
        let _servers = [22, 179].map(listen);
        let flood = Flood::start(&net.lan, syns, fast());
        let met = net.wan.run("nc -z -w 5 10.2.0.1 22 && nc -z -w 5 10.2.0.1 179").succeeds();
        flood.wait();
        met.took
    });
    figure("R23", "others get in <= 3 s", format!("{took:.1?}"), took <= seconds(3));
}

/// R25: both ports on one wire. Nothing that is sent once goes round for ever.
#[test]
fn a_loop_outside_does_not_amplify() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &config(&net));
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let chunks = umem_is_whole(&router);
    join_the_links(&net);
    // Broadcast, unicast and packets whose TTL ends, all at once.
    let everything = [frames::resolved(), frames::unresolved(), frames::for_the_router()].concat();
    let limit = Limit { frames: 2_000, time: seconds(10), per_second: 1_000 };
    Flood::start(&net.lan, everything, limit).wait();
    umem_comes_to_rest(&router);
    let before = Books::at_rest(&router).sum("received");
    let quiet = at_length(seconds(4), seconds(2));
    std::thread::sleep(quiet);
    let after = Books::read(&router).sum("received") - before;
    let per_second = after / quiet.as_secs();
    figure("R25", "silence after the storm", format!("{per_second} /s"), per_second < 50);
    assert_eq!(umem_is_whole(&router), chunks);
    Books::at_rest(&router).close();
}

/// Put a bridge between the other ends of the two links.
fn join_the_links(net: &Topology) {
    let (lan, wan) = (&net.lan.name, &net.wan.name);
    ip(&format!("-n {lan} link add up name joint type veth peer name joint netns {wan}"));
    for host in [lan, wan] {
        ip(&format!("-n {host} link add up name bridge type bridge"));
        ip(&format!("-n {host} link set joint up master bridge"));
        ip(&format!("-n {host} link set eth0 master bridge"));
    }
}
