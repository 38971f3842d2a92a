//! The table against a map of pages that knows nothing of slots.

use super::{FREE, HEAP, LOCKED, pa, running};
use crate::base::addr::{PAGE_SIZE, Span};
use crate::base::attributes::Attributes;
use crate::mpu::fake::Fake;
use crate::mpu::{RegionError, RegionTable};
use crate::testing;
use proptest::prelude::{Strategy, prop_oneof, proptest};
use std::collections::BTreeSet;
use std::ops::Range;
use std::vec::Vec;

/// Pages of the free memory that are mapped and unmapped.
const PAGES: u64 = 10;

const ATTRIBUTES: [Attributes; 3] = [Attributes::DATA, Attributes::CONSTANTS, Attributes::DEVICE];

#[derive(Clone, Debug)]
enum Op {
    Map(Range<u64>, usize),
    Unmap(u64),
    Release(Range<u64>),
    Protect(Range<u64>, usize),
    /// Ends the mapping of this number, whichever there is.
    End(usize),
}

fn any_range() -> impl Strategy<Value = Range<u64>> {
    // Single pages mostly, so that many regions touch.
    let length = prop_oneof![4 => 1..2u64, 1 => 2..4u64];
    (0..PAGES, length).prop_map(|(first, length)| first..(first + length).min(PAGES))
}

fn any_op() -> impl Strategy<Value = Op> {
    let attributes = || prop_oneof![6 => 0..1usize, 1 => 1..ATTRIBUTES.len()];
    prop_oneof![
        8 => (any_range(), attributes()).prop_map(|(range, attributes)| Op::Map(range, attributes)),
        1 => (0..PAGES).prop_map(Op::Unmap),
        1 => any_range().prop_map(Op::Release),
        1 => (any_range(), attributes()).prop_map(|(range, attributes)| Op::Protect(range, attributes)),
        5 => (0..64usize).prop_map(Op::End),
    ]
}

/// What was mapped in one piece.
#[derive(Clone, Debug)]
struct Piece {
    pages: Range<u64>,
    attributes: Attributes,
    /// Who holds it.
    handles: Vec<Range<u64>>,
}

/// All pieces.
#[derive(Clone, Debug, Default)]
struct Model(Vec<Piece>);

impl Model {
    /// Which piece each page belongs to: the map of permissions.
    fn page(&self, page: u64) -> Option<usize> {
        self.0.iter().position(|piece| piece.pages.contains(&page))
    }

    /// The piece that all of `range` is in, or why there is none: `Ok(None)` if nothing is there.
    fn piece(&self, range: &Range<u64>) -> Result<Option<usize>, &'static str> {
        let owners: BTreeSet<_> = range.clone().map(|page| self.page(page)).collect();
        if owners.len() == 1 { Ok(owners.into_iter().next().flatten()) } else { Err("Overlap") }
    }

    /// The most slots that are needed at once if any of the pieces go and the others touch as they may.
    fn worst(&self) -> usize {
        let owners: Vec<_> = (0..PAGES).map(|page| self.page(page)).collect();
        let slots = |subset: u64| {
            let (mut count, mut before) = (0, None);
            for owner in &owners {
                let kept = owner.filter(|piece| subset >> piece & 1 == 1).map(|piece| self.0[piece].attributes);
                count += usize::from(kept.is_some() && kept != before);
                before = kept;
            }
            count
        };
        (0..1u64 << self.0.len()).map(slots).max().unwrap_or(0)
    }

    fn end(&mut self, range: &Range<u64>) -> bool {
        let found = self.0.iter().enumerate().find_map(|(index, piece)| {
            piece.handles.iter().rposition(|handle| handle == range).map(|handle| (index, handle))
        });
        let Some((index, handle)) = found else { return false };
        self.0[index].handles.remove(handle);
        if self.0[index].handles.is_empty() {
            self.0.remove(index);
        }
        true
    }

    /// Does what `op` should do, and names the error that it should give.
    fn apply(&mut self, op: &Op, slots: usize) -> Result<(), &'static str> {
        match op {
            Op::Map(range, attributes) => {
                let attributes = ATTRIBUTES[*attributes];
                if let Some(index) = self.piece(range)? {
                    let piece = &mut self.0[index];
                    if piece.attributes.memory() != attributes.memory() {
                        return Err("MemoryType");
                    }
                    if piece.attributes != attributes {
                        return Err("Access");
                    }
                    piece.handles.push(range.clone());
                    return Ok(());
                }
                self.0.push(Piece { pages: range.clone(), attributes, handles: std::vec![range.clone()] });
                if self.worst() > slots {
                    self.0.pop();
                    return Err("Exhausted");
                }
                Ok(())
            }
            Op::Unmap(page) => {
                let mut handles = self.0.iter().flat_map(|piece| &piece.handles).rev();
                match handles.find(|handle| handle.start == *page).cloned() {
                    Some(range) => self.end(&range).then_some(()).ok_or("never"),
                    None => Err(if self.page(*page).is_some() { "NotHeld" } else { "NotMapped" }),
                }
            }
            Op::Release(range) => match self.end(range) {
                true => Ok(()),
                false => Err(if self.page(range.start).is_some() { "NotHeld" } else { "NotMapped" }),
            },
            Op::Protect(range, attributes) => {
                let attributes = ATTRIBUTES[*attributes];
                let Some(index) = self.piece(range)? else { return Err("NotMapped") };
                let before = self.0[index].attributes;
                if before.memory() != attributes.memory() {
                    return Err("MemoryType");
                }
                if self.0[index].pages != *range {
                    return Err("Partial");
                }
                if self.0[index].handles.len() != 1 {
                    return Err("Shared");
                }
                if self.0[index].handles[0] != *range {
                    return Err("NotHeld");
                }
                self.0[index].attributes = attributes;
                if self.worst() > slots {
                    self.0[index].attributes = before;
                    return Err("Exhausted");
                }
                Ok(())
            }
            Op::End(number) => {
                let handles: Vec<_> = self.0.iter().flat_map(|piece| &piece.handles).cloned().collect();
                if let Some(range) = handles.get(number % handles.len().max(1)) {
                    self.end(range);
                }
                Ok(())
            }
        }
    }
}

