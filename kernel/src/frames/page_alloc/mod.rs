//! Frames with an owner and a reference count.
//!
//! All unreserved RAM is allocated here, in blocks of 2^order frames, aligned to their size, up to 1 GiB. The buddy
//! system of `buddy_system_allocator` records which frames are free; a frame's page info records its owner and its
//! reference count. Only free frames are joined to a block, so no block ever crosses a hole.
//!
//! Single frames come from a small stack in front of the buddy system, which would split and join up to 18 times for
//! each: on `virt` with 2 GiB a pair of allocation and release takes 1767 instructions without the stack and 286 with
//! it (docs/decisions.md).

use crate::arch::lock::SpinLock;
use crate::base::addr::{Bytes, Frames, Mfn, PAGE_SHIFT, PAGE_SIZE};
use crate::frames::frametable::page_info::{FrameOwner, PageInfo, RefError};
use crate::frames::frametable::table::FrameTable;
use alloc::vec::Vec;
use arrayvec::ArrayVec;
use buddy_system_allocator::FrameAllocator;
use core::ops::Range;

/// The order of the largest block: 2^18 frames, 1 GiB, the size of a group and of a level 1 leaf.
pub const MAX_ORDER: u32 = 18;

/// Single frames kept at hand.
const STACK_FRAMES: usize = 64;

/// log2 of the frames that move between stack and buddy system at a time, half of the stack.
const REFILL_ORDER: u32 = STACK_FRAMES.ilog2() - 1;

/// Why frames are not given or not taken back.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageError {
    /// No block of this size is free.
    #[error("no free block of {} ({} free in all)", Bytes(PAGE_SIZE << order), Bytes(*free_bytes))]
    Exhausted {
        /// log2 of the frames asked for.
        order: u32,
        /// Bytes that are free, in smaller blocks.
        free_bytes: u64,
    },
    /// Blocks of this size do not exist.
    #[error("order {order} is above the largest, {MAX_ORDER}")]
    Order {
        /// The order asked for.
        order: u32,
    },
    /// What is to be freed is not a whole allocation: the named frame is not allocated or has other references.
    #[error("frame {:#x} cannot be freed: {reason}", mfn.get())]
    NotFreeable {
        /// The offending frame.
        mfn: Mfn,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A reference was refused.
    #[error("frame {:#x}: {source}", mfn.get())]
    Reference {
        /// The frame.
        mfn: Mfn,
        /// Why.
        source: RefError,
    },
}

/// All frames that can be allocated.
pub struct PageAlloc<'t> {
    table: &'t FrameTable,
    free: SpinLock<Free>,
}

struct Free {
    buddy: FrameAllocator<{ MAX_ORDER as usize + 1 }>,
    singles: ArrayVec<Mfn, STACK_FRAMES>,
    frames: u64,
}

impl<'t> PageAlloc<'t> {
    /// Starts with the ranges of `free`, all of them RAM that `table` describes and nobody uses.
    pub fn new(table: &'t FrameTable, free: Vec<Range<Mfn>>) -> Self {
        let mut buddy = FrameAllocator::new();
        let frames = free.iter().map(Frames::count).sum();
        for range in free {
            debug_assert!(table.page(range.start).is_some(), "{range:?} has no page info");
            buddy.insert(range.start.get() as usize..range.end.get() as usize);
        }
        Self { table, free: SpinLock::new(Free { buddy, singles: ArrayVec::new(), frames }) }
    }

    /// Allocates 2^`order` frames, aligned to their size, for `owner`; each has one reference. Returns the first.
    ///
    /// What the frames hold is what their last owner left there.
    ///
    /// # Errors
    ///
    /// [`PageError::Exhausted`] or [`PageError::Order`].
    pub fn alloc(&self, order: u32, owner: FrameOwner) -> Result<Mfn, PageError> {
        if order > MAX_ORDER {
            return Err(PageError::Order { order });
        }
        let first = self.free.lock().take(order)?;
        let fresh = self.entries(first, order).is_some_and(|entries| entries.iter().all(|entry| entry.allocate(owner)));
        assert!(fresh, "a frame of block {:#x}, order {order}, was free and allocated at once", first.get());
        Ok(first)
    }

