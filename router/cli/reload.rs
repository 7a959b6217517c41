//! What changes the running router: `reload`, `confirm`, `route add` and its like, `config`.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Running, client, show};
use crate::api::order;
use crate::config::difference::{Line, Sign};
use crate::config::edit::{Edit, Kind, Verb};
use crate::config::{Api, Config};
use crate::control::view;

/// From one look at whether a reload is confirmed to the next.
const LOOK: Duration = Duration::from_millis(250);

/// What is to be loaded, and how.
#[derive(Args, Debug)]
pub(crate) struct Load {
    /// Load this file instead of the router's own
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The API socket of the running router
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Go back to what ran before unless `xrouter confirm` is given, in any shell, within so many
    /// seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "dry_run")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=86_400))]
    confirm: Option<u32>,
}

/// One change of what runs.
#[derive(Args, Debug)]
pub(crate) struct Change {
    /// add, del or replace
    verb: Verb,
    /// A route's destinations, a neighbour's or a port's address, a port's name
    what: String,
    /// Keys and values by turns, as in router.toml: via 10.2.0.2 port wan
    words: Vec<String>,
    #[command(flatten)]
    running: Running,
}

/// What is done with the configuration that runs.
#[derive(Subcommand, Debug)]
pub(crate) enum Action {
    /// Print it as router.toml
    Show(Running),
    /// Print what of it the router's file does not have
    Diff(Running),
    /// Write it to the router's file
    Save(Running),
}

/// Have the router load a file; print what that changes.
pub(super) fn reload(load: Load) -> anyhow::Result<()> {
    let Load { config, socket, dry_run, confirm } = load;
    let socket = match (socket, &config) {
        (Some(socket), _) => socket,
        (None, Some(file)) => Config::load(file)?.api.socket,
        (None, None) => Api::default().socket,
    };
    let file = config.map(std::path::absolute).transpose()?;
    let before = confirm.map(|_| state(&socket)).transpose()?;
    let order = order::Reload { file, dry_run, confirm_s: confirm };
    let reload = post(&socket, "/v1/reload", &order)?;
    say(&reload)?;
    match before.filter(|_| reload.confirm_s.is_some()) {
        Some(before) => wait_for_confirmation(&socket, before.taken_back),
        None => Ok(()),
    }
}

/// What was tried is to stay.
pub(super) fn confirm(running: &Running) -> anyhow::Result<()> {
    post(&running.socket()?, "/v1/confirm", &())?;
    show::print("confirmed")
}

/// Have the router change what runs; print what that changes.
pub(super) fn change(kind: Kind, change: Change) -> anyhow::Result<()> {
    let Change { verb, what, words, running } = change;
    say(&post(&running.socket()?, "/v1/edit", &Edit { verb, kind, what, words })?)
}

/// Show what runs, compare it with the router's file, or write it there.
pub(super) fn config(action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Show(running) => {
            let answer = client::get(&running.socket()?, "/v1/config")?;
            show::print(serde_json::from_slice::<view::Config>(&answer)?.text.trim_end())
        }
        Action::Diff(running) => {
            let answer = client::get(&running.socket()?, "/v1/config/difference")?;
            say(&serde_json::from_slice(&answer)?)
        }
        Action::Save(running) => {
            post(&running.socket()?, "/v1/config/save", &())?;
            show::print("saved")
        }
    }
}

fn post(socket: &Path, path: &str, order: &impl Serialize) -> anyhow::Result<view::Reload> {
    Ok(serde_json::from_slice(&client::post(socket, path, order)?)?)
}

fn state(socket: &Path) -> anyhow::Result<view::Running> {
    let rows: Vec<view::Running> = serde_json::from_slice(&client::get(socket, "/v1/reload")?)?;
    match rows.into_iter().next() {
        Some(row) => Ok(row),
        None => bail!("the router says nothing of its configuration"),
    }
}

/// Count down until somebody confirms. The router does not need this shell for that.
fn wait_for_confirmation(socket: &Path, taken_back: u64) -> anyhow::Result<()> {
    show::print("`xrouter confirm` keeps it, from any shell")?;
    let terminal = stdout().is_terminal();
    loop {
        let now = state(socket)?;
        let Some(left) = now.confirm_s else {
            if now.taken_back > taken_back {
                bail!("not confirmed in time: back to what ran before");
            }
            return show::print(if terminal { "\r\x1b[Kconfirmed" } else { "confirmed" });
        };
        if terminal {
            write!(stdout(), "\r\x1b[Kback to what ran before in {left} s")?;
            stdout().flush()?;
        }
        std::thread::sleep(LOOK);
    }
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
