//! Worked examples: the results of mapping and unmapping over an MPU, call by call.
//!
//! The sixteen steps are those in which Xen's region table was examined (xen/arch/arm/mpu at its commits of 2026);
//! where ours gives another result, [`Example::differs`] says so. They are data, not tests, so that the host's tests
//! and the booted image's self-tests judge by the same steps.

use crate::arch::pmsa::RegionRegisters;
use crate::base::addr::{Mfn, PAGE_SIZE, PhysAddr, Span, VirtAddr};
use crate::base::attributes::Attributes;
use crate::mpu::RegionError;
use crate::vmap::over_mpu::{MpuError, OverMpu};
use crate::vmap::{Vmap, VmapError};
use alloc::format;
use alloc::string::String;

/// Frames that the examples use: at least [`Ground::FRAMES`] from each.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    /// In a locked region of read-write normal memory, of which they map parts.
    pub own: Mfn,
    /// In no region, for regions of their own.
    pub free: Mfn,
}

impl Ground {
    /// How many frames each of the two has.
    pub const FRAMES: u64 = 32;
}

/// A frame, by its number from the start of one part of the [`Ground`].
#[derive(Clone, Copy, Debug)]
pub enum ExamplePlace {
    /// In memory of EL2's own.
    Own(u64),
    /// In memory that is not mapped.
    Free(u64),
}

/// A call.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// [`Vmap::vmap_contig`] of so many frames.
    Map(ExamplePlace, u64, Attributes),
    /// [`Vmap::vunmap`] of the address.
    Unmap(ExamplePlace),
    /// The end of a mapping of so many frames, as when a handle is dropped.
    Release(ExamplePlace, u64),
}

/// What a call gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExampleOutcome {
    /// It works, and only counts.
    Counted,
    /// It works, and changes the registers.
    Changed,
    /// There are no frames.
    Empty,
    /// The memory type is another.
    MemoryType,
    /// The access is another.
    Access,
    /// A region is there in part.
    Overlap,
    /// Nothing is there.
    NotMapped,
    /// A region is there, but no mapping that the call could end.
    NotHeld,
    /// Something that no example expects.
    Other,
}

/// A call, how often it is repeated, what it gives each time, and how many mappings the region there has afterwards: more
/// than before the example; `None` if there is no region.
pub type ExampleStep = (Call, u32, ExampleOutcome, Option<usize>);

/// An example: its steps leave nothing behind.
#[derive(Debug)]
pub struct Example {
    /// Its number.
    pub number: u32,
    /// What it shows.
    pub name: &'static str,
    /// What Xen does, where that is something else.
    pub differs: Option<&'static str>,
    /// The steps.
    pub steps: &'static [ExampleStep],
}

use Call::{Map, Release, Unmap};
use ExampleOutcome::{Access, Changed, Counted, Empty, MemoryType, NotHeld, NotMapped, Overlap};
use ExamplePlace::{Free, Own};

const RW: Attributes = Attributes::DATA;
const RO: Attributes = Attributes::CONSTANTS;
const DEVICE: Attributes = Attributes::DEVICE;

/// Four frames in a region of their own, with which many examples begin.
const MAP_A: ExampleStep = (Map(Free(0), 4, RW), 1, Changed, Some(1));
/// The end of them.
const UNMAP_A: ExampleStep = (Unmap(Free(0)), 1, Changed, None);

const fn example(number: u32, name: &'static str, steps: &'static [ExampleStep]) -> Example {
    Example { number, name, differs: None, steps }
}

const fn differs(number: u32, name: &'static str, xen: &'static str, steps: &'static [ExampleStep]) -> Example {
    Example { number, name, differs: Some(xen), steps }
}

