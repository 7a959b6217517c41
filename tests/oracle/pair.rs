//! Two networks alike, one with xrouter in the middle, one with the kernel: the same frames go
//! into both, and what comes out of each is collected.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use xrouter::packet::ethernet::{HEADER, ether_type};
use xrouter::packet::{ipv6, protocol};

use super::frame::{Frame, HOST_MACS, PORTS, ROUTER_MACS, octets};
use super::net::ledger::Books;
use super::net::names::FAST_PATH;
use super::net::wire::{Wire, wait};
use super::net::{HOST_DEVICE, Router, Topology, kernel_is_router, seconds, sysctl};
use super::network::{DEVICES, Key, LINK_LOCAL_OWN, SUBNETS, config, is_silent, limits, topology};

/// How long a router may take for one group of frames.
const ANSWER: Duration = seconds(10);
/// After this long with nothing heard, no neighbour is being asked for any more: `limits()`, and what
/// a process may have to wait for its turn on a busy machine.
const GIVEN_UP: Duration = seconds(1);
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

    /// Whether it mentions the router's link-local address of another port, which is nobody on
    /// this one: nobody could tell what was said about it from what is said by it.
    pub fn is_ambiguous(&self) -> bool {
        let others = (0..PORTS.len()).filter(|&port| port != self.port);
        let mut others = others.map(|port| Ipv6Addr::from(LINK_LOCAL_OWN[port]).octets());
        others.any(|own| self.octets.windows(own.len()).any(|part| part == own))
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
    /// Make both, their ports told so, and wait until nothing moves in them any more.
    pub fn new(options: &[Key]) -> Self {
        let net = topology();
        let twin = net.twin();
        let config = config(&net, options);
        let xrouter = Router::start(&net, &config);
        let kernel = Router::kernel(&twin, &config);
        sysctl(&twin.router, &limits(DEVICES));
        // With ROUTER=kernel the oracle is compared with itself.
        sysctl(&net.router, &limits(if kernel_is_router() { DEVICES } else { PORTS }));
        let mut pair = Self { kernel: Side::new(twin, kernel), xrouter: Side::new(net, xrouter) };
        let _of_the_start = pair.after(CLAIMED);
        pair
    }

    /// Send these frames into both routers. What comes out until each has done all of them.
    pub fn send(&mut self, frames: &[Frame]) -> Outputs {
        let mut sides = [&mut self.kernel, &mut self.xrouter];
        sides.iter_mut().for_each(|side| side.send(frames));
        // Of the first answers each shows that its port's frames are through and are answered; of
        // the second, that the answers to the other ports' frames are out as well.
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
    wires: [Wire; 3],
    heard: Vec<Frame>,
    /// The number of the last question, and which ports have answered it.
    question: u16,
    answered: [bool; 3],
    _net: Topology,
}

impl Side {
    fn new(net: Topology, router: Router) -> Self {
        let hosts = [&net.lan, &net.wan, net.dmz()];
        for host in hosts {
            host.deafen();
            host.merges_nothing(HOST_DEVICE);
        }
        let wires = hosts.map(|host| Wire::open(host, HOST_DEVICE));
        let answered = [false; 3];
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
        self.answered = [false; 3];
        for (port, wire) in self.wires.iter().enumerate() {
            wire.send([question(port, self.question)]);
        }
    }

    #[track_caller]
    fn wait_for_answers(&mut self) {
        let deadline = Instant::now() + ANSWER;
        while self.answered != [true; 3] {
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
    let (n, host, router) = (SUBNETS[port], HOST_MACS[port], ROUTER_MACS[port]);
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
