//! Two networks alike, one with xrouter in the middle, one with the kernel: the same frames go
//! into both, and what comes out of each is collected.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use xrouter::packet::ethernet::{HEADER, ether_type};
use xrouter::packet::{ipv6, protocol};

use super::frame::{Frame, HOST_MACS, PORTS, ROUTER_MACS, octets};
use super::net::ledger::Books;
use super::net::names::FAST_PATH;
use super::net::wire::{Wire, wait};
use super::net::{
    Config, HOST_DEVICE, LAN_DEVICE, Router, Topology, WAN_DEVICE, kernel_is_router, seconds,
    sysctl,
};

/// How long a router may take for one group of frames.
const ANSWER: Duration = seconds(10);
/// After this long with nothing heard, no neighbour is being asked for any more: `limits()`.
const GIVEN_UP: Duration = Duration::from_millis(400);
/// xrouter asks for its own addresses, asks again and announces them a second apart: after so long
/// with nothing heard it is done.
const CLAIMED: Duration = Duration::from_millis(2500);
/// What the frames carry that ask whether a router is done.
const QUESTION: [u8; 8] = *b"finished";

impl Frame {
    /// The addresses in it that a router would ask for in vain.
    pub fn silent(&self) -> Vec<IpAddr> {
        let (kind, packet) = self.untagged();
        let v4 = |at: usize| Some(IpAddr::from(*packet.get(at..)?.first_chunk::<4>()?));
        let v6 = |at: usize| Some(IpAddr::from(*packet.get(at..)?.first_chunk::<16>()?));
        let addresses = match kind {
            ether_type::IPV4 => [v4(12), v4(16)],
            ether_type::IPV6 => [v6(8), v6(24)],
            ether_type::ARP => [v4(14), v4(24)],
            _ => [None; 2],
        };
        addresses.into_iter().flatten().filter(|&address| is_silent(address)).collect()
    }

    /// Whether it tells who has the MAC of an address that is to stay silent (ARP, or a
    /// solicitation or advertisement): what is learnt, and from whom, is not compared here.
    pub fn teaches(&self) -> bool {
        let (kind, packet) = self.untagged();
        let is_silent4 = |at: usize| {
            let address = packet.get(at..).and_then(<[u8]>::first_chunk::<4>);
            address.is_some_and(|address| is_silent((*address).into()))
        };
        let is_silent6 = |at: usize| {
            let address = packet.get(at..).and_then(<[u8]>::first_chunk::<16>);
            address.is_some_and(|address| is_silent((*address).into()))
        };
        let discovers = packet.get(6) == Some(&protocol::ICMPV6)
            && matches!(packet.get(ipv6::HEADER), Some(135 | 136));
        match kind {
            ether_type::ARP => is_silent4(14),
            ether_type::IPV6 => discovers && (is_silent6(8) || is_silent6(ipv6::HEADER + 8)),
            _ => false,
        }
    }

    pub fn is_ipv6(&self) -> bool {
        self.untagged().0 == ether_type::IPV6
    }

    /// The type and the packet behind all tags.
    fn untagged(&self) -> (u16, &[u8]) {
        let mut rest = &self.octets[HEADER - 2..];
        loop {
            match rest {
                [0x81, 0, _, _, inner @ ..] | [0x88, 0xa8, _, _, inner @ ..] => rest = inner,
                [high, low, packet @ ..] => return (u16::from_be_bytes([*high, *low]), packet),
                _ => return (0, rest),
            }
        }
    }

    /// Whether it mentions the router's link-local address of the other port, which is nobody on
    /// this one: nobody could tell what was said about it from what is said by it.
    pub fn is_ambiguous(&self) -> bool {
        let own = Ipv6Addr::from(LINK_LOCAL_OWN[1 - self.port]).octets();
        self.octets.windows(own.len()).any(|part| part == own)
    }
}

/// What came out of the two routers, each in a fixed order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outputs {
    pub kernel: Vec<Frame>,
    pub xrouter: Vec<Frame>,
}

/// Both networks.
#[derive(Debug)]
pub struct Pair {
    kernel: Side,
    xrouter: Side,
}

