//! A table that is like the Internet's: as many prefixes of each length, lying in each other in
//! the same way, in runs of neighbours and in crowded places.
//!
//! `ipv4.nesting` and `ipv6.nesting` say how many prefixes of which length lie directly below
//! prefixes of which other length, and over how many of those they are spread. Where in its
//! parent a prefix lies is chance. What has no parent lies in *blocks*, which are what registries
//! hand out: they are no routes, but keep the top of the table as crowded as it is.

use std::collections::HashSet;

use crate::cover::Covers;
use crate::{Family, Prefix, Random, Table};

/// How likely the neighbour of a prefix is the next one to be taken: as real tables have it.
const ADJACENT: f64 = 0.6;
/// How much the first parents are preferred to the last: children are unevenly spread.
const SKEW: f64 = 1.6;
/// Places tried in a parent before all of them are.
const TRIES: usize = 8;
/// Most places looked at then: there are few parents with more.
const PLACES_MAX: usize = 1 << 12;

/// How many prefixes of one length lie directly below those of another.
struct Cell {
    /// The parents' length; None: no prefix covers them.
    parent: Option<u8>,
    len: u8,
    count: usize,
    /// Over how many parents, or blocks, they are spread.
    parents: usize,
}

/// IPv4: lengths of the smaller blocks, and how many there are that no prefix covers.
const BLOCKS4: [(u8, usize); 3] = [(12, 2761), (16, 24_578), (20, 91_329)];
/// The same for IPv6.
const BLOCKS6: [(u8, usize); 7] =
    [(20, 667), (24, 8024), (28, 22_579), (32, 33_376), (36, 15_095), (40, 20_218), (44, 26_003)];

/// What a family's table is made of.
struct Model {
    cells: Vec<Cell>,
    /// The largest blocks: nothing lies outside.
    outermost: Vec<Prefix>,
    /// Those inside: [`BLOCKS4`] or [`BLOCKS6`].
    blocks: &'static [(u8, usize)],
}

impl Model {
    fn of(family: Family, random: &mut Random) -> Self {
        match family {
            Family::V4 => Self {
                cells: cells(include_str!("ipv4.nesting")),
                // Without private addresses and loopback.
                outermost: (1..224)
                    .filter(|top| ![10, 127].contains(top))
                    .map(|top| Prefix::new(top << 120, 8))
                    .collect(),
                blocks: &BLOCKS4,
            },
            Family::V6 => {
                let mut tops: Vec<_> =
                    (0x2001..0x2fff).map(|top| Prefix::new(top << 112, 16)).collect();
                random.sample(&mut tops, 65);
                tops.truncate(65);
                Self {
                    cells: cells(include_str!("ipv6.nesting")),
                    outermost: tops,
                    blocks: &BLOCKS6,
                }
            }
        }
    }
}

fn cells(text: &str) -> Vec<Cell> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| cell(line).expect("four numbers, the first may be -")).collect()
}

fn cell(line: &str) -> Option<Cell> {
    let mut words = line.split(' ');
    let parent = words.next()?.parse().ok();
    let len = words.next()?.parse().ok()?;
    let mut count = || words.next()?.parse().ok();
    Some(Cell { parent, len, count: count()?, parents: count()? })
}

/// The table of a seed.
pub fn table(family: Family, seed: u64) -> Table {
    let mut random = Random::new(seed, u64::from(family.bits()));
    let Model { cells, outermost, blocks } = Model::of(family, &mut random);
    let mut maker = Maker::new(outermost, random);
    let mut blocks = blocks.iter().peekable();
    // The shorter ones first: whatever covers a new prefix is there already.
    for cell in &cells {
        while let Some(&(len, count)) = blocks.next_if(|(len, _)| *len <= cell.len) {
            maker.divide(len, count);
        }
        maker.fill(cell);
    }
    Table::new(family, maker.by_len.into_iter().flatten())
}

struct Maker {
    covers: Covers,
    by_len: Vec<Vec<Prefix>>,
    /// The smallest blocks yet.
    blocks: Vec<Prefix>,
    random: Random,
}

impl Maker {
    fn new(blocks: Vec<Prefix>, random: Random) -> Self {
        Self { covers: Covers::default(), by_len: vec![Vec::new(); 129], blocks, random }
    }

