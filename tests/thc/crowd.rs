//! Hosts beside the host `lan`, on its link: each has a MAC, addresses and a device of its own, so
//! that many tools run at a time and none hears the others' answers.

use std::fs;

use super::net::{Host, ip};

/// A member of the crowd, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member(pub u8);

impl Member {
    /// Its device in the namespace of the host `lan`.
    pub fn device(self) -> String {
        format!("t{:02x}", self.0)
    }

    /// Its IPv6 address.
    pub fn address(self) -> String {
        format!("2001:db8:1::1:{:x}", self.0)
    }

    /// Whose packet this frame carries; None if it is no IPv6 packet of the crowd's.
    pub fn of_frame(frame: &[u8]) -> Option<Self> {
        const CROWD: [u8; 15] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        let source = frame.get(22..38).filter(|_| frame[12..14] == [0x86, 0xdd])?;
        source.strip_prefix(&CROWD).map(|number| Self(number[0]))
    }

    /// A line of a tool, with what it means by `IF`, `ROUTER` and `WAN`.
    pub fn fill_in(self, line: &str) -> String {
        let words = line.split(' ').map(|word| match word {
            "IF" => self.device(),
            "ROUTER" => "2001:db8:1::1".to_owned(),
            "WAN" => "2001:db8:2::2".to_owned(),
            word => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Put the members 1 to `last` beside this host; they go when its namespace does.
pub fn gather(host: &Host, last: u8) {
    let lines = (1..=last).map(|number| {
        let (device, address) = (Member(number).device(), Member(number).address());
        // Each needs a default route of its own: the tools look for the one of their device.
        format!(
            "link add link eth0 name {device} address 02:00:0a:01:01:{number:02x} type macvlan\n\
             link set {device} up\n\
             addr add {address}/64 dev {device}\n\
             route add default via 2001:db8:1::1 dev {device} metric {}\n",
            2000 + u32::from(number),
        )
    });
    let file = host.directory.join(format!("{}.crowd", host.name));
    fs::write(&file, lines.collect::<String>()).expect("the test's directory is writable");
    ip(&format!("-n {} -batch {}", host.name, file.display()));
}
