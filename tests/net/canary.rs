//! A canary: a thousand small packets a second from lan to wan, each with its number and the
//! moment it was sent, and a ping of the router every 100 ms. It shows what a fault elsewhere
//! does to those who have nothing to do with it.

use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::command::{Namespace, Running};
use super::topology::Topology;
use super::wire::{enter, set};
use super::{eventually, seconds};

const FROM: &str = "10.1.0.2:0";
const TO: &str = "10.2.0.2:4444";
/// From one packet to the next.
const INTERVAL: Duration = Duration::from_millis(1);
/// A packet that has not come so long after the last one was sent is lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// Room for everything that comes while the receiving thread is kept from its core.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;
/// Number and moment of sending, in nanoseconds, of eight octets each.
const PAYLOAD: usize = 16;

/// A canary that flies; dropping it ends it.
#[derive(Debug)]
pub struct Canary {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    sender: Option<JoinHandle<io::Result<Sent>>>,
    receiver: Option<JoinHandle<io::Result<Tally>>>,
    ping: Option<Running>,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flight {
    /// Packets that the sender's link took.
    pub sent: u64,
    /// Packets that arrived, each counted once.
    pub received: u64,
    /// Longest time in which what was sent was lost.
    pub longest_gap: Duration,
    /// Pings of the router.
    pub pings: u64,
    /// Pings that it answered.
    pub answers: u64,
}

impl Flight {
    /// Packets that did not arrive.
    pub fn lost(&self) -> u64 {
        self.sent - self.received
    }

    /// Nothing was lost of what went through the router.
    pub fn lost_nothing(&self) -> bool {
        self.sent > 0 && self.lost() == 0
    }

    /// Nothing was lost by the router. Where the machine has no core left for it, the kernel loses
    /// frames of those that arrive before the router sees them, the canary's like any other: then
    /// the canary's share is no larger than that of all.
    pub fn is_unharmed(&self, lost_by_kernel: u64, arrived: u64) -> bool {
        self.lost() * 2 * arrived <= self.sent * lost_by_kernel * 3
    }
}

impl std::fmt::Display for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sent, longest_gap, pings, answers, .. } = self;
        let lost = self.lost();
        write!(f, "{lost} of {sent} lost, gap {longest_gap:.0?}, {answers} of {pings} pings")
    }
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    packets: u64,
    last: Duration,
}

impl Canary {
    /// Let it fly; returns once packets arrive.
    #[track_caller]
    pub fn start(net: &Topology) -> Self {
        Self::between(&net.lan, &net.wan)
    }

    /// The same between other hosts, which have these addresses.
    #[track_caller]
    pub fn between(lan: &Namespace, wan: &Namespace) -> Self {
        let (stop, arrived) = (Arc::default(), Arc::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&arrived));
        let wan = wan.path();
        let (bound, is_bound) = mpsc::channel();
        let receiver = std::thread::spawn(move || {
            let socket = listen(&wan)?;
            bound.send(()).ok();
            receive(&socket, &stopped, &counted)
        });
        is_bound.recv().expect("the wan host can listen");
        let (stopped, place) = (Arc::clone(&stop), lan.path());
        let sender = std::thread::spawn(move || send(&place, &stopped));
        let ping = lan.spawn_args(&["ping", "-q", "-i", "0.1", "10.1.0.1"]);
        let canary = Self {
            stop,
            arrived,
            sender: Some(sender),
            receiver: Some(receiver),
            ping: Some(ping),
        };
        eventually(seconds(5), "the canary's packets arrive", || canary.arrived() > 10);
        canary
    }

    /// Packets that have arrived so far.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// How long it takes from now until packets arrive again.
    #[track_caller]
    pub fn wait_until_seen(&self, limit: Duration) -> Duration {
        let (start, before) = (Instant::now(), self.arrived());
        eventually(limit, "the canary is seen", || self.arrived() > before);
        start.elapsed()
    }

    /// End it; what became of it.
    #[track_caller]
    pub fn stop(mut self) -> Flight {
        self.stop.store(true, Ordering::Relaxed);
        let sent = joined(self.sender.take());
        let tally = joined(self.receiver.take());
        let ping = self.ping.take().expect("it is ended only here").interrupt();
        let (pings, answers) = pings_of(&ping.stdout);
        // What was lost at the end has no successor that would show the gap.
        let tail = sent.last.saturating_sub(tally.last);
        let open = if tally.next < sent.packets { tail } else { Duration::ZERO };
        Flight {
            sent: sent.packets,
            received: tally.received,
            longest_gap: tally.longest_gap.max(open),
            pings,
            answers,
        }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[track_caller]
fn joined<T>(thread: Option<JoinHandle<io::Result<T>>>) -> T {
    let thread = thread.expect("it is joined only here");
    thread.join().expect("the canary does not panic").expect("UDP works")
}

/// `N packets transmitted, M received, ...`
fn pings_of(summary: &str) -> (u64, u64) {
    let line = summary.lines().find(|line| line.contains("packets transmitted"));
    let numbers = line.unwrap_or_default().split(' ').filter_map(|word| word.parse().ok());
    let mut numbers = numbers.take(2);
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

/// A packet that the link does not take, because it is down, gets no number.
fn send(namespace: &Path, stop: &AtomicBool) -> io::Result<Sent> {
    enter(namespace)?;
    let socket = UdpSocket::bind(FROM)?;
    let start = Instant::now();
    let mut sent = Sent { packets: 0, last: Duration::ZERO };
    while !stop.load(Ordering::Relaxed) {
        let now = start.elapsed();
        let nanos = u64::try_from(now.as_nanos()).map_err(io::Error::other)?;
        let payload = [sent.packets.to_be_bytes(), nanos.to_be_bytes()].concat();
        if socket.send_to(&payload, TO).is_ok() {
            sent = Sent { packets: sent.packets + 1, last: now };
        }
        // Nothing is made up for: a burst would be another test.
        std::thread::sleep(INTERVAL.saturating_sub(start.elapsed().saturating_sub(now)));
    }
    Ok(sent)
}

/// What has arrived.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    received: u64,
    /// The number that comes next if nothing is lost.
    next: u64,
    /// When the latest that arrived was sent.
    last: Duration,
    longest_gap: Duration,
}

impl Tally {
    fn take(&mut self, number: u64, sent: Duration) {
        self.received += 1;
        if number > self.next {
            self.longest_gap = self.longest_gap.max(sent.saturating_sub(self.last));
        }
        if number >= self.next {
            (self.next, self.last) = (number + 1, sent);
        }
    }
}

fn listen(namespace: &Path) -> io::Result<UdpSocket> {
    enter(namespace)?;
    let socket = UdpSocket::bind(TO)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn receive(socket: &UdpSocket, stop: &AtomicBool, arrived: &AtomicU64) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut packet = [0; PAYLOAD];
    loop {
        match socket.recv(&mut packet) {
            Ok(PAYLOAD) => {
                let (number, nanos) = parse(&packet);
                tally.take(number, Duration::from_nanos(nanos));
                arrived.store(tally.received, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(tally);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn parse(packet: &[u8; PAYLOAD]) -> (u64, u64) {
    let number = u128::from_be_bytes(*packet);
    #[expect(clippy::cast_possible_truncation, reason = "two numbers of eight octets")]
    let halves = ((number >> 64) as u64, number as u64);
    halves
}
