//! DPDK's tables, through `dpdk.c`.

use std::ffi::{CString, c_char, c_int, c_void};
use std::net::IpAddr;
use std::ptr::NonNull;

use anyhow::{Context, Result, ensure};
use tables::update::Update;
use tables::{Family, Prefix, Route};

use crate::contest::{Contestant, Trace};

/// Which of DPDK's tables. Mirrors `enum kind` in dpdk.c.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum Kind {
    /// DIR-24-8 with entries of two octets.
    Fib2,
    /// DIR-24-8 with entries of four octets.
    Fib4,
    /// The older DIR-24-8.
    Lpm,
    /// A trie with entries of four octets.
    Fib6,
    /// The older trie.
    Lpm6,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Fib2 => "rte_fib 2 B",
            Self::Fib4 => "rte_fib 4 B",
            Self::Lpm => "rte_lpm",
            Self::Fib6 => "rte_fib6 4 B",
            Self::Lpm6 => "rte_lpm6",
        }
    }

    fn family(self) -> Family {
        if matches!(self, Self::Fib6 | Self::Lpm6) { Family::V6 } else { Family::V4 }
    }

    /// Groups of 256 entries: as many as 15 bits can name, or enough for what rte_fib6 reserves for
    /// 100,000 long prefixes.
    fn groups(self) -> u32 {
        if self.family() == Family::V4 { 32_767 } else { 1 << 20 }
    }
}

#[repr(C)]
struct Shim {
    opaque: [u8; 0],
}

unsafe extern "C" {
    fn shim_start(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn shim_new(name: *const c_char, kind: Kind, routes: u32, groups: u32) -> *mut Shim;
    fn shim_free(shim: *mut Shim);
    fn shim_add(shim: *mut Shim, to: *const u8, len: u8, hop: u16) -> c_int;
    fn shim_delete(shim: *mut Shim, to: *const u8, len: u8) -> c_int;
    fn shim_select(shim: *mut Shim, avx512: c_int) -> c_int;
    fn shim_look_up(
        shim: *mut Shim,
        addresses: *const c_void,
        found: *mut u64,
        count: u32,
        batch: u32,
    );
    fn shim_found(shim: *const Shim, found: *const u64, i: u32) -> u16;
}

/// Start DPDK: ordinary memory, no devices. Once, before any table.
pub fn start(core: usize) -> Result<()> {
    let core = core.to_string();
    let options = [
        "fib",
        "--no-huge",
        "-m",
        "5120",
        "--no-pci",
        "--no-telemetry",
        "--no-shconf",
        "--log-level",
        "critical",
        "--force-max-simd-bitwidth",
        "512",
        "-l",
        &core,
    ];
    let options: Vec<_> =
        options.iter().map(|&option| CString::new(option)).collect::<Result<_, _>>()?;
    let mut pointers: Vec<_> = options.iter().map(|option| option.as_ptr().cast_mut()).collect();
    let count = c_int::try_from(pointers.len())?;
    pointers.push(std::ptr::null_mut());
    // DPDK keeps pointers into its options.
    std::mem::forget(options);
    // SAFETY: `argc` strings and a null, as main() has them.
    let error = unsafe { shim_start(count, pointers.as_mut_ptr()) };
    ensure!(error == 0, "DPDK does not start (errno {}); it needs 5 GB of memory", -error);
    Ok(())
}

/// One of DPDK's tables.
#[derive(Debug)]
pub struct Dpdk {
    kind: Kind,
    shim: NonNull<Shim>,
    /// The next hop of the default route where the table takes none: the older ones.
    default: u16,
}

impl Dpdk {
    /// An empty table with room for so many routes.
    pub fn new(kind: Kind, routes: usize) -> Result<Self> {
        let name = CString::new(kind.name().replace(' ', ""))?;
        let routes = u32::try_from(routes * 2)?;
        // SAFETY: DPDK has been started, and copies the name.
        let shim = unsafe { shim_new(name.as_ptr(), kind, routes, kind.groups()) };
        Ok(Self {
            kind,
            shim: NonNull::new(shim).with_context(|| format!("{name:?}: no memory"))?,
            default: 0,
        })
    }

    /// Take a route in.
    pub fn add(&mut self, route: Route) -> Result<()> {
        if route.to.len == 0 && matches!(self.kind, Kind::Lpm | Kind::Lpm6) {
            self.default = route.hop;
            return Ok(());
        }
        let to = octets(self.kind.family(), route.to);
        // SAFETY: the table lives, and `to` has as many octets as its family's addresses.
        let error = unsafe { shim_add(self.shim.as_ptr(), to.as_ptr(), route.to.len, route.hop) };
        ensure!(
            error == 0,
            "{}: {} refused: {error}",
            self.kind.name(),
            route.to.net(self.kind.family())
        );
        Ok(())
    }

    /// Take a route away.
    pub fn delete(&mut self, prefix: Prefix) -> Result<()> {
        let to = octets(self.kind.family(), prefix);
        // SAFETY: as in `add`.
        let error = unsafe { shim_delete(self.shim.as_ptr(), to.as_ptr(), prefix.len) };
        ensure!(
            error == 0,
            "{}: {} not withdrawn: {error}",
            self.kind.name(),
            prefix.net(self.kind.family())
        );
        Ok(())
    }

    /// Apply an update.
    pub fn update(&mut self, update: Update) -> Result<()> {
        match update {
            Update::Announce(to, hop) => self.add(Route { to, hop }),
            Update::Withdraw(to) => self.delete(to),
        }
    }

    /// Whether lookups with AVX-512 can be had.
    pub fn has_avx512(&mut self) -> bool {
        self.select(true)
    }

    fn select(&mut self, avx512: bool) -> bool {
        // SAFETY: the table lives.
        unsafe { shim_select(self.shim.as_ptr(), avx512.into()) == 0 }
    }
}

impl Drop for Dpdk {
    fn drop(&mut self) {
        // SAFETY: it came from `shim_new`, and goes once.
        unsafe { shim_free(self.shim.as_ptr()) };
    }
}

fn octets(family: Family, prefix: Prefix) -> [u8; 16] {
    let mut octets = [0; 16];
    match family.address(prefix.bits) {
        IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => octets = address.octets(),
    }
    octets
}

/// A way to look up in one of DPDK's tables.
pub struct Lookup<'a> {
    table: &'a std::cell::RefCell<Dpdk>,
    avx512: bool,
    batch: usize,
    found: Vec<u64>,
}

