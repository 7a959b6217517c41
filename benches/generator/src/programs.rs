//! The XDP programs: their constants before they are loaded, their counters afterwards.

use std::ptr;

use anyhow::{Context, Result};
use libbpf_rs::ProgramMut;

use crate::frame::Template;
use crate::skeleton::types::{bss as Counters, rodata as Constants};
use crate::skeleton::{OpenTrafficSkel, TrafficSkel};

/// What is loaded: one program of the four.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    Sender { is_ipv6: bool },
    Sink { is_ipv6: bool },
}

/// What both programs know of the frames.
pub fn write(open: &mut OpenTrafficSkel<'_>, template: &Template, role: Role) -> Result<()> {
    let constants = constants(open)?;
    constants.header = Template::words(&template.octets);
    constants.constant = Template::words(&template.constant);
    constants.longest = template.octets.len() as u32;
    constants.shape_count = template.shapes.len() as u32;
    constants.shapes[..template.shapes.len()].copy_from_slice(&template.shapes);
    let programs = &mut open.progs;
    programs.generate4.set_autoload(matches!(role, Role::Sender { is_ipv6: false }));
    programs.generate6.set_autoload(matches!(role, Role::Sender { is_ipv6: true }));
    programs.count4.set_autoload(matches!(role, Role::Sink { is_ipv6: false }));
    programs.count6.set_autoload(matches!(role, Role::Sink { is_ipv6: true }));
    Ok(())
}

pub fn constants<'a>(open: &'a mut OpenTrafficSkel<'_>) -> Result<&'a mut Constants> {
    open.maps.rodata_data.as_deref_mut().context("the programs have constants")
}

pub fn program<'a>(loaded: &'a TrafficSkel<'_>, role: Role) -> &'a ProgramMut<'a> {
    match role {
        Role::Sender { is_ipv6: false } => &loaded.progs.generate4,
        Role::Sender { is_ipv6: true } => &loaded.progs.generate6,
        Role::Sink { is_ipv6: false } => &loaded.progs.count4,
        Role::Sink { is_ipv6: true } => &loaded.progs.count6,
    }
}

/// The memory of both programs' counters.
pub fn counters<'a>(mapped: &'a Option<&mut Counters>) -> Result<&'a Counters> {
    mapped.as_deref().context("the counters are not mapped")
}

/// A counter that an XDP program writes meanwhile.
pub fn read<T: Copy>(counter: &T) -> T {
    // SAFETY: a reference is valid to read from; volatile, since it changes behind our back.
    unsafe { ptr::read_volatile(counter) }
}