fn span(range: &Range<u64>) -> Span {
    Span { start: pa(FREE + range.start * PAGE_SIZE), end: pa(FREE + range.end * PAGE_SIZE) }
}

/// Does `op`, and names the error that it gives.
fn perform(table: &mut RegionTable<Fake>, model: &Model, op: &Op) -> Result<(), &'static str> {
    let result = match op {
        Op::Map(range, attributes) => table.map(span(range), ATTRIBUTES[*attributes]),
        Op::Unmap(page) => table.unmap(span(&(*page..*page)).start).map(drop),
        Op::Release(range) => table.release(span(range)),
        Op::Protect(range, attributes) => table.protect(span(range), ATTRIBUTES[*attributes]),
        Op::End(number) => {
            let handles: Vec<_> = model.0.iter().flat_map(|piece| &piece.handles).collect();
            match handles.get(number % handles.len().max(1)) {
                Some(range) => table.release(span(range)),
                None => Ok(()),
            }
        }
    };
    result.map_err(|error| match error {
        RegionError::MemoryType { .. } => "MemoryType",
        RegionError::Access { .. } => "Access",
        RegionError::Overlap { .. } => "Overlap",
        RegionError::Exhausted { .. } => "Exhausted",
        RegionError::NotMapped { .. } => "NotMapped",
        RegionError::NotHeld { .. } => "NotHeld",
        RegionError::Partial { .. } => "Partial",
        RegionError::Shared { .. } => "Shared",
        _ => "another",
    })
}

proptest! {
    #![proptest_config(testing::cases(96))]

    /// Whatever is mapped, protected and unmapped, in whatever order: an address can be used as its piece says, as long
    /// as somebody holds a part of the piece, and no longer. The fake looks at every single write.
    #[test]
    fn an_address_can_be_used_as_long_as_its_region_is_held(
        slots in 1..8u8,
        ops in proptest::collection::vec(any_op(), 1..80),
    ) {
        let (mut table, fake) = running(LOCKED + slots);
        let mut model = Model::default();
        for op in ops {
            let before = (fake.cost(), table.regions().to_vec(), table.reserved);
            let pieces = model.0.iter().map(|piece| (piece.pages.clone(), piece.attributes)).collect::<Vec<_>>();
            let got = perform(&mut table, &model, &op);
            let wanted = model.apply(&op, slots.into());
            assert_eq!(got, wanted, "{op:?} on {model:?}");
            let unchanged = pieces == model.0.iter().map(|p| (p.pages.clone(), p.attributes)).collect::<Vec<_>>();
            assert_eq!(before.0 == fake.cost(), unchanged, "{op:?} writes registers if and only if it has to");
            if got.is_err() {
                assert_eq!((fake.cost(), table.regions().to_vec(), table.reserved), before, "{op:?}");
            }
            assert_eq!(table.reserved, usize::from(LOCKED) + model.worst(), "after {op:?}");
            for page in 0..PAGES {
                let piece = model.page(page).map(|piece| &model.0[piece]);
                let at = FREE + page * PAGE_SIZE;
                for byte in [at, at + PAGE_SIZE - 1] {
                    assert_eq!(fake.access(pa(byte)), piece.map(|piece| piece.attributes), "page {page} after {op:?}");
                }
                let handles = table.region(pa(at)).map(|region| table.handles(region));
                assert_eq!(handles, piece.map(|piece| piece.handles.len()));
            }
            for outside in [FREE - 1, FREE + PAGES * PAGE_SIZE, 0] {
                assert_eq!(fake.access(pa(outside)), None);
            }
            assert_eq!(fake.access(HEAP.start), Some(Attributes::DATA));
            for region in table.regions() {
                let inside = |span: Span| span.contains(&region.span());
                let slot = fake.enabled().into_iter().find(|(slot, ..)| *slot == region.slot());
                assert!(slot.is_some_and(|(_, span, _)| inside(span)), "{region} is not where the table says");
            }
        }
        while let Some(piece) = model.0.first() {
            let range = piece.handles[0].clone();
            table.release(span(&range)).unwrap();
            model.end(&range);
        }
        assert_eq!(table.slots().1, usize::from(slots), "all slots are free again");
    }
}
