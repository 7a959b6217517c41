//! What is tried with the fuzzer's octets: one function for each target. It panics if something
//! does not hold; `tests/fuzz/README.md` says what each of them asserts.
#![forbid(unsafe_code)]

pub mod api;
pub mod config;
pub mod describe;
pub mod ethernet;
pub mod fib4;
pub mod fib6;
pub mod ipv4;
pub mod ipv6;
pub mod netlink;
pub mod notation;
pub mod octets;
pub mod offload;
pub mod pipeline;
mod routes;
pub mod transport;

/// A target: its name, which is that of its corpus' folder, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const ALL: [Target; 13] = [
    ("api", api::run),
    ("config", config::run),
    ("describe", describe::run),
    ("ethernet", ethernet::run),
    ("fib4", fib4::run),
    ("fib6", fib6::run),
    ("ipv4", ipv4::run),
    ("ipv6", ipv6::run),
    ("netlink", netlink::run),
    ("notation", notation::run),
    ("offload", offload::run),
    ("pipeline", pipeline::run),
    ("transport", transport::run),
];
