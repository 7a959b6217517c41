//! The limits that workers share (`router/table/police.rs`): together no more than the burst.

use loom::sync::Arc;
use loom::thread;
use xrouter_loom::every_order;
use xrouter_loom::id::PortId;
use xrouter_loom::table::meter::Nanos;
use xrouter_loom::table::police::{Class, Limits, Policers};

/// At once after a quiet time.
const BURST: usize = 3;

/// How many of two packets are let through.
fn two_packets(policers: &Policers) -> usize {
    let port = PortId::new(0).unwrap();
    (0..2).filter(|_| policers.admits(port, Class::Icmp, Nanos::ZERO)).count()
}

#[test]
fn two_workers_share_one_burst() {
    every_order(3, || {
        let limits = Limits { per_s: [10 * BURST as u32; 5], ..Limits::default() };
        let policers = Arc::new(Policers::new(limits, 1));
        let other = {
            let policers = policers.clone();
            thread::spawn(move || two_packets(&policers))
        };
        let ours = two_packets(&policers);
        assert_eq!(ours + other.join().unwrap(), BURST);
    });
}
