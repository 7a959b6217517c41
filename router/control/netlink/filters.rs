//! Whether netfilter has a say in what the kernel forwards: nftables (iptables-nft among it) is asked
//! over its netlink, the older iptables by its files under /proc.
//!
//! Not seen: IPVS, what is hooked in by other modules, tc and XDP programs of others.
#![forbid(unsafe_code)]

use std::io;

use rtnetlink::packet_core::{NlasIterator, parse_string, parse_u32_be};

use super::NetlinkError;
use super::raw;
use super::sysctl::read_file;

/// `NETLINK_NETFILTER`.
const NETFILTER: isize = 12;
/// `NFNL_SUBSYS_NFTABLES` and `NFT_MSG_GETCHAIN`.
const GET_CHAIN: u16 = 10 << 8 | 4;
/// Octets of `struct nfgenmsg`, which begins with the family.
const HEADER: usize = 4;

// Attributes of a chain and of its hook (`linux/netfilter/nf_tables.h`).
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const HOOK_NUMBER: u16 = 1;

/// `NFPROTO_INET`, `NFPROTO_IPV4`, `NFPROTO_IPV6`.
const IP: [u8; 3] = [1, 2, 10];
/// `NFPROTO_NETDEV`: at a device, before IP.
const DEVICE: u8 = 5;
/// Hooks that a forwarded packet passes: `NF_INET_PRE_ROUTING`, `_FORWARD`, `_POST_ROUTING`.
const FORWARDED: [u32; 3] = [0, 2, 4];

/// Where netfilter may look at forwarded packets in this network namespace, in its own words.
///
/// # Errors
/// [`NetlinkError`], if the kernel does not tell.
pub fn filters() -> Result<Vec<String>, NetlinkError> {
    let failed = |source| NetlinkError { object: "nftables".into(), call: "list chains", source };
    let chains = match raw::list(NETFILTER, GET_CHAIN, &[0; HEADER]) {
        Err(error) if is_without(&error) => Vec::new(),
        outcome => outcome.map_err(failed)?,
    };
    let mut found: Vec<_> = chains.iter().filter_map(|body| chain(body)).collect();
    for (file, program) in [("ip_tables_names", "iptables"), ("ip6_tables_names", "ip6tables")] {
        found.extend(tables(file)?.into_iter().map(|table| format!("{program} table {table}")));
    }
    Ok(found)
}

/// The kernel has no netfilter, or no nftables: EPROTONOSUPPORT, EINVAL, EOPNOTSUPP.
fn is_without(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(93 | 22 | 95))
}

/// A chain that forwarded packets pass.
fn chain(body: &[u8]) -> Option<String> {
    let (header, attributes) = body.split_at_checked(HEADER)?;
    let (mut table, mut name, mut hook) = (String::new(), String::new(), None);
    for attribute in NlasIterator::new(attributes).flatten() {
        // The highest two bits are no part of the number.
        match attribute.kind() & 0x3fff {
            CHAIN_TABLE => table = parse_string(attribute.value()).ok()?,
            CHAIN_NAME => name = parse_string(attribute.value()).ok()?,
            CHAIN_HOOK => hook = Some(hook_number(attribute.value())?),
            _ => {}
        }
    }
    let passes = header[0] == DEVICE || IP.contains(&header[0]) && FORWARDED.contains(&hook?);
    (hook.is_some() && passes).then(|| format!("nft chain {table} {name}"))
}

fn hook_number(nested: &[u8]) -> Option<u32> {
    let number = NlasIterator::new(nested).flatten().find(|a| a.kind() & 0x3fff == HOOK_NUMBER)?;
    parse_u32_be(number.value()).ok()
}

/// The tables that iptables has loaded, with rules or not. No file: it was never used.
fn tables(file: &str) -> Result<Vec<String>, NetlinkError> {
    match read_file(&format!("/proc/thread-self/net/{file}")) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.is_absent() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut octets = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        octets.extend_from_slice(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    fn body(family: u8, hook: Option<u32>) -> Vec<u8> {
        let number = |hook: u32| attribute(HOOK_NUMBER, &hook.to_be_bytes());
        let hook = hook.map(|hook| attribute(CHAIN_HOOK | 0x8000, &number(hook)));
        let names = [attribute(CHAIN_TABLE, b"nat\0"), attribute(CHAIN_NAME, b"post\0")].concat();
        [vec![family, 0, 0, 0], names, hook.unwrap_or_default()].concat()
    }

    #[test]
    fn chains_that_forwarded_packets_pass() {
        for (family, hook, passes) in [
            (2, Some(4), true),
            (10, Some(0), true),
            (1, Some(2), true),
            (5, Some(0), true),
            (2, Some(1), false),
            (2, Some(3), false),
            (7, Some(2), false),
            (2, None, false),
        ] {
            let found = chain(&body(family, hook));
            assert_eq!(found, passes.then(|| "nft chain nat post".to_owned()), "{family} {hook:?}");
        }
        assert_eq!(chain(&[2]), None);
    }
}
