//! The router's own files over loom's atomics: they ask `crate::sync` for theirs.

#[path = "../../router/id.rs"]
pub mod id;
#[path = "../../router/pipeline/counters/ledger.rs"]
pub mod ledger;
pub mod table;

/// What `router/sync.rs` gives the router.
mod sync {
    pub use loom::hint::spin_loop;
    pub use loom::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
}

/// Try `run` in every order of its threads' steps in which a thread is interrupted at no more than
/// so many places. Nearly all mistakes need two (Musuvathi, Qadeer, PLDI 2007); without a bound
/// some of the tests would take hours.
pub fn every_order(interruptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(interruptions);
    model.check(run);
}
