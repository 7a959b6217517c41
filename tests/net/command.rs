//! Commands in a namespace, each with a time limit and its output kept in files.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{eventually, holds_within, seconds};

/// Longest that a command may take unless the test says otherwise.
const LIMIT: Duration = seconds(30);

/// A network namespace, by name, and where the output of its commands is kept. A handle: the
/// namespace itself belongs to the topology.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// As `ip netns` knows it.
    pub name: String,
    /// For the output of commands; the topology removes it.
    pub directory: PathBuf,
}

impl Namespace {
    /// The file that names the namespace.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/run/netns/{}", self.name))
    }

    /// Run a shell command line and wait for its end.
    #[must_use = "say .succeeds() or .fails()"]
    pub fn run(&self, line: &str) -> Outcome {
        self.run_for(LIMIT, line)
    }

    /// Run a shell command line that may take `limit`.
    #[must_use = "say .succeeds() or .fails()"]
    pub fn run_for(&self, limit: Duration, line: &str) -> Outcome {
        self.spawn(line).wait(limit)
    }

    /// Start a shell command line and go on; it is killed when the value is dropped.
    pub fn spawn(&self, line: &str) -> Running {
        self.spawn_args(&["bash", "-o", "pipefail", "-c", line])
    }

    /// Start a program with these arguments, without a shell between: the process is the program.
    pub fn spawn_args(&self, arguments: &[&str]) -> Running {
        self.start(self.command(arguments), arguments)
    }

    /// The same for a program that finds these descriptors open, from 3 on.
    pub fn spawn_passing(&self, arguments: &[&str], descriptors: &[BorrowedFd<'_>]) -> Running {
        let mut command = self.command(arguments);
        let descriptors: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        // SAFETY: between fork and exec `pass` makes system calls only; the descriptors are open as
        // long as this call lasts.
        unsafe { command.pre_exec(move || pass(&descriptors)) };
        self.start(command, arguments)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // Not `ip netns exec`: that mounts a /sys of its own.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").args(arguments);
        command
    }

    fn start(&self, command: Command, arguments: &[&str]) -> Running {
        Running::start(command, &format!("{}: {}", self.name, arguments.join(" ")), self)
    }

    /// Wait until something listens on this TCP port.
    #[track_caller]
    pub fn wait_for_listener(&self, port: u16) {
        eventually(seconds(10), &format!("{} listens on {port}", self.name), || {
            !self.run(&format!("ss -Hltn 'sport = :{port}'")).stdout.is_empty()
        });
    }

    /// Start a server and wait until it listens on this TCP port.
    #[track_caller]
    pub fn serve(&self, port: u16, line: &str) -> Running {
        let server = self.spawn(line);
        self.wait_for_listener(port);
        server
    }

    /// Watch a device with tcpdump (`filter` may begin with options); returns once it listens.
    #[track_caller]
    pub fn watch(&self, device: &str, filter: &str) -> Running {
        let line = format!("exec tcpdump --immediate-mode -l -n -i {device} {filter}");
        let watcher = self.spawn(&line);
        eventually(seconds(10), "tcpdump listens", || watcher.stderr().contains("listening on"));
        watcher
    }
}

/// A command that has been started.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    output: PathBuf,
    errors: PathBuf,
    started: Instant,
    ended: Option<ExitStatus>,
}

