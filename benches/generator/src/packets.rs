//! The frames one after the other, for the packet socket: what `generate` in traffic.bpf.c does.

use anyhow::Result;

use crate::checksum::{fold, sum};
use crate::frame::{FIRST_PORT, Frame, PORTS, Template, octets_of};
use crate::stream::Stream;

pub struct Packets {
    template: Template,
    flows: u32,
    /// The last word of the first flow's source address.
    source: u32,
    /// All of them, one behind the other.
    destinations: Vec<u8>,
    width: usize,
    sequence: u32,
}

impl Packets {
    pub fn new(frame: &Frame, stream: &Stream) -> Result<Self> {
        let template = frame.template()?;
        let at = template.places.source;
        let source = template.octets[at..].first_chunk().copied().unwrap_or_default();
        Ok(Self {
            template,
            flows: stream.flows,
            source: u32::from_be_bytes(source),
            destinations: stream.destinations(frame)?,
            width: octets_of(frame.destination).len(),
            sequence: 0,
        })
    }

    /// A frame for `write` to fill in.
    pub fn blank(&self) -> Vec<u8> {
        self.template.octets.clone()
    }

    /// Make the next frame of one that was before; its length. `now`: nanoseconds.
    pub fn write(&mut self, frame: &mut [u8], now: u64) -> usize {
        let places = self.template.places;
        let sequence = self.sequence as usize;
        let shape = self.template.shapes[sequence % self.template.shapes.len()];
        let flow = self.sequence % self.flows;
        put(frame, places.source, &(self.source + flow / PORTS).to_be_bytes());
        put(frame, places.udp, &(FIRST_PORT + (flow % PORTS) as u16).to_be_bytes());
        let at = sequence * self.width % self.destinations.len();
        put(frame, places.destination, &self.destinations[at..at + self.width]);
        put(frame, places.sequence(), &self.sequence.to_ne_bytes());
        put(frame, places.sequence() + 4, &now.to_le_bytes()[..6]);
        put(frame, places.ip_length, &shape.ip_length.to_ne_bytes());
        put(frame, places.udp_length(), &shape.udp_length.to_ne_bytes());
        let addresses = sum(&frame[places.source..places.udp]);
        if let Some(at) = places.ip_checksum {
            let checksum = !fold(u64::from(shape.ip_sum) + addresses);
            put(frame, at, &checksum.to_ne_bytes());
        }
        let port = sum(&frame[places.udp..places.udp + 2]);
        let stamp = sum(&frame[places.sequence()..places.stamped()]);
        // RFC 768: a checksum of zero is sent as all ones.
        let checksum = match !fold(u64::from(shape.udp_sum) + addresses + port + stamp) {
            0 => 0xffff,
            checksum => checksum,
        };
        put(frame, places.udp_checksum(), &checksum.to_ne_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        shape.length as usize
    }
}

fn put(frame: &mut [u8], at: usize, octets: &[u8]) {
    frame[at..at + octets.len()].copy_from_slice(octets);
}
