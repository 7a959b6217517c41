//! From xrouter back to the kernel, by what is there: a card that has another name, and a tap, or not
//! yet, or not any more, in its place.
#![forbid(unsafe_code)]

use super::{AdoptError, names};
use crate::control::netlink::belongings::Move;
use crate::control::netlink::link::Link;
use crate::control::netlink::{Netlink, NetlinkError, sysctl};

/// A card that is to be given back.
struct Pair {
    name: String,
    card: Link,
    tap: Option<Link>,
}

/// Give the cards of these names, as they were, all that their taps have; cards that have it already
/// are left alone. What is left are the taps, by their numbers: packets may still come up by them.
///
/// # Errors
/// The first that happened; everything was tried.
pub async fn put_back(netlink: &Netlink, cards: &[String]) -> Result<Vec<u32>, AdoptError> {
    let links = netlink.links().await?;
    let pairs: Vec<_> = cards.iter().filter_map(|name| pair(name, &links)).collect();
    let moves: Vec<Move> =
        pairs.iter().filter_map(|pair| Some((pair.tap.as_ref()?.index, pair.card.index))).collect();
    let taps: Vec<u32> = moves.iter().map(|(tap, _)| *tap).collect();
    // Before anything has another name, and IPv4 addresses other labels.
    let belongings = netlink.belongings(&taps).await?;
    let mut results = Vec::new();
    let mut detection = Vec::new();
    for pair in &pairs {
        results.push(rename(netlink, pair).await);
        let before = sysctl::set_detection(&pair.name, "0");
        results.push(netlink.give_back_orphan(&pair.card).await);
        detection.push(before);
    }
    results.push(netlink.give(&belongings.moved(&moves)).await);
    // Of two subnets alike the kernel takes the one that was there first: the taps'.
    results.push(netlink.take(&belongings).await);
    for (pair, before) in pairs.iter().zip(detection) {
        let restored = before.and_then(|before| sysctl::set_detection(&pair.name, &before));
        results.push(restored.map(drop));
    }
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(taps)
}

/// Delete the taps that are left.
///
/// # Errors
/// The first that happened; everything was tried.
pub async fn clear_away(netlink: &Netlink, left: &[u32]) -> Result<(), AdoptError> {
    let mut results = Vec::new();
    for &tap in left {
        results.push(netlink.delete(tap).await);
    }
    Ok(results.into_iter().collect::<Result<(), NetlinkError>>()?)
}

/// Whether a running router has one of these taps: its name.
///
/// # Errors
/// [`AdoptError`], if the kernel does not tell.
pub async fn is_in_use(netlink: &Netlink, cards: &[String]) -> Result<Option<String>, AdoptError> {
    let links = netlink.links().await?;
    let pairs = cards.iter().filter_map(|name| pair(name, &links));
    let is_used = |pair: &Pair| {
        let queues = pair.tap.as_ref().and_then(|tap| tap.tap_queues);
        queues.is_some_and(|queues| queues > 0)
    };
    Ok(pairs.into_iter().find(is_used).map(|pair| pair.name))
}

/// None: the card has its own name, and there is no tap that was to leave.
fn pair(name: &str, links: &[Link]) -> Option<Pair> {
    let called = |name: &str| links.iter().find(|link| link.name == name).cloned();
    let leaving = called(&names::of_leaving_tap(name));
    let (card, tap) = match called(&names::of_card(name)) {
        Some(card) => (card, called(name).or(leaving)),
        None => (called(name).filter(|_| leaving.is_some())?, leaving),
    };
    Some(Pair { name: name.to_owned(), card, tap })
}

/// The card has its own name again, and the tap another.
async fn rename(netlink: &Netlink, pair: &Pair) -> Result<(), NetlinkError> {
    if let Some(tap) = pair.tap.as_ref().filter(|tap| tap.name == pair.name) {
        netlink.rename(tap.index, &names::of_leaving_tap(&pair.name)).await?;
    }
    if pair.card.name == pair.name {
        return Ok(());
    }
    netlink.rename(pair.card.index, &pair.name).await
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{LinkAttribute, LinkMessage};

    use super::*;

    /// Devices of these names, numbered from 1.
    fn links(names: &[&str]) -> Vec<Link> {
        let link = |(index, name): (u32, &&str)| {
            let mut message = LinkMessage::default();
            message.header.index = index;
            message.attributes = vec![LinkAttribute::IfName((*name).to_owned())];
            Link::from(&message)
        };
        (1..).zip(names).map(link).collect()
    }

    /// Card and tap, by their numbers.
    fn found(names: &[&str]) -> Option<(u32, Option<u32>)> {
        let pair = pair("eth1", &links(names))?;
        Some((pair.card.index, pair.tap.map(|tap| tap.index)))
    }

    #[test]
    fn how_far_it_came_is_seen_from_the_names() {
        assert_eq!(found(&["lo", "eth1"]), None, "never taken, or given back");
        assert_eq!(found(&["xr-eth1"]), Some((1, None)), "taken, and no tap yet");
        assert_eq!(found(&["xr-eth1", "eth1"]), Some((1, Some(2))), "taken");
        assert_eq!(found(&["xr-eth1", "xt-eth1"]), Some((1, Some(2))), "the tap has left");
        assert_eq!(found(&["eth1", "xt-eth1"]), Some((1, Some(2))), "the card is back");
        assert_eq!(found(&["xt-eth1"]), None, "the card was pulled out");
    }
}
