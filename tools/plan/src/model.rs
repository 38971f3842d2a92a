//! What is to be shown, before it is decided how.

use lacuna::base::addr::{Bytes, Mfn};
use lacuna::frames::frametable::plan::{FrametablePlan, FrametablePlanError, FrametableShape};
use lacuna::memory_map::MemoryMap;
use lacuna::pdx::{PdxKind, PdxMap, PdxRefusal, Policy};
use std::ops::Range;
use thiserror::Error;

/// A memory map, and what each compression makes of it.
pub struct Model<'a> {
    pub map: &'a MemoryMap,
    pub shape: FrametableShape,
    pub none: Candidate,
    pub mask: Candidate,
    pub offset: Candidate,
    /// The name of the compression that the image would take by itself.
    pub auto: &'static str,
    /// The name of the one that the image takes: another if the command line asks for it.
    pub taken: &'static str,
}

/// A plan, or why there is none.
pub type Candidate = Result<Planned, NoPlan>;

/// A compression that applies, and the frametable with it.
pub struct Planned {
    pub pdx: PdxMap,
    pub plan: FrametablePlan,
}

/// Why a compression gives no frametable.
#[derive(Debug, Error)]
pub enum NoPlan {
    #[error(transparent)]
    Pdx(#[from] PdxRefusal),
    #[error(transparent)]
    Plan(#[from] FrametablePlanError),
}

impl<'a> Model<'a> {
    pub fn new(map: &'a MemoryMap, policy: Policy, shape: FrametableShape) -> Self {
        let banks = map.banks();
        let plan = |pdx: Result<PdxMap, PdxRefusal>| -> Candidate {
            let pdx = pdx?;
            // No limit on the window: the image's holds all of a 48-bit address space, and others are for comparison.
            let plan = FrametablePlan::new(banks, &pdx, u64::MAX, shape)?;
            Ok(Planned { pdx, plan })
        };
        let taken = |policy| match PdxMap::choose(policy, banks).0.kind() {
            PdxKind::None => "none",
            PdxKind::Mask { .. } => "mask",
            PdxKind::Offset { .. } => "offset",
        };
        Self {
            map,
            shape,
            none: plan(Ok(PdxMap::none())),
            mask: plan(PdxMap::mask(banks)),
            offset: plan(PdxMap::offset(banks)),
            auto: taken(Policy::Auto),
            taken: taken(policy),
        }
    }

    pub fn banks(&self) -> &'a [Range<Mfn>] {
        self.map.banks()
    }

    /// The compressions by name, in the order in which they are shown.
    pub fn kinds(&self) -> [(&'static str, &Candidate); 3] {
        [("none", &self.none), ("mask", &self.mask), ("offset", &self.offset)]
    }

    /// The plan that the image would take by itself. It always exists, but for a shape that suits no plan.
    pub fn chosen(&self) -> Option<&Planned> {
        let (_, candidate) = self.kinds().into_iter().find(|(name, _)| *name == self.auto)?;
        candidate.as_ref().ok()
    }
}

impl Planned {
    /// The page index of the first frame of each bank.
    pub fn bank_pdx(&self, banks: &[Range<Mfn>]) -> Vec<u64> {
        banks.iter().map(|bank| self.pdx.pdx(bank.start).get()).collect()
    }

    /// The chunk that describes `bank`, by its position.
    pub fn chunk_of(&self, bank: &Range<Mfn>) -> Option<usize> {
        let first = self.pdx.pdx(bank.start);
        self.plan.chunks().iter().position(|chunk| (chunk.first..chunk.end).contains(&first))
    }
}

/// `3 banks, 40.0 GiB of RAM over 774.0 GiB of addresses`.
pub fn summary(map: &MemoryMap) -> String {
    let banks = map.banks().len();
    let noun = if banks == 1 { "bank" } else { "banks" };
    format!("{banks} {noun}, {} of RAM over {} of addresses", Bytes(map.ram_bytes()), Bytes(map.span_bytes()))
}
