//! Questions and orders to control, and the handle that brings them there.
#![forbid(unsafe_code)]

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::change::Refused;
use super::view;
use crate::config::{ConfigErrors, Source};

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
}

/// What the running router can be told to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Run this configuration.
    Run {
        /// The configuration.
        source: Box<Source>,
        /// Say what would change, and change nothing.
        dry_run: bool,
        /// Go back unless it is confirmed within this time.
        confirm: Option<Duration>,
    },
}

/// A question or an order, and where the answer goes.
#[derive(Debug)]
pub enum Request {
    /// A question.
    Show {
        /// What is asked.
        question: Question,
        /// Where the answer goes, as JSON.
        answer: oneshot::Sender<Value>,
    },
    /// An order.
    Do {
        /// What is to be done.
        order: Order,
        /// Where it goes what was done.
        answer: oneshot::Sender<Result<view::Reload, Refused>>,
    },
}

/// Requests that may wait for control.
const REQUESTS_MAX: usize = 64;

/// Asks control. Clones ask the same control.
#[derive(Clone, Debug)]
pub struct Handle {
    control: mpsc::Sender<Request>,
    /// The router's own file.
    file: Arc<Path>,
}

/// Control has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the router is stopping")]
pub struct Stopping;

/// Why an order was not carried out. What ran before runs still.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Control has ended.
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// The file cannot be read, or has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Control does not do it, or could not.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Which file is to be loaded, and how.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reload {
    /// Another file than the router's own.
    pub file: Option<PathBuf>,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
    /// Go back unless it is confirmed within this time.
    pub confirm: Option<Duration>,
}

impl Handle {
    /// A handle, and what control reads. `file` is the router's own.
    pub fn new(file: &Path) -> (Self, mpsc::Receiver<Request>) {
        let (control, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self { control, file: file.into() }, receiver)
    }

    /// Ask, and wait for the answer.
    pub async fn ask(&self, question: Question) -> Result<Value, Stopping> {
        let (answer, reply) = oneshot::channel();
        self.send(Request::Show { question, answer }).await?;
        reply.await.map_err(|_| Stopping)
    }

    /// Read a file and have the router run it. The file is read and checked elsewhere than in
    /// control's thread, which has neighbours to answer.
    pub async fn reload(&self, reload: Reload) -> Result<view::Reload, OrderError> {
        let Reload { file, dry_run, confirm } = reload;
        let file = file.unwrap_or_else(|| self.file.to_path_buf());
        let source = read(file).await??;
        self.order(Order::Run { source: Box::new(source), dry_run, confirm }).await
    }

    async fn order(&self, order: Order) -> Result<view::Reload, OrderError> {
        let (answer, reply) = oneshot::channel();
        self.send(Request::Do { order, answer }).await?;
        Ok(reply.await.map_err(|_| Stopping)??)
    }

    async fn send(&self, request: Request) -> Result<(), Stopping> {
        self.control.send(request).await.map_err(|_| Stopping)
    }
}

async fn read(file: PathBuf) -> Result<Result<Source, ConfigErrors>, Stopping> {
    tokio::task::spawn_blocking(move || read_regular(&file)).await.map_err(|_| Stopping)
}

/// A pipe or a device could keep its reader for ever, and the router from stopping.
fn read_regular(file: &Path) -> Result<Source, ConfigErrors> {
    if std::fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        let source = io::Error::other("it is no regular file");
        return Err(ConfigErrors::Unreadable { file: file.display().to_string(), source });
    }
    Source::read(file)
}