impl Pair {
    /// Make both, and wait until nothing moves in them any more.
    pub fn new() -> Self {
        let net = Topology::builder().wan_mtu(1400).build();
        let twin = net.twin();
        let config = config(&net);
        let xrouter = Router::start(&net, &config);
        let kernel = Router::kernel(&twin, &config);
        sysctl(&twin.router, &limits([LAN_DEVICE, WAN_DEVICE]));
        sysctl(&twin.router, &policy());
        // With ROUTER=kernel the oracle is compared with itself.
        if kernel_is_router() {
            sysctl(&net.router, &limits([LAN_DEVICE, WAN_DEVICE]));
            sysctl(&net.router, &policy());
        } else {
            sysctl(&net.router, &limits(PORTS));
        }
        let mut pair = Self { kernel: Side::new(twin, kernel), xrouter: Side::new(net, xrouter) };
        let _of_the_start = pair.after(CLAIMED);
        pair
    }

    /// Send these frames into both routers. What comes out until each has done all of them.
    pub fn send(&mut self, frames: &[Frame]) -> Outputs {
        let mut sides = [&mut self.kernel, &mut self.xrouter];
        sides.iter_mut().for_each(|side| side.send(frames));
        // Of the first answers each shows that its port's frames are through and are answered; of
        // the second, that the answers to the other port's frames are out as well.
        for _ in 0..2 {
            sides.iter_mut().for_each(|side| side.ask());
            sides.iter_mut().for_each(|side| side.wait_for_answers());
        }
        self.outputs()
    }

    /// Send these frames, whose neighbours do not answer. What comes out until both routers have
    /// given them up.
    pub fn send_and_wait(&mut self, frames: &[Frame]) -> Outputs {
        [&self.kernel, &self.xrouter].into_iter().for_each(|side| side.send(frames));
        self.after(GIVEN_UP)
    }

    /// What comes out until nothing has for so long.
    fn after(&mut self, quiet: Duration) -> Outputs {
        let mut deadline = Instant::now() + quiet;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let mut sides = [&mut self.kernel, &mut self.xrouter];
            let wires: Vec<_> = sides.iter().flat_map(|side| &side.wires).collect();
            wait(&wires, left);
            if sides.iter_mut().any(|side| side.listen()) {
                deadline = Instant::now() + quiet;
            }
        }
        self.outputs()
    }

    fn outputs(&mut self) -> Outputs {
        Outputs { kernel: self.kernel.take(), xrouter: self.xrouter.take() }
    }

    /// How many frames xrouter's XDP program has forwarded.
    pub fn fast_path(&self) -> u64 {
        if kernel_is_router() { 0 } else { Books::read(&self.xrouter.router).sum(FAST_PATH) }
    }

    /// Why xrouter drops this frame, if it does: the reasons that it counts.
    pub fn reasons(&mut self, frame: &Frame) -> Vec<String> {
        if kernel_is_router() {
            return Vec::new();
        }
        let drops = |pair: &Self| pair.xrouter.router.show("drops");
        let before = drops(self);
        let _seen_already = self.send(std::slice::from_ref(frame));
        let news = drops(self).into_iter().filter(|row| !before.contains(row));
        news.filter_map(|row| row["reason"].as_str().map(str::to_owned)).collect()
    }
}

/// One network.
#[derive(Debug)]
struct Side {
    router: Router,
    wires: [Wire; 2],
    heard: Vec<Frame>,
    /// The number of the last question, and which ports have answered it.
    question: u16,
    answered: [bool; 2],
    _net: Topology,
}

impl Side {
    fn new(net: Topology, router: Router) -> Self {
        for host in [&net.lan, &net.wan] {
            host.deafen();
            host.merges_nothing(HOST_DEVICE);
        }
        let wires = [&net.lan, &net.wan].map(|host| Wire::open(host, HOST_DEVICE));
        let answered = [false; 2];
        Self { router, wires, heard: Vec::new(), question: 0, answered, _net: net }
    }

    fn send(&self, frames: &[Frame]) {
        for Frame { port, octets } in frames {
            self.wires[*port].send([octets]);
        }
    }

