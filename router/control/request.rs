//! Questions to control, and the handle that asks them.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// What can be asked of the running router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// [`super::view::Port`]s.
    Ports,
    /// [`super::view::Route`]s.
    Routes,
    /// The [`super::view::Lookup`] of an address.
    Lookup(IpAddr),
    /// [`super::view::Neighbour`]s.
    Neighbours,
    /// [`super::view::Counters`], a row for each port.
    Counters,
    /// [`super::view::Drop`]s that have happened.
    Drops,
    /// [`super::view::Policed`] classes of each port.
    Police,
    /// [`super::view::Worker`]s.
    Workers,
    /// [`super::view::Table`]s.
    Tables,
    /// [`super::view::Kernel`], in one row.
    Kernel,
    /// [`super::view::Difference`]s between the kernel's routes and ours.
    Verify,
}

/// A question and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes, as JSON.
    pub answer: oneshot::Sender<Value>,
}

/// Questions that may wait for control.
const REQUESTS_MAX: usize = 64;

/// Asks control. Clones ask the same control.
#[derive(Clone, Debug)]
pub struct Handle(mpsc::Sender<Request>);

/// Control has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the router is stopping")]
pub struct Stopping;

impl Handle {
    /// A handle, and what control reads.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self(sender), receiver)
    }

    /// Ask, and wait for the answer.
    pub async fn ask(&self, question: Question) -> Result<Value, Stopping> {
        let (answer, reply) = oneshot::channel();
        self.0.send(Request { question, answer }).await.map_err(|_| Stopping)?;
        reply.await.map_err(|_| Stopping)
    }
}
