//! The places of a guest's kernel, device tree and ramdisk in its RAM.
//!
//! The kernel goes where RAM starts, the tree 128 MiB above it and the ramdisk 2 MiB above the tree, as under Xen:
//! addresses known from other machines make logs easier to read. An obstacle in one of these places moves the tree and
//! the ramdisk elsewhere, never the kernel.
//!
//! The tree always gets its maximum size of 2 MiB. So the places do not depend on its size, and the tree, which
//! contains the ramdisk's place, can be written once they are known.
//!
//! Relies on: banks that are disjoint ([`GuestMap`](crate::guest::map::GuestMap) sees to it). The rules are Linux's
//! (Documentation/arch/arm64/booting.rst): the kernel `text_offset` bytes above a multiple of 2 MiB with `image_size`
//! bytes of its own; the tree inside 2 MiB; the ramdisk, with the kernel, inside 32 GiB.

use crate::base::addr::{Bytes, GuestAddr, PAGE_SIZE};
use crate::devtree;
use crate::guest::layout::{HalfOpen, size};
use alloc::vec::Vec;
use core::ops::Range;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Bytes kept for the device tree, and what it and the kernel's base are aligned to.
pub const TREE_BYTES: u64 = 2 << 20;

// The largest tree that anybody can write or read.
const _: () = assert!(devtree::MAX_SIZE as u64 <= TREE_BYTES);

/// What the kernel's base is aligned to, before `text_offset` is added.
const KERNEL_ALIGN: u64 = 2 << 20;

/// How far above the start of RAM Xen puts the device tree.
const TREE_OFFSET: u64 = 128 << 20;

/// The ramdisk and the kernel must fit into a window of this size, which starts on a multiple of [`WINDOW_ALIGN`].
const WINDOW_BYTES: u64 = 32 << 30;
const WINDOW_ALIGN: u64 = 1 << 30;

/// What has to be placed. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// How far above a multiple of 2 MiB the kernel wants to start.
    pub text_offset: u64,
    /// Memory of the kernel, what it needs beyond its file included.
    pub kernel: u64,
    /// Size of the ramdisk, if there is one.
    pub ramdisk: Option<u64>,
}

/// Where everything goes. The ranges are disjoint, and each lies in one bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The kernel, to the byte; the first byte is also its entry.
    pub kernel: Range<GuestAddr>,
    /// Room for the device tree: [`TREE_BYTES`], aligned to as many.
    pub tree: Range<GuestAddr>,
    /// The ramdisk, to the byte, in pages of its own.
    pub ramdisk: Option<Range<GuestAddr>>,
}

/// What does not fit into a guest's RAM.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum PlacementError {
    #[error(
        "kernel of {} at text_offset {text_offset:#x} does not fit into {} of RAM, the largest bank of which has {}",
        Bytes(*kernel), Bytes(*ram), Bytes(*largest)
    )]
    Kernel { kernel: u64, text_offset: u64, ram: u64, largest: u64 },
    #[error(
        "device tree of up to {} does not fit into {} of RAM beside kernel {}",
        Bytes(TREE_BYTES), Bytes(*ram), HalfOpen(kernel)
    )]
    Tree { ram: u64, kernel: Range<GuestAddr> },
    #[error(
        "ramdisk of {} does not fit into {} of RAM beside kernel {} and a device tree of up to {}",
        Bytes(*ramdisk), Bytes(*ram), HalfOpen(kernel), Bytes(TREE_BYTES)
    )]
    Ramdisk { ramdisk: u64, ram: u64, kernel: Range<GuestAddr> },
    #[error(
        "ramdisk of {} fits into {} of RAM only farther from kernel {} than the {} that Linux allows",
        Bytes(*ramdisk), Bytes(*ram), HalfOpen(kernel), Bytes(WINDOW_BYTES)
    )]
    Far { ramdisk: u64, ram: u64, kernel: Range<GuestAddr> },
}

impl Placement {
    /// Places everything into `banks`.
    pub fn new(banks: &[Range<GuestAddr>], needs: &Needs) -> Result<Self, PlacementError> {
        let ram = banks.iter().map(size).fold(0, u64::saturating_add);
        let Some((bank, kernel)) = banks.iter().find_map(|bank| Some((bank, kernel_in(bank, needs)?))) else {
            let largest = banks.iter().map(size).max().unwrap_or_default();
            let Needs { text_offset, kernel, .. } = *needs;
            return Err(PlacementError::Kernel { kernel, text_offset, ram, largest });
        };
        let (tree, ramdisk) = match needs.ramdisk {
            None => (beside(bank, &kernel, 0).or_else(|| free_tree(banks, &kernel)), None),
            Some(ramdisk) => {
                let pair = beside(bank, &kernel, ramdisk)
                    .and_then(|tree| Some((sized(tree.end, ramdisk)?, tree)))
                    .filter(|(ramdisk, _)| is_near(&kernel, ramdisk))
                    .or_else(|| apart(banks, &kernel, ramdisk, is_near));
                match pair {
                    Some((range, tree)) => (Some(tree), Some(range)),
                    None if free_tree(banks, &kernel).is_none() => (None, None),
                    None if apart(banks, &kernel, ramdisk, |_, _| true).is_some() => {
                        return Err(PlacementError::Far { ramdisk, ram, kernel });
                    }
                    None => return Err(PlacementError::Ramdisk { ramdisk, ram, kernel }),
                }
            }
        };
        match tree {
            Some(tree) => Ok(Self { kernel, tree, ramdisk }),
            None => Err(PlacementError::Tree { ram, kernel }),
        }
    }
}

