//! Updates as a BGP speaker gets them: most are announcements of what is there already, with
//! another next hop; few prefixes have most of them; what is withdrawn comes back.

use crate::{NEXT_HOPS, Prefix, Random, Table};

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// The prefix leads to this next hop now.
    Announce(Prefix, u16),
    /// The prefix leads nowhere.
    Withdraw(Prefix),
}

impl Update {
    /// The prefix that changes.
    pub fn to(self) -> Prefix {
        match self {
            Self::Announce(to, _) | Self::Withdraw(to) => to,
        }
    }
}

/// How many of the updates withdraw: what a collector of RIPE's saw in a day.
const WITHDRAWN: f64 = 0.027;
/// A prefix is the more restless the closer to the front of a shuffled table it is: one per cent
/// of those that move have a third of all updates.
const RESTLESS: f64 = 5.0;

/// `count` changes for a table, each of which is one: no announcement repeats what is there, and
/// nothing is withdrawn that is not there.
pub fn updates(table: &Table, count: usize, seed: u64) -> Vec<Update> {
    let mut random = Random::new(seed, 0x200);
    let mut routes = table.routes.clone();
    let all = routes.len();
    random.sample(&mut routes, all);
    let mut is_there = vec![true; all];
    let change = |_| {
        let number = (all as f64 * random.share().powf(RESTLESS)) as usize;
        let route = &mut routes[number];
        if is_there[number] && random.chance(WITHDRAWN) {
            is_there[number] = false;
            return Update::Withdraw(route.to);
        }
        is_there[number] = true;
        route.hop = route.hop % NEXT_HOPS + 1;
        Update::Announce(route.to, route.hop)
    };
    (0..count).map(change).collect()
}
