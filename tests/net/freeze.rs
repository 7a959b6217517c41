//! One thread of a process held still while the others run: a worker that is stuck, a control
//! thread that does not get its core. By ptrace(2), whose stops are of one thread; SIGSTOP would
//! stop them all.

use std::fs;
use std::io;
use std::ptr::null_mut;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that does not run until this is dropped.
#[derive(Debug)]
pub struct Frozen {
    release: Option<mpsc::Sender<()>>,
    tracer: Option<JoinHandle<()>>,
}

impl Frozen {
    /// Hold still the thread of this process that has this name.
    #[track_caller]
    pub fn thread(process: u32, name: &str) -> Self {
        let thread = find(process, name);
        let (release, released) = mpsc::channel();
        let (stopped, is_stopped) = mpsc::channel();
        // Only the thread that began to trace may end it.
        let tracer = std::thread::spawn(move || {
            stopped.send(stop(thread)).ok();
            hold(thread, &released);
            // SAFETY: no memory is passed.
            unsafe { libc::ptrace(libc::PTRACE_DETACH, thread, null_mut::<()>(), 0usize) };
        });
        let outcome = is_stopped.recv().expect("the tracer answers");
        outcome.unwrap_or_else(|error| panic!("{name} of {process} cannot be stopped: {error}"));
        Self { release: Some(release), tracer: Some(tracer) }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.release = None;
        self.tracer.take().into_iter().for_each(|tracer| drop(tracer.join()));
    }
}

#[track_caller]
fn find(process: u32, name: &str) -> libc::pid_t {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the process lives");
    let called = |path: &std::path::Path| fs::read_to_string(path.join("comm")).unwrap_or_default();
    let mut paths = tasks.flatten().map(|task| task.path());
    let path = paths.find(|path| called(path).trim_end() == name);
    let number = path.as_deref().and_then(|path| path.file_name()?.to_str()?.parse().ok());
    number.unwrap_or_else(|| panic!("process {process} has no thread {name}"))
}

fn stop(thread: libc::pid_t) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, null_mut::<()>(), 0usize) })?;
    // SAFETY: no memory is passed.
    check(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, thread, null_mut::<()>(), 0usize) })?;
    // SAFETY: the status is not asked for.
    check(unsafe { libc::waitpid(thread, null_mut(), libc::__WALL) }.into())
}

/// Until we are told to let go, or the process has ended: then nobody else can wait for it before
/// its tracer has.
fn hold(thread: libc::pid_t, released: &mpsc::Receiver<()>) {
    while released.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
        // SAFETY: the status is not asked for.
        if unsafe { libc::waitpid(thread, null_mut(), libc::__WALL | libc::WNOHANG) } != 0 {
            return;
        }
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
