//! The rules of the RFCs once more, over veth: the cases that `tests/cases.rs` runs in memory, with
//! the router as it is built. `tests/cases/README.md` says what is the same, and what is not.
//!
//! `UPDATE_CASES=1 cargo test --test wire` writes what control says as what is expected of it: the
//! difference is to be reviewed. With `ROUTER=kernel` as well it writes `kernel.toml`: what the kernel
//! does with the same frames.

#[path = "cases/case.rs"]
mod case;
#[path = "cases/kernel.rs"]
mod kernel;
mod net;
#[path = "oracle/octets.rs"]
mod octets;
#[path = "cases/rows.rs"]
mod rows;
#[path = "cases/veth.rs"]
mod veth;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use case::{CONTROL, Case, ONLY_IN_MEMORY, Outcome};
use net::wire::{Wire, collect};
use net::{HOST_DEVICE, LAN_DEVICE, Topology, kernel_is_router, seconds, sysctl, two_engines};
use veth::Cables;

/// The cases that make sense over veth.
fn cases() -> Vec<(PathBuf, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders = Case::folders(&folder);
    folders.retain(|path| !path.join(ONLY_IN_MEMORY).exists());
    let read = |path: PathBuf| {
        let case = Case::read(&path).expect("tests/cases.rs reads it");
        (path, case)
    };
    folders.into_iter().map(read).collect()
}

#[test]
fn every_case_goes_over_veth_as_in_memory() {
    needs_xrouter!();
    let cases = cases();
    let ports = cases.iter().map(|(_, case)| case.config.ports.len()).max().unwrap_or_default();
    let net = Topology::lan_wan();
    let cables = Cables::plug(&net, ports);
    let update = std::env::var_os("UPDATE_CASES").is_some();
    let start = Instant::now();
    let failures: Vec<_> =
        cases.iter().filter_map(|(path, case)| check(&cables, path, case, update).err()).collect();
    let number = cases.len();
    assert!(
        failures.is_empty(),
        "\n{}\n{} of {number} cases failed",
        failures.concat(),
        failures.len()
    );
    let fast_path = cables.fast_path.get();
    assert_eq!(fast_path > 0, two_engines(), "by the XDP program: {fast_path}");
    println!("{number} cases over veth in {:.0?}", start.elapsed());
}

/// Run one case; what is wrong is the error.
fn check(cables: &Cables, path: &Path, case: &Case, update: bool) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().display();
    let complain = |what: String| format!("--- {name}\n{what}");
    println!("{name}");
    let mut found = cables.run(case, path).map_err(complain)?;
    let mut expected = veth::expected(case);
    if update {
        let mut outcome = case.expected.clone();
        outcome.out.extend(said_by_control(&found, &expected));
        return outcome.write(path).map_err(|error| complain(error.to_string()));
    }
    if two_engines() {
        // One overtakes the other.
        found.out.sort_unstable();
        expected.out.sort_unstable();
    }
    if found == expected {
        return Ok(());
    }
    let input: String = case.input.iter().map(|frame| format!("    {}\n", frame.line)).collect();
    Err(complain(format!("{input}{}", expected.difference(&found))))
}

/// With `ROUTER=kernel` only.
#[test]
fn the_kernel_does_as_kernel_toml_says() {
    if !kernel_is_router() {
        eprintln!("a question for the kernel");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let old = rows::read(&folder).expect("tests/cases.rs reads it");
    let net = Topology::lan_wan();
    let row = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().display().to_string();
        println!("{name}");
        let row = kernel::row(&net, &path, old.get(&name));
        (row.unwrap_or_else(|error| panic!("{name}: {error}")), name)
    };
    let found = Case::folders(&folder).into_iter().map(row).map(|(row, name)| (name, row));
    let found: rows::Rows = found.collect();
    if std::env::var_os("UPDATE_CASES").is_some() {
        kernel::write(&folder, &found);
    } else {
        let news: Vec<_> = found.iter().filter(|(name, row)| old.get(*name) != Some(row)).collect();
        let news: String = news.iter().map(|(name, row)| format!("{name} = {row}\n")).collect();
        assert!(news.is_empty(), "kernel.toml says otherwise than is true now:\n{news}");
    }
    let bare = rows::unexplained(&found);
    assert!(bare.is_empty(), "kernel.toml does not say why these differ: {bare:?}");
}

#[test]
fn a_wire_hears_what_arrives_as_it_was_sent() {
    let net = Topology::lan_wan();
    net.lan.silence();
    sysctl(&net.router, &["net.ipv6.conf.all.disable_ipv6=1"]);
    let (host, router) = (Wire::open(&net.lan, HOST_DEVICE), Wire::open(&net.router, LAN_DEVICE));
    let plain = [[2; 12].as_slice(), &[0x88, 0xb5], &[7; 46]].concat();
    let tagged = [[4; 12].as_slice(), &[0x81, 0, 0x20, 5], &plain[12..]].concat();
    let frames = [plain, tagged].map(|frame| vec![frame; 1000]).concat();
    host.send(&frames);
    let heard = collect(&[&host, &router], Duration::from_millis(200), seconds(5));
    assert_eq!(heard[0], [], "the sender hears what arrives only");
    let at_router: Vec<_> = heard[1].iter().map(|heard| heard.octets.clone()).collect();
    assert!(at_router == frames, "{} frames arrived", at_router.len());
}

/// What is heard and not expected of the workers, each line once.
fn said_by_control(found: &Outcome, expected: &Outcome) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for line in &found.out {
        let line = match line.starts_with(CONTROL) {
            true => line.clone(),
            false if expected.out.contains(line) => continue,
            false => format!("{CONTROL}{line}"),
        };
        if !said.contains(&line) {
            said.push(line);
        }
    }
    said
}
