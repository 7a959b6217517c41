//! The worker's sample of its chunks (`router/pipeline/counters/ledger.rs`).

use loom::sync::Arc;
use loom::thread;
use xrouter_loom::every_order;
use xrouter_loom::ledger::{Ledger, Places};

/// All numbers of the sample are this one.
fn sample(n: u64) -> Places {
    Places { free: n, receive: n, transmit: n, held: n, queued: n, total: n }
}

#[test]
fn a_reader_sees_one_sample_whole() {
    every_order(3, || {
        let ledger = Arc::new(Ledger::default());
        let worker = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.set(sample(1)))
        };
        let seen = ledger.get();
        assert!(seen == sample(0) || seen == sample(1), "torn: {seen:?}");
        worker.join().unwrap();
        assert_eq!(ledger.get(), sample(1));
    });
}

#[test]
fn a_reader_outlasts_two_samples() {
    every_order(1, || {
        let ledger = Arc::new(Ledger::default());
        let reader = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.get())
        };
        (1..=2).for_each(|n| ledger.set(sample(n)));
        let seen = reader.join().unwrap();
        assert!((0..=2).any(|n| seen == sample(n)), "torn: {seen:?}");
    });
}
