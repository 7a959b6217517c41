//! Next hops (`router/table/next_hop.rs`): a reader sees an old or a new adjacency, never a third.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU16, Ordering};
use loom::thread;
use xrouter_loom::every_order;
use xrouter_loom::id::{NextHopId, PortId};
use xrouter_loom::table::HopWriter;
use xrouter_loom::table::adjacency::Adjacency;
use xrouter_loom::table::publish::Epochs;

/// All fields say this number.
fn adjacency(n: u8) -> Adjacency {
    let port = PortId::new(n.into()).unwrap();
    Adjacency::forward(port, n.into(), n.into(), [n; 6], [n; 6])
}

#[test]
fn an_adjacency_is_the_old_or_the_new_one() {
    every_order(3, || {
        let (hops, mut writer) = HopWriter::new(1);
        let epochs = Arc::new(Epochs::new(1));
        let id = writer.allocate(adjacency(1)).unwrap();
        epochs.online(0);
        let reader = {
            let epochs = epochs.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    let (_, seen) = hops.adjacency(id, || 0);
                    assert!((1..=4).any(|n| seen == adjacency(n)), "{seen:?}");
                    epochs.pass(0);
                }
            })
        };
        for n in 2..=4 {
            writer.set(id, adjacency(n));
            writer.reclaim(&epochs);
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_number_is_not_anothers_while_a_reader_has_it() {
    every_order(3, || {
        let (hops, mut writer) = HopWriter::new(1);
        let epochs = Arc::new(Epochs::new(1));
        let id = writer.allocate(adjacency(1)).unwrap();
        let route = Arc::new(AtomicU16::new(id.get()));
        epochs.online(0);
        let reader = {
            let (epochs, route) = (epochs.clone(), route.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    if let Some(id) = NextHopId::new(route.load(Ordering::Acquire)) {
                        assert_eq!(hops.adjacency(id, || 0), (id, adjacency(1)));
                    }
                    epochs.pass(0);
                }
            })
        };
        route.store(0, Ordering::Release);
        writer.release(id);
        writer.reclaim(&epochs);
        writer.reclaim(&epochs);
        // For another route, if there is a number yet.
        let _no_number_yet = writer.allocate(adjacency(2));
        reader.join().unwrap();
    });
}