impl Running {
    fn start(mut command: Command, line: &str, namespace: &Namespace) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let output = namespace.directory.join(format!("{number}.out"));
        let errors = namespace.directory.join(format!("{number}.err"));
        let create = |path| File::create(path).expect("the test's directory is writable");
        let child = command
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(create(&output))
            .stderr(create(&errors))
            .process_group(0)
            .spawn()
            .expect("nsenter starts");
        let started = Instant::now();
        Self { child, line: line.to_owned(), output, errors, started, ended: None }
    }

    /// What it has written so far.
    pub fn stdout(&self) -> String {
        read(&self.output)
    }

    /// What it has complained about so far.
    pub fn stderr(&self) -> String {
        read(&self.errors)
    }

    /// Its process number. nsenter replaces itself by the program, so it is the program's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("it is our child");
        }
        self.ended.is_none()
    }

    /// Wait for its end; kill it at the limit.
    #[must_use = "say .succeeds() or .fails()"]
    pub fn wait(mut self, limit: Duration) -> Outcome {
        let in_time = holds_within(limit, || !self.is_running());
        let took = self.started.elapsed();
        if !in_time {
            self.kill();
        }
        Outcome {
            line: self.line.clone(),
            status: self.ended.filter(|_| in_time),
            stdout: self.stdout(),
            stderr: self.stderr(),
            took,
        }
    }

    /// Send SIGINT, as Ctrl-C does, and wait for its end.
    #[must_use = "say .succeeds() or .fails()"]
    pub fn interrupt(self) -> Outcome {
        self.signal(libc::SIGINT);
        self.wait(seconds(5))
    }

    /// Send a signal to the program.
    pub fn signal(&self, signal: i32) {
        let Ok(id) = i32::try_from(self.id()) else {
            return;
        };
        if self.ended.is_none() {
            // SAFETY: sends a signal to a child that has not been waited for, so the number is
            // still its own.
            unsafe { libc::kill(id, signal) };
        }
    }

    /// End it and all that it started.
    fn kill(&mut self) {
        if !self.is_running() {
            return;
        }
        if let Ok(id) = i32::try_from(self.id()) {
            // SAFETY: the child leads its own process group and has not been waited for.
            unsafe { libc::kill(-id, libc::SIGKILL) };
        }
        self.ended = self.child.wait().ok();
    }

    /// Leave it running when this value goes.
    pub fn leave(mut self) {
        self.ended = Some(ExitStatus::default());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Have these descriptors be 3, 4 and so on in the program that is about to be executed.
fn pass(descriptors: &[RawFd]) -> io::Result<()> {
    /// Above all that are passed.
    const ASIDE: RawFd = 200;
    let check = |result: RawFd| match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    };
    for (aside, &descriptor) in (ASIDE..).zip(descriptors) {
        // SAFETY: numbers only.
        check(unsafe { libc::dup3(descriptor, aside, libc::O_CLOEXEC) })?;
    }
    for (number, aside) in (3..).zip(ASIDE..).take(descriptors.len()) {
        // SAFETY: numbers only.
        check(unsafe { libc::dup2(aside, number) })?;
    }
    Ok(())
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    line: String,
    /// None: it was killed at its time limit.
    pub status: Option<ExitStatus>,
    /// What it wrote.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Outcome {
    /// Whether it exited with 0, in time.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// It exited with 0, in time.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert!(self.ok(), "failed: {self}");
        self
    }

    /// It ended in time, but not well.
    #[track_caller]
    pub fn fails(self) -> Self {
        let failed = self.status.is_some_and(|status| !status.success());
        assert!(failed, "should have failed: {self}");
        self
    }

    /// It wrote this, to either output.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.has(text), "does not say {text:?}: {self}");
        self
    }

    /// It did not write this.
    #[track_caller]
    pub fn does_not_say(self, text: &str) -> Self {
        assert!(!self.has(text), "says {text:?}: {self}");
        self
    }

    /// It took no longer than this.
    #[track_caller]
    pub fn within(self, limit: Duration) -> Self {
        assert!(self.took <= limit, "took longer than {limit:?}: {self}");
        self
    }

    /// Whether this is in what it wrote.
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// How many lines of what it wrote contain this.
    #[must_use]
    pub fn lines_with(&self, text: &str) -> usize {
        self.stdout.lines().filter(|line| line.contains(text)).count()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.line)?;
        match self.status {
            Some(status) => writeln!(f, "  {status} after {:.1?}", self.took)?,
            None => writeln!(f, "  killed at its time limit after {:.1?}", self.took)?,
        }
        for line in self.stdout.lines().chain(self.stderr.lines()) {
            writeln!(f, "  | {line}")?;
        }
        Ok(())
    }
}
