//! `xrouter -c FILE`: be the router until a signal says to stop.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::api::Listeners;
use crate::config::Source;
use crate::control::request::{Handle, Reload};
use crate::control::{End, Kept, Predecessor, Router};

/// Run the router, with what the service manager has kept of the last one; returns once it has stopped
/// and the machine is as it was, or a successor's.
pub(super) async fn run(file: &Path, kept: Vec<Kept>) -> anyhow::Result<()> {
    let source = Source::read(file)?;
    let mut signals = Signals::listen()?;
    let hangups = signal(SignalKind::hangup())?;
    let api = &source.config.api;
    let listeners = Listeners::open(&api.socket, &api.listen).await?;
    let (handle, requests) = Handle::new(file);
    let router = Router::start(source, requests, Predecessor::Router(kept)).await?;
    let reloads = tokio::spawn(reload_at(hangups, handle.clone()));
    let api = Api::serve(listeners, handle);
    tracing::info!("routing");
    router.run(signals.stop()).await;
    reloads.abort();
    api.end().await;
    Ok(())
}

/// The signals that end a router.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they end nothing by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Wait for one.
    pub(super) async fn stop(&mut self) -> End {
        tokio::select! {
            _ = self.terminate.recv() => {
                tracing::info!("SIGTERM: stopping");
                End::ForNow
            }
            _ = self.interrupt.recv() => {
                tracing::info!("SIGINT: stopping");
                End::ForGood
            }
        }
    }
}

/// The API, served.
pub(super) struct Api(JoinHandle<()>);

impl Api {
    pub(super) fn serve(listeners: Listeners, handle: Handle) -> Self {
        Self(tokio::spawn(listeners.serve(handle)))
    }

    /// No more answers.
    pub(super) async fn end(self) {
        self.0.abort();
        // The socket's file goes with the task.
        let _ = self.0.await;
    }
}

/// SIGHUP: read the file again, once for however many came meanwhile.
async fn reload_at(mut hangups: Signal, handle: Handle) {
    while hangups.recv().await.is_some() {
        if let Err(error) = handle.reload(Reload::default()).await {
            tracing::error!("SIGHUP: the running configuration stays: {error}");
        }
    }
}
