//! A sender of given frames: AF_PACKET and sendmmsg, in a thread of its own.
//! Bounded in time and number, and it counts what the link took.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::command::Namespace;
use super::topology::HOST_DEVICE;
use super::wire::{check, socket_in};

/// Frames given to the kernel by one call.
const BATCH: usize = 32;

/// When a flood ends, whichever comes first, and how fast it goes.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Most frames.
    pub frames: u64,
    /// Longest time.
    pub time: Duration,
    /// Most frames in a second; 0: as fast as it goes.
    pub per_second: u32,
}

/// What became of a flood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Frames that the link took: the other end has them, or has counted them as lost.
    pub accepted: u64,
    /// Frames that the link refused: its queue was full. The other end never saw them.
    pub refused: u64,
}

/// A flood that is going on; dropping it ends it.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Sent>>>,
}

impl Flood {
    /// Send these frames, round and round, out of a host's first device.
    pub fn start(from: &Namespace, frames: Vec<Vec<u8>>, limit: Limit) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let from = from.clone();
        let send = move || {
            let hears_nothing = 0;
            let socket = socket_in(&from, HOST_DEVICE, hears_nothing)?;
            send_all(&socket, &frames, limit, &stopped)
        };
        Self { stop, thread: Some(std::thread::spawn(send)) }
    }

    /// Whether it is still sending.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// End it now.
    #[track_caller]
    pub fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        self.wait()
    }

    /// Wait for its limit.
    #[track_caller]
    pub fn wait(mut self) -> Sent {
        let thread = self.thread.take().expect("taken only here and in drop");
        thread.join().expect("the sender does not panic").expect("AF_PACKET sends")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        thread.into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn send_all(
    socket: &OwnedFd,
    frames: &[Vec<u8>],
    limit: Limit,
    stop: &AtomicBool,
) -> io::Result<Sent> {
    let mut parts: Vec<libc::iovec> =
        frames.iter().cycle().take(round(frames)).map(|frame| part(frame)).collect();
    let mut messages: Vec<libc::mmsghdr> = parts.iter_mut().map(message).collect();
    let mut sent = Sent::default();
    let start = Instant::now();
    let mut next = 0;
    while sent.accepted < limit.frames && start.elapsed() < limit.time {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if ahead_of_pace(sent, limit, start) {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        let left = usize::try_from(limit.frames - sent.accepted).unwrap_or(BATCH);
        let end = messages.len().min(next + BATCH.min(left));
        let took = send_batch(socket, &mut messages[next..end], &mut sent)?;
        next = (next + took) % messages.len();
    }
    Ok(sent)
}

/// Length of one round: all frames, and enough of them that a batch is worth its call.
fn round(frames: &[Vec<u8>]) -> usize {
    frames.len() * BATCH.div_ceil(frames.len())
}

fn ahead_of_pace(sent: Sent, limit: Limit, start: Instant) -> bool {
    let due = start.elapsed().as_millis() * u128::from(limit.per_second) / 1000;
    limit.per_second > 0 && u128::from(sent.accepted + sent.refused) > due
}

/// Send what the link takes; returns how many messages are done with. A refused one is not tried
/// again.
fn send_batch(
    socket: &OwnedFd,
    messages: &mut [libc::mmsghdr],
    sent: &mut Sent,
) -> io::Result<usize> {
    let count = u32::try_from(messages.len()).map_err(io::Error::other)?;
    // SAFETY: `messages` is as long as said, and what it points to outlives the call: the frames
    // and parts are borrowed or owned by send_all().
    let result = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
    match check(result) {
        Ok(taken) => {
            let taken = u32::try_from(taken).map_err(io::Error::other)?;
            sent.accepted += u64::from(taken);
            Ok(taken as usize)
        }
        Err(error) if is_full(&error) => {
            sent.refused += 1;
            Ok(1)
        }
        // The link is down or gone for the moment: tests unplug cables under load.
        Err(error) if is_down(&error) => {
            std::thread::sleep(Duration::from_millis(1));
            Ok(1)
        }
        Err(error) => Err(error),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN))
}

fn is_down(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENXIO))
}

fn part(frame: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() }
}

fn message(part: &mut libc::iovec) -> libc::mmsghdr {
    let header = libc::msghdr {
        msg_name: null_mut(),
        msg_namelen: 0,
        msg_iov: part,
        msg_iovlen: 1,
        msg_control: null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    };
    libc::mmsghdr { msg_hdr: header, msg_len: 0 }
}
