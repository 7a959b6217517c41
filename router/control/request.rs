//! Questions and orders to control, and the handle that brings them there.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::change::Refused;
use super::view;
use crate::config::difference::lines_between;
use crate::config::edit::{Edit, EditError};
use crate::config::file::{self, SaveError};
use crate::config::{Config, ConfigErrors, Source};

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
    /// The [`super::view::Running`], as the only row.
    Reload,
    /// The [`super::view::Config`].
    Config,
}

/// What the running router can be told to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Run this configuration.
    Run {
        /// The configuration.
        source: Box<Source>,
        /// Where it comes from.
        from: Basis,
        /// Say what would change, and change nothing.
        dry_run: bool,
        /// Go back unless it is confirmed within this time.
        confirm: Option<Duration>,
    },
    /// What is tried is to stay.
    Confirm,
    /// The router's own file has this text now.
    Saved(String),
}

/// Where a configuration comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Basis {
    /// The router's own file.
    OwnFile,
    /// Another one.
    OtherFile,
    /// It is what ran, with a change in it.
    Edit {
        /// What ran.
        of: String,
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
    /// The change cannot be made.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
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
        let from = if file.is_some() { Basis::OtherFile } else { Basis::OwnFile };
        let file = file.unwrap_or_else(|| self.file.to_path_buf());
        let source = elsewhere(move || file::read(&file)).await??;
        self.order(Order::Run { source: Box::new(source), from, dry_run, confirm }).await
    }

    /// Change the configuration that runs.
    pub async fn edit(&self, edit: Edit) -> Result<view::Reload, OrderError> {
        let of = self.config().await?.text;
        let text = edit.apply(&of)?;
        let source = elsewhere(move || Source::parse(text, RUNNING)).await??;
        let (source, from) = (Box::new(source), Basis::Edit { of });
        self.order(Order::Run { source, from, dry_run: false, confirm: None }).await
    }

    /// What is tried is to stay.
    pub async fn confirm(&self) -> Result<view::Reload, OrderError> {
        self.order(Order::Confirm).await
    }

    /// The configuration that runs.
    pub async fn config(&self) -> Result<view::Config, Stopping> {
        let value = self.ask(Question::Config).await?;
        serde_json::from_value(value).map_err(|_| Stopping)
    }

    /// What runs and the router's own file does not have: what `save` would put there.
    pub async fn difference(&self) -> Result<view::Reload, OrderError> {
        let (running, file) = (self.config().await?, self.file.to_path_buf());
        let lines = elsewhere(move || {
            let saved = file::read(&file)?.config;
            let running = Config::parse(&running.text, RUNNING)?;
            Ok::<_, ConfigErrors>(lines_between(&saved, running))
        });
        Ok(view::Reload { lines: lines.await??, confirm_s: None })
    }

    /// Write the configuration that runs to the router's own file.
    pub async fn save(&self) -> Result<view::Reload, OrderError> {
        let (config, file) = (self.config().await?, self.file.to_path_buf());
        let text = config.text.clone();
        elsewhere(move || file::write(&file, &config.file, &config.text)).await??;
        self.order(Order::Saved(text)).await
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

/// What errors call the configuration that runs, with a change in it.
const RUNNING: &str = "(running)";

/// Do what takes its time in a thread where nobody waits for it.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stopping> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Stopping)
}
