use std::collections::HashMap;

use crate::oracle::Oracle;
use crate::summary::Summary;
use crate::trace::{Kind, addresses};
use crate::update::{Update, updates};
use crate::*;

#[test]
fn a_generated_table_has_the_size_and_the_nesting_that_was_asked_for() {
    for (family, size, nested, longest) in
        [(Family::V4, 1_042_325, 0.504, 24), (Family::V6, 246_175, 0.561, 48)]
    {
        let summary = Summary::of(&generate::table(family, 1));
        let all: usize = summary.lengths.values().sum();
        assert!(all.abs_diff(size) < size / 200, "{family}: {all}");
        assert!((summary.nested as f64 / all as f64 - nested).abs() < 0.01, "{family}");
        assert_eq!(summary.lengths.keys().max(), Some(&longest));
    }
}

#[test]
fn a_seed_is_a_table() {
    let [one, same, other] = [7, 7, 8].map(|seed| generate::table(Family::V6, seed).routes);
    assert!(one == same && one != other);
}

#[test]
fn the_oracle_finds_the_longest_match() {
    let nets = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32"];
    let nets = nets.map(|net| Prefix::from(net.parse::<IpNet>().unwrap()));
    let table = Table::new(Family::V4, nets);
    let oracle = Oracle::new(&table);
    let hop = |address: &str| {
        oracle.hop(u128::from(u32::from(address.parse::<Ipv4Addr>().unwrap())) << 96)
    };
    for (address, prefix) in [("10.1.2.3", 3), ("10.1.2.4", 2), ("10.1.3.0", 1), ("10.2.0.0", 0)] {
        assert_eq!(hop(address), hop_of(Family::V4, nets[prefix]), "{address}");
    }
    assert_eq!(hop("11.0.0.0"), 0);
    assert_ne!(Oracle::new(&table.with_default()).hop(0), 0);
}

#[test]
fn traces_lie_in_the_table() {
    let table = generate::table(Family::V6, 1);
    let oracle = Oracle::new(&table);
    for kind in [Kind::Random, Kind::Prefix, Kind::Zipf] {
        let trace = addresses(&table, kind, 1000, 1);
        assert!(trace.iter().all(|&address| oracle.hop(address) != 0), "{kind:?}");
    }
}

#[test]
fn every_update_is_a_change() {
    let table = generate::table(Family::V6, 1);
    let mut hops: HashMap<_, _> = table.routes.iter().map(|route| (route.to, route.hop)).collect();
    for update in updates(&table, 100_000, 1) {
        match update {
            Update::Announce(to, hop) => assert_ne!(hops.insert(to, hop), Some(hop)),
            Update::Withdraw(to) => assert!(hops.remove(&to).is_some()),
        }
    }
}

#[test]
fn longer_prefixes_lie_in_sites() {
    let table = add_long(generate::table(Family::V6, 1), 1000, 1);
    let oracle = Oracle::new(&generate::table(Family::V6, 1));
    let longer: Vec<_> = table.prefixes().filter(|prefix| prefix.len > 48).collect();
    assert_eq!(longer.len(), 1000);
    assert!(longer.iter().all(|prefix| oracle.hop(prefix.bits) != 0));
}

#[test]
fn a_list_is_read_and_a_bad_line_named() {
    let path = std::env::temp_dir().join(format!("xrouter-list-{}", std::process::id()));
    std::fs::write(&path, "# made up\n192.0.2.77/24 5\n\n2001:db8::/32\n").unwrap();
    let expected = ["192.0.2.0/24", "2001:db8::/32"].map(|net| net.parse::<IpNet>().unwrap());
    assert_eq!(read::list(&path).unwrap(), expected);
    std::fs::write(&path, "192.0.2.0/24\n192.0.2.0/33\n").unwrap();
    let complaint = format!("{:#}", read::list(&path).unwrap_err());
    std::fs::remove_file(&path).unwrap();
    assert!(complaint.contains("line 2"), "{complaint}");
}

/// RFC 6396 4.1 and 4.3.2: the header of a record, then a RIB entry.
fn record(subtype: u16, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0, 0, 0, 1, 0, 13];
    octets.extend(subtype.to_be_bytes());
    octets.extend((body.len() as u32).to_be_bytes());
    octets.extend(body);
    octets
}

fn dump() -> Vec<u8> {
    // One peer, of AS 64496.
    let peers = [192, 0, 2, 1, 0, 0, 0, 1, 2, 192, 0, 2, 1, 192, 0, 2, 1, 0, 0, 0xfb, 0xf0];
    let entry = [0, 1, 0, 0, 0, 0, 0, 1, 0, 4, 0x40, 1, 1, 0];
    let v4 = [&[0, 0, 0, 0, 24, 198, 51, 100][..], &entry].concat();
    let v6 = [&[0, 0, 0, 1, 32, 0x20, 0x01, 0x0d, 0xb8][..], &entry].concat();
    [record(1, &peers), record(2, &v4), record(4, &v6)].concat()
}

#[test]
fn an_mrt_dump_is_read_packed_or_not() {
    use std::io::Write;
    let path = std::env::temp_dir().join(format!("xrouter-mrt-{}", std::process::id()));
    let expected = ["198.51.100.0/24", "2001:db8::/32"].map(|net| net.parse::<IpNet>().unwrap());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    gzip.write_all(&dump()).unwrap();
    bzip.write_all(&dump()).unwrap();
    for octets in [dump(), gzip.finish().unwrap(), bzip.finish().unwrap()] {
        std::fs::write(&path, octets).unwrap();
        assert_eq!(read::mrt(&path).unwrap(), expected);
    }
    std::fs::remove_file(&path).unwrap();
}
