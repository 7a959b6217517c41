//! A question or an order to the running router over its API socket.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixStream;

/// How long the router may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to carry out an order: many routes, a card that is taken.
const ORDER: Duration = Duration::from_secs(60);

/// The body of the answer to `GET path`.
pub(super) fn get(socket: &Path, path: &str) -> anyhow::Result<Bytes> {
    get_in(PATIENCE, socket, path)
}

/// The same for an answer that may take `patience`.
pub(super) fn get_in(patience: Duration, socket: &Path, path: &str) -> anyhow::Result<Bytes> {
    call(socket, Request::get(path), Bytes::new(), patience)
}

/// The body of the answer to `POST path`.
pub(super) fn post(socket: &Path, path: &str, order: &impl Serialize) -> anyhow::Result<Bytes> {
    let request = Request::builder().method(Method::POST).uri(path);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    call(socket, request, serde_json::to_vec(order)?.into(), ORDER)
}

fn call(
    socket: &Path,
    request: hyper::http::request::Builder,
    body: Bytes,
    patience: Duration,
) -> anyhow::Result<Bytes> {
    let request = request.header(header::HOST, "xrouter").body(Full::new(body))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::time::timeout(patience, ask(socket, request)).await.with_context(|| {
            format!("the router at {} did not answer in {patience:?}", socket.display())
        })?
    })
}

async fn ask(socket: &Path, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!(
            "no router answers at {}; is it running? name its socket with --socket",
            socket.display()
        )
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("{}", String::from_utf8_lossy(&body).trim_end());
    }
    Ok(body)
}
