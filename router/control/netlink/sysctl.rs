//! Settings of one interface under /proc/sys/net, and the groups that the kernel listens to.
//!
//! /proc/sys/net shows the network namespace of the thread that opens a file in it, also after a
//! `setns`. So does /proc/thread-self/net, unlike /proc/net, which is that of the main thread.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::NetlinkError;
use crate::packet::ethernet::MacAddress;

/// What a tap is told before it is brought up. What the kernel forwards between taps and other
/// devices is the operator's decision: IPv4's `forwarding` is left as it is, and so is IPv6's of
/// `all`.
const TAP: &[(Family, &str, &str)] = &[
    // An ARP request that does reach the kernel is answered only by the interface that has the
    // address (RFC 1122 3.3.4.2, strong host): the worker answers for the port's own.
    (Family::V4, "arp_ignore", "1"),
    // The kernel asks for a neighbour in the name of an address of this interface. The worker takes
    // such questions over, and knows them by their sender.
    (Family::V4, "arp_announce", "2"),
    // Our routes are those of the configuration and of the routing daemons (RFC 1812 5.2.7.2).
    (Family::V4, "accept_redirects", "0"),
    // conf/default may have IPv6 switched off; then no address could be given.
    (Family::V6, "disable_ipv6", "0"),
    // A router's interface, on which the kernel forwards nothing as long as that of `all` is 0: it
    // listens to all routers of the link and the site, and to the subnets' anycast addresses
    // (RFC 4291 2.6.1, 2.8).
    (Family::V6, "forwarding", "1"),
    // No link-local address of the kernel's own choice: ours is the EUI-64 one of the port's MAC.
    (Family::V6, "addr_gen_mode", "1"),
    // A router advertises; it neither solicits nor believes others (RFC 4861 6.2.1), least of all
    // a default route that would pull its own control traffic elsewhere.
    (Family::V6, "accept_ra", "0"),
    (Family::V6, "accept_redirects", "0"),
];

/// Settings that [`prepare_tap`] gives a tap whatever its card has, and those that are the device's own.
const NOT_COPIED: &[&str] = &["rp_filter", "disable_ipv6", "mtu", "stable_secret", "mc_forwarding"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

/// Make the kernel treat the tap `name` as the port that it stands for.
///
/// # Errors
/// [`NetlinkError`] naming the setting. A kernel without IPv6 is none.
pub fn prepare_tap(name: &str) -> Result<(), NetlinkError> {
    for &(family, key, value) in TAP {
        write(family, name, key, value)?;
    }
    write(
        Family::V4,
        name,
        "rp_filter",
        reverse_path_filter(&read(Family::V4, "all", "rp_filter")?),
    )
}

/// A packet comes up the tap of the port that it arrived by, and the kernel's route back may lead
/// elsewhere: the strict filter (RFC 3704 2.2) would drop it. The kernel takes the greater of the
/// interface's value and that of `all`, so against a strict `all` the loose one, 2, is the least.
fn reverse_path_filter(all: &str) -> &'static str {
    if all == "0" { "0" } else { "2" }
}

/// Have the device `to` treated as `from` is: all settings of the interface and of its neighbours, but
/// for those that a tap has its own of. What cannot be written stays as it is.
///
/// # Errors
/// [`NetlinkError`], if /proc is not there.
pub fn copy(from: &str, to: &str) -> Result<(), NetlinkError> {
    for place in ["ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"] {
        let place = PathBuf::from("/proc/sys/net").join(place);
        copy_folder(&place.join(from), &place.join(to))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), NetlinkError> {
    let failed = |source| {
        let object = from.display().to_string();
        NetlinkError { object, call: "list", source }
    };
    let entries = match fs::read_dir(from) {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let key = entry.map_err(failed)?.file_name();
        let mut own = NOT_COPIED.iter().chain(TAP.iter().map(|(_, key, _)| key));
        if own.any(|own| key == *own) {
            continue;
        }
        let (wanted, now) = (fs::read(from.join(&key)), fs::read(to.join(&key)));
        if let (Ok(wanted), Ok(now)) = (wanted, now)
            && wanted != now
            && let Err(error) = fs::write(to.join(&key), wanted)
        {
            tracing::debug!("{}: {error}", to.join(&key).display());
        }
    }
    Ok(())
}

/// Of an IPv4 interface: what the kernel makes of its own setting and of that of `all`, the greater.
///
/// # Errors
/// [`NetlinkError`].
pub fn greater(device: &str, key: &str) -> Result<u32, NetlinkError> {
    let value = |of: &str| Ok(read(Family::V4, of, key)?.parse().unwrap_or(0));
    Ok(u32::max(value("all")?, value(device)?))
}

/// A setting of a whole family: `ipv4/ip_forward`. Empty if the kernel does not have it.
///
/// # Errors
/// [`NetlinkError`].
pub fn of_all(key: &str) -> Result<String, NetlinkError> {
    match read_file(&format!("/proc/sys/net/{key}")) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(error) if error.is_absent() => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Whether the interface asks who else has an IPv6 address before it uses it; what it was.
///
/// # Errors
/// [`NetlinkError`].
pub fn set_detection(device: &str, value: &str) -> Result<String, NetlinkError> {
    let before = read(Family::V6, device, "accept_dad")?;
    write(Family::V6, device, "accept_dad", value)?;
    Ok(before)
}

/// The setting without which the kernel does not forward what comes up the tap `name`, for each
/// family for which it is off.
///
/// # Errors
/// [`NetlinkError`], if it cannot be read.
pub fn not_forwarding(name: &str) -> Result<Vec<&'static str>, NetlinkError> {
    let mut off = Vec::new();
    if read(Family::V4, name, "forwarding")? == "0" {
        off.push("net.ipv4.ip_forward=1");
    }
    if read(Family::V6, "all", "forwarding")? == "0" {
        off.push("net.ipv6.conf.all.forwarding=1");
    }
    Ok(off)
}

/// What the setting is now; empty if the kernel does not have it.
pub(super) fn read(family: Family, device: &str, key: &str) -> Result<String, NetlinkError> {
    match fs::read_to_string(path(family, device, key)) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(failed(family, device, key, "read", source)),
    }
}

