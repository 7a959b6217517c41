//! The `[router]` section: the router as a whole.
#![forbid(unsafe_code)]

use super::section::{Keys, Section};

/// What `[router]` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterSection {
    /// The cores that forward, one worker on each; nothing: whoever starts the workers decides.
    pub workers: Option<Vec<usize>>,
    /// Whether the XDP program may forward plain packets itself.
    pub fastpath: FastPath,
    /// What a worker does when there is nothing to do.
    pub poll: Poll,
    /// Whether the packet memory lies in huge pages.
    pub huge_pages: bool,
    /// Descriptors in each receive and transmit ring. A power of two, 64..=4096.
    pub ring: u32,
    /// Chunks in each worker's UMEM; nothing: computed from the number of ports and `ring`.
    pub frames: Option<u32>,
    /// How long a system call may poll the card's queue, in microseconds (`SO_BUSY_POLL`); 0: not.
    pub busy_poll_us: u32,
    /// Most packets of one such poll (`SO_BUSY_POLL_BUDGET`).
    pub busy_poll_budget: u16,
    /// ICMP and ICMPv6 errors that may be sent, per second and in all.
    pub icmp_errors_per_s: u32,
    /// How many of those a worker may send at once after a quiet time.
    pub icmp_errors_burst: u32,
    /// Errors that may be sent to one host, per second.
    pub icmp_errors_per_host_per_s: u32,
    /// How many of those may be sent at once after a quiet time.
    pub icmp_errors_per_host_burst: u32,
    /// Whether the taps stay, with their addresses, when the router stops.
    pub taps_persist: bool,
    /// What becomes of packets when the router ends or dies.
    pub on_exit: OnExit,
    /// What the hash of a flow starts from, which chooses among several next hops; nothing: another
    /// number at each start.
    pub hash_seed: Option<u32>,
}

/// Who forwards plain packets (valid header, resolved next hop, nothing to be done but routing).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FastPath {
    /// The XDP program in the driver where that is faster than the worker.
    Auto,
    /// The XDP program, also where the worker may be faster, or where the kernel does not tell
    /// whether a device takes the program's frames.
    On,
    /// Always the worker.
    Off,
}

/// What becomes of packets when the router ends or dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExit {
    /// Nothing passes any more.
    Closed,
    /// The kernel forwards, by the taps.
    Open,
}

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Poll {
    /// It sleeps until a packet comes.
    Adaptive,
    /// It never sleeps: the lowest latency, and a core at 100 %.
    Busy,
}

impl Default for RouterSection {
    fn default() -> Self {
        Self {
            workers: None,
            fastpath: FastPath::Auto,
            poll: Poll::Adaptive,
            huge_pages: false,
            ring: 1024,
            frames: None,
            busy_poll_us: 0,
            busy_poll_budget: 64,
            icmp_errors_per_s: 1000,
            icmp_errors_burst: 200,
            icmp_errors_per_host_per_s: 10,
            icmp_errors_per_host_burst: 20,
            taps_persist: false,
            on_exit: OnExit::Closed,
            hash_seed: None,
        }
    }
}

/// Cores that the scheduler's masks can name (`CPU_SETSIZE`).
const CORES_MAX: usize = 1024;

impl RouterSection {
    pub(super) const KEYS: Keys = &[
        "workers",
        "fastpath",
        "poll",
        "huge_pages",
        "ring",
        "frames",
        "busy_poll_us",
        "busy_poll_budget",
        "icmp_errors_per_s",
        "icmp_errors_burst",
        "icmp_errors_per_host_per_s",
        "icmp_errors_per_host_burst",
        "taps_persist",
        "on_exit",
        "hash_seed",
    ];

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            workers: read_workers(section),
            fastpath: read_fastpath(section).unwrap_or(default.fastpath),
            poll: section
                .choice("poll", &[("adaptive", Poll::Adaptive), ("busy", Poll::Busy)])
                .unwrap_or(default.poll),
            huge_pages: section.boolean("huge_pages").unwrap_or(default.huge_pages),
            ring: read_ring(section).unwrap_or(default.ring),
            frames: section.integer("frames", 256..=1_048_576),
            busy_poll_us: section.integer("busy_poll_us", 0..=1000).unwrap_or(default.busy_poll_us),
            busy_poll_budget: section
                .integer("busy_poll_budget", 1..=1024)
                .unwrap_or(default.busy_poll_budget),
            icmp_errors_per_s: icmp_errors("icmp_errors_per_s", default.icmp_errors_per_s, section),
            icmp_errors_burst: icmp_errors("icmp_errors_burst", default.icmp_errors_burst, section),
            icmp_errors_per_host_per_s: icmp_errors(
                "icmp_errors_per_host_per_s",
                default.icmp_errors_per_host_per_s,
                section,
            ),
            icmp_errors_per_host_burst: icmp_errors(
                "icmp_errors_per_host_burst",
                default.icmp_errors_per_host_burst,
                section,
            ),
            taps_persist: section.boolean("taps_persist").unwrap_or(default.taps_persist),
            on_exit: section
                .choice("on_exit", &[("closed", OnExit::Closed), ("open", OnExit::Open)])
                .unwrap_or(default.on_exit),
            hash_seed: section.integer("hash_seed", 0..=u32::MAX),
        }
    }
}

/// A number of ICMP errors.
fn icmp_errors(key: &'static str, default: u32, section: &mut Section<'_, '_>) -> u32 {
    section.integer(key, 1..=1_000_000).unwrap_or(default)
}

/// `fastpath`, of the router or of one port.
pub(super) fn read_fastpath(section: &mut Section<'_, '_>) -> Option<FastPath> {
    let words = [("auto", FastPath::Auto), ("on", FastPath::On), ("off", FastPath::Off)];
    section.choice("fastpath", &words)
}

fn read_ring(section: &mut Section<'_, '_>) -> Option<u32> {
    let ring: u32 = section.integer("ring", 64..=4096)?;
    if ring.is_power_of_two() {
        return Some(ring);
    }
    let above = ring.next_power_of_two();
    let help = format_args!("write {} or {above}", above / 2);
    section.refuse(
        "ring",
        section.span_of("ring"),
        format_args!("{ring} is no power of two"),
        help,
    );
    None
}

fn read_workers(section: &mut Section<'_, '_>) -> Option<Vec<usize>> {
    section.get("workers")?;
    let before = section.mistakes.count();
    let list = section.list("workers", "[1, 2]");
    let mut cores = Vec::new();
    for value in list {
        let number = value.get_ref().as_integer();
        let core = number.and_then(|n| usize::from_str_radix(n.as_str(), n.radix()).ok());
        match core.filter(|&core| core < CORES_MAX) {
            None => {
                let help = format_args!("write the number of a core: 0 to {}", CORES_MAX - 1);
                section.refuse("workers", value.span(), "this is no core", help);
            }
            Some(core) if cores.contains(&core) => {
                let message = format_args!("core {core} has a worker already");
                section.refuse("workers", value.span(), message, "name each core once");
            }
            Some(core) => cores.push(core),
        }
    }
    if list.is_empty() && section.mistakes.count() == before {
        let help = "name at least one core, or leave `workers` out";
        section.refuse("workers", section.span_of("workers"), "nobody forwards", help);
    }
    Some(cores)
}
