//! From the kernel to xrouter: a tap in the place of each card.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::survey::Survey;
use super::{AdoptError, back, names};
use crate::config::Source;
use crate::control::netlink::belongings::{Belongings, Move};
use crate::control::netlink::link::Link;
use crate::control::netlink::{Netlink, NetlinkError, sysctl};
use crate::control::request::Request;
use crate::control::{Predecessor, Router};

/// Take over the cards that were looked at: the router, and how long it took from the last moment at
/// which all was the kernel's to the first at which all was the router's.
///
/// # Errors
/// [`AdoptError`], and all is as it was.
pub async fn take_over(
    netlink: &Netlink,
    survey: &Survey,
    source: Source,
    requests: mpsc::Receiver<Request>,
) -> Result<(Router, Duration), AdoptError> {
    let outcome = try_to_take(netlink, survey, source, requests).await;
    if outcome.is_err() {
        let names = survey.names();
        let left = back::put_back(netlink, &names).await?;
        back::clear_away(netlink, &left).await?;
    }
    outcome
}

async fn try_to_take(
    netlink: &Netlink,
    survey: &Survey,
    source: Source,
    requests: mpsc::Receiver<Request>,
) -> Result<(Router, Duration), AdoptError> {
    for card in &survey.cards {
        let name = &card.link.name;
        let renamed = netlink.rename(card.link.index, &names::of_card(name)).await;
        renamed.map_err(|cause| AdoptError::Rename { name: name.clone(), cause })?;
    }
    let began = Cell::new(Instant::now());
    let switch = Box::pin(async {
        began.set(Instant::now());
        switch(netlink, survey).await
    });
    let router = Router::start(source, requests, Predecessor::Kernel(switch)).await?;
    Ok((router, began.get().elapsed()))
}

/// The taps get what the cards have by now, and then the cards have it no more.
async fn switch(netlink: &Netlink, survey: &Survey) -> Result<(), NetlinkError> {
    let links = netlink.links().await?;
    let mut moves: Vec<Move> = Vec::new();
    for card in &survey.cards {
        let (card, name) = (card.link.index, &card.link.name);
        let tap = links.iter().find(|link: &&Link| link.name == *name).map_or(0, |tap| tap.index);
        sysctl::copy(&names::of_card(name), name)?;
        moves.push((card, tap));
    }
    let cards: Vec<u32> = moves.iter().map(|(card, _)| *card).collect();
    let found: Belongings = netlink.belongings(&cards).await?;
    let found = found.labelled_as(&survey.belongings);
    netlink.give(&found.moved(&moves)).await?;
    netlink.take(&found).await
}
