//! The router's books, and whether they close.

use std::time::Duration;

use serde_json::Value;

use super::names::{
    FRAMES_IN, FRAMES_OUT, INVALID_DESCRIPTORS, KERNEL_LOSSES, PASSED, UMEM, UMEM_BUSY, UMEM_TOTAL,
};
use super::router::Router;
use super::{eventually, seconds};

/// How long the router may take to come to rest: held packets expire by then.
const REST: Duration = seconds(20);

/// All counters of the router at one moment, as far as the accounts need them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Books {
    rows: Vec<Value>,
}

impl Books {
    /// As they are now.
    #[track_caller]
    pub fn read(router: &Router) -> Self {
        Self { rows: router.show("counters") }
    }

    /// Read them until they do not move any more.
    #[track_caller]
    pub fn at_rest(router: &Router) -> Self {
        let mut books = Self::read(router);
        eventually(REST, "the counters come to rest", || {
            std::thread::sleep(Duration::from_millis(300));
            let before = std::mem::replace(&mut books, Self::read(router));
            before == books && books.sum("waiting") == 0
        });
        books
    }

    /// A counter, all ports together.
    pub fn sum(&self, counter: &str) -> u64 {
        self.rows.iter().filter_map(|row| number(row, counter)).sum()
    }

    /// A counter of one port.
    pub fn of(&self, port: &str, counter: &str) -> u64 {
        let rows = self.rows.iter().filter(|row| row["port"] == port);
        rows.filter_map(|row| number(row, counter)).sum()
    }

    /// Frames that came in by a port's cable and are accounted for: received, left to the kernel,
    /// or lost by it before the router saw them.
    pub fn arrived(&self, port: &str) -> u64 {
        self.of(port, "received") + self.of(port, PASSED) + self.lost_by_kernel(port)
    }

    /// Frames of one port that the kernel lost before the router saw them.
    pub fn lost_by_kernel(&self, port: &str) -> u64 {
        KERNEL_LOSSES.iter().map(|counter| self.of(port, counter)).sum()
    }

    /// Every frame that came in went out, up, was dropped with a reason, or waits.
    #[track_caller]
    pub fn close(&self) {
        let (came, went) = (self.frames(&FRAMES_IN), self.frames(&FRAMES_OUT));
        let all = |names: &[&str]| -> Vec<_> {
            names.iter().map(|name| format!("{name} {}", self.sum(name))).collect()
        };
        let (ins, outs) = (all(&FRAMES_IN).join(" + "), all(&FRAMES_OUT).join(" + "));
        assert_eq!(came, went, "in: {ins}; out: {outs}");
    }

    /// Whether no frame is on its way.
    pub fn are_closed(&self) -> bool {
        self.frames(&FRAMES_IN) == self.frames(&FRAMES_OUT)
    }

    fn frames(&self, counters: &[&str]) -> u64 {
        counters.iter().map(|counter| self.sum(counter)).sum()
    }

    /// The kernel has refused no descriptor (R03).
    #[track_caller]
    pub fn no_invalid_descriptors(&self) {
        for counter in INVALID_DESCRIPTORS {
            assert!(self.rows.iter().all(|row| number(row, counter).is_some()), "no {counter}");
            assert_eq!(self.sum(counter), 0, "{counter}");
        }
    }
}

fn number(row: &Value, counter: &str) -> Option<u64> {
    row[counter].as_u64()
}

/// Every chunk of every worker's UMEM is somewhere (R02). Returns the number of chunks.
#[track_caller]
pub fn umem_is_whole(router: &Router) -> u64 {
    let workers = router.show("workers");
    workers.iter().map(|worker| umem_of(worker)).sum()
}

#[track_caller]
fn umem_of(worker: &Value) -> u64 {
    let umem = worker[UMEM].as_object().expect("a worker shows the ledger of its UMEM");
    let count = |name: &str| umem.get(name).and_then(Value::as_u64).unwrap_or_default();
    let total = count(UMEM_TOTAL);
    let places: u64 = umem.keys().filter(|name| *name != UMEM_TOTAL).map(|name| count(name)).sum();
    assert!(total > 0, "a UMEM without chunks: {worker}");
    assert_eq!(places, total, "chunks were lost or doubled: {worker}");
    total
}

/// No chunk is on its way anywhere; waits until that is so.
#[track_caller]
pub fn umem_comes_to_rest(router: &Router) {
    eventually(REST, "no chunk is held, queued or being sent", || {
        let workers = router.show("workers");
        let busy = |worker: &Value| UMEM_BUSY.iter().any(|at| worker[UMEM][at].as_u64() != Some(0));
        !workers.iter().any(busy)
    });
}

/// The router comes to rest with all of these chunks, and its books close.
#[track_caller]
pub fn closes(router: &Router, chunks: u64) {
    umem_comes_to_rest(router);
    assert_eq!(umem_is_whole(router), chunks);
    Books::at_rest(router).close();
}
