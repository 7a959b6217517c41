//! xrouter: a router appliance. Packets are taken from network cards with AF_XDP, routed by one
//! run-to-completion loop for each core, and what is meant for the router itself goes through a
//! tap into the kernel's own stack.
//!
//! The modules are layers; each imports only from those above it in this list (`tests/layers.rs`
//! holds them to it):
//!
//! - [`id`], `sync`, [`packet`], [`frame`]: bytes and their meaning, and who owns them.
//! - [`table`], [`config`]: what is looked up on a packet's way; what router.toml says.
//! - [`pipeline`]: what a router does to a frame, without I/O.
//! - [`io`]: where frames come from and go to: AF_XDP, the XDP program, taps.
//! - [`worker`]: one core's loop.
//! - [`control`]: the truth and its only writer: neighbours, routes, ports, the kernel.
//! - [`adopt`]: takes over what a running kernel has, and gives it back.
//! - [`api`], [`cli`]: what people and programs see of it.

pub mod adopt;
pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod frame;
pub mod id;
pub mod io;
pub mod packet;
pub mod pipeline;
mod sync;
pub mod table;
pub mod worker;
