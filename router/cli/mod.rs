//! The command line: `xrouter -c FILE` and `xrouter adopt` are the router, everything else a client of
//! its API.
#![forbid(unsafe_code)]

mod adopt;
mod client;
mod log;
mod release;
mod reload;
mod run;
mod show;

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Config;
use crate::config::edit::Kind;
use crate::control;

/// A router appliance: AF_XDP in, longest-prefix match, ARP and NDP in userspace, the kernel's own
/// stack behind a tap.
#[derive(Parser, Debug)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    /// Run the router that this file describes
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Check a configuration and say what is wrong with it
    Check {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Take over the cards of the running Linux router as it is, without a configuration; Ctrl-C, or
    /// whatever ends xrouter, gives everything back
    Adopt(adopt::Order),
    /// Give cards back when the router is dead: what `adopt` starts beside it
    #[command(hide = true)]
    Keep {
        /// The cards
        cards: Vec<String>,
    },
    /// Remove what a router that ended, or was killed, has left: taps, routes, cards that are not as they
    /// were, and the kernel's forwarding in its place (`on_exit = "open"`)
    Release {
        /// The configuration that it ran with
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Have the running router follow its file: what differs is changed, and nothing else
    Reload(reload::Load),
    /// Keep what `reload --confirm` has changed
    Confirm(Running),
    /// Change a route: `route add 10.9.0.0/16 via 10.2.0.2`
    Route(reload::Change),
    /// Change a neighbour: `neighbour add 10.1.0.7 mac 02:00:00:00:00:07 port lan`
    Neighbour(reload::Change),
    /// Change an address: `address add 10.5.0.1/24 port lan`
    Address(reload::Change),
    /// Change a port: `port add dmz device eth3 addresses 10.4.0.1/24,fd00::1/64`
    Port(reload::Change),
    /// The configuration that runs: show it, compare it with the file, save it there
    #[command(subcommand)]
    Config(reload::Action),
    /// Show the running router
    Show {
        /// What to show
        what: show::What,
        /// With `routes`: show the way that this address takes
        address: Option<IpAddr>,
        /// With `routes`: compare them with the kernel's and with what packets are forwarded by;
        /// exit code 1 if there are differences, which are shown and then put right
        #[arg(long, conflicts_with = "address")]
        verify: bool,
        #[command(flatten)]
        running: Running,
        /// JSON for programs instead of a table for people
        #[arg(long)]
        json: bool,
    },
}

/// Which running router is meant.
#[derive(Args, Debug)]
pub(crate) struct Running {
    /// The API socket of the running router
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// The configuration of the running router, which names its API socket
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Running {
    fn socket(&self) -> anyhow::Result<PathBuf> {
        match (&self.socket, &self.config) {
            (Some(socket), _) => Ok(socket.clone()),
            (None, Some(file)) => Ok(Config::load(file)?.api.socket),
            (None, None) => Ok(Config::default().api.socket),
        }
    }
}

/// Descriptors that an event loop with its signals takes, and some more.
const DESCRIPTORS: usize = 16;

/// Do what the arguments say.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse() {
        Cli { config: Some(file), .. } => on_loop(|kept| run::run(&file, kept)),
        Cli { command: Some(command), .. } => obey(command),
        Cli { config: None, command: None } => {
            return match Cli::command().print_help() {
                Ok(()) => ExitCode::from(2),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            eprintln!("xrouter: {error}{}", mend(&error));
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check { config } => check(&config),
        Command::Show { what, address, verify, running, json } => match (verify, what) {
            (false, _) => show::show(what, address, &running.socket()?, json),
            (true, show::What::Routes) => show::verify(&running.socket()?, json),
            (true, _) => bail!("--verify goes with `show routes` only"),
        },
        Command::Adopt(order) => on_loop(|_| adopt::adopt(order)),
        Command::Keep { cards } => on_loop(|_| adopt::keep(cards)),
        Command::Release { config } => release::release(&config),
        Command::Reload(load) => reload::reload(load),
        Command::Confirm(running) => reload::confirm(&running),
        Command::Route(change) => reload::change(Kind::Route, change),
        Command::Neighbour(change) => reload::change(Kind::Neighbour, change),
        Command::Address(change) => reload::change(Kind::Address, change),
        Command::Port(change) => reload::change(Kind::Port, change),
        Command::Config(action) => reload::config(&action),
    }
}

/// Whatever there is no descriptor for, there is one mend.
fn mend(error: &str) -> &'static str {
    let too_many_open_files = format!("(os error {})", libc::EMFILE);
    if error.contains(&too_many_open_files) && !error.contains("ulimit -n") {
        "; raise the limit of open files (`LimitNOFILE=`, `ulimit -n`)"
    } else {
        ""
    }
}

fn check(file: &std::path::Path) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    println!(
        "{}: good: {} ports, {} routes",
        file.display(),
        config.ports.len(),
        config.routes.len()
    );
    Ok(())
}

/// Run this on an event loop, with the log on, and with what the service manager has kept.
fn on_loop<Work>(work: impl FnOnce(Vec<control::Kept>) -> Work) -> anyhow::Result<()>
where
    Work: Future<Output = anyhow::Result<()>>,
{
    log::start();
    let kept = control::take_kept();
    // The event loop panics where it finds no descriptor; the rest says so.
    let spare: io::Result<Vec<_>> = (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect();
    drop(spare.context("no descriptors for the event loop")?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no event loop")?;
    runtime.block_on(work(kept))
}
