//! Runs a case over veth: the router as it is built, a cable in each of its ports, and the taps.
//!
//! The other ends of the cables send what hosts send and hear what leaves. At the taps a packet
//! socket takes the place of the kernel's stack, which hears and says nothing.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use xrouter::config::Port;
use xrouter::id::PortId;
use xrouter::packet::ethernet::{self, MacAddress};
use xrouter::packet::text::parse_line;
use xrouter::packet::{ipv6, transport};

use crate::case::{CONTROL, Case, HASH_SEED, Input, Outcome, Source, config_file, frame_line};
use crate::net::ledger::Books;
use crate::net::names::{FAST_PATH, PASSED};
use crate::net::wire::{Heard, Wire, collect};
use crate::net::{Config, Router, Topology, eventually, holds_within, ip, seconds, sysctl};

/// A card's MTU, as in memory.
const MTU: u16 = 1500;
/// How much longer a frame the hosts can send.
const MORE: u16 = 100;
/// A router that says nothing for so long has said all.
const QUIET: Duration = Duration::from_millis(50);
/// How long the router may take for a case.
const LIMIT: Duration = seconds(3);

/// The name of the filter that silences the kernel's stack.
const SILENCE: &str = "silence";
/// What it says to every frame: drop it.
const TC_ACT_SHOT: u8 = 2;

/// Drops of the pipeline that the XDP program anticipates: it leaves such frames to the kernel.
const LEFT_TO_KERNEL: [&str; 2] = ["not_for_us", "ether_type_unknown"];

/// The cables of the largest case; smaller ones use the first of them.
pub struct Cables<'n> {
    net: &'n Topology,
    hosts: Vec<Wire>,
    /// Frames of all cases that the XDP program forwarded.
    pub fast_path: Cell<u64>,
}

impl<'n> Cables<'n> {
    /// Plug so many cables in. They have the MACs of the cases at the router's end.
    pub fn plug(net: &'n Topology, ports: usize) -> Self {
        sysctl(&net.router, &["net.ipv6.conf.default.disable_ipv6=1"]);
        // The kernel may lack `matchall`.
        net.compile(SILENCE, "classifier", TC_ACT_SHOT);
        // A kernel that forwards joins the groups of routers at the taps.
        sysctl(&net.router, &["net.ipv6.conf.default.forwarding=1"]);
        Self::for_kernel(net, ports)
    }

    /// The same where the kernel is the router, and has IPv6 at its ends.
    pub fn for_kernel(net: &'n Topology, ports: usize) -> Self {
        sysctl(&net.lan, &["net.ipv6.conf.default.disable_ipv6=1"]);
        let hosts = (1..=ports).map(|port| plug(net, port)).collect();
        Self { net, hosts, fast_path: Cell::default() }
    }

    /// The wires of the hosts.
    pub fn hosts(&self) -> &[Wire] {
        &self.hosts
    }

    /// What becomes of the case's frames, what control sends among it.
    pub fn run(&self, case: &Case, folder: &Path) -> Result<Outcome, String> {
        // What the router of the case before has said after all.
        self.hosts.iter().for_each(|host| drop(host.heard()));
        let router = Router::start(self.net, &self.config(case, folder));
        let names: Vec<_> = case.config.ports.iter().map(|port| port.name.as_str()).collect();
        self.silence(&names);
        let taps: Vec<_> = names.iter().map(|name| Wire::open(&self.net.router, name)).collect();
        let hosts = &self.hosts[..taps.len()];
        let run = Run { case, router, hosts, taps };
        run.settle();
        let outcome = run.run();
        self.fast_path.update(|frames| frames + Books::read(&run.router).sum(FAST_PATH));
        outcome
    }

    /// The case's router.toml, with devices that are here and flows that go as in memory.
    pub fn config(&self, case: &Case, folder: &Path) -> Config {
        let text = std::fs::read_to_string(config_file(folder)).expect("it was read before");
        let mut config: toml::Table = text.parse().expect("it was read before");
        let router = config.entry("router").or_insert(toml::Table::new().into());
        let router = router.as_table_mut().expect("it was read before");
        router.entry("hash_seed").or_insert(HASH_SEED.into());
        let ports = config["port"].as_array_mut().expect("it was read before");
        for ((port, number), own) in ports.iter_mut().zip(1..).zip(&case.config.ports) {
            port["device"] = device(number).into();
            set_mtu(self.net, number, own.mtu.unwrap_or(MTU).max(MTU));
        }
        Config::of(config, &self.net.directory)
    }

