//! `xrouter adopt`: be the router in the place of the running kernel, until a signal says to stop; then
//! the kernel has everything back.
#![forbid(unsafe_code)]

use std::fs::File;
use std::future::pending;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use comfy_table::Cell;
use tokio::signal::unix::{SignalKind, signal};

use super::run::{Api, Signals};
use super::show;
use crate::adopt::{self, AdoptError, Card, Keeper, Survey, compose};
use crate::api::Listeners;
use crate::config::{Api as ApiSection, Source, protocol};
use crate::control::netlink::Netlink;
use crate::control::request::Handle;

/// What an adopted router calls its file: nothing can be there, so that nothing is read or saved.
const NO_FILE: &str = "/proc/none: the router was adopted; see `xrouter config show`";

/// Which cards, and what of them.
#[derive(Args, Debug)]
pub(crate) struct Order {
    /// The cards
    #[arg(required = true, value_name = "CARD")]
    cards: Vec<String>,
    /// Write the configuration that it would be (`-`: here), and take nothing over
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Give back what a killed router and its killed keeper have left
    #[arg(long, conflicts_with_all = ["write", "ignore_netfilter", "socket"])]
    give_back: bool,
    /// Take over although firewall and NAT will not see the packets that are forwarded
    #[arg(long)]
    ignore_netfilter: bool,
    /// The API socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Do what is asked; as a router, return once everything is given back.
pub(super) async fn adopt(order: Order) -> anyhow::Result<()> {
    let netlink = Netlink::connect()?;
    if order.give_back {
        return give_back(&netlink, &order.cards).await;
    }
    let survey = Survey::of(&netlink, &order.cards).await?;
    if let Some(file) = &order.write {
        return write(&compose::to_keep(&survey), file);
    }
    show::print(&found(&survey))?;
    adopt::judge(&survey, order.ignore_netfilter)?;
    for filter in &survey.filters {
        tracing::warn!("{filter}: packets that xrouter forwards pass by it");
    }
    let socket = order.socket.unwrap_or_else(|| ApiSection::default().socket);
    let text = compose::to_run(&survey, &socket);
    let source = Source::parse(text, "the configuration that it would be")?;
    route(&netlink, &survey, source).await
}

/// Wait for the router's end, and give back what it leaves: a process of its own.
pub(super) async fn keep(cards: Vec<String>) -> anyhow::Result<()> {
    Ok(adopt::keep(&cards).await?)
}

async fn route(netlink: &Netlink, survey: &Survey, source: Source) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    // There is no file to read again.
    let _ignored = signal(SignalKind::hangup())?;
    let listeners = Listeners::open(&source.config.api.socket, &[]).await?;
    let cards = survey.names();
    let mut keeper = Keeper::start(&cards)?;
    let (handle, requests) = Handle::new(Path::new(NO_FILE));
    let (router, took) = adopt::take_over(netlink, survey, source, requests).await?;
    // One that is dead is replaced below.
    if let Err(error) = keeper.hold() {
        tracing::warn!("{error}");
    }
    show::print(&format!("{}: taken over in {took:.1?}; Ctrl-C gives back", cards.join(", ")))?;
    let api = Api::serve(listeners, handle);
    let mut running = Box::pin(router.run(pending()));
    tokio::select! {
        () = &mut running => {}
        _ = signals.stop() => {}
        Err(error) = watch(&mut keeper) => tracing::error!("{error}: giving back"),
    }
    // Workers and programs forward by what they know until the kernel can do it.
    let left = adopt::put_back(netlink, &cards).await;
    drop(running);
    adopt::clear_away(netlink, &left?).await?;
    api.end().await;
    keeper.dismiss()?;
    show::print(&format!("{}: given back", cards.join(", ")))
}

/// Have a keeper as long as the router runs.
async fn watch(keeper: &mut Keeper) -> Result<(), AdoptError> {
    let mut deaths = signal(SignalKind::child())?;
    loop {
        keeper.renew()?;
        deaths.recv().await;
    }
}

async fn give_back(netlink: &Netlink, cards: &[String]) -> anyhow::Result<()> {
    if let Some(name) = adopt::is_in_use(netlink, cards).await? {
        return Err(AdoptError::InUse { name }.into());
    }
    let left = adopt::put_back(netlink, cards).await?;
    adopt::clear_away(netlink, &left).await?;
    show::print(&format!("{}: given back", cards.join(", ")))
}

fn write(text: &str, file: &Path) -> anyhow::Result<()> {
    if file == Path::new("-") {
        return show::print(text.trim_end());
    }
    let opened = File::create_new(file).with_context(|| format!("{}", file.display()));
    Ok(opened?.write_all(text.as_bytes())?)
}

/// What was found, as a table.
fn found(survey: &Survey) -> String {
    let columns = ["card", "driver", "mac", "mtu", "addresses", "routes", "neighbours", "groups"];
    let mut table = show::table(&columns);
    for card in &survey.cards {
        let addresses: Vec<_> = card.addresses.iter().map(|a| a.net.to_string()).collect();
        table.add_row([
            Cell::new(&card.link.name),
            Cell::new(&card.driver),
            Cell::new(card.link.mac),
            show::number(card.link.mtu.into()),
            Cell::new(addresses.join("\n")),
            Cell::new(routes(card)),
            show::number(card.neighbours.len() as u64),
            show::number(card.groups as u64),
        ]);
    }
    table.trim_fmt()
}

/// `2 static`, a line for each origin.
fn routes(card: &Card) -> String {
    let of = |(protocol, count): (&u8, &usize)| format!("{count} {}", protocol::name(*protocol));
    card.counts.iter().map(of).collect::<Vec<_>>().join("\n")
}
