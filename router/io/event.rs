//! Waking a thread that sleeps: a socket pair as a bell, and poll(2) to sleep in.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A bell: any thread rings it, one thread sleeps until it rings. A pair of sockets, and not an
/// eventfd, because both poll(2) and Tokio can wait for it without unsafe code.
#[derive(Debug)]
pub struct Bell {
    rope: UnixStream,
    ear: UnixStream,
}

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> io::Result<Self> {
        let (rope, ear) = UnixStream::pair()?;
        rope.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Self { rope, ear })
    }

    /// Wake who sleeps, or keep him from falling asleep. Costs one system call.
    pub fn ring(&self) {
        // The only failure is a socket that is full, and then it rings already.
        let _ = (&self.rope).write(&[1]);
    }

    /// Silence the bell before looking at what it rang for.
    pub fn silence(&self) {
        let mut rings = [0; 64];
        while matches!((&self.ear).read(&mut rings), Ok(count) if count == rings.len()) {}
    }

    /// The end that becomes readable, once more: for an event loop to wait on.
    pub fn ear(&self) -> io::Result<UnixStream> {
        self.ear.try_clone()
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.ear.as_raw_fd()
    }
}

/// The descriptors that a thread sleeps on, kept from one sleep to the next.
#[derive(Debug, Default)]
pub struct Sleeper(Vec<libc::pollfd>);

impl Sleeper {
    /// Forget all descriptors.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Wake when `fd` has something to read. The caller keeps `fd` open as long as it is here.
    pub fn watch(&mut self, fd: RawFd) {
        self.0.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }

    /// Sleep until one of the descriptors is ready, a signal comes, or `at_most` has passed.
    pub fn sleep(&mut self, at_most: Duration) {
        let milliseconds = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
        let count = libc::nfds_t::try_from(self.0.len()).unwrap_or(0);
        // SAFETY: the vector holds `count` initialised entries. Whatever poll answers, the
        // caller looks at everything.
        unsafe { libc::poll(self.0.as_mut_ptr(), count, milliseconds) };
        // A broken descriptor, such as that of a tap which was deleted, would never let us sleep
        // again. poll(2) passes over negative ones.
        let broken = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        for entry in self.0.iter_mut().filter(|entry| entry.revents & broken != 0) {
            entry.fd = -1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_rings_until_it_is_silenced() {
        let bell = Bell::new().unwrap();
        let mut sleeper = Sleeper::default();
        sleeper.watch(bell.as_raw_fd());
        let start = std::time::Instant::now();
        (0..100_000).for_each(|_| bell.ring());
        sleeper.sleep(Duration::from_secs(10));
        assert!(start.elapsed() < Duration::from_secs(9), "it slept though the bell rang");
        bell.silence();
        assert!((&bell.ear).read(&mut [0]).is_err(), "silent");
    }

    #[test]
    fn a_broken_descriptor_wakes_once() {
        let (broken, other_end) = UnixStream::pair().unwrap();
        drop(other_end);
        let bell = Bell::new().unwrap();
        let mut sleeper = Sleeper::default();
        sleeper.watch(broken.as_raw_fd());
        sleeper.watch(bell.as_raw_fd());
        sleeper.sleep(Duration::from_secs(10));
        let start = std::time::Instant::now();
        sleeper.sleep(Duration::from_millis(50));
        assert!(start.elapsed() >= Duration::from_millis(50), "it was woken again");
        bell.ring();
        sleeper.sleep(Duration::from_secs(10));
        assert!(start.elapsed() < Duration::from_secs(9), "the bell is heard still");
    }
}