    /// Ping the router itself by every port. A ping overtakes nothing that came in before it.
    fn ask(&mut self) {
        self.question = self.question.wrapping_add(1);
        self.answered = [false; 2];
        for (port, wire) in self.wires.iter().enumerate() {
            wire.send([question(port, self.question)]);
        }
    }

    #[track_caller]
    fn wait_for_answers(&mut self) {
        let deadline = Instant::now() + ANSWER;
        while self.answered != [true; 2] {
            assert!(Instant::now() < deadline, "the router does not answer: {:?}", self.router);
            wait(&self.wires.each_ref(), Duration::from_millis(100));
            self.listen();
        }
    }

    /// Whether something but an answer was heard.
    fn listen(&mut self) -> bool {
        let before = self.heard.len();
        for (port, wire) in self.wires.iter().enumerate() {
            for heard in wire.heard() {
                match answered(&heard.octets) {
                    Some(number) => self.answered[port] |= number == self.question,
                    None => self.heard.push(Frame { port, octets: heard.octets }),
                }
            }
        }
        self.heard.len() > before
    }

    fn take(&mut self) -> Vec<Frame> {
        let mut heard = std::mem::take(&mut self.heard);
        heard.sort_unstable();
        heard
    }
}

fn question(port: usize, number: u16) -> Vec<u8> {
    let (n, host, router) = (port + 1, HOST_MACS[port], ROUTER_MACS[port]);
    octets(&format!(
        "lan < eth {host} > {router} / ip 10.{n}.0.2 > 10.{n}.0.1 / \
         icmp echo-request id 0x7171 seq {number} / hex {:016x}",
        u64::from_be_bytes(QUESTION)
    ))
}

/// The number of the question that this frame is the answer to.
fn answered(frame: &[u8]) -> Option<u16> {
    const MESSAGE: usize = 14 + 20;
    let message = frame.get(MESSAGE..).filter(|message| message.len() == 16)?;
    let is_answer = message[0] == 0 && message[8..] == QUESTION && message[4..6] == [0x71; 2];
    is_answer.then(|| u16::from_be_bytes([message[6], message[7]]))
}

/// The router: every kind of route, and neighbours that are known but for some. No limit matters.
/// The kernel takes the source of an ICMPv6 error from the port that the packet came in by, always.
fn config(net: &Topology) -> Config {
    let budget = ["per_s", "burst", "per_host_per_s", "per_host_burst"];
    let mut config = net.config();
    for limit in budget {
        config = config.router(&format!("icmp_errors_{limit} = 1000000"));
    }
    let classes = ["neighbour", "routing", "management", "icmp", "other"];
    let police = classes.map(|class| format!("{class}_per_s = 1000000"));
    config = config
        .and(&format!("[police]\n{}", police.join("\n")))
        .and("[policy]\nicmp_error_source = \"ingress\"")
        .and("[resolution]\nretransmit_ms = 100\nprobes = 1\nfailed_hold_s = 1");
    let (lan4, wan4, lan6, wan6) = ("10.1.0.3", "10.2.0.2", "2001:db8:1::3", "2001:db8:2::2");
    let routes = [
        // Of the unspecified, loopback and class A; of link-local; of groups and class E.
        ("0.0.0.0/1", wan4),
        ("169.254.0.0/16", wan4),
        ("192.0.0.0/2", wan4),
        ("10.3.0.0/16", wan4),
        ("10.3.0.128/25", "10.2.0.3"),
        ("10.3.0.200/32", "10.1.0.4"),
        ("10.4.0.0/16", lan4),
        ("::/8", wan6),
        ("fc00::/7", wan6),
        ("fec0::/10", lan6),
        ("2001:db8:3::/48", wan6),
        ("2001:db8:3:80::/57", "2001:db8:2::3"),
        ("2001:db8:3:80::7/128", "2001:db8:1::4"),
        ("2001:db8:4::/48", lan6),
    ];
    let dead_ends = [
        ("198.51.100.0/24", "blackhole"),
        ("203.0.113.0/25", "unreachable"),
        ("203.0.113.128/25", "prohibit"),
        ("2001:db8:b::/48", "blackhole"),
        ("2001:db8:c::/48", "unreachable"),
        ("2001:db8:d::/48", "prohibit"),
    ];
    config = routes.iter().fold(config, |config, (to, via)| config.route(to, via));
    config = dead_ends.iter().fold(config, |config, (to, kind)| config.route_of_type(to, kind));
    neighbours().fold(config, |config, (port, address)| {
        let (port, mac) = (PORTS[port], HOST_MACS[port]);
        config.and(&format!(
            "[[neighbour]]\naddress = \"{address}\"\nmac = \"{mac}\"\nport = \"{port}\""
        ))
    })
}