    /// The kernel's stack hears nothing of what the router writes to the taps, and nothing of what it
    /// says itself gets out. Packet sockets hear before this filter, and send past it.
    fn silence(&self, taps: &[&str]) {
        let filter = format!("bpf direct-action object-file {SILENCE}.o");
        let line = format!(
            "cd {} && for tap in {}; do tc qdisc add dev $tap clsact && \
             tc filter add dev $tap ingress {filter} && \
             tc filter add dev $tap egress {filter} || exit; done",
            self.net.directory.display(),
            taps.join(" "),
        );
        self.net.router.run(&line).succeeds();
    }
}

/// The router's end of a cable.
fn device(port: usize) -> String {
    format!("cable{port}")
}

/// The other end.
fn host(port: usize) -> String {
    format!("host{port}")
}

fn plug(net: &Topology, port: usize) -> Wire {
    let (router, hosts) = (&net.router.name, &net.lan.name);
    let (device, host) = (device(port), host(port));
    ip(&format!(
        "-n {router} link add {device} address 02:00:00:00:{port:02x}:01 type veth \
         peer name {host} netns {hosts}"
    ));
    ip(&format!("-n {router} link set {device} up"));
    ip(&format!("-n {hosts} link set {host} arp off up"));
    net.lan.receives_redirected(&host);
    net.lan.merges_nothing(&host);
    Wire::open(&net.lan, &host)
}

fn set_mtu(net: &Topology, port: usize, mtu: u16) {
    ip(&format!("-n {} link set {} mtu {mtu}", net.router.name, device(port)));
    ip(&format!("-n {} link set {} mtu {}", net.lan.name, host(port), mtu + MORE));
}

/// What out.txt and drops.txt say, as it shows on wires.
pub fn expected(case: &Case) -> Outcome {
    let seen = |line: &&String| !line.starts_with("hold ") && !line.starts_with("report ");
    let out = case.expected.out.iter().filter(seen).map(|line| finished(line));
    let out = out.chain(case.control.iter().cloned()).collect();
    let (left, mut drops): (Vec<_>, _) = case
        .expected
        .drops
        .iter()
        .cloned()
        .partition(|line| LEFT_TO_KERNEL.contains(&reason(line)));
    for (_, port) in case.config.ports() {
        let left = left.iter().filter(|line| line.split(' ').next() == Some(&port.name));
        let frames: u64 = left.map(|line| count(line)).sum();
        drops.extend((frames > 0).then(|| format!("{} {PASSED} {frames}", port.name)));
    }
    Outcome::new(out, drops, &case.config)
}

/// A line of out.txt with its checksum finished, if it leaves by a wire.
fn finished(line: &str) -> String {
    let Some(frame) = line.strip_prefix("unfinished ") else { return line.to_owned() };
    let (port, _, octets) = parse_line(frame).expect("it was read before");
    wire_line(&port, &Heard { octets, unfinished: true })
}

/// Who finishes a checksum does not matter: the router or the card, for which this stands.
pub fn wire_line(port: &str, heard: &Heard) -> String {
    let mut octets = heard.octets.clone();
    if heard.unfinished {
        transport::finish(&mut octets[ethernet::HEADER..]);
    }
    frame_line("", false, port, &octets)
}

fn tap_line(port: &str, heard: &Heard) -> String {
    frame_line("tap ", heard.unfinished, port, &heard.octets)
}

fn reason(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or_default()
}

fn count(line: &str) -> u64 {
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("drops.txt: a number")
}

/// The MAC of a port at the router's end.
fn mac(id: PortId) -> MacAddress {
    MacAddress([2, 0, 0, 0, id.octet() + 1, 1])
}

/// A port's addresses, the link-local one that follows from its MAC among them.
pub fn own_addresses(id: PortId, port: &Port) -> impl Iterator<Item = IpAddr> {
    let link_local = IpAddr::V6(ipv6::link_local_of(mac(id)));
    port.addresses.iter().map(IpNet::addr).chain([link_local])
}

/// What the router says of a port's addresses in its first seconds, whatever the case: nobody else
/// has them (RFC 5227 2.1, RFC 4862 5.4), and they are here (RFC 5227 2.3, RFC 4861 7.2.6).
fn claims(id: PortId, port: &Port) -> Vec<String> {
    let mac = mac(id);
    let said = own_addresses(id, port).flat_map(|own| match own {
        IpAddr::V4(own) => ["0.0.0.0".into(), own.to_string()]
            .map(|teller| format!("ff:ff:ff:ff:ff:ff / arp request who {own} tell {teller}")),
        IpAddr::V6(own) => {
            let node = ipv6::solicited_node(own);
            let (group, all) = (MacAddress::for_ipv6_multicast(node), "33:33:00:00:00:01");
            [
                format!("{group} / ip6 :: > {node} hlim 255 / ns {own}"),
                format!("{all} / ip6 {own} > ff02::1 hlim 255 / na {own} flags ro tlla {mac}"),
            ]
        }
    });
    said.map(|said| format!("{} > eth {mac} > {said}", port.name)).collect()
}