    /// Smaller blocks.
    fn divide(&mut self, len: u8, count: usize) {
        let blocks = std::mem::take(&mut self.blocks);
        let mut spread = Spread::new(blocks, count, &mut self.random);
        let mut taken = HashSet::new();
        for _ in 0..count {
            let is_free = |at| self.covers.of(at).is_none() && !taken.contains(&at);
            let Some(block) = spread.next(len, &mut self.random, is_free) else { break };
            taken.insert(block);
            self.blocks.push(block);
        }
    }

    fn fill(&mut self, cell: &Cell) {
        let parents = match cell.parent {
            Some(len) => self.by_len[usize::from(len)].clone(),
            None => self.blocks.clone(),
        };
        let mut spread = Spread::new(parents, cell.parents, &mut self.random);
        for _ in 0..cell.count {
            let covers = &self.covers;
            let is_free = |at| covers.of(at).map(|cover| cover.len) == cell.parent;
            let Some(prefix) = spread.next(cell.len, &mut self.random, is_free) else { return };
            self.covers.insert(prefix);
            self.by_len[usize::from(cell.len)].push(prefix);
        }
    }
}

struct Parent {
    prefix: Prefix,
    /// What was placed in it last.
    last: Option<Prefix>,
}

/// Prefixes of one length spread over parents of another.
struct Spread {
    /// Those with room, as far as it is known.
    parents: Vec<Parent>,
    /// How many of them are to have any; the others are for when those are full.
    used: usize,
    placed: usize,
}

impl Spread {
    fn new(mut parents: Vec<Prefix>, used: usize, random: &mut Random) -> Self {
        let all = parents.len();
        random.sample(&mut parents, all);
        let parents = parents.into_iter().map(|prefix| Parent { prefix, last: None }).collect();
        Self { parents, used, placed: 0 }
    }

    /// A place for one more prefix, if there is one that `is_free`.
    fn next(
        &mut self,
        len: u8,
        random: &mut Random,
        is_free: impl Fn(Prefix) -> bool,
    ) -> Option<Prefix> {
        while !self.parents.is_empty() {
            let number = self.choose(random);
            if let Some(place) = self.parents[number].place(len, random, &is_free) {
                self.placed += 1;
                return Some(place);
            }
            self.parents.swap_remove(number);
        }
        None
    }

    /// Each once, then the first more often than the last.
    fn choose(&self, random: &mut Random) -> usize {
        let used = self.used.clamp(1, self.parents.len());
        if self.placed < used {
            return self.placed;
        }
        (used as f64 * random.share().powf(SKEW)) as usize
    }
}

impl Parent {
    fn place(
        &mut self,
        len: u8,
        random: &mut Random,
        is_free: impl Fn(Prefix) -> bool,
    ) -> Option<Prefix> {
        let Self { prefix, last } = self;
        let beside = last.filter(|_| random.chance(ADJACENT)).map(|last| next(last));
        let beside = beside.filter(|&place| prefix.holds(place) && is_free(place));
        let near = last.unwrap_or(*prefix);
        let found = beside.or_else(|| {
            let places = std::iter::repeat_with(|| somewhere(*prefix, near, len, random));
            places.take(TRIES).find(|&place| is_free(place))
        });
        *last = found.or_else(|| first_free(*prefix, len, is_free));
        *last
    }
}

/// A place in a parent that has any number of bits in common with what lies there already, rather
/// many than few: crowds of all sizes come of that. Operators count from zero, so zeros are more likely.
fn somewhere(parent: Prefix, near: Prefix, len: u8, random: &mut Random) -> Prefix {
    let free = usize::from(len - parent.len) + 1;
    let common = parent.len + random.below(free).max(random.below(free)) as u8;
    let near = Prefix::new(near.bits, common);
    let bits = random.wide() & random.wide();
    Prefix::new(near.bits | bits & crate::rest(common), len)
}

/// The next prefix of the same length. Behind the last one comes the first.
fn next(prefix: Prefix) -> Prefix {
    Prefix { bits: prefix.last().wrapping_add(1), len: prefix.len }
}

fn first_free(parent: Prefix, len: u8, is_free: impl Fn(Prefix) -> bool) -> Option<Prefix> {
    let first = Prefix { bits: parent.bits, len };
    let places = std::iter::successors(Some(first), |&place| Some(next(place)));
    let places = places.take_while(|&place| parent.holds(place));
    places.take(PLACES_MAX).find(|&place| is_free(place))
}
