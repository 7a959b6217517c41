//! Another configuration for the running router: loaded, tried for a time, confirmed, taken back.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::change::Refused;
use super::request::{Basis, Order};
use super::{Router, store, view};
use crate::config::Source;
use crate::config::difference::{Line, lines};
use crate::io::supervisor::State;
use crate::table::meter::Nanos;

/// The configuration that runs, as text.
#[derive(Debug)]
pub(super) struct Running {
    /// What runs.
    pub text: String,
    /// What the router's own file had in it when what it says was last run, or was written there.
    pub file: String,
    /// What is to come back unless what runs is confirmed.
    trial: Option<Trial>,
    /// How often that has happened.
    taken_back: u64,
}

#[derive(Debug)]
struct Trial {
    before: Source,
    /// [`Running::file`] before.
    file: String,
    until: Nanos,
}

impl Running {
    pub fn new(text: String) -> Self {
        Self { file: text.clone(), text, trial: None, taken_back: 0 }
    }
}

impl Router {
    pub(super) async fn obey(&mut self, order: Order) -> Result<view::Reload, Refused> {
        match order {
            Order::Run { source, from, dry_run, confirm } => {
                self.load(*source, from, dry_run, confirm).await
            }
            Order::Confirm => self.confirm(),
            Order::Saved(text) => {
                self.running.file = text;
                Ok(view::Reload::default())
            }
        }
    }

    async fn load(
        &mut self,
        source: Source,
        from: Basis,
        dry_run: bool,
        confirm: Option<Duration>,
    ) -> Result<view::Reload, Refused> {
        if let Some(trial) = self.running.trial.as_ref().filter(|_| !dry_run) {
            let left = trial.until.since(self.now()).as_secs();
            return Err(Refused::Unconfirmed { left });
        }
        if matches!(&from, Basis::Edit { of } if *of != self.running.text) {
            return Err(Refused::Overtaken);
        }
        let before = Source { text: self.running.text.clone(), config: self.config.clone() };
        let file = self.running.file.clone();
        let lines = self.run_source(source, dry_run).await?;
        if from == Basis::OwnFile && !dry_run {
            self.running.file.clone_from(&self.running.text);
        }
        if let Some(time) = confirm.filter(|_| !dry_run && !lines.is_empty()) {
            let until = self.now() + time;
            self.running.trial = Some(Trial { before, file, until });
        }
        Ok(view::Reload { lines, confirm_s: self.trial_left() })
    }

    /// Run `source` instead of what runs now.
    async fn run_source(&mut self, source: Source, dry_run: bool) -> Result<Vec<Line>, Refused> {
        let numbered = source.config.numbered_as(&self.config, self.ports.len());
        let new = numbered.ok_or(Refused::Ports)?;
        let changes = self.config.changes_to(&new)?;
        let lines = lines(&changes, &self.config, &new);
        if !dry_run {
            store::tell(State::Reloading);
            let outcome = self.apply(&changes, &new).await;
            store::tell(State::Ready);
            outcome?;
            self.config = new;
            self.running.text = source.text;
            say(&lines);
        }
        Ok(lines)
    }

    fn confirm(&mut self) -> Result<view::Reload, Refused> {
        self.running.trial.take().ok_or(Refused::NothingToConfirm)?;
        tracing::info!("reload: confirmed");
        Ok(view::Reload::default())
    }

    /// When what is tried is to be taken back.
    pub(super) fn trial_ends(&self) -> Option<Nanos> {
        self.running.trial.as_ref().map(|trial| trial.until)
    }

    fn trial_left(&self) -> Option<u64> {
        let left = self.trial_ends().map(|until| until.since(self.now()));
        left.map(|left| left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
    }

    /// Nobody has confirmed in time.
    pub(super) async fn take_back(&mut self) {
        let Some(Trial { before, file, .. }) = self.running.trial.take() else { return };
        tracing::warn!("reload: not confirmed in time: back to what ran before");
        self.running.taken_back += 1;
        self.running.file = file;
        if let Err(error) = self.run_source(before, false).await {
            tracing::error!("what ran before cannot be had back: {error}");
        }
    }

    pub(super) fn show_reload(&self) -> Vec<view::Running> {
        let Running { text, file, taken_back, .. } = &self.running;
        let confirm_s = self.trial_left();
        vec![view::Running { as_file: text == file, confirm_s, taken_back: *taken_back }]
    }

    pub(super) fn show_config(&self) -> view::Config {
        let Running { text, file, .. } = &self.running;
        view::Config { text: text.clone(), file: file.clone() }
    }
}

fn say(lines: &[Line]) {
    if lines.is_empty() {
        tracing::info!("reload: nothing is different");
    }
    for line in lines {
        tracing::info!("reload: {line}");
    }
}
