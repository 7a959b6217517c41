//! Who gives the cards back when the router is dead: a process of its own, which waits for the end of a
//! pipe. The kernel closes the router's end, whatever the router died of.
#![forbid(unsafe_code)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{AdoptError, clear_away, put_back};
use crate::control::netlink::Netlink;

/// This program, also when its file was replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";
/// The hidden command that makes it a keeper.
const COMMAND: &str = "keep";
/// What the keeper says once it waits.
const READY: &str = "ready";

/// A keeper that runs, seen from the router.
#[derive(Debug)]
pub struct Keeper {
    cards: Vec<String>,
    process: Child,
    /// Its end is what the keeper waits for.
    pipe: Option<ChildStdin>,
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
        Ok(Self { cards: cards.to_vec(), process, pipe })
    }

    /// Start another if this one has died.
    ///
    /// # Errors
    /// As [`Keeper::start`].
    pub fn renew(&mut self) -> Result<(), AdoptError> {
        if self.process.try_wait()?.is_some() {
            tracing::warn!("the keeper has died; another is started");
            *self = Self::start(&self.cards)?;
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
    std::thread::spawn(move || {
        // Nothing is ever written: an error is the end as well.
        let _nothing = io::stdin().read_to_end(&mut Vec::new());
        end.send(())
    });
    writeln!(io::stdout(), "{READY}")?;
    let _the_sender_is_gone = has_ended.await;
    let died = Instant::now();
    let left = put_back(&netlink, cards).await?;
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
