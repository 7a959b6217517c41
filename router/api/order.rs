//! What changes the running router: over the Unix socket only, which is root's (0600).
//!
//! | path | what it does |
//! | --- | --- |
//! | `POST /v1/reload` | runs a file ([`Reload`]), and says what that changes |
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};

use crate::control::request::{self, Handle, OrderError};

/// A file to be loaded.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// Another file than the router's own: an absolute path.
    pub file: Option<PathBuf>,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
    /// Go back unless it is confirmed within so many seconds.
    pub confirm_s: Option<u32>,
}

pub(super) fn routes(handle: Handle) -> Router {
    Router::new().route("/v1/reload", post(reload)).with_state(handle)
}

async fn reload(State(handle): State<Handle>, Json(asked): Json<Reload>) -> Response {
    let Reload { file, dry_run, confirm_s } = asked;
    let confirm = confirm_s.map(|seconds| Duration::from_secs(seconds.into()));
    answer(handle.reload(request::Reload { file, dry_run, confirm }).await)
}

fn answer(outcome: Result<impl Serialize, OrderError>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(error) => {
            let status = match error {
                OrderError::Stopping(_) => StatusCode::SERVICE_UNAVAILABLE,
                OrderError::Config(_) => StatusCode::UNPROCESSABLE_ENTITY,
                OrderError::Refused(_) => StatusCode::CONFLICT,
            };
            (status, error.to_string()).into_response()
        }
    }
}