/// All of them.
pub const ALL: [Example; 16] = [
    example(
        1,
        "mapping a part of EL2's own memory costs no register",
        &[(Map(Own(16), 4, RW), 1, Counted, Some(1)), (Unmap(Own(16)), 1, Counted, Some(0))],
    ),
    example(
        2,
        "after which that memory is still there",
        &[
            (Map(Own(16), 4, RW), 1, Counted, Some(1)),
            (Unmap(Own(16)), 1, Counted, Some(0)),
            (Map(Own(0), 32, RW), 1, Counted, Some(1)),
            (Release(Own(0), 32), 1, Counted, Some(0)),
        ],
    ),
    differs(
        3,
        "unmapping a part of it once more is refused",
        "disables all of it",
        &[
            (Map(Own(16), 4, RW), 1, Counted, Some(1)),
            (Unmap(Own(16)), 1, Counted, Some(0)),
            (Unmap(Own(16)), 1, NotHeld, Some(0)),
        ],
    ),
    example(4, "mapping free memory makes a region", &[MAP_A, UNMAP_A]),
    example(
        5,
        "a part of a region is one more mapping of it",
        &[MAP_A, (Map(Free(1), 1, RW), 1, Counted, Some(2)), (Unmap(Free(1)), 1, Counted, Some(1)), UNMAP_A],
    ),
    example(
        6,
        "a region stays when its first mapping ends",
        &[
            MAP_A,
            (Map(Free(1), 1, RW), 1, Counted, Some(2)),
            (Unmap(Free(0)), 1, Counted, Some(1)),
            (Unmap(Free(1)), 1, Changed, None),
        ],
    ),
    example(
        7,
        "and goes when its last one does, by the address of a part",
        &[
            MAP_A,
            (Map(Free(1), 1, RW), 1, Counted, Some(2)),
            (Unmap(Free(0)), 1, Counted, Some(1)),
            (Unmap(Free(1)), 1, Changed, None),
            (Unmap(Free(1)), 1, NotMapped, None),
        ],
    ),
    differs(
        8,
        "by ranges, too, in any order",
        "refuses the second, and the region stays",
        &[
            MAP_A,
            (Map(Free(1), 1, RW), 1, Counted, Some(2)),
            (Release(Free(0), 4), 1, Counted, Some(1)),
            (Release(Free(1), 1), 1, Changed, None),
        ],
    ),
    example(
        9,
        "a range that is in a region in part is refused",
        &[MAP_A, (Map(Free(2), 4, RW), 1, Overlap, Some(1)), UNMAP_A],
    ),
    example(
        10,
        "a range next to a region is another",
        &[MAP_A, (Map(Free(4), 1, RW), 1, Changed, Some(1)), UNMAP_A, (Unmap(Free(4)), 1, Changed, None)],
    ),
    example(
        11,
        "unmapping what is not there is refused, and leaves the lock free",
        &[(Unmap(Free(16)), 2, NotMapped, None), MAP_A, UNMAP_A],
    ),
    example(12, "no frames are not mapped", &[(Map(Free(0), 0, RW), 1, Empty, None)]),
    example(
        13,
        "a region does not change its memory type",
        &[MAP_A, (Map(Free(0), 4, DEVICE), 1, MemoryType, Some(1)), UNMAP_A],
    ),
    differs(
        14,
        "nor its access, by being mapped again",
        "makes it read-only, and counts nothing",
        &[MAP_A, (Map(Free(0), 4, RO), 1, Access, Some(1)), UNMAP_A],
    ),
    example(15, "nor does a part of it", &[MAP_A, (Map(Free(1), 1, RO), 1, Access, Some(1)), UNMAP_A]),
    differs(
        16,
        "a region can be mapped again and again",
        "counts 255 more, and refuses the next",
        &[MAP_A, (Map(Free(1), 1, RW), 300, Counted, Some(301)), (Unmap(Free(1)), 300, Counted, Some(1)), UNMAP_A],
    ),
];

impl Example {
    /// Runs the steps on `vmap`. `writes` is how many registers have been written so far, if that can be told.
    ///
    /// # Errors
    ///
    /// A sentence about the first step that gives something else than it should.
    pub fn run<R: RegionRegisters>(
        &self,
        vmap: &Vmap<OverMpu<R>>,
        ground: &Ground,
        writes: impl Fn(&R) -> Option<u64>,
    ) -> Result<(), String> {
        let count = |place| {
            let at = address(ground, place);
            vmap.with_table(|table| table.region(at).map(|region| table.handles(region)))
        };
        let before = count(Own(0)).unwrap_or(0);
        let mut calls = 0;
        for (call, times, outcome, mappings) in self.steps {
            for _ in 0..*times {
                calls += 1;
                let old = vmap.with_table(|table| writes(table.registers()));
                let got = perform(vmap, ground, *call);
                let new = vmap.with_table(|table| writes(table.registers()));
                let as_wanted = match (got, *outcome) {
                    // Which of the two it is, the number of writes tells.
                    (Counted, Counted | Changed) => old.is_none() || (old == new) == (*outcome == Counted),
                    (got, wanted) => got == wanted && old == new,
                };
                if !as_wanted {
                    return Err(format!("example {}: call {calls}, {call:x?}, gives {got:?}", self.number));
                }
            }
            let (Map(place, ..) | Unmap(place) | Release(place, _)) = *call;
            let others = if matches!(place, Own(_)) { before } else { 0 };
            let got = count(place).map(|handles| handles - others);
            if got != *mappings {
                return Err(format!("example {}: {got:?} mappings after {call:x?}, not {mappings:?}", self.number));
            }
        }
        Ok(())
    }
}

fn address(ground: &Ground, place: ExamplePlace) -> PhysAddr {
    let (first, frames) = match place {
        Own(frames) => (ground.own, frames),
        Free(frames) => (ground.free, frames),
    };
    PhysAddr::new(first.address().get() + frames * PAGE_SIZE)
}

/// Makes the call; [`Counted`] stands for any success.
fn perform<R: RegionRegisters>(vmap: &Vmap<OverMpu<R>>, ground: &Ground, call: Call) -> ExampleOutcome {
    let result = match call {
        Map(place, frames, attributes) => match Mfn::containing(address(ground, place)) {
            Some(first) => vmap.vmap_contig(first, frames, attributes).map(|mapping| {
                mapping.leak();
            }),
            None => return ExampleOutcome::Other,
        },
        Unmap(place) => vmap.vunmap(VirtAddr::new(address(ground, place).get())).map(drop),
        Release(place, frames) => {
            let start = address(ground, place);
            let span = Span { start, end: PhysAddr::new(start.get() + frames * PAGE_SIZE) };
            vmap.with_table(|table| table.release(span)).map_err(|error| VmapError::Backend(error.into()))
        }
    };
    match result {
        Ok(()) => Counted,
        Err(VmapError::Empty) => Empty,
        Err(VmapError::Backend(MpuError::Region(error))) => match error {
            RegionError::MemoryType { .. } => MemoryType,
            RegionError::Access { .. } => Access,
            RegionError::Overlap { .. } => Overlap,
            RegionError::NotMapped { .. } => NotMapped,
            RegionError::NotHeld { .. } => NotHeld,
            _ => ExampleOutcome::Other,
        },
        Err(_) => ExampleOutcome::Other,
    }
}
