//! A thread that waits for XDP programs, so that control need not: in the grace periods of the
//! tables (`table/publish.rs`) they are one reader, and this is who passes for it.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};

use crate::io::xdp::Barrier;
use crate::table::publish::Epochs;

/// The thread. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Grace {
    /// Dropped first: that is what the thread ends by.
    bell: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Grace {
    /// Pass as the reader of that number. From now on it is waited for.
    pub fn start(epochs: Arc<Epochs>, reader: usize) -> io::Result<Self> {
        let barrier = Barrier::new()?;
        let (bell, rung) = bounded(1);
        epochs.online(reader);
        let pass = move || {
            for () in rung {
                if let Err(error) = epochs.pass_after(reader, || barrier.wait()) {
                    tracing::error!("waiting for the XDP programs: {error}; tables fill up");
                }
            }
        };
        let thread = std::thread::Builder::new().name("grace".to_owned()).spawn(pass)?;
        Ok(Self { bell: Some(bell), thread: Some(thread) })
    }

    /// There is something to be waited for.
    pub fn ring(&self) {
        // A bell that rings already is heard.
        let _ringing = self.bell.as_ref().map(|bell| bell.try_send(()));
    }
}

impl Drop for Grace {
    fn drop(&mut self) {
        self.bell = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that waits for the XDP programs has panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_programs_pass_some_time_after_the_bell() {
        let epochs = Arc::new(Epochs::new(1));
        let grace = Grace::start(epochs.clone(), 0).unwrap();
        let stamp = epochs.advance();
        assert!(!epochs.passed(stamp));
        grace.ring();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !epochs.passed(stamp) {
            assert!(Instant::now() < deadline, "nobody passed");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
