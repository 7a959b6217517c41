//! Small packets from lan to an address that several hosts have: who gets them, and when.

use std::io;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::command::Namespace;
use super::wire::enter;

/// From one packet to the next.
const INTERVAL: Duration = Duration::from_micros(250);
const PORT: u16 = 4445;
/// Between two looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// A flow that runs until it is dropped.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    arrivals: Receiver<(usize, Instant)>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Flow {
    /// Send from `from` to this address, and listen for it at each of the hosts `at`.
    pub fn start(from: &Namespace, to: &'static str, at: &[&Namespace]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (heard, arrivals) = mpsc::channel();
        let listener = |(number, host): (usize, &&Namespace)| {
            let (stop, heard, place) = (Arc::clone(&stop), heard.clone(), host.path());
            std::thread::spawn(move || listen(place, to, number, &heard, &stop))
        };
        let mut threads: Vec<_> = at.iter().enumerate().map(listener).collect();
        let (stopped, place) = (Arc::clone(&stop), from.path());
        threads.push(std::thread::spawn(move || send(place, to, &stopped)));
        Self { stop, arrivals, threads }
    }

    /// When the first packet after `since` arrived at the host with this number; None: not within
    /// `limit`.
    pub fn first(&self, host: usize, since: Instant, limit: Duration) -> Option<Instant> {
        let deadline = since + limit;
        loop {
            let left = deadline.checked_duration_since(Instant::now())?;
            let (at, moment) = self.arrivals.recv_timeout(left).ok()?;
            if at == host && moment > since {
                return Some(moment);
            }
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(std::thread::panicking() || matches!(ended, Ok(Ok(()))), "{ended:?}");
        }
    }
}

fn send(place: PathBuf, to: &str, stop: &AtomicBool) -> io::Result<()> {
    enter(&place)?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    while !stop.load(Ordering::Relaxed) {
        // Unreachable is an answer, too.
        let _sent = socket.send_to(&[0; 16], (to, PORT));
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}

fn listen(
    place: PathBuf,
    to: &str,
    number: usize,
    heard: &Sender<(usize, Instant)>,
    stop: &AtomicBool,
) -> io::Result<()> {
    enter(&place)?;
    let socket = UdpSocket::bind((to, PORT))?;
    socket.set_read_timeout(Some(LOOK))?;
    while !stop.load(Ordering::Relaxed) {
        if socket.recv(&mut [0; 16]).is_ok() {
            heard.send((number, Instant::now())).ok();
        }
    }
    Ok(())
}
