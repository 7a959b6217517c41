//! SIGTERM and SIGINT end the sending, also out of a system call that sends for minutes.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

extern "C" fn request(_signal: libc::c_int) {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// From now on a signal ends the sending and not the process.
pub fn on_signals() {
    let handler = request as *const () as libc::sighandler_t;
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: the handler stores to an atomic, which is allowed in one. `signal` in glibc
        // restarts system calls, but neither BPF_PROG_RUN nor sendmmsg is restarted.
        unsafe { libc::signal(signal, handler) };
    }
}

/// Whether a signal has come.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