/// A case that is being run.
struct Run<'r> {
    case: &'r Case,
    router: Router,
    hosts: &'r [Wire],
    taps: Vec<Wire>,
}

impl Run<'_> {
    /// Wait until the router has announced its addresses on every port: so it is there.
    fn settle(&self) {
        let mut lines = Vec::new();
        eventually(LIMIT, "the router announces itself on every port", || {
            lines.extend(self.listen());
            let heard = |port: &Port| {
                let by_port = format!("{} >", port.name);
                lines.iter().any(|line: &String| line.starts_with(&by_port))
            };
            self.case.config.ports.iter().all(heard)
        });
    }

    fn run(&self) -> Result<Outcome, String> {
        let same_way = |a: &Input, b: &Input| (a.from, a.port) == (b.from, b.port);
        for input in self.case.input.chunk_by(same_way) {
            self.send(input)?;
        }
        let out = self.hear_all();
        if !holds_within(LIMIT, || Books::read(&self.router).are_closed()) {
            return Err("the ledger does not close\n".into());
        }
        Ok(Outcome::new(out, self.dropped(), &self.case.config))
    }

    /// What was dropped and what was left to the kernel since the router was started.
    fn dropped(&self) -> Vec<String> {
        let books = Books::read(&self.router);
        let ports = self.case.config.ports.iter().map(|port| port.name.as_str());
        let passed = ports.filter_map(|port| match books.of(port, PASSED) {
            0 => None,
            count => Some(format!("{port} {PASSED} {count}")),
        });
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let dropped = self.router.show("drops").into_iter().map(|row| {
            let (port, reason) = (text(&row, "port"), text(&row, "reason"));
            format!("{port} {reason} {}", row["packets"])
        });
        passed.chain(dropped).collect()
    }

    /// Send frames that come in one way, and wait until the router has them. So one does not
    /// overtake another on a second way.
    fn send(&self, input: &[Input]) -> Result<(), String> {
        let port = input[0].port;
        let name = &self.case.config.port(port).expect("a port").name;
        let came = || {
            let books = Books::read(&self.router);
            match input[0].from {
                Source::Wire => books.arrived(name),
                Source::Tap => books.of(name, "from_kernel"),
            }
        };
        let wires = if input[0].from == Source::Wire { self.hosts } else { &self.taps };
        let before = came();
        for input in input {
            let sent = wires[port.index()].try_send(&input.octets);
            sent.map_err(|error| format!("cannot be sent: {error}: {}\n", input.line))?;
        }
        let all = before + input.len() as u64;
        if holds_within(LIMIT, || came() >= all) {
            return Ok(());
        }
        Err(format!("of {} frames sent to {name}, {} came in\n", input.len(), came() - before))
    }

    /// What leaves by wires and taps, until there is as much as is expected and then no more.
    fn hear_all(&self) -> Vec<String> {
        let expected = expected(self.case).out.len();
        let mut lines = Vec::new();
        let _in_time = holds_within(LIMIT, || {
            lines.extend(self.listen());
            lines.len() >= expected
        });
        self.told_apart(lines)
    }

    /// What leaves until all is quiet.
    fn listen(&self) -> Vec<String> {
        let wires: Vec<_> = self.hosts.iter().chain(&self.taps).collect();
        let mut heard = collect(&wires, QUIET, LIMIT);
        let at_taps = heard.split_off(self.hosts.len());
        let mut lines = Vec::new();
        for (port, (at_host, at_tap)) in
            self.case.config.ports.iter().zip(heard.iter().zip(&at_taps))
        {
            lines.extend(at_host.iter().map(|heard| wire_line(&port.name, heard)));
            lines.extend(at_tap.iter().map(|heard| tap_line(&port.name, heard)));
        }
        lines
    }

    /// What is expected of control is marked as such and stands once, however often it is said.
    /// What is not, and is only the router's claim to its own addresses, is left out.
    fn told_apart(&self, lines: Vec<String>) -> Vec<String> {
        let is_control = |line: &String| {
            self.case.control.iter().any(|control| control.strip_prefix(CONTROL) == Some(line))
        };
        let (said, mut out): (Vec<_>, Vec<_>) = lines.into_iter().partition(is_control);
        let claims: Vec<_> =
            self.case.config.ports().flat_map(|(id, port)| claims(id, port)).collect();
        for claim in claims {
            let expected = self.case.expected.out.iter().filter(|line| **line == claim).count();
            let mut found = 0..expected;
            out.retain(|line| *line != claim || found.next().is_some());
        }
        let said_it = |control: &&String| said.iter().any(|line| control.ends_with(line));
        out.extend(self.case.control.iter().filter(said_it).cloned());
        out
    }
}
