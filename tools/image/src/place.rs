//! Whether an image can be where a board loads it.

use crate::elf::{Elf, Segment};
use lacuna::base::addr::{PAGE_SIZE, PhysAddr, Span};
use lacuna::devtree::{Blob, BlobError, Owned, Owner};
use lacuna::inventory::{Inventory, InventoryError, Paper};
use lacuna::memory_map::{MemoryMapError, MemoryWarning, PhysLimit};
use std::ops::Range;

/// The linker script's names for the places where access rights change.
const BOUNDARIES: [&str; 10] = [
    "__image_start",
    "__text_end",
    "__rodata_end",
    "__data_end",
    "__stack_bottom",
    "__stack_top",
    "__fault_stack_bottom",
    "__fault_stack_top",
    "__early_pool_start",
    "__early_pool_end",
];

/// Why an image cannot be at an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    #[error("load address {0:#x} is off a page boundary")]
    Base(u64),
    #[error("{name} at {address:#x} is off a page boundary, where no access rights can change")]
    Boundary { name: &'static str, address: u64 },
    #[error("the image names no {0}, where access rights change")]
    NoBoundary(&'static str),
    #[error("segment [{:#x}, {:#x}) at {base:#x} reaches past the end of the address space", .segment.start, .segment.end)]
    PastTheEnd { segment: Range<u64>, base: u64 },
    #[error("device tree of the board: {0}")]
    Tree(#[from] BlobError),
    #[error("device tree of the board: {0}")]
    Inventory(#[from] InventoryError),
}

/// Checks that access rights can change where those of `elf` do, once it is at `base`.
///
/// An MPU region could start and end at any multiple of 64 bytes (PMSAv8-64), but pages are what everything else deals in.
pub fn check_boundaries(elf: &Elf, base: u64) -> Result<(), PlaceError> {
    if !base.is_multiple_of(PAGE_SIZE) {
        return Err(PlaceError::Base(base));
    }
    for name in BOUNDARIES {
        let address = elf.symbol(name).ok_or(PlaceError::NoBoundary(name))?;
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PlaceError::Boundary { name, address });
        }
    }
    Ok(())
}

/// Checks that all memory of `segments`, once they are at `base`, is RAM by the board's device `tree`, and nobody else's.
pub fn check_memory(segments: &[Segment], base: u64, tree: &[u8]) -> Result<(), PlaceError> {
    let blob = Blob::check(tree)?;
    let mut occupied = Vec::new();
    for Segment { memory, .. } in segments {
        let span = memory.start.checked_add(base).map(PhysAddr::new);
        let span = span.and_then(|start| Span::sized(start, memory.end - memory.start));
        let span = span.ok_or_else(|| PlaceError::PastTheEnd { segment: memory.clone(), base })?;
        occupied.push(Owned { owner: Owner::Image, span });
    }
    let map = Inventory::take(&blob, &mut Paper { limit: PhysLimit::WIDEST, occupied })?.memory;
    // The image boots in a reservation, too, with a warning. A place that somebody chooses should be no such.
    for warning in map.warnings() {
        if let MemoryWarning::Overlap { first, second } = warning
            && [first, second].iter().any(|owned| owned.owner == Owner::Image)
        {
            return Err(
                InventoryError::from(MemoryMapError::Overlap { first: first.clone(), second: second.clone() }).into()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BOUNDARIES, PlaceError, check_boundaries, check_memory};
    use crate::elf::{Access, Elf, Segment, Symbol, SymbolKind};
    use vm_fdt::FdtWriter;

    const MIB: u64 = 1 << 20;

    fn segment(memory: std::ops::Range<u64>) -> Segment {
        Segment { memory, file: 0..0, access: Access::Read }
    }

    fn elf(odd: Option<(&'static str, u64)>) -> Elf<'static> {
        let symbol = |name| {
            let address = odd.filter(|(odd, _)| *odd == name).map_or(0x3000, |(_, address)| address);
            Symbol { name, address, kind: SymbolKind::Label }
        };
        Elf {
            bytes: &[],
            entry: 0,
            segments: vec![segment(0..0x1000)],
            symbols: BOUNDARIES.map(symbol).to_vec(),
            relocations: vec![],
            foreign_relocations: vec![],
        }
    }

    /// RAM of `ram` bytes at 0, of which the first MiB is reserved.
    fn tree(ram: u32) -> Vec<u8> {
        let write = || {
            let mut fdt = FdtWriter::new()?;
            let root = fdt.begin_node("")?;
            let cells = |fdt: &mut FdtWriter| {
                fdt.property_u32("#address-cells", 1)?;
                fdt.property_u32("#size-cells", 1)
            };
            cells(&mut fdt)?;
            let memory = fdt.begin_node("memory@0")?;
            fdt.property_string("device_type", "memory")?;
            fdt.property_array_u32("reg", &[0, ram])?;
            fdt.end_node(memory)?;
            let reserved = fdt.begin_node("reserved-memory")?;
            cells(&mut fdt)?;
            let guard = fdt.begin_node("guard@0")?;
            fdt.property_array_u32("reg", &[0, MIB as u32])?;
            fdt.end_node(guard)?;
            fdt.end_node(reserved)?;
            fdt.end_node(root)?;
            fdt.finish()
        };
        write().expect("names and values are legal")
    }

    fn at(base: u64) -> Result<(), String> {
        let segments = [segment(0..0x2000), segment(0x2000..0x1_0000)];
        check_memory(&segments, base, &tree(16 << 20)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_image_in_free_ram_is_accepted() {
        assert_eq!(at(MIB), Ok(()));
        assert_eq!(at(16 * MIB - 0x1_0000), Ok(()));
    }

    #[test]
    fn a_segment_outside_ram_or_in_the_memory_of_others_is_refused_by_name() {
        let prefix = "device tree of the board: ";
        assert_eq!(at(16 * MIB - 0x8000), Err(format!("{prefix}image [0xffa000, 0x1008000) lies outside RAM")));
        assert_eq!(
            at(MIB - 0x1000),
            Err(format!(
                "{prefix}image [0xff000, 0x101000) overlaps reserved-memory /reserved-memory/guard@0 [0x0, 0x100000)"
            ))
        );
    }

    #[test]
    fn a_segment_that_wraps_is_refused() {
        let end = "reaches past the end of the address space";
        assert_eq!(at(u64::MAX - 0xfff), Err(format!("segment [0x0, 0x2000) at 0xfffffffffffff000 {end}")));
        assert_eq!(at(u64::MAX - 0x3fff), Err(format!("segment [0x2000, 0x10000) at 0xffffffffffffc000 {end}")));
    }

    #[test]
    fn a_boundary_inside_a_page_is_refused_by_name() {
        assert_eq!(check_boundaries(&elf(None), 0x20_0000), Ok(()));
        assert_eq!(check_boundaries(&elf(None), 0x20_0040), Err(PlaceError::Base(0x20_0040)));
        for name in BOUNDARIES {
            let address = 0x3040;
            let refused = check_boundaries(&elf(Some((name, address))), 0x20_0000);
            assert_eq!(refused, Err(PlaceError::Boundary { name, address }));
        }
        let nameless = Elf { symbols: vec![], ..elf(None) };
        assert_eq!(check_boundaries(&nameless, 0), Err(PlaceError::NoBoundary("__image_start")));
    }
}
