//! `xrouter reload`: the running router follows its file, or another.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{client, show};
use crate::api::order;
use crate::config::difference::{Line, Sign};
use crate::config::{Api, Config};
use crate::control::view;

/// What is to be loaded, and how.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Load this file instead of the router's own
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The API socket of the running router
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Have the router load a file; print what that changes.
pub(super) fn reload(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { config, socket, dry_run } = arguments;
    let socket = match (socket, &config) {
        (Some(socket), _) => socket,
        (None, Some(file)) => Config::load(file)?.api.socket,
        (None, None) => Api::default().socket,
    };
    let file = config.map(std::path::absolute).transpose()?;
    let order = order::Reload { file, dry_run, confirm_s: None };
    say(&send(&socket, "/v1/reload", &order)?)
}

fn send(socket: &Path, path: &str, order: &impl serde::Serialize) -> anyhow::Result<view::Reload> {
    Ok(serde_json::from_slice(&client::post(socket, path, order)?)?)
}

/// The difference, one line each.
fn say(reload: &view::Reload) -> anyhow::Result<()> {
    if reload.lines.is_empty() {
        return show::print("nothing is different");
    }
    show::print(&reload.lines.iter().map(coloured).collect::<Vec<_>>().join("\n"))
}

fn coloured(line: &Line) -> String {
    if !stdout().is_terminal() {
        return line.to_string();
    }
    let colour = match line.sign {
        Sign::Added => 32,
        Sign::Removed => 31,
        Sign::Changed => 33,
    };
    format!("\x1b[{colour}m{line}\x1b[0m")
}
