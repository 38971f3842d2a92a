//! RAM that the device tree names and the machine lacks.
//!
//! Firmware written for the larger sibling of a board, or a tree made for another machine, names such RAM: it is found
//! before it is used, and left out. A bank is probed in its free ranges, at both ends of each and at steps in between.
//! The bank ends at the first frame that does not answer. Owned memory is not probed, for EL2 may not be allowed to
//! touch it; it is left out together with the free memory behind it.
//!
//! Small RAM may also answer a second time where larger RAM would continue. So the probe writes to a bank's first free
//! frame, and checks whether the value appears at a power of two above it.
//!
//! Pure: the accesses are a [`Probe`]'s.

use super::MemoryMap;
use crate::base::addr::{Mfn, PAGE_SHIFT, PAGE_SIZE, PhysAddr, Span};
use crate::devtree::{Owned, Owner};
use alloc::vec::Vec;
use core::ops::Range;

/// Frames between any two places inside a free range that are tried. An emulator may have to make a huge page for each.
const STEP: u64 = (256 << 20) >> PAGE_SHIFT;

/// log2 of the least RAM, in frames, that could answer twice.
const LEAST_MIRROR: u32 = (1_u64 << 20 >> PAGE_SHIFT).ilog2();

/// Tries free memory.
pub trait Probe {
    /// Whether there is memory at `mfn`.
    fn answers(&mut self, mfn: Mfn) -> bool;

    /// Whether there is something to be read at `mfn`, which somebody may own.
    fn reads(&mut self, mfn: Mfn) -> bool;

    /// Whether a change of the memory at `of` is seen at `mfn`; both answer.
    fn mirrors(&mut self, mfn: Mfn, of: Mfn) -> bool;
}

/// The end of a bank, which is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Frames up to the end of the bank, and of those that touch it.
    pub frames: Range<Mfn>,
    /// What answers there, if something does.
    pub mirror_of: Option<Mfn>,
}

/// What of the RAM of `map` is not there, in ascending order.
pub fn find(map: &MemoryMap, probe: &mut dyn Probe) -> Vec<Absent> {
    // Where each bank ends, and whose mirror that is: what mirrors a lower bank is found with that one.
    let mut ends: Vec<(Mfn, Option<Mfn>)> = map.banks.iter().map(|bank| (bank.end, None)).collect();
    for (index, bank) in map.banks.iter().enumerate() {
        let first = free_in(map, &(bank.start..ends[index].0)).next().map(|free| free.start);
        if let Some(first) = first.filter(|first| probe.answers(*first))
            && let Some(there) = first_mirror(map, first, probe)
        {
            let other = map.banks.partition_point(|bank| bank.end <= there);
            // Where the mirror of this bank's start is, or the other bank's start if that is in the middle of one.
            let offset = first.get() - bank.start.get();
            let start = there.checked_sub(offset).unwrap_or(there).max(map.banks[other].start);
            if start < ends[other].0 {
                ends[other] = (start, Some(bank.start));
            }
        }
        let there = bank.start..ends[index].0;
        let mut good = bank.start;
        for free in free_in(map, &there) {
            if let Some(silent) = first_silent(&free, probe) {
                // What is owned right below was not tried, and is not there either if it lies behind the last that answered.
                let end = if silent == free.start { last_known(map, &(good..silent)) } else { silent };
                ends[index] = (end, None);
                break;
            }
            good = free.end;
        }
    }
    let is_cut = |(bank, (end, mirror_of)): (&Range<Mfn>, (Mfn, Option<Mfn>))| {
        (end < bank.end).then_some(Absent { frames: end..bank.end, mirror_of })
    };
    map.banks.iter().zip(ends).filter_map(is_cut).collect()
}

/// The first of those for whom something is to be read or written where nothing answers: what was loaded is only read, and
/// nobody has written yet what is a guest's.
pub fn silent_owner<'m>(map: &'m MemoryMap, probe: &mut dyn Probe) -> Option<&'m Owned> {
    map.reserved.iter().find(|Owned { owner, span }| {
        let (Some(first), Some(last)) = (Mfn::containing(span.start), last_frame(span)) else { return false };
        match owner {
            Owner::Module(_) => !probe.reads(first) || !probe.reads(last),
            Owner::StaticMem(_) => last.checked_add(1).is_some_and(|end| first_silent(&(first..end), probe).is_some()),
            _ => false,
        }
    })
}

/// The frame of the last byte of a range that is not empty.
fn last_frame(span: &Span) -> Option<Mfn> {
    Mfn::containing(PhysAddr::new(span.end.get() - 1))
}

/// One past the last frame of `untried` that is there for certain: the image runs, and the device tree was read.
fn last_known(map: &MemoryMap, untried: &Range<Mfn>) -> Mfn {
    let is_known = |owned: &&Owned| matches!(owned.owner, Owner::Image | Owner::DeviceTree);
    let ends =
        map.reserved.iter().filter(is_known).filter_map(|owned| Mfn::containing(owned.span.end.align_up(PAGE_SIZE)?));
    ends.filter(|end| *end <= untried.end).fold(untried.start, Ord::max)
}

/// The lowest frame at a power of two above `first` at which `first` appears once more.
fn first_mirror(map: &MemoryMap, first: Mfn, probe: &mut dyn Probe) -> Option<Mfn> {
    let places = (LEAST_MIRROR..u64::BITS - PAGE_SHIFT).map_while(|order| first.checked_add(1 << order));
    places.filter(|there| is_free(map, *there)).find(|there| probe.answers(*there) && probe.mirrors(*there, first))
}

/// The first frame of `free` that does not answer, if those after it do not either.
fn first_silent(free: &Range<Mfn>, probe: &mut dyn Probe) -> Option<Mfn> {
    let (start, end) = (free.start.get(), free.end.get());
    let steps = (start.next_multiple_of(STEP)..end).step_by(STEP as usize);
    let places = core::iter::once(start).chain(steps).chain([end - 1]).filter_map(Mfn::new);
    let mut good = None;
    for place in places {
        if probe.answers(place) {
            good = Some(place);
            continue;
        }
        let Some(good) = good else { return Some(free.start) };
        let (mut low, mut high) = (good.get(), place.get());
        while high - low > 1 {
            let middle = low.midpoint(high);
            if Mfn::new(middle).is_some_and(|middle| probe.answers(middle)) { low = middle } else { high = middle }
        }
        return Mfn::new(high);
    }
    None
}

/// What of `bank` is free.
fn free_in(map: &MemoryMap, bank: &Range<Mfn>) -> impl Iterator<Item = Range<Mfn>> {
    let first = map.free.partition_point(|free| free.end <= bank.start);
    let Range { start, end } = *bank;
    let overlapping = map.free.iter().skip(first).take_while(move |free| free.start < end);
    overlapping.map(move |free| free.start.max(start)..free.end.min(end))
}

fn is_free(map: &MemoryMap, mfn: Mfn) -> bool {
    let index = map.free.partition_point(|free| free.end <= mfn);
    map.free.get(index).is_some_and(|free| free.contains(&mfn))
}

#[cfg(test)]
mod tests;
