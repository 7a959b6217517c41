//! The running router's answers: JSON over HTTP, on a Unix socket for the command line and on the
//! kernel's stack for browsers and programs.
//!
//! | path | answer |
//! | --- | --- |
//! | `/v1/ports` `/v1/routes` `/v1/neighbours` `/v1/counters` `/v1/drops` `/v1/police` `/v1/workers` `/v1/tables` `/v1/kernel` `/v1/reload` | rows |
//! | `/v1/routes/ADDRESS` | the way that an address takes |
//! | `/v1/verify` | where the kernel's routes, and the tables here, are not alike: rows |
//! | `/` | a page that shows them |
//!
//! What changes something is in `order.rs`, and on the Unix socket only.
#![forbid(unsafe_code)]

pub mod order;
mod serve;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::Json;
use axum::Router;
use axum::extract::{Path as PathParameter, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::control::request::{Handle, Question};

/// An error of opening the API, with its mend.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The Unix socket cannot be made.
    #[error("[api] socket {path}: {error}; choose a path that can be written, or run as root")]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another router answers there.
    #[error("[api] socket {path}: another xrouter answers there; stop it, or choose another path")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The address cannot be listened on.
    #[error("[api] listen {address}: {error}; choose another port or address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// The API's listeners, open.
#[derive(Debug)]
pub struct Listeners {
    socket: UnixListener,
    path: PathBuf,
    tcp: Vec<TcpListener>,
}

impl Listeners {
    /// Open them all, or none. A socket that a killed router left behind is replaced.
    pub async fn open(path: &Path, addresses: &[SocketAddr]) -> Result<Self, ApiError> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(ApiError::InUse { path: path.to_owned() });
        }
        let socket =
            listen_unix(path).map_err(|error| ApiError::Socket { path: path.to_owned(), error })?;
        let mut listeners = Self { socket, path: path.to_owned(), tcp: Vec::new() };
        for &address in addresses {
            let tcp = TcpListener::bind(address).await;
            listeners.tcp.push(tcp.map_err(|error| ApiError::Listen { address, error })?);
        }
        Ok(listeners)
    }

    /// Answer until the task is dropped.
    pub async fn serve(self, handle: Handle) {
        let routes = routes(&handle);
        for tcp in self.tcp {
            tokio::spawn(serve::serve(tcp, routes.clone()));
        }
        let _removed = RemoveAtEnd(self.path);
        serve::serve(self.socket, routes.merge(order::routes(handle))).await;
    }
}

struct RemoveAtEnd(PathBuf);

impl Drop for RemoveAtEnd {
    fn drop(&mut self) {
        // It may be gone already; the next start replaces what is left.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

fn routes(handle: &Handle) -> Router {
    let rows = |question: Question| {
        get(move |State(handle): State<Handle>| async move { answer(&handle, question).await })
    };
    Router::new()
        .route("/", get(|| async { Html(include_str!("web/index.html")) }))
        .route("/v1/ports", rows(Question::Ports))
        .route("/v1/routes", rows(Question::Routes))
        .route("/v1/routes/{address}", get(lookup))
        .route("/v1/neighbours", rows(Question::Neighbours))
        .route("/v1/counters", rows(Question::Counters))
        .route("/v1/drops", rows(Question::Drops))
        .route("/v1/police", rows(Question::Police))
        .route("/v1/workers", rows(Question::Workers))
        .route("/v1/tables", rows(Question::Tables))
        .route("/v1/kernel", rows(Question::Kernel))
        .route("/v1/verify", rows(Question::Verify))
        .route("/v1/reload", rows(Question::Reload))
        .with_state(handle.clone())
}

async fn lookup(
    State(handle): State<Handle>,
    PathParameter(address): PathParameter<String>,
) -> Response {
    match address.parse::<IpAddr>() {
        Ok(address) => answer(&handle, Question::Lookup(address)).await,
        Err(_) => {
            let text = format!("{address:?} is not an IPv4 or IPv6 address\n");
            (StatusCode::BAD_REQUEST, text).into_response()
        }
    }
}

async fn answer(handle: &Handle, question: Question) -> Response {
    match handle.ask(question).await {
        Ok(value) => Json(value).into_response(),
        Err(stopping) => (StatusCode::SERVICE_UNAVAILABLE, stopping.to_string()).into_response(),
    }
}
