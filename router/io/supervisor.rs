//! The service manager, by the protocols of sd_notify(3) and sd_listen_fds(3): it is told how things
//! stand, and keeps descriptors for the next start. Without one (no `NOTIFY_SOCKET` in the
//! environment) nothing is told, and nothing kept.

use std::fs::File;
use std::os::fd::{AsFd, FromRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, io};

use sd_notify::NotifyState;

/// A descriptor that was kept.
#[derive(Debug)]
pub struct Kept {
    /// The name that it was kept by.
    pub name: String,
    /// The open file.
    pub file: File,
}

/// How things stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The router routes.
    Ready,
    /// The configuration is being changed; [`State::Ready`] follows.
    Reloading,
    /// The router ends.
    Stopping,
}

/// Whether there is one.
pub fn is_there() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// The descriptors that were kept since the last run. To be called before this process opens any of
/// its own; the second time there are none.
///
/// # Errors
/// What the environment says of them does not fit, or they are not open.
pub fn take_kept() -> io::Result<Vec<Kept>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let passed = sd_notify::listen_fds_with_names()?;
    let own = |(fd, name)| {
        // SAFETY: the descriptor is open (else the call above had failed), was passed to this process
        // by its number, and is taken once, before there are others.
        let file = unsafe { File::from_raw_fd(fd) };
        Kept { name, file }
    };
    Ok(passed.map(own).collect())
}

/// Tell it how things stand.
///
/// # Errors
/// It cannot be reached.
pub fn tell(state: State) -> io::Result<()> {
    match state {
        State::Ready => sd_notify::notify(&[NotifyState::Ready]),
        State::Reloading => {
            let now = NotifyState::monotonic_usec_now()?;
            sd_notify::notify(&[NotifyState::Reloading, now])
        }
        State::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    }
}

/// Have it keep an open file for the next start.
///
/// # Errors
/// It cannot be reached. That it has no room is not told.
pub fn keep(name: &str, file: impl AsFd) -> io::Result<()> {
    let state = [NotifyState::FdStore, NotifyState::FdName(name)];
    sd_notify::notify_with_fds(&state, &[file.as_fd()])
}

/// Have it close what it keeps by this name.
///
/// # Errors
/// It cannot be reached.
pub fn forget(name: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)])
}