/// The kernel at the start of `bank`, if it fits.
fn kernel_in(bank: &Range<GuestAddr>, needs: &Needs) -> Option<Range<GuestAddr>> {
    let start = bank.start.align_up(KERNEL_ALIGN)?.checked_add(needs.text_offset)?;
    inside(bank, sized(start, needs.kernel)?)
}

/// The tree in `bank`, with room for the ramdisk behind it: 128 MiB above the start of the bank, else as high as possible,
/// both as under Xen, else right above the kernel.
fn beside(bank: &Range<GuestAddr>, kernel: &Range<GuestAddr>, ramdisk: u64) -> Option<Range<GuestAddr>> {
    let both = TREE_BYTES.checked_add(ramdisk)?.checked_next_multiple_of(TREE_BYTES)?;
    let gap = kernel.end..bank.end;
    let usual = bank.start.align_up(KERNEL_ALIGN)?.checked_add(TREE_OFFSET)?;
    let usual = sized(usual, both).and_then(|range| inside(&gap, range));
    let [top, bottom] = ends(&gap, both, TREE_BYTES);
    let near = |range: &Range<GuestAddr>| is_near(kernel, range);
    let place = [usual, top, bottom].into_iter().flatten().find(near)?;
    sized(place.start, TREE_BYTES)
}

/// The tree in any bank, next to something else or to a bank's end, so that it leaves the largest gaps.
fn trees<'a>(banks: &'a [Range<GuestAddr>], kernel: &'a Range<GuestAddr>) -> impl Iterator<Item = Range<GuestAddr>> {
    gaps(banks, &[kernel]).into_iter().flat_map(|gap| ends(&gap, TREE_BYTES, TREE_BYTES)).flatten()
}

fn free_tree(banks: &[Range<GuestAddr>], kernel: &Range<GuestAddr>) -> Option<Range<GuestAddr>> {
    trees(banks, kernel).next()
}

/// The ramdisk and the tree, each anywhere, such that `allows` allows the kernel and the ramdisk where they are.
fn apart(
    banks: &[Range<GuestAddr>],
    kernel: &Range<GuestAddr>,
    ramdisk: u64,
    allows: impl Fn(&Range<GuestAddr>, &Range<GuestAddr>) -> bool,
) -> Option<(Range<GuestAddr>, Range<GuestAddr>)> {
    let pages = ramdisk.checked_next_multiple_of(PAGE_SIZE)?;
    trees(banks, kernel).find_map(|tree| {
        let gaps = gaps(banks, &[kernel, &tree]);
        let mut places = gaps.iter().flat_map(|gap| ends(gap, pages, PAGE_SIZE)).flatten();
        let place = places.find(|range| allows(kernel, range))?;
        Some((sized(place.start, ramdisk)?, tree))
    })
}

/// Whether the ramdisk is within the window around the kernel that Linux requires.
fn is_near(kernel: &Range<GuestAddr>, ramdisk: &Range<GuestAddr>) -> bool {
    let start = kernel.start.min(ramdisk.start).align_down(WINDOW_ALIGN);
    let end = kernel.end.max(ramdisk.end);
    size(&(start..end)) <= WINDOW_BYTES
}

/// What of `banks` is left without the ranges `taken`.
fn gaps(banks: &[Range<GuestAddr>], taken: &[&Range<GuestAddr>]) -> Vec<Range<GuestAddr>> {
    let mut gaps = banks.to_vec();
    for taken in taken {
        let rest = |gap: Range<GuestAddr>| {
            [gap.start..gap.end.min(taken.start), gap.start.max(taken.end)..gap.end]
                .into_iter()
                .filter(|gap| size(gap) > 0)
        };
        gaps = gaps.into_iter().flat_map(rest).collect();
    }
    gaps
}

/// The highest and the lowest `bytes` bytes of `gap` that start on a multiple of `align`.
fn ends(gap: &Range<GuestAddr>, bytes: u64, align: u64) -> [Option<Range<GuestAddr>>; 2] {
    let top = gap.end.offset_from(GuestAddr::new(bytes)).map(|start| GuestAddr::new(start).align_down(align));
    let places = [top, gap.start.align_up(align)];
    places.map(|start| inside(gap, sized(start?, bytes)?))
}

/// `range`, if it lies in `gap`.
fn inside(gap: &Range<GuestAddr>, range: Range<GuestAddr>) -> Option<Range<GuestAddr>> {
    (gap.start <= range.start && range.end <= gap.end).then_some(range)
}

/// The `bytes` bytes from `start`, unless they reach past the end of the address space.
fn sized(start: GuestAddr, bytes: u64) -> Option<Range<GuestAddr>> {
    Some(start..start.checked_add(bytes)?)
}