    /// Frees the 2^`order` frames from `first`: allocated, each with the caller's reference only. They may be part of a
    /// larger allocation, or several smaller ones.
    ///
    /// # Errors
    ///
    /// [`PageError::NotFreeable`] naming the first frame that is not; nothing has changed then.
    pub fn free(&self, first: Mfn, order: u32) -> Result<(), PageError> {
        if order > MAX_ORDER {
            return Err(PageError::Order { order });
        }
        let refuse = |mfn, reason| Err(PageError::NotFreeable { mfn, reason });
        if first.get() & ((1 << order) - 1) != 0 {
            return refuse(first, "it is not aligned to the size of the block");
        }
        let Some(entries) = self.entries(first, order) else {
            return refuse(first, "it lies in a hole");
        };
        for (entry, index) in entries.iter().zip(0..) {
            let mfn = first.checked_add(index).unwrap_or(first);
            match (entry.is_allocated(), entry.references()) {
                (false, _) => return refuse(mfn, "it is not allocated"),
                (true, 1) => {}
                (true, _) => return refuse(mfn, "it is still referenced"),
            }
        }
        let released = entries.iter().all(PageInfo::release);
        assert!(released, "a frame of block {:#x}, order {order}, was referenced while it was freed", first.get());
        self.free.lock().give(first, order);
        Ok(())
    }

    /// Takes a reference to a frame for its `owner`.
    ///
    /// # Errors
    ///
    /// [`PageError::Reference`] if the frame is not allocated, not `owner`'s or referenced too often.
    pub fn get_page(&self, mfn: Mfn, owner: FrameOwner) -> Result<(), PageError> {
        let Some(page) = self.table.page(mfn) else {
            return Err(PageError::Reference { mfn, source: RefError::NoPageInfo });
        };
        self.table.entry(page).get(owner).map_err(|source| PageError::Reference { mfn, source })
    }

    /// Drops a reference that [`PageAlloc::get_page`] or [`PageAlloc::alloc`] gave; the last one frees the frame.
    ///
    /// # Errors
    ///
    /// [`PageError::Reference`] if the frame has no page info or is not allocated.
    pub fn put_page(&self, mfn: Mfn) -> Result<(), PageError> {
        let Some(page) = self.table.page(mfn) else {
            return Err(PageError::Reference { mfn, source: RefError::NoPageInfo });
        };
        let entry = self.table.entry(page);
        if !entry.is_allocated() {
            return Err(PageError::Reference { mfn, source: RefError::NotAllocated });
        }
        if entry.put() {
            self.free.lock().give(mfn, 0);
        }
        Ok(())
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        self.free.lock().frames << PAGE_SHIFT
    }

    /// The page info of the 2^`order` frames from `first`, which are aligned to their size and so in one group.
    fn entries(&self, first: Mfn, order: u32) -> Option<&'t [PageInfo]> {
        self.table.entries(self.table.page(first)?, 1 << order)
    }
}

impl Free {
    fn take(&mut self, order: u32) -> Result<Mfn, PageError> {
        let found = if order == 0 {
            self.single()
        } else {
            self.block(order).or_else(|| {
                // The frames on the stack may be what is missing to a block.
                self.unstack(STACK_FRAMES);
                self.block(order)
            })
        };
        let Some(mfn) = found else {
            return Err(PageError::Exhausted { order, free_bytes: self.frames << PAGE_SHIFT });
        };
        self.frames -= 1 << order;
        Ok(mfn)
    }

    fn give(&mut self, first: Mfn, order: u32) {
        self.frames += 1 << order;
        if order > 0 {
            self.buddy.dealloc(first.get() as usize, 1 << order);
            return;
        }
        if self.singles.is_full() {
            self.unstack(STACK_FRAMES / 2);
        }
        self.singles.push(first);
    }

    fn block(&mut self, order: u32) -> Option<Mfn> {
        Mfn::new(self.buddy.alloc(1 << order)? as u64)
    }

    /// A frame from the stack, refilled with a block if it is empty, and with whatever there is at the end.
    fn single(&mut self) -> Option<Mfn> {
        if let Some(mfn) = self.singles.pop() {
            return Some(mfn);
        }
        let order = (0..=REFILL_ORDER).rev().find_map(|order| Some((self.block(order)?, order)));
        let (first, order) = order?;
        // Top down, so that frames are handed out in ascending order.
        self.singles.extend((0..1 << order).rev().map_while(|index| first.checked_add(index)));
        self.singles.pop()
    }

    /// Gives the `count` frames that have been on the stack for longest back to the buddy system.
    fn unstack(&mut self, count: usize) {
        let count = count.min(self.singles.len());
        for mfn in self.singles.drain(..count) {
            self.buddy.dealloc(mfn.get() as usize, 1);
        }
    }
}

#[cfg(test)]
mod tests;
