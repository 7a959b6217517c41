//! `xrouter -c FILE`: be the router until a signal says to stop.
#![forbid(unsafe_code)]

use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::Listeners;
use crate::config::Source;
use crate::control::request::{Handle, Reload};
use crate::control::{End, Kept, Router};

/// Run the router, with what the service manager has kept of the last one; returns once it has stopped
/// and the machine is as it was, or a successor's.
pub(super) async fn run(file: &Path, kept: Vec<Kept>) -> anyhow::Result<()> {
    let source = Source::read(file)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangups = signal(SignalKind::hangup())?;
    let api = &source.config.api;
    let listeners = Listeners::open(&api.socket, &api.listen).await?;
    let (handle, requests) = Handle::new(file);
    let router = Router::start(source, requests, kept).await?;
    let reloads = tokio::spawn(reload_at(hangups, handle.clone()));
    let api = tokio::spawn(listeners.serve(handle));
    tracing::info!("routing");
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {
                tracing::info!("SIGTERM: stopping");
                End::ForNow
            }
            _ = interrupt.recv() => {
                tracing::info!("SIGINT: stopping");
                End::ForGood
            }
        }
    };
    router.run(stop).await;
    reloads.abort();
    api.abort();
    // The socket's file goes with the task.
    let _ = api.await;
    Ok(())
}

/// SIGHUP: read the file again, once for however many came meanwhile.
async fn reload_at(mut hangups: Signal, handle: Handle) {
    while hangups.recv().await.is_some() {
        if let Err(error) = handle.reload(Reload::default()).await {
            tracing::error!("SIGHUP: the running configuration stays: {error}");
        }
    }
}
