//! Numbered packets of many flows from lan to an address that several hosts have: which of them
//! arrived where, and in which order.

use std::collections::HashSet;
use std::io;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::command::Namespace;
use super::wire::{enter, set};
use super::{eventually, seconds};

/// Flows, each from a port of its own: of three ways each has some, in all likelihood.
const FLOWS: u8 = 32;
/// From one packet to the next.
const INTERVAL: Duration = Duration::from_micros(250);
const PORT: u16 = 4446;
/// Octets of a packet's payload: its number, and its flow.
const PAYLOAD: usize = 9;
/// A packet that has not come so long after the last one was sent is lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// Room for everything that comes while a receiving thread is kept from its core.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;

/// A packet of a flow, with its number in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Packet {
    flow: u8,
    number: u64,
}

impl Packet {
    fn octets(self) -> [u8; PAYLOAD] {
        let mut octets = [self.flow; PAYLOAD];
        octets[..PAYLOAD - 1].copy_from_slice(&self.number.to_be_bytes());
        octets
    }

    fn parse(octets: [u8; PAYLOAD]) -> Self {
        let [number @ .., flow] = octets;
        Self { flow, number: u64::from_be_bytes(number) }
    }
}

/// Packets that are being sent and listened for; dropping it ends it.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    sender: Option<JoinHandle<io::Result<Vec<u64>>>>,
    listeners: Vec<JoinHandle<io::Result<Vec<Packet>>>>,
}

impl Stream {
    /// Send from `from` to this address, and listen for it at each of the hosts `at`; returns once
    /// packets of all flows have arrived.
    #[track_caller]
    pub fn start(from: &Namespace, to: &'static str, at: &[&Namespace]) -> Self {
        let (stop, arrived) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (bound, is_bound) = mpsc::channel();
        let listener = |host: &&Namespace| {
            let (place, bound) = (host.path(), bound.clone());
            let (stop, arrived) = (Arc::clone(&stop), Arc::clone(&arrived));
            std::thread::spawn(move || listen(&place, to, &bound, &stop, &arrived))
        };
        let listeners: Vec<_> = at.iter().map(listener).collect();
        drop(bound);
        at.iter().for_each(|_| is_bound.recv().expect("the hosts can listen"));
        let (stopped, place) = (Arc::clone(&stop), from.path());
        let sender = std::thread::spawn(move || send(place, to, &stopped));
        let stream = Self { stop, arrived, sender: Some(sender), listeners };
        eventually(seconds(5), "packets of all flows arrive", || {
            stream.arrived.load(Ordering::Relaxed) > 2 * u64::from(FLOWS)
        });
        stream
    }

    /// End it; what became of it.
    #[track_caller]
    pub fn stop(mut self) -> Arrivals {
        self.stop.store(true, Ordering::Relaxed);
        let sent = joined(self.sender.take().expect("it is joined only here"));
        let listeners = std::mem::take(&mut self.listeners);
        Arrivals { sent, at: listeners.into_iter().map(joined).collect() }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What arrived of a stream.
#[derive(Debug)]
pub struct Arrivals {
    /// How many packets of each flow the sender's link took.
    sent: Vec<u64>,
    /// What arrived at each host, in order.
    at: Vec<Vec<Packet>>,
}

impl Arrivals {
    /// All packets that were sent.
    pub fn sent(&self) -> u64 {
        self.sent.iter().sum()
    }

    /// How many arrived at the host with this number.
    pub fn at(&self, host: usize) -> u64 {
        self.at[host].len() as u64
    }

    /// Packets that arrived at none of the hosts.
    pub fn lost(&self) -> u64 {
        self.sent() - self.different()
    }

    /// Packets that arrived once more than they should.
    pub fn doubled(&self) -> u64 {
        self.at.iter().map(|packets| packets.len() as u64).sum::<u64>() - self.different()
    }

    fn different(&self) -> u64 {
        self.at.iter().flatten().collect::<HashSet<_>>().len() as u64
    }

    /// The flows whose first packet arrived at this host.
    pub fn flows_of(&self, host: usize) -> Vec<u8> {
        let first = self.at[host].iter().filter(|packet| packet.number == 0);
        first.map(|packet| packet.flow).collect()
    }

    /// How many packets of these flows did not arrive at this host.
    pub fn missed(&self, host: usize, flows: &[u8]) -> u64 {
        let sent: u64 = flows.iter().map(|&flow| self.sent[usize::from(flow)]).sum();
        let is_one = |packet: &&Packet| flows.contains(&packet.flow);
        sent - self.at[host].iter().filter(is_one).collect::<HashSet<_>>().len() as u64
    }

    /// How many arrived at a host after a later one of the same flow.
    pub fn overtaken(&self, host: usize) -> usize {
        let mut next = [0; FLOWS as usize];
        let is_late = |packet: &&Packet| {
            let next = &mut next[usize::from(packet.flow)];
            let is_late = packet.number < *next;
            *next = (*next).max(packet.number + 1);
            is_late
        };
        self.at[host].iter().filter(is_late).count()
    }
}

#[track_caller]
fn joined<T>(thread: JoinHandle<io::Result<T>>) -> T {
    thread.join().expect("the stream does not panic").expect("UDP works")
}

/// A packet that the link does not take gets no number.
fn send(place: PathBuf, to: &str, stop: &AtomicBool) -> io::Result<Vec<u64>> {
    enter(&place)?;
    let any = if to.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let sockets = (0..FLOWS).map(|_| UdpSocket::bind(any)).collect::<io::Result<Vec<_>>>()?;
    let mut sent = vec![0; FLOWS.into()];
    for (flow, socket) in (0..FLOWS).zip(&sockets).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let sent = &mut sent[usize::from(flow)];
        let packet = Packet { flow, number: *sent };
        *sent += u64::from(socket.send_to(&packet.octets(), (to, PORT)).is_ok());
        std::thread::sleep(INTERVAL);
    }
    Ok(sent)
}

fn listen(
    place: &Path,
    to: &str,
    bound: &Sender<()>,
    stop: &AtomicBool,
    arrived: &AtomicU64,
) -> io::Result<Vec<Packet>> {
    enter(place)?;
    let socket = UdpSocket::bind((to, PORT))?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    bound.send(()).map_err(io::Error::other)?;
    let (mut packets, mut octets) = (Vec::new(), [0; PAYLOAD]);
    loop {
        let is_over = stop.load(Ordering::Relaxed);
        match socket.recv(&mut octets) {
            Ok(_) => {
                packets.push(Packet::parse(octets));
                arrived.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if is_over => return Ok(packets),
            Err(_) => {}
        }
    }
}
