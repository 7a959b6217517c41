//! What a table is like, in figures that can be compared with another's.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use crate::{Prefix, Table};

/// A table's figures.
#[derive(Debug, Default)]
pub struct Summary {
    /// Prefixes of each length.
    pub lengths: BTreeMap<u8, usize>,
    /// Prefixes that lie in another one.
    pub nested: usize,
    /// Prefixes by how many others they lie in.
    pub depths: BTreeMap<usize, usize>,
    /// Share of all addresses that the table covers.
    pub covered: f64,
    /// Prefixes whose right neighbour of the same length is there too.
    pub adjacent: usize,
    /// How many different networks of a length have anything longer inside.
    pub crowded: BTreeMap<u8, usize>,
}

impl Summary {
    /// The figures of a table.
    pub fn of(table: &Table) -> Self {
        let mut summary = Self::default();
        let all: HashSet<_> = table.prefixes().collect();
        let mut covers = Vec::<Prefix>::new();
        for prefix in table.prefixes().filter(|prefix| prefix.len > 0) {
            while covers.last().is_some_and(|cover| cover.last() < prefix.bits) {
                covers.pop();
            }
            *summary.lengths.entry(prefix.len).or_default() += 1;
            *summary.depths.entry(covers.len()).or_default() += 1;
            summary.nested += usize::from(!covers.is_empty());
            if covers.is_empty() {
                summary.covered += 0.5f64.powi(prefix.len.into());
            }
            let next = Prefix { bits: prefix.last().wrapping_add(1), len: prefix.len };
            summary.adjacent += usize::from(all.contains(&next));
            covers.push(prefix);
        }
        summary.crowded = (8..=48).step_by(4).map(|len| (len, crowded(table, len))).collect();
        summary
    }

    /// One figure a line.
    pub fn text(&self) -> String {
        let all: usize = self.lengths.values().sum();
        let part = |count: usize| 100.0 * count as f64 / all as f64;
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _a_string_takes_all = writeln!(text, "{name:<28} {value}");
        };
        line("prefixes", all.to_string());
        line("addresses covered", format!("{:.4} %", 100.0 * self.covered));
        line("in another prefix", format!("{:.1} %", part(self.nested)));
        line("right neighbour is there too", format!("{:.1} %", part(self.adjacent)));
        for (depth, &count) in &self.depths {
            line(&format!("in {depth} others"), format!("{count} ({:.1} %)", part(count)));
        }
        for (len, &count) in &self.lengths {
            line(&format!("/{len}"), format!("{count} ({:.1} %)", part(count)));
        }
        for (len, count) in self.crowded.iter().filter(|(_, count)| **count > 0) {
            line(&format!("/{len}s with longer ones"), count.to_string());
        }
        text
    }
}

fn crowded(table: &Table, len: u8) -> usize {
    let longer = table.prefixes().filter(|prefix| prefix.len > len);
    longer.map(|prefix| Prefix::new(prefix.bits, len)).collect::<HashSet<_>>().len()
}