/// Write the setting if it is another: so a read-only /proc/sys does where all is well already.
pub(super) fn write(
    family: Family,
    device: &str,
    key: &str,
    value: &str,
) -> Result<(), NetlinkError> {
    let now = read(family, device, key)?;
    if now == value || (now.is_empty() && family == Family::V6) {
        return Ok(());
    }
    fs::write(path(family, device, key), value)
        .map_err(|source| failed(family, device, key, "write", source))
}

fn failed(
    family: Family,
    device: &str,
    key: &str,
    call: &'static str,
    source: io::Error,
) -> NetlinkError {
    NetlinkError { object: path(family, device, key).display().to_string(), call, source }
}

/// A device's name may hold dots, but neither a slash nor is it `..` (`dev_valid_name`).
fn path(family: Family, device: &str, key: &str) -> PathBuf {
    let family = if family == Family::V4 { "ipv4" } else { "ipv6" };
    ["/proc/sys/net", family, "conf", device, key].iter().collect()
}

/// The multicast MACs that the kernel listens to on the device `name`, sorted.
///
/// # Errors
/// [`NetlinkError`], if /proc is not there.
pub fn joined(name: &str) -> Result<Vec<MacAddress>, NetlinkError> {
    Ok(joined_in(&read_file("/proc/thread-self/net/dev_mcast")?, name))
}

/// A file of /proc.
pub(super) fn read_file(file: &str) -> Result<String, NetlinkError> {
    let failed = |source| NetlinkError { object: file.to_owned(), call: "read", source };
    fs::read_to_string(file).map_err(failed)
}

/// Lines of `index name users global address`, the address in hexadecimal without colons.
fn joined_in(text: &str, name: &str) -> Vec<MacAddress> {
    let of_line = |line: &str| {
        let mut words = line.split_whitespace();
        (words.nth(1)? == name).then(|| mac(words.nth(2)?)).flatten()
    };
    let mut groups: Vec<_> = text.lines().filter_map(of_line).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn mac(hex: &str) -> Option<MacAddress> {
    let digits: [u8; 12] = hex.as_bytes().try_into().ok()?;
    let mut octets = [0; 6];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(MacAddress(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_mcast() {
        let text = "\
1    lo              1     0     000000000000
7    lan             1     0     333300000001
7    lan             1     0     01005e000005
8    lan2            2     0     01005e000006
7    lan             1     0     01005e00
7    lan
";
        let groups = joined_in(text, "lan");
        let ospf = MacAddress::for_ipv4_multicast([224, 0, 0, 5].into());
        assert_eq!(groups, [ospf, MacAddress([0x33, 0x33, 0, 0, 0, 1])]);
        assert!(joined_in(text, "wan").is_empty());
    }

    #[test]
    fn a_strict_filter_for_all_is_loosened_here() {
        assert_eq!(["0", "1", "2"].map(reverse_path_filter), ["0", "2", "2"]);
    }

    #[test]
    fn a_name_with_a_dot_is_one_part_of_the_path() {
        let path = path(Family::V6, "eth0.5", "accept_ra");
        assert_eq!(path.to_str(), Some("/proc/sys/net/ipv6/conf/eth0.5/accept_ra"));
    }
}
