//! `xrouter -c FILE`: be the router until a signal says to stop.
#![forbid(unsafe_code)]

use tokio::signal::unix::{SignalKind, signal};

use crate::api::Listeners;
use crate::config::Config;
use crate::control::Router;
use crate::control::request::Handle;

/// Run the router; returns once it has stopped and the machine is as it was.
pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A terminal that goes away takes no router with it.
    let _hangup = signal(SignalKind::hangup())?;
    let listeners = Listeners::open(&config.api.socket, &config.api.listen).await?;
    let (handle, requests) = Handle::new();
    let router = Router::start(config, requests).await?;
    let api = tokio::spawn(listeners.serve(handle));
    tracing::info!("routing");
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    };
    router.run(stop).await;
    api.abort();
    // The socket's file goes with the task.
    let _ = api.await;
    Ok(())
}
