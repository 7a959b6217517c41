//! The ports by their numbers. A port that was removed leaves a hole: no other port's number changes.
#![forbid(unsafe_code)]

use std::iter::Flatten;
use std::ops::{Index, IndexMut};
use std::slice;

use super::port::Port;
use crate::id::PortId;

/// The ports that are there. Indexed by number, where a port must be.
#[derive(Debug)]
pub(super) struct Ports(Vec<Option<Port>>);

impl Ports {
    /// Ports 0, 1, 2, ...
    pub fn new(ports: Vec<Port>) -> Self {
        Self(ports.into_iter().map(Some).collect())
    }

    /// More than the highest number that a port has had.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The numbers of the ports that are there.
    pub fn ids(&self) -> Vec<PortId> {
        self.iter().map(Port::id).collect()
    }

    /// The port of this number, if it is there.
    pub fn get(&self, id: PortId) -> Option<&Port> {
        self.0.get(id.index())?.as_ref()
    }

    /// The port of this number, if it is there.
    pub fn get_mut(&mut self, id: PortId) -> Option<&mut Port> {
        self.0.get_mut(id.index())?.as_mut()
    }

    /// One more port, in the place that its number says.
    pub fn put(&mut self, port: Port) {
        let place = port.id().index();
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(port);
    }

    /// A port less.
    pub fn take(&mut self, id: PortId) -> Option<Port> {
        self.0.get_mut(id.index())?.take()
    }

    /// Every number with its port, the holes too.
    pub fn slots(&self) -> impl Iterator<Item = Option<&Port>> {
        self.0.iter().map(Option::as_ref)
    }

    pub fn iter(&self) -> Flatten<slice::Iter<'_, Option<Port>>> {
        self.0.iter().flatten()
    }
}

impl Index<usize> for Ports {
    type Output = Port;
    fn index(&self, number: usize) -> &Port {
        let port = self.0[number].as_ref();
        port.unwrap_or_else(|| unreachable!("port {number} was removed, and is still asked for"))
    }
}

impl IndexMut<usize> for Ports {
    fn index_mut(&mut self, number: usize) -> &mut Port {
        let port = self.0[number].as_mut();
        port.unwrap_or_else(|| unreachable!("port {number} was removed, and is still asked for"))
    }
}