/// Who is known: the lower half of each IPv4 subnet, and a few of each IPv6 subnet.
fn neighbours() -> impl Iterator<Item = (usize, IpAddr)> {
    let on = |port: usize| {
        let n = if port == 0 { 1 } else { 2 };
        let v4 = (2..128).map(move |host| Ipv4Addr::new(10, n, 0, host).into());
        let v6 = [Ipv6Addr::new(0x2001, 0xdb8, n.into(), 0, 0, 0, 0, 0), LINK_LOCAL];
        let hosts = (2..10).flat_map(move |host| v6.map(|net| (net | Ipv6Addr::from(host)).into()));
        v4.chain(hosts).map(move |address: IpAddr| (port, address))
    };
    on(0).chain(on(1))
}

/// The router's link-local addresses, which follow from its MACs.
const LINK_LOCAL_OWN: [[u16; 8]; 2] =
    [[0xfe80, 0, 0, 0, 0, 0x0aff, 0xfe01, 1], [0xfe80, 0, 0, 0, 0, 0x0aff, 0xfe02, 1]];
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// Whether the routers would have to ask for this address, and nobody will answer.
fn is_silent(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            matches!(address.octets(), [10, 1 | 2, 0, host] if host == 0 || (128..255).contains(&host))
        }
        IpAddr::V6(address) => match address.segments() {
            // The subnet's, the router's own, and those of neighbours().
            [0xfe80, 0, 0, 0, 0, 0, 0, 0 | 2..10] | [_, 0xdb8, _, 0, 0, 0, 0, 0..10] => false,
            own if LINK_LOCAL_OWN.contains(&own) => false,
            [0xfe80, ..] | [0x2001, 0xdb8, 1 | 2, 0, ..] => true,
            _ => false,
        },
    }
}

/// The kernel's own stack answers as often as it is asked, and gives up a neighbour when xrouter
/// does. Datagrams that are never complete are waited for longer than a run takes.
fn limits(devices: [&str; 2]) -> Vec<String> {
    let mut settings: Vec<_> = [
        "ipv4.icmp_msgs_per_sec=1000000",
        "ipv4.icmp_msgs_burst=1000000",
        "ipv4.ipfrag_time=86400",
        "ipv6.ip6frag_time=86400",
        // None of the errors: one that is counted uses up the redirects to its host.
        "ipv6.icmp.ratemask=128",
    ]
    .map(|setting| format!("net.{setting}"))
    .into();
    for device in devices {
        for family in ["ipv4", "ipv6"] {
            let neighbour = format!("net.{family}.neigh.{device}");
            settings.push(format!("{neighbour}.mcast_solicit=1"));
            settings.push(format!("{neighbour}.retrans_time_ms=100"));
        }
    }
    settings
}

/// Where the kernel can do either, it does as xrouter: the strong host model (RFC 1122 3.3.4.2), the
/// source of errors of config(), no redirects to hosts of other subnets (RFC 1812 5.2.7.2).
fn policy() -> Vec<String> {
    let of_all = ["arp_ignore=1", "arp_announce=2", "accept_redirects=0", "shared_media=0"];
    let of_all = of_all.map(|setting| format!("conf.all.{setting}"));
    let of_each = [LAN_DEVICE, WAN_DEVICE].map(|device| format!("conf.{device}.shared_media=0"));
    let of_errors = ["icmp_errors_use_inbound_ifaddr=1".to_owned()];
    let settings = of_all.into_iter().chain(of_each).chain(of_errors);
    settings.map(|setting| format!("net.ipv4.{setting}")).collect()
}
