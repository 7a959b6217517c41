//! A question to the running router over its API socket.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// How long the router may take to answer what it knows.
const PATIENCE: Duration = Duration::from_secs(5);

/// The body of the answer to `GET path`.
pub(super) fn get(socket: &Path, path: &str) -> anyhow::Result<Bytes> {
    get_in(PATIENCE, socket, path)
}

/// The same for an answer that may take `patience`.
pub(super) fn get_in(patience: Duration, socket: &Path, path: &str) -> anyhow::Result<Bytes> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::time::timeout(patience, ask(socket, path)).await.with_context(|| {
            format!("the router at {} did not answer in {patience:?}", socket.display())
        })?
    })
}

async fn ask(socket: &Path, path: &str) -> anyhow::Result<Bytes> {
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!(
            "no router answers at {}; is it running? name its socket with --socket",
            socket.display()
        )
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "xrouter").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("{}", String::from_utf8_lossy(&body).trim_end());
    }
    Ok(body)
}