impl<'a> Lookup<'a> {
    /// Batches of so many addresses.
    pub fn new(table: &'a std::cell::RefCell<Dpdk>, avx512: bool, batch: usize) -> Self {
        Self { table, avx512, batch, found: Vec::new() }
    }
}

impl Contestant for Lookup<'_> {
    fn name(&self) -> String {
        let vectors = if self.avx512 { " AVX-512" } else { "" };
        format!("{}{vectors}", self.table.borrow().kind.name())
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn prepare(&mut self, trace: &Trace) {
        self.found.resize(trace.len(), 0);
        self.table.borrow_mut().select(self.avx512);
    }

    fn look_up(&mut self, trace: &Trace) {
        let table = self.table.borrow_mut();
        let addresses = match table.kind.family() {
            Family::V4 => trace.v4.as_ptr().cast::<c_void>(),
            Family::V6 => trace.octets.as_ptr().cast::<c_void>(),
        };
        let (count, batch) = (self.found.len() as u32, self.batch as u32);
        // SAFETY: the trace has `count` addresses of this family, and there is as much room for
        // the answers. DPDK does not write to the addresses.
        unsafe {
            shim_look_up(table.shim.as_ptr(), addresses, self.found.as_mut_ptr(), count, batch)
        };
    }

    fn found(&self, i: usize) -> u16 {
        let table = self.table.borrow();
        // SAFETY: `found` has at least `i` + 1 answers, or the slice index panics.
        let hop = unsafe { shim_found(table.shim.as_ptr(), self.found[..=i].as_ptr(), i as u32) };
        if hop == 0 { table.default } else { hop }
    }
}
