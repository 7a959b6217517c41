//! Where frames come from and go to: the kernel's devices and the memory shared with it.
//!
//! With `frame` and `table/shared.rs` this is the only place of unsafe code. A port does not
//! route: nothing here knows a table.

pub mod device;
pub mod event;
pub mod heir;
pub mod offload;
mod ring;
pub mod socket;
pub mod supervisor;
pub mod tap;
pub mod xdp;
pub mod xsk;
