//! The black-box harness: a network of namespaces, hosts that run real programs in it, and the
//! router between them. Namespaces are made and unmade here and nowhere else.
//!
//! A test reads like an operator's session:
//!
//! ```ignore
//! let net = Topology::lan_wan();
//! let router = Router::start(&net, &net.config());
//! net.lan.run("ping -c 3 10.2.0.2").succeeds();
//! assert_eq!(router.dropped(), 0);
//! ```
//!
//! | variable | what it does |
//! | --- | --- |
//! | `KEEP=1` | a failed test leaves its topology standing and says how to enter it |
//! | `ROUTER=kernel` | the kernel forwards instead of xrouter: the oracle, and the harness's own test |
//! | `ENGINE=xdp` | plain packets are forwarded by the XDP program where it can, not by the worker |
//! | `QUICK=1` | the long tests (flood, kill -9) run for seconds instead of a minute, as in `scripts/test` |
//! | `SOAK=n` | the tests of faults run n times as long, the one of mixed load n minutes; a million routes |
//! | `FIGURES=file` | figures that the bar for reliability asks for are added to this file |
//!
//! Nothing here sleeps to wait for something: [`eventually`] polls with a deadline.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]

pub mod bpf;
pub mod canary;
pub mod cgroup;
mod command;
mod complaints;
pub mod connection;
pub mod corpus;
pub mod daemon;
mod example;
mod figure;
pub mod flood;
pub mod flow;
pub mod frames;
pub mod freeze;
pub mod join;
mod kernel;
pub mod ledger;
pub mod mirror;
pub mod mistakes;
pub mod names;
#[path = "../oracle/random.rs"]
pub mod random;
mod router;
pub mod state;
pub mod stream;
pub mod supervisor;
mod topology;
mod usage;
pub mod wire;

use std::time::{Duration, Instant};

pub use command::{Namespace, Outcome, Running};
pub use complaints::kernel_complaints;
pub use example::{example, example_path};
pub use figure::figure;
pub use router::{BINARY, Config, Router, launch, write};
pub use topology::{
    Builder, DMZ_DEVICE, HOST_DEVICE, Host, LAN_DEVICE, Topology, WAN_DEVICE, device_counter, ip,
    sysctl,
};
pub use usage::Usage;

/// A network like this, and a router in it with the configuration for it.
pub fn started(builder: Builder) -> (Topology, Router) {
    let net = builder.build();
    let router = Router::start(&net, &net.config());
    (net, router)
}

/// How long to pause between two looks at something that is being waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// Look until `condition` holds; false if it did not within `limit`.
#[must_use]
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Look until `condition` holds, and fail the test if it does not within `limit`.
#[track_caller]
pub fn eventually(limit: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(limit, condition), "not within {limit:?}: {what}");
}

/// So many seconds.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// How long a long test runs: `full`, or `quick` with `QUICK=1` in the environment.
pub fn at_length<T>(full: T, quick: T) -> T {
    if is_set("QUICK") { quick } else { full }
}

/// How many times as long as usual the tests of faults run.
pub fn soak() -> u32 {
    std::env::var("SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Whether the kernel plays the router: tests of what only xrouter has then return at once.
pub fn kernel_is_router() -> bool {
    std::env::var("ROUTER").is_ok_and(|router| router == "kernel")
}

/// Whether plain packets are the XDP program's. They overtake those that go up to the worker.
pub fn two_engines() -> bool {
    std::env::var("ENGINE").is_ok_and(|engine| engine == "xdp")
}

/// Who forwards plain packets, as router.toml says it, where a test does not say it itself.
pub fn fastpath() -> &'static str {
    if two_engines() { "auto" } else { "off" }
}

/// Whether an environment variable is set to something but 0.
pub fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !value.is_empty() && value != "0")
}

/// Return from a test of what the kernel does not have, if the kernel plays the router.
#[macro_export]
macro_rules! needs_xrouter {
    () => {
        if $crate::net::kernel_is_router() {
            eprintln!("not a question for the kernel");
            return;
        }
    };
}
