//! The attack toolkit of THC (Debian's thc-ipv6, its commands `atk6-*`) against the router and
//! through it: what its tools find out of xrouter they find out of the kernel, too, but for what
//! `tests/thc/differences.rs` lists; and while they attack, nobody else is harmed.

mod net;

#[path = "thc/attacks.rs"]
mod attacks;
#[path = "thc/compare.rs"]
mod compare;
#[path = "thc/crowd.rs"]
mod crowd;
#[path = "thc/differences.rs"]
mod differences;
#[path = "thc/probes.rs"]
mod probes;
#[path = "thc/takeovers.rs"]
mod takeovers;
