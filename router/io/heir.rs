//! The kernel as the router's heir: two tc programs, which forward by the tap while there is no
//! worker. See bpf/heir.bpf.c. They hang on their devices, and outlive this process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use libbpf_rs::libbpf_sys::bpf_tc_attach_point;
use libbpf_rs::{Object, ObjectBuilder, TC_EGRESS, TC_INGRESS, TcHook, get_print, set_print};

use super::xdp::{Aligned, room_for_descriptors};

/// The compiled bpf/heir.bpf.c.
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/heir.bpf.o")));

/// Where among the filters of a device ours stands: the letters "xr". One number, so that the next
/// start replaces it, and a release finds it.
const PRIORITY: u32 = 0x7872;
const HANDLE: u32 = 1;

/// The kernel did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error(
    "on_exit = \"open\": {call} of {device}: {cause:#}; it needs Linux 6.1 or later with sch_clsact \
     and cls_bpf, and root or CAP_BPF and CAP_NET_ADMIN"
)]
pub struct HeirError {
    call: &'static str,
    device: &'static str,
    cause: libbpf_rs::Error,
}

/// From now on the kernel forwards by these two devices, given by their numbers, whenever `sockets`
/// (the card's map of workers' sockets) has none for the card's first queue. Programs of an earlier
/// run are replaced: there is always one in place.
///
/// # Errors
/// [`HeirError`]; the first of the two may be in place.
pub fn appoint(card: u32, tap: u32, sockets: BorrowedFd<'_>) -> Result<(), HeirError> {
    let failed = |call, device| move |cause| HeirError { call, device, cause };
    let object = load(card, tap, sockets).map_err(failed("the program", "the card"))?;
    let place = |name, index, point| attach(&object, name, index, point);
    place("from_kernel", tap, TC_EGRESS).map_err(failed("the filter", "the tap"))?;
    place("from_card", card, TC_INGRESS).map_err(failed("the filter", "the card"))
}

/// The kernel forwards by these devices no more; whether it did by the card. That one of them is gone
/// is no error.
pub fn dismiss(card: u32, tap: u32) -> bool {
    quietly(|| {
        // What is not there cannot be taken off.
        let _gone = hook(tap, TC_EGRESS).detach();
        hook(card, TC_INGRESS).detach().is_ok()
    })
}

/// Take the place where filters hang from a device that has none.
pub fn clear(device: u32) {
    quietly(|| {
        let _gone = hook(device, TC_INGRESS | TC_EGRESS).destroy();
    });
}

fn load(card: u32, tap: u32, sockets: BorrowedFd<'_>) -> libbpf_rs::Result<Object> {
    room_for_descriptors().map_err(libbpf_rs::Error::from)?;
    let mut object = ObjectBuilder::default().name("heir")?.open_memory(&OBJECT.0)?;
    for mut map in object.maps_mut() {
        match map.name().to_str() {
            Some("xsks") => map.reuse_fd(sockets)?,
            Some(".rodata.devices") => {
                let devices = [card.to_ne_bytes(), tap.to_ne_bytes()].concat();
                map.set_initial_value(&devices)?;
            }
            _ => {}
        }
    }
    object.load()
}

fn attach(
    object: &Object,
    name: &str,
    device: u32,
    point: bpf_tc_attach_point,
) -> libbpf_rs::Result<()> {
    let program = object.progs().find(|program| program.name() == name);
    let program = program.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let mut hook = hook_with(program.as_fd(), device, point);
    quietly(|| hook.create())?;
    hook.attach().map(drop)
}

/// For what needs no program.
fn hook(device: u32, point: bpf_tc_attach_point) -> TcHook {
    hook_with(io::stdin().as_fd(), device, point)
}

fn hook_with(program: BorrowedFd<'_>, device: u32, point: bpf_tc_attach_point) -> TcHook {
    let mut hook = TcHook::new(program);
    hook.ifindex(i32::try_from(device).unwrap_or_default()).attach_point(point);
    hook.handle(HANDLE).priority(PRIORITY).replace(true);
    hook
}

/// Without what libbpf writes to the standard error, where an error says nothing new.
fn quietly<T>(call: impl FnOnce() -> T) -> T {
    let before = get_print();
    set_print(None);
    let outcome = call();
    set_print(before);
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::xdp::tests::program;
    use super::*;

    #[test]
    fn the_kernel_takes_the_programs() {
        let program = program();
        assert!(load(1, 2, program.sockets()).unwrap().progs().count() == 2);
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let program = program();
        let error = appoint(1, u32::MAX >> 1, program.sockets()).unwrap_err().to_string();
        assert!(error.contains("the filter of the tap"), "{error}");
        assert!(!dismiss(u32::MAX >> 1, u32::MAX >> 1));
    }
}
