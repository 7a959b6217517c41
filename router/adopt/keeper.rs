//! Who gives the cards back when the router is dead: a process of its own, which waits for the end of a
//! pipe. The kernel closes the router's end, whatever the router died of.
//!
//! Meanwhile it holds the taps: one that loses its last process loses its carrier, at which the kernel
//! removes next-hop objects and daemons their routes.
#![forbid(unsafe_code)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{AdoptError, clear_away, put_back};
use crate::control::netlink::Netlink;
use crate::io::tap::Queue;

/// This program, also when its file was replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";
/// The hidden command that makes it a keeper.
const COMMAND: &str = "keep";
/// What it is told once there are taps.
const HOLD: &[u8] = b"\n";
/// What the keeper says once it waits.
const READY: &str = "ready";

/// A keeper that runs, seen from the router.
#[derive(Debug)]
pub struct Keeper {
    cards: Vec<String>,
    process: Child,
    /// Its end is what the keeper waits for.
    pipe: Option<ChildStdin>,
    /// The taps are there, and it knows.
    holds: bool,
}

impl Keeper {
    /// Start one for these cards; returns once it waits.
    ///
    /// # Errors
    /// There is no process to be had, or it ended at once.
    pub fn start(cards: &[String]) -> Result<Self, AdoptError> {
        let mut process = Command::new(PROGRAM)
            .arg0("xrouter")
            .arg(COMMAND)
            .args(cards)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the router.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take();
        let mut said = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        if said.trim_end() != READY {
            return Err(io::Error::other("it ended at once").into());
        }
        Ok(Self { cards: cards.to_vec(), process, pipe, holds: false })
    }

    /// The taps are there: it holds them from now on.
    ///
    /// # Errors
    /// It is dead.
    pub fn hold(&mut self) -> Result<(), AdoptError> {
        self.holds = true;
        Ok(self.pipe.iter_mut().try_for_each(|pipe| pipe.write_all(HOLD))?)
    }

    /// Start another if this one has died.
    ///
    /// # Errors
    /// As [`Keeper::start`].
    pub fn renew(&mut self) -> Result<(), AdoptError> {
        if self.process.try_wait()?.is_some() {
            tracing::warn!("the keeper has died; another is started");
            let holds = self.holds;
            *self = Self::start(&self.cards)?;
            if holds {
                self.hold()?;
            }
        }
        Ok(())
    }

    /// It is needed no more, unless there is still something to give back. Returns at its end.
    ///
    /// # Errors
    /// What wait(2) says.
    pub fn dismiss(mut self) -> Result<(), AdoptError> {
        drop(self.pipe.take());
        self.process.wait()?;
        Ok(())
    }
}

/// Be the keeper of these cards: wait for the router's end, and give back what it has left.
///
/// # Errors
/// [`AdoptError`], if something could not be given back.
pub async fn keep(cards: &[String]) -> Result<(), AdoptError> {
    // Whoever stops the service stops the router, and the keeper has its work after that.
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let _ignored = kinds.map(signal).into_iter().collect::<Result<Vec<_>, _>>()?;
    let netlink = Netlink::connect()?;
    let (end, has_ended) = oneshot::channel();
    let taps = cards.to_vec();
    std::thread::spawn(move || end.send(hold_until_end(&taps)));
    writeln!(io::stdout(), "{READY}")?;
    let held = has_ended.await.unwrap_or_default();
    let died = Instant::now();
    let left = put_back(&netlink, cards).await?;
    drop(held);
    clear_away(&netlink, &left).await?;
    if !left.is_empty() {
        tracing::warn!(
            "{}: given back after the router's death: {:.0?}",
            cards.join(", "),
            died.elapsed()
        );
    }
    Ok(())
}

/// Wait for the end of the pipe, and hold these taps from the moment at which it is said that they are
/// there.
fn hold_until_end(taps: &[String]) -> Vec<Queue> {
    let mut held = Vec::new();
    // An error is the end as well.
    while let Ok(1) = io::stdin().read(&mut [0]) {
        let queues: Result<_, _> = taps.iter().map(|tap| Queue::hold(tap)).collect();
        match queues {
            Ok(queues) => held = queues,
            Err(error) => tracing::warn!("without a router the taps lose their carrier: {error}"),
        }
    }
    held
}
