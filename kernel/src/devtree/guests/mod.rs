//! Guests: children of `/chosen` that are compatible with `xen,domain`, as for Xen's dom0less boot.
//!
//! A tree made for Xen starts the same guests here, or is refused (Xen, docs/misc/arm/device-tree/booting.txt). A
//! required resource that a guest cannot get is an error; a property that makes no difference to it, and an unknown
//! property, is a warning. The memory map checks that memory of guests and of modules is RAM and has no other owner: it
//! has this memory as reservations.

mod meaning;
mod modules;
mod placement;

pub(super) use modules::ModuleKind;

use super::node::{self, is_okay, number, ranges};
use super::owned::{Owned, Owner};
use super::parts::{Backing, CpuPool, Guest, GuestAddresses, GuestStart, GuestUart, RestartPolicy, Unmapped};
use super::refusal::{FactsError, GuestNodeError};
use super::warning::TreeWarning;
use crate::base::addr::{PAGE_SIZE, Span};
use crate::base::id::MAX_VCPUS;
use crate::base::interrupt::MAX_SPIS;
use alloc::vec::Vec;
use fdt::node::{CellSizes, FdtNode};
use meaning::Meaning;
use modules::Modules;

/// What a guest's node is compatible with.
pub(super) const GUEST: [&str; 1] = ["xen,domain"];

/// What a node of memory that guests share is compatible with.
pub(super) const SHARED_MEMORY: [&str; 1] = ["xen,domain-shared-memory-v1"];

/// The guest that `node` describes, a child of `/chosen`, whose cells `chosen` has. A guest that is disabled and cannot be
/// had is `None`.
pub(super) fn read(
    node: FdtNode<'_, '_>,
    chosen: CellSizes,
    path: &str,
    pools: &[CpuPool],
    warnings: &mut Vec<TreeWarning>,
) -> Result<Option<Guest>, FactsError> {
    if is_okay(node::value(node, "status")) {
        return read_as(GuestStart::AtBoot, node, chosen, path, pools, warnings).map(Some);
    }
    match read_as(GuestStart::AtThePrompt, node, chosen, path, pools, warnings) {
        Ok(guest) => {
            warnings.push(TreeWarning::GuestDisabled { node: path.into() });
            Ok(Some(guest))
        }
        Err(error) => {
            warnings.push(TreeWarning::LeftOut { error });
            Ok(None)
        }
    }
}

fn read_as(
    start: GuestStart,
    node: FdtNode<'_, '_>,
    chosen: CellSizes,
    path: &str,
    pools: &[CpuPool],
    warnings: &mut Vec<TreeWarning>,
) -> Result<Guest, FactsError> {
    check_properties(node, path, warnings)?;
    let modules = Modules::read(node, path, warnings)?;
    let memory = memory(node, path)?;
    let cpus = cpus(node, path, warnings)?;
    Ok(Guest {
        node: path.into(),
        name: node.name.into(),
        start,
        cpus,
        affinities: placement::affinities(node, path, cpus, warnings)?,
        pool: placement::pool(node, path, pools)?,
        memory,
        uart: node::value(node, "vpl011").map_or(GuestUart::None, |_| GuestUart::Pl011),
        spis: spis(node, path)?,
        backing: backing(node, chosen, path, memory)?,
        restart: restart(node, path)?,
        restart_limit: cell(node, path, "lacuna,restart-limit")?,
        unmapped: unmapped(node, path)?,
        kernel: modules.kernel.ok_or_else(|| GuestNodeError::NoKernel { node: path.into() })?,
        ramdisk: modules.ramdisk,
        device_tree: modules.device_tree,
    })
}

/// Refuses or names what is not read.
fn check_properties(node: FdtNode<'_, '_>, path: &str, warnings: &mut Vec<TreeWarning>) -> Result<(), GuestNodeError> {
    for property in node.properties() {
        let (node, name) = (path.into(), property.name.into());
        match meaning::of_property(property.name, property.value) {
            Meaning::Known => {}
            Meaning::Ignored(why) => warnings.push(TreeWarning::Ignored { node, property: name, why }),
            Meaning::Unknown => warnings.push(TreeWarning::UnknownProperty { node, property: name }),
            Meaning::Unsupported(why) => return Err(GuestNodeError::Unsupported { node, property: name, why }),
        }
    }
    Ok(())
}

/// The number of one cell in a property, if there is one.
fn cell(node: FdtNode<'_, '_>, path: &str, property: &'static str) -> Result<Option<u32>, GuestNodeError> {
    let Some(value) = node::value(node, property) else {
        return Ok(None);
    };
    let bad = |_| GuestNodeError::Length { node: path.into(), property, bytes: value.len(), legal: "4" };
    value.try_into().map(|cell| Some(u32::from_be_bytes(cell))).map_err(bad)
}

