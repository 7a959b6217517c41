//! Connections: few at a time, none for ever. Whoever opens many, says half of a request or reads
//! slowly takes slots from other clients of the same listener, but no descriptors from the router.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections of one listener at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 32;
/// Longest time from the first octet of a request to the end of its header, and for the last
/// answer after [`CONNECTION`].
const HEADER: Duration = Duration::from_secs(2);
/// Longest time of a connection; a browser opens another.
const CONNECTION: Duration = Duration::from_secs(60);

/// Answer all connections of a listener until the task is dropped.
pub(super) async fn serve(mut listener: impl Listener, routes: Router) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let (stream, _) = listener.accept().await;
        let routes = routes.clone();
        tokio::spawn(async move {
            converse(TokioIo::new(stream), routes).await;
            drop(slot);
        });
    }
}

/// What a client does wrong on its connection is its own affair.
async fn converse<I>(stream: I, routes: Router)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER);
    let mut connection =
        std::pin::pin!(http.serve_connection(stream, TowerToHyperService::new(routes)));
    if timeout(CONNECTION, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(HEADER, connection).await;
    }
}
