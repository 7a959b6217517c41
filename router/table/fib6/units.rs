//! Who has which piece of the entries.
#![forbid(unsafe_code)]

use super::UNITS_OF_SECOND;
use crate::table::publish::{Grace, Limbo};

/// A piece that is handed out, by its first unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// The second table of a /16: [`UNITS_OF_SECOND`] units.
    Second(u32),
    /// A node: one unit.
    Node(u32),
}

/// The units. Second tables are taken from the front and nodes from the back, so that neither
/// needs a budget of its own. A free second table can be cut into nodes; there are so many more
/// nodes than second tables that the way back is not needed.
#[derive(Debug)]
pub(super) struct Units {
    limit: u32,
    /// Between `front` and `back` nothing was ever used.
    front: u32,
    back: u32,
    seconds: Vec<u32>,
    nodes: Vec<u32>,
    limbo: Limbo<Piece>,
}

impl Units {
    pub(super) fn new(limit: u32) -> Self {
        let (seconds, nodes, limbo) = (Vec::new(), Vec::new(), Limbo::default());
        Self { limit, front: 0, back: limit, seconds, nodes, limbo }
    }

    /// A second table, or nothing if there is none.
    pub(super) fn second(&mut self) -> Option<u32> {
        self.seconds.pop().or_else(|| {
            let first = self.front;
            self.front = first.checked_add(UNITS_OF_SECOND).filter(|&end| end <= self.back)?;
            Some(first)
        })
    }

    /// A node, or nothing if there is none.
    pub(super) fn node(&mut self) -> Option<u32> {
        if self.nodes.is_empty() {
            self.find_nodes()?;
        }
        self.nodes.pop()
    }

    fn find_nodes(&mut self) -> Option<()> {
        if self.front < self.back {
            self.back -= 1;
            self.nodes.push(self.back);
        } else {
            let first = self.seconds.pop()?;
            self.nodes.extend(first..first + UNITS_OF_SECOND);
        }
        Some(())
    }

    /// Give back what no reader can have.
    pub(super) fn give_back(&mut self, piece: Piece) {
        match piece {
            Piece::Second(first) => self.seconds.push(first),
            Piece::Node(number) => self.nodes.push(number),
        }
    }

    /// Give back what was just unlinked.
    pub(super) fn retire(&mut self, piece: Piece) {
        self.limbo.retire(piece);
    }

    pub(super) fn reclaim(&mut self, grace: Grace) {
        for piece in self.limbo.take_passed(grace) {
            match piece {
                Piece::Second(first) => self.seconds.push(first),
                Piece::Node(number) => self.nodes.push(number),
            }
        }
    }

    /// How many units are in use, those in limbo included.
    pub(super) fn used(&self) -> u32 {
        let free = self.nodes.len() + self.seconds.len() * UNITS_OF_SECOND as usize;
        let untouched = self.back - self.front;
        self.limit - untouched - u32::try_from(free).unwrap_or_default()
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_meet_and_a_second_table_is_cut_up() {
        let mut units = Units::new(2 * UNITS_OF_SECOND);
        assert_eq!((units.second(), units.second(), units.second()), (Some(0), Some(256), None));
        assert_eq!((units.node(), units.used()), (None, 512));
        units.give_back(Piece::Second(0));
        assert!(units.node().is_some());
        assert_eq!((units.used(), units.second()), (257, None));
        units.give_back(Piece::Node(0));
    }
}