/// RAM in bytes; the tree has it in KiB.
fn memory(node: FdtNode<'_, '_>, path: &str) -> Result<u64, FactsError> {
    const PROPERTY: &str = "memory";
    let missing = || FactsError::Missing { node: path.into(), property: PROPERTY };
    let value = node::value(node, PROPERTY).ok_or_else(missing)?;
    if !matches!(value.len(), 4 | 8) {
        let (bytes, legal) = (value.len(), "4 or 8");
        return Err(GuestNodeError::Length { node: path.into(), property: PROPERTY, bytes, legal }.into());
    }
    let kib = number(value);
    let bytes = kib.checked_mul(1 << 10).filter(|bytes| *bytes > 0 && bytes.is_multiple_of(PAGE_SIZE));
    Ok(bytes.ok_or_else(|| GuestNodeError::Memory { node: path.into(), kib })?)
}

fn cpus(node: FdtNode<'_, '_>, path: &str, warnings: &mut Vec<TreeWarning>) -> Result<u32, GuestNodeError> {
    match cell(node, path, "cpus")? {
        Some(cpus) if (1..=MAX_VCPUS).contains(&cpus) => Ok(cpus),
        Some(cpus) => Err(GuestNodeError::Cpus { node: path.into(), cpus }),
        None => {
            warnings.push(TreeWarning::NoCpus { node: path.into() });
            Ok(1)
        }
    }
}

fn restart(node: FdtNode<'_, '_>, path: &str) -> Result<RestartPolicy, GuestNodeError> {
    let Some(value) = node::value(node, "lacuna,restart") else { return Ok(RestartPolicy::default()) };
    match node::text(value) {
        Some("never") => Ok(RestartPolicy::Never),
        Some("on-failure") => Ok(RestartPolicy::OnFailure),
        Some("always") => Ok(RestartPolicy::Always),
        other => Err(GuestNodeError::Restart { node: path.into(), value: other.unwrap_or_default().into() }),
    }
}

fn spis(node: FdtNode<'_, '_>, path: &str) -> Result<Option<u32>, GuestNodeError> {
    match cell(node, path, "nr_spis")? {
        Some(spis) if spis > MAX_SPIS => Err(GuestNodeError::Spis { node: path.into(), spis }),
        spis => Ok(spis),
    }
}

fn unmapped(node: FdtNode<'_, '_>, path: &str) -> Result<Unmapped, GuestNodeError> {
    match cell(node, path, "trap-unmapped-accesses")? {
        None | Some(1) => Ok(Unmapped::Trap),
        Some(0) => Ok(Unmapped::ReadAsOnes),
        Some(value) => Err(GuestNodeError::Unmapped { node: path.into(), value }),
    }
}

/// Where the guest's `memory` bytes come from.
fn backing(node: FdtNode<'_, '_>, chosen: CellSizes, path: &str, memory: u64) -> Result<Backing, FactsError> {
    let placement = node::value(node, "direct-map").map_or(GuestAddresses::Usual, |_| GuestAddresses::Direct);
    let Some(ranges) = static_memory(node, chosen, path)? else {
        return match placement {
            GuestAddresses::Usual => Ok(Backing::Allocated),
            GuestAddresses::Direct => Err(GuestNodeError::DirectMap { node: path.into() }.into()),
        };
    };
    let ranges: Vec<Span> = ranges.into_iter().map(|owned| owned.span).collect();
    let is_aligned = |span: &&Span| span.start.is_aligned(PAGE_SIZE) && span.end.is_aligned(PAGE_SIZE);
    if let Some(&span) = ranges.iter().find(|span| !is_aligned(span)) {
        return Err(GuestNodeError::StaticUnaligned { node: path.into(), span }.into());
    }
    // No sum of whole pages is the highest number, so a saturated one is never right.
    let given = ranges.iter().map(Span::bytes).fold(0, u64::saturating_add);
    if given != memory {
        return Err(GuestNodeError::StaticSum { node: path.into(), given, memory }.into());
    }
    Ok(Backing::Static { ranges, placement })
}

/// The host memory that `guest` has to itself, if it has `xen,static-mem`.
pub(super) fn static_memory(
    guest: FdtNode<'_, '_>,
    bus: CellSizes,
    path: &str,
) -> Result<Option<Vec<Owned>>, FactsError> {
    const PROPERTY: &str = "xen,static-mem";
    let Some(memory) = guest.property(PROPERTY) else {
        return Ok(None);
    };
    let owned = |(start, size)| Owned::new(Owner::StaticMem(path.into()), start, size);
    let bus = static_cells(guest, path)?.unwrap_or(bus);
    ranges(memory.value, bus, PROPERTY, path)?.map(owned).collect::<Result<_, _>>().map(Some)
}

/// The cells of `xen,static-mem` if the guest's node says them, as trees for Xen up to 4.16 do. One alone is as good as a
/// count of no cells for the other, as it is there.
fn static_cells(guest: FdtNode<'_, '_>, path: &str) -> Result<Option<CellSizes>, GuestNodeError> {
    let address = cell(guest, path, "#xen,static-mem-address-cells")?;
    let size = cell(guest, path, "#xen,static-mem-size-cells")?;
    let count = |cells: Option<u32>| cells.unwrap_or_default() as usize;
    Ok(address.or(size).map(|_| CellSizes { address_cells: count(address), size_cells: count(size) }))
}
