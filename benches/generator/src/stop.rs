//! SIGTERM and SIGINT end the sending, and so does its time: also out of a system call that sends
//! for minutes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, ptr};

static REQUESTED: AtomicBool = AtomicBool::new(false);

extern "C" fn request(_signal: libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// From now on a signal ends the sending and not the process.
pub fn on_signals() {
    let handler = request as *const () as libc::sighandler_t;
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGALRM] {
        // SAFETY: the handler stores to an atomic, which is allowed in one. `signal` in glibc
        // restarts system calls, but neither BPF_PROG_RUN nor sendmmsg is restarted.
        unsafe { libc::signal(signal, handler) };
    }
}

/// End the sending after so many seconds.
pub fn after(seconds: f64) -> io::Result<()> {
    let value = libc::timeval {
        tv_sec: seconds as libc::time_t,
        tv_usec: (seconds.fract() * 1e6) as libc::suseconds_t,
    };
    let once =
        libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: value };
    // SAFETY: a timer's value, and no place for the old one.
    match unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const once, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a signal has come.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
