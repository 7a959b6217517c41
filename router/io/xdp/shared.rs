//! What the XDP programs of all ports share: the tables that control writes, the devices to send
//! by, and a way to wait until no program holds anything of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, OpenObject};

use crate::id::{PORTS_MAX, PortId};

/// What does not change while programs are loaded. Mirrors `constants` in bpf/tables.h; the first
/// ones say how many entries the tables have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Constants {
    /// 16-bit entries of `fib4`.
    pub fib4_entries: u32,
    /// 32-bit entries of `fib6`, before its skips.
    pub fib6_entries: u32,
    /// Skips of `fib6`.
    pub fib6_skips: u32,
    /// Slots of `adjacencies`.
    pub adjacencies: u32,
    /// Slots of `ecmp`.
    pub ecmp_groups: u32,
    /// What the hash of flows begins with.
    pub hash_seed: u32,
}

impl Constants {
    fn to_octets(self) -> [u8; 24] {
        let Self { fib4_entries, fib6_entries, fib6_skips, adjacencies, ecmp_groups, hash_seed } =
            self;
        let words = [fib4_entries, fib6_entries, fib6_skips, adjacencies, ecmp_groups, hash_seed];
        let mut octets = [0; 24];
        for (place, word) in octets.chunks_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        octets
    }
}

/// The maps that every port's program has.
#[derive(Debug)]
pub struct Shared {
    /// Name and map: of each a BPF array with one element, which can be mapped into this process
    /// (`BPF_F_MMAPABLE`).
    tables: Vec<(&'static str, OwnedFd)>,
    /// Port to device.
    devices: MapHandle,
    constants: Constants,
}

impl Shared {
    /// Make tables of these names and octets, all zeros. Needs CAP_BPF; memory that is short is the
    /// error.
    pub fn create(tables: &[(&'static str, u32)], constants: Constants) -> io::Result<Self> {
        let make = |&(name, octets): &(&'static str, u32)| Ok((name, table(name, octets)?));
        Ok(Self {
            tables: tables.iter().map(make).collect::<io::Result<_>>()?,
            devices: devices().map_err(io::Error::other)?,
            constants,
        })
    }

    /// The tables, for whoever maps them into memory.
    pub fn tables(&self) -> io::Result<Vec<OwnedFd>> {
        self.tables.iter().map(|(_, table)| table.try_clone()).collect()
    }

    /// The device that programs send by for this port; None: none any more.
    pub fn set_device(&self, port: PortId, ifindex: Option<u32>) -> io::Result<()> {
        let key = u32::from(port.octet()).to_ne_bytes();
        let outcome = match ifindex {
            Some(ifindex) => self.devices.update(&key, &ifindex.to_ne_bytes(), MapFlags::ANY),
            None => self.devices.delete(&key),
        };
        match outcome {
            // The kernel forgets a device that is gone by itself.
            Err(cause) if cause.kind() == libbpf_rs::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(io::Error::other),
        }
    }

    /// Have an object use these maps instead of its own.
    pub(super) fn lend(&self, object: &mut OpenObject) -> libbpf_rs::Result<()> {
        for mut map in object.maps_mut() {
            let name = map.name().to_string_lossy().into_owned();
            if let Some((_, table)) = self.tables.iter().find(|(table, _)| *table == name) {
                map.reuse_fd(table.as_fd())?;
            } else if name == "devices" {
                map.reuse_fd(self.devices.as_fd())?;
            } else if name == ".rodata.constants" {
                map.set_initial_value(&self.constants.to_octets())?;
            }
        }
        Ok(())
    }
}

fn options(flags: u32) -> libbpf_sys::bpf_map_create_opts {
    libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        map_flags: flags,
        ..Default::default()
    }
}

fn table(name: &str, octets: u32) -> io::Result<OwnedFd> {
    let options = options(libbpf_sys::BPF_F_MMAPABLE);
    let map =
        MapHandle::create(MapType::Array, Some(name), 4, octets, 1, &options).map_err(|cause| {
            io::Error::other(format!("shared table {name}: {octets} octets: {cause:#}"))
        })?;
    map.as_fd().try_clone_to_owned()
}

fn devices() -> libbpf_rs::Result<MapHandle> {
    let ports = u32::try_from(PORTS_MAX).unwrap_or(u32::MAX);
    MapHandle::create(MapType::Devmap, Some("devices"), 4, 4, ports, &options(0))
}

/// Waits for XDP programs. One that runs holds an RCU read lock.
#[derive(Debug)]
pub struct Barrier {
    outer: MapHandle,
    inner: MapHandle,
}

impl Barrier {
    /// A pair of maps that nobody reads.
    pub fn new() -> io::Result<Self> {
        let array = |options| MapHandle::create(MapType::Array, Some("inner"), 4, 4, 1, &options);
        let inner = array(options(0)).map_err(io::Error::other)?;
        let inner_map_fd = u32::try_from(inner.as_fd().as_raw_fd()).map_err(io::Error::other)?;
        let of_maps = libbpf_sys::bpf_map_create_opts { inner_map_fd, ..options(0) };
        let outer = MapHandle::create(MapType::ArrayOfMaps, Some("barrier"), 4, 4, 1, &of_maps)
            .map_err(io::Error::other)?;
        Ok(Self { outer, inner })
    }

    /// Wait until every program has ended that is running now. Some milliseconds, and more on a
    /// busy machine.
    ///
    /// Updating an array of maps promises this (`maybe_wait_bpf_programs` in the kernel's
    /// kernel/bpf/syscall.c); membarrier(2) does not where there is one processor, or `nohz_full`.
    pub fn wait(&self) -> io::Result<()> {
        let inner = self.inner.as_fd().as_raw_fd().to_ne_bytes();
        self.outer.update(&[0; 4], &inner, MapFlags::ANY).map_err(io::Error::other)
    }
}
