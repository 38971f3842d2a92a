//! `/chosen`: the modules that the boot loader put into memory, and the guest that each belongs to.
//!
//! Modules and guests are described as for Xen's dom0less boot (Xen, docs/misc/arm/device-tree/booting.txt), so that a
//! tree made for Xen reserves the same memory here.

use super::facts::Facts;
use super::guests::{self, GUEST, ModuleKind, SHARED_MEMORY};
use super::node::{self, cell_bytes, is_compatible, number, ranges, text};
use super::owned::{Owned, Owner};
use super::parts::ModuleRole;
use super::refusal::FactsError;
use super::warning::TreeWarning;
use alloc::string::String;
use alloc::{format, vec};
use fdt::node::{CellSizes, FdtNode};

/// Path of the node, right below which the guests are.
const CHOSEN: &str = "/chosen";

/// Adds what `/chosen` says to `facts`.
pub(super) fn read<'a>(chosen: FdtNode<'_, 'a>, facts: &mut Facts<'a>) -> Result<(), FactsError> {
    facts.initrd(chosen);
    facts.read_pools(chosen)?;
    // A list of nodes to enter instead of a recursion: the depth costs no stack.
    let mut pending = vec![(chosen, String::from(CHOSEN))];
    while let Some((parent, above)) = pending.pop() {
        let bus = parent.cell_sizes();
        for child in parent.children() {
            let path = format!("{above}/{}", child.name);
            if ModuleKind::of(child).is_some() {
                module(child, bus, &path, facts)?;
                continue;
            }
            if is_compatible(child, &SHARED_MEMORY) {
                shared_memory(child, bus, &path, facts)?;
            }
            if is_compatible(child, &GUEST) {
                facts.reservations.extend(guests::static_memory(child, bus, &path)?.unwrap_or_default());
                match above.as_str() {
                    CHOSEN => facts.guests.extend(guests::read(child, bus, &path, &facts.pools, &mut facts.warnings)?),
                    _ => facts.warnings.push(TreeWarning::GuestPlace { node: path.clone() }),
                }
            }
            pending.push((child, path));
        }
    }
    if node::value(chosen, "xen,static-heap").is_some() {
        facts.warnings.push(TreeWarning::StaticHeap);
    }
    let dom0 = dom0(chosen);
    facts.warnings.extend(dom0.map(|kernel| TreeWarning::Dom0 { module: format!("{CHOSEN}/{}", kernel.name) }));
    bootargs(chosen, dom0, facts);
    Ok(())
}

impl Facts<'_> {
    /// Nobody here uses the initrd of a tree that was made for Linux, so whatever is wrong with it costs only itself. Loaders
    /// write 0 and 0 where there is none.
    fn initrd(&mut self, chosen: FdtNode<'_, '_>) {
        const START: &str = "linux,initrd-start";
        const END: &str = "linux,initrd-end";
        let address = |property: &'static str| match node::value(chosen, property) {
            None => Ok(None),
            Some(value) if matches!(value.len(), 4 | 8) => Ok(Some(number(value))),
            Some(value) => Err(TreeWarning::InitrdLength { property, bytes: value.len() }),
        };
        match (address(START), address(END)) {
            (Ok(None), Ok(None)) => {}
            (Err(warning), _) | (_, Err(warning)) => self.warnings.push(warning),
            (Ok(Some(_)), Ok(None)) => self.warnings.push(TreeWarning::InitrdHalf { property: START }),
            (Ok(None), Ok(Some(_))) => self.warnings.push(TreeWarning::InitrdHalf { property: END }),
            (Ok(Some(start)), Ok(Some(end))) => match end.checked_sub(start) {
                Some(size) => self.reserve_oddly(Owner::Initrd, start, size),
                None => self.warnings.push(TreeWarning::InitrdOrder { start, end }),
            },
        }
    }
}

/// Reserves what guests are to share, whoever they are: they cannot have it here, but others may use it.
///
/// The host's address may be left out, for Xen to choose the memory.
fn shared_memory(node: FdtNode<'_, '_>, bus: CellSizes, path: &str, facts: &mut Facts<'_>) -> Result<(), FactsError> {
    const PROPERTY: &str = "xen,shared-mem";
    let missing = || FactsError::Missing { node: path.into(), property: PROPERTY };
    let value = node::value(node, PROPERTY).ok_or_else(missing)?;
    let bad = || FactsError::SharedLength { node: path.into(), property: PROPERTY, bytes: value.len() };
    let (address, size) = cell_bytes(bus.address_cells).zip(cell_bytes(bus.size_cells)).ok_or_else(bad)?;
    if value.len() == address + size {
        let (_, size) = value.split_at(address);
        facts.warnings.push(TreeWarning::SharedAnywhere { node: path.into(), size: number(size) });
        return Ok(());
    }
    if value.len() != 2 * address + size {
        return Err(bad());
    }
    let (start, rest) = value.split_at(address);
    let (_, size) = rest.split_at(address);
    let what = Owned::new(Owner::SharedMem(path.into()), number(start), number(size))?;
    facts.warnings.push(TreeWarning::SharedMemory { what: what.clone() });
    facts.reservations.push(what);
    Ok(())
}

fn module(node: FdtNode<'_, '_>, bus: CellSizes, path: &str, facts: &mut Facts<'_>) -> Result<(), FactsError> {
    let missing = || FactsError::Missing { node: path.into(), property: "reg" };
    let reg = node.property("reg").ok_or_else(missing)?;
    for (start, size) in ranges(reg.value, bus, "reg", path)? {
        facts.reserve(Owner::Module(path.into()), start, size)?;
    }
    Ok(())
}

/// The hypervisor's command line is `xen,xen-bootargs`, else `bootargs`: unless the kernel of a dom0 has no command
/// line of its own, in which case `bootargs` is meant for it.
fn bootargs<'a>(chosen: FdtNode<'_, 'a>, dom0: Option<FdtNode<'_, 'a>>, facts: &mut Facts<'a>) {
    let has_own = |kernel: &FdtNode<'_, '_>| {
        node::value(*kernel, "bootargs").is_some() || node::value(chosen, "xen,dom0-bootargs").is_some()
    };
    for property in ["xen,xen-bootargs", "bootargs"] {
        let Some(value) = node::value(chosen, property) else {
            continue;
        };
        match (text(value), dom0.filter(|kernel| !has_own(kernel))) {
            (None, _) => facts.warnings.push(TreeWarning::NotText { property }),
            (Some(_), Some(kernel)) if property == "bootargs" => {
                facts.warnings.push(TreeWarning::ForeignBootargs { module: format!("{CHOSEN}/{}", kernel.name) });
            }
            (Some(text), _) => facts.bootargs = Some(text),
        }
        return;
    }
}

/// The kernel of Xen's dom0, which is a module right below `/chosen`. Of modules that do not say what they are, the
/// first is the kernel.
fn dom0<'b, 'a>(chosen: FdtNode<'b, 'a>) -> Option<FdtNode<'b, 'a>> {
    let first = |kind| chosen.children().find(|child| ModuleKind::of(*child) == Some(kind));
    first(ModuleKind::Told(ModuleRole::Kernel)).or_else(|| first(ModuleKind::Untold))
}
