//! What changes the running router: over the Unix socket only, which is root's (0600).
//!
//! | path | what it does |
//! | --- | --- |
//! | `POST /v1/reload` | runs a file ([`Reload`]), and says what that changes |
//! | `POST /v1/confirm` | keeps what a reload to be confirmed has changed |
//! | `POST /v1/edit` | changes what runs ([`Edit`]) |
//! | `GET /v1/config` `/v1/config/difference` | what runs; what of it the router's file does not have |
//! | `POST /v1/config/save` | writes what runs to the router's file |
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::config::edit::Edit;
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
    Router::new()
        .route("/v1/reload", post(reload))
        .route("/v1/confirm", post(confirm))
        .route("/v1/edit", post(edit))
        .route("/v1/config", get(config))
        .route("/v1/config/difference", get(difference))
        .route("/v1/config/save", post(save))
        .with_state(handle)
}

type Control = State<Handle>;

async fn reload(State(control): Control, Json(asked): Json<Reload>) -> Response {
    let Reload { file, dry_run, confirm_s } = asked;
    let confirm = confirm_s.map(|seconds| Duration::from_secs(seconds.into()));
    answer(control.reload(request::Reload { file, dry_run, confirm }).await)
}

async fn edit(State(control): Control, Json(edit): Json<Edit>) -> Response {
    answer(control.edit(edit).await)
}

async fn confirm(State(control): Control) -> Response {
    answer(control.confirm().await)
}

async fn config(State(control): Control) -> Response {
    answer(control.config().await.map_err(OrderError::from))
}

async fn save(State(control): Control) -> Response {
    answer(control.save().await)
}

async fn difference(State(control): Control) -> Response {
    answer(control.difference().await)
}

fn answer(outcome: Result<impl Serialize, OrderError>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(error) => {
            let status = match error {
                OrderError::Stopping(_) => StatusCode::SERVICE_UNAVAILABLE,
                OrderError::Config(_) => StatusCode::UNPROCESSABLE_ENTITY,
                OrderError::Edit(_) | OrderError::Save(_) | OrderError::Refused(_) => {
                    StatusCode::CONFLICT
                }
            };
            (status, error.to_string()).into_response()
        }
    }
}
