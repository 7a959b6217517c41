//! What threads share without locks is made of these. They have a name of their own so that
//! `tests/loom/` can compile the files that use them over loom's model of the memory instead.
#![forbid(unsafe_code)]

pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
