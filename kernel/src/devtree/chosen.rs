//! `/chosen`: what the boot loader put into memory, and for whom.
//!
//! Modules and guests are described as for Xen's dom0less boot (Xen, docs/misc/arm/device-tree/booting.txt), so that a tree
//! made for Xen reserves the same memory here.

use super::facts::{Facts, FactsError, Warning};
use super::node::{is_compatible, number, ranges, text};
use super::owned::Owner;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use fdt::node::{CellSizes, FdtNode};

const MODULE: [&str; 2] = ["multiboot,module", "xen,multiboot-module"];
const KERNEL: [&str; 2] = ["multiboot,kernel", "xen,linux-zimage"];
const GUEST: [&str; 1] = ["xen,domain"];

/// What a node below `/chosen` stands for.
enum Kind {
    Guest,
    Module,
    Other,
}

impl Kind {
    fn of(node: FdtNode<'_, '_>) -> Self {
        if is_compatible(node, &MODULE) {
            Self::Module
        } else if is_compatible(node, &GUEST) {
            Self::Guest
        } else {
            Self::Other
        }
    }
}

/// Adds what `/chosen` says to `facts`.
pub(super) fn read<'a>(chosen: FdtNode<'_, 'a>, facts: &mut Facts<'a>) -> Result<(), FactsError> {
    initrd(chosen, facts)?;
    // A list of nodes to enter instead of a recursion: the depth costs no stack.
    let mut pending = vec![(chosen, String::from("/chosen"))];
    while let Some((parent, path)) = pending.pop() {
        let bus = parent.cell_sizes();
        for child in parent.children() {
            let path = format!("{path}/{}", child.name);
            match Kind::of(child) {
                Kind::Module => module(child, bus, &path, facts)?,
                Kind::Guest => {
                    static_memory(child, bus, &path, facts)?;
                    pending.push((child, path));
                }
                Kind::Other => pending.push((child, path)),
            }
        }
    }
    if chosen.property("xen,static-heap").is_some() {
        facts.warnings.push(Warning::StaticHeap);
    }
    bootargs(chosen, facts);
    Ok(())
}

fn initrd(chosen: FdtNode<'_, '_>, facts: &mut Facts<'_>) -> Result<(), FactsError> {
    const START: &str = "linux,initrd-start";
    const END: &str = "linux,initrd-end";
    let address = |property: &'static str| match chosen.property(property).map(|property| property.value) {
        None => Ok(None),
        Some(value) if matches!(value.len(), 4 | 8) => Ok(Some(number(value))),
        Some(value) => Err(FactsError::InitrdLength { property, bytes: value.len() }),
    };
    let missing = |property| Err(FactsError::Missing { node: "/chosen".into(), property });
    match (address(START)?, address(END)?) {
        (None, None) => Ok(()),
        (Some(_), None) => missing(END),
        (None, Some(_)) => missing(START),
        (Some(start), Some(end)) if start < end => facts.reserve(Owner::Initrd, start, end - start),
        (Some(start), Some(end)) => Err(FactsError::InitrdOrder { start, end }),
    }
}

fn module(node: FdtNode<'_, '_>, bus: CellSizes, path: &str, facts: &mut Facts<'_>) -> Result<(), FactsError> {
    let missing = || FactsError::Missing { node: path.into(), property: "reg" };
    let reg = node.property("reg").ok_or_else(missing)?;
    for (start, size) in ranges(reg.value, bus, "reg", path)? {
        facts.reserve(Owner::Module(path.into()), start, size)?;
    }
    Ok(())
}

fn static_memory(guest: FdtNode<'_, '_>, bus: CellSizes, path: &str, facts: &mut Facts<'_>) -> Result<(), FactsError> {
    const PROPERTY: &str = "xen,static-mem";
    if let Some(memory) = guest.property(PROPERTY) {
        for (start, size) in ranges(memory.value, bus, PROPERTY, path)? {
            facts.reserve(Owner::StaticMem(path.into()), start, size)?;
        }
    }
    Ok(())
}

/// The hypervisor's command line is `xen,xen-bootargs`, else `bootargs`: unless a kernel that is no guest's has no command
/// line of its own, in which case `bootargs` is meant for it.
fn bootargs<'a>(chosen: FdtNode<'_, 'a>, facts: &mut Facts<'a>) {
    for property in ["xen,xen-bootargs", "bootargs"] {
        let Some(value) = chosen.property(property).map(|property| property.value) else {
            continue;
        };
        match (text(value), kernel_without_bootargs(chosen)) {
            (None, _) => facts.warnings.push(Warning::NotText { property }),
            (Some(_), Some(kernel)) if property == "bootargs" => {
                facts.warnings.push(Warning::ForeignBootargs { module: format!("/chosen/{}", kernel.name) });
            }
            (Some(text), _) => facts.bootargs = Some(text),
        }
        return;
    }
}

/// The kernel module right below `/chosen`, if `bootargs` is its command line. Of modules that do not say what they are,
/// the first is the kernel.
fn kernel_without_bootargs<'b, 'a>(chosen: FdtNode<'b, 'a>) -> Option<FdtNode<'b, 'a>> {
    let modules = || chosen.children().filter(|child| is_compatible(*child, &MODULE));
    let says_nothing = |module: &FdtNode<'_, '_>| {
        module.compatible().is_some_and(|compatible| compatible.all().all(|name| MODULE.contains(&name)))
    };
    let kernel = modules().find(|module| is_compatible(*module, &KERNEL)).or_else(|| modules().find(says_nothing))?;
    let has_own = kernel.property("bootargs").is_some() || chosen.property("xen,dom0-bootargs").is_some();
    (!has_own).then_some(kernel)
}
