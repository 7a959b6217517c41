//! Whether the kernel, the RIB and the FIB say the same: `xrouter show routes --verify`.
//!
//! The kernel is asked for all of its routes, as after an overrun. What it lists stands in the queue
//! in order with the news, so routes that change meanwhile make no difference. What does differ is
//! told, and put right.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use serde_json::Value;
use tokio::sync::oneshot;

use super::hops::Hops;
use super::mirror::table::{Change, Key, source};
use super::rib::{Action, Rib, kind_name};
use super::view::Difference;
use crate::table::FibWriter;

/// Most differences that are told.
const DIFFERENCES_MAX: usize = 1000;

/// Who waits for an answer, and what was found for those whose list has begun.
#[derive(Default, Debug)]
pub(super) struct Checks {
    waiting: Vec<oneshot::Sender<Value>>,
    running: Vec<oneshot::Sender<Value>>,
    found: Vec<Difference>,
}

impl Checks {
    /// One more wants to know.
    pub fn wait(&mut self, answer: oneshot::Sender<Value>) {
        self.waiting.push(answer);
    }

    /// A list begins.
    pub fn begin(&mut self) {
        self.running.append(&mut self.waiting);
        self.found.clear();
    }

    /// What was listed makes this change.
    pub fn compare(&mut self, change: &Change, rib: &Rib) {
        match change {
            _ if self.running.is_empty() => {}
            Change::Insert(key, action) => self.note(*key, Some(action), rib),
            Change::Remove(key) if rib.action(key.0, source(key.1)).is_some() => {
                self.note(*key, None, rib);
            }
            _ => {}
        }
    }

    /// The list has ended, and these routes were not in it.
    pub fn end(&mut self, stale: &[Key], rib: &Rib, hops: &Hops, fib: &FibWriter) {
        if self.running.is_empty() {
            return;
        }
        for &key in stale {
            self.note(key, None, rib);
        }
        self.found.extend(wrong_entries(rib, hops, fib));
        let found = std::mem::take(&mut self.found);
        for answer in self.running.drain(..) {
            // Whoever asked may have gone away.
            let _ = answer.send(to_value(&found));
        }
    }

    fn note(&mut self, (to, metric): Key, kernel: Option<&Action>, rib: &Rib) {
        if self.found.len() < DIFFERENCES_MAX {
            let found = rib.action(to, source(metric)).map_or_else(nothing, text);
            let wanted = kernel.map_or_else(nothing, text);
            let to = format!("{to} metric {metric}");
            self.found.push(Difference { to, between: "kernel and RIB".into(), wanted, found });
        }
    }
}

/// The answer where no routes of the kernel are wanted: whether RIB and FIB say the same.
pub(super) fn without_kernel(rib: &Rib, hops: &Hops, fib: &FibWriter) -> Value {
    to_value(&wrong_entries(rib, hops, fib).collect::<Vec<_>>())
}

fn to_value(found: &[Difference]) -> Value {
    serde_json::to_value(found)
        .unwrap_or_else(|error| unreachable!("plain structs become JSON: {error}"))
}

/// Where the FIB does not lead where the RIB says, at the first and last address of each prefix.
fn wrong_entries(rib: &Rib, hops: &Hops, fib: &FibWriter) -> impl Iterator<Item = Difference> {
    let ends = rib.best().flat_map(|(to, ..)| [to.network(), to.broadcast()]);
    let wrong = ends.filter_map(|address| {
        let found = match address {
            IpAddr::V4(address) => fib.fib().v4.lookup(address.into()),
            IpAddr::V6(address) => fib.fib().v6.lookup(address.into()),
        };
        let (to, wanted) = rib.next_hop(address)?;
        let is_neighbour = || found.is_some_and(|hop| hops.is_neighbour(address, hop));
        let is_right = found == Some(wanted) || (is_on_link(rib, address) && is_neighbour());
        (!is_right).then(|| Difference {
            to: format!("{address} of {to}"),
            between: "RIB and FIB".into(),
            wanted: format!("next hop {}", wanted.get()),
            found: found.map_or_else(nothing, |hop| format!("next hop {}", hop.get())),
        })
    });
    wrong.take(DIFFERENCES_MAX)
}

fn is_on_link(rib: &Rib, address: IpAddr) -> bool {
    let found = rib.lookup(address);
    found.is_some_and(|(_, _, action)| matches!(action.does(), Action::Connected(_)))
}

fn nothing() -> String {
    "nothing".to_owned()
}

fn text(action: &Action) -> String {
    match action.via() {
        [] => kind_name(action).to_owned(),
        via => {
            let hop = |hop: &crate::config::NextHop| {
                format!("via {} port {} weight {}", hop.via, hop.port.index(), hop.weight)
            };
            via.iter().map(hop).collect::<Vec<_>>().join(", ")
        }
    }
}
