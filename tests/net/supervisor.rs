//! A service manager, as systemd is one for xrouter: it starts it, is told how it stands, and keeps
//! descriptors from one start to the next (sd_notify(3), sd_listen_fds(3)).

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::command::Running;
use super::router::{BINARY, Config, Router, write};
use super::topology::Topology;

/// Octets of a message, and of what comes with it.
const MESSAGE_MAX: usize = 4096;

/// What was said, and what is kept.
#[derive(Default, Debug)]
struct Records {
    said: Vec<String>,
    kept: Vec<(String, OwnedFd)>,
}

/// A service manager; its socket goes with it.
#[derive(Debug)]
pub struct Supervisor {
    path: PathBuf,
    records: Arc<Mutex<Records>>,
    listener: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// It listens from now on.
    pub fn new(net: &Topology) -> Self {
        let path = net.directory.join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("the test's directory is writable");
        let records = Arc::<Mutex<Records>>::default();
        let noted = Arc::clone(&records);
        let listener = std::thread::spawn(move || {
            while let Ok((text, descriptors)) = receive(&socket)
                && text != END
            {
                note(&mut noted.lock().expect("nobody panics here"), &text, descriptors);
            }
        });
        Self { path, records, listener: Some(listener) }
    }

    /// Start xrouter with all that is kept; returns once it answers.
    #[track_caller]
    pub fn start(&self, net: &Topology, config: &Config) -> Router {
        Router::of(net, config, self.launch(net, config))
    }

    /// Start xrouter with all that is kept.
    pub fn launch(&self, net: &Topology, config: &Config) -> Running {
        let records = self.records();
        let names: Vec<_> = records.kept.iter().map(|(name, _)| name.as_str()).collect();
        let descriptors: Vec<BorrowedFd> = records.kept.iter().map(|(_, fd)| fd.as_fd()).collect();
        let mut script = format!("export NOTIFY_SOCKET={};", self.path.display());
        if !names.is_empty() {
            let (count, names) = (names.len(), names.join(":"));
            script += &format!("export LISTEN_FDS={count} LISTEN_FDNAMES='{names}' LISTEN_PID=$$;");
        }
        script += &format!("exec {BINARY} -c {}", write(net, config));
        net.router.spawn_passing(&["bash", "-c", &script], &descriptors)
    }

    /// Keep this, too.
    pub fn keep(&self, name: &str, file: impl Into<OwnedFd>) {
        self.records().kept.push((name.to_owned(), file.into()));
    }

    /// The names of what is kept, sorted.
    pub fn kept(&self) -> Vec<String> {
        let mut names: Vec<_> = self.records().kept.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// The first lines of what it was told, in order, but for what is about descriptors.
    pub fn said(&self) -> Vec<String> {
        self.records().said.clone()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("nobody panics here")
    }
}

/// Ends the listener.
const END: &str = "END";

impl Drop for Supervisor {
    fn drop(&mut self) {
        let end =
            UnixDatagram::unbound().and_then(|socket| socket.send_to(END.as_bytes(), &self.path));
        if let (Ok(_), Some(listener)) = (end, self.listener.take()) {
            listener.join().ok();
        }
    }
}

fn note(records: &mut Records, text: &str, descriptors: Vec<OwnedFd>) {
    let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored");
    match text.lines().next().unwrap_or_default() {
        "FDSTORE=1" => {
            records.kept.extend(descriptors.into_iter().map(|fd| (name.to_owned(), fd)));
        }
        "FDSTOREREMOVE=1" => records.kept.retain(|(kept, _)| kept != name),
        said => records.said.push(said.to_owned()),
    }
}

/// A message and the descriptors that came with it.
fn receive(socket: &UnixDatagram) -> io::Result<(String, Vec<OwnedFd>)> {
    let (mut text, mut control) = ([0u8; MESSAGE_MAX], [0u64; MESSAGE_MAX / 8]);
    let mut part = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    // SAFETY: all zeros is a message without parts.
    let mut message: libc::msghdr = unsafe { zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), MESSAGE_MAX);
    // SAFETY: the message's parts are alive, and as long as it says.
    let length =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    Ok((text, descriptors_of(&message)))
}

fn descriptors_of(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled the message.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: the headers lie in the message's control part.
    while let Some(part) = unsafe { header.as_ref() } {
        // SAFETY: as above.
        let data = unsafe { libc::CMSG_DATA(part) };
        if (part.cmsg_level, part.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            let count = (part.cmsg_len - (data.addr() - header.addr())) / size_of::<RawFd>();
            // SAFETY: the kernel has put so many numbers there, on a word.
            let numbers = unsafe { slice::from_raw_parts(data.cast::<RawFd>(), count) };
            // SAFETY: they are descriptors that are ours alone.
            let own = numbers.iter().map(|&number| unsafe { OwnedFd::from_raw_fd(number) });
            descriptors.extend(own);
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    descriptors
}
