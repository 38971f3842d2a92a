//! The MPU: what an exception means to it.

use super::cpu::{Cpu, SCTLR_BR, SCTLR_M, SCTLR_WXN, Use};
use super::decode::{Access, Direction, Effect, Register};
use super::exception::{Class, Exception, Handled, Kind, SPSR_D, SPSR_SS};
use super::leaf::Leaf;
use super::matching::{ADDRESS_SPACE, Match, Segment};
use super::mirror::{Full, Level, Mirror, PAGE};
use super::options::Options;
use super::registers::{MAX_REGIONS, Region, Registers};
use super::stepping::{Due, Lent, Step, Timing};
use core::ops::Range;

/// Tables that one address needs beside the root.
const TABLES_OF_A_WALK: usize = 3;

/// An MPU, and the tables that stand for it.
#[derive(Debug)]
pub struct Emulator<const TABLES: usize> {
    registers: Registers,
    /// The regions that the tables stand for.
    effective: [Region; MAX_REGIONS],
    mirror: Mirror<TABLES>,
    /// Whole pages; none before [`Self::reset`].
    image: Range<u64>,
    timing: Timing,
    due: Due,
    lent: Lent,
    step: Option<Step>,
}

impl<const TABLES: usize> Emulator<TABLES> {
    /// No MPU yet. All bytes are zero, so that it need not be part of an image's file.
    pub const fn new() -> Self {
        let effective = [Region::new(0, 0); MAX_REGIONS];
        Self {
            registers: Registers::new(),
            effective,
            mirror: Mirror::new(),
            image: 0..0,
            timing: Timing::Early,
            due: Due::Nothing,
            lent: Lent::NONE,
            step: None,
        }
    }

    /// Becomes an MPU after reset. The pages of `image` will always be in the tables, as far as a region has them.
    ///
    /// To be called once, where it is to stay: the tables hold addresses in here.
    ///
    /// # Errors
    ///
    /// [`Full`] if there are too few tables for the image and one more page.
    pub fn reset(&mut self, options: Options, image: Range<u64>, cpu: &mut impl Cpu) -> Result<(), Full> {
        let pages = image.start & !(PAGE - 1)..image.end.next_multiple_of(PAGE).min(ADDRESS_SPACE.end);
        self.mirror.reset();
        for page in pages.clone().step_by(PAGE as usize) {
            self.mirror.reserve(page)?;
        }
        if self.mirror.free_tables() < TABLES_OF_A_WALK {
            return Err(Full);
        }
        self.image = pages;
        self.timing = options.timing;
        self.registers.reset(options.count);
        self.apply(cpu);
        Ok(())
    }

    /// Where the tables start: TTBR0_EL2.
    pub fn root(&self) -> u64 {
        self.mirror.root()
    }

    /// The tables.
    #[cfg(test)]
    pub fn mirror(&self) -> &Mirror<TABLES> {
        &self.mirror
    }

    /// Does what a PMSAv8-64 core would have done instead of this exception, if it would not have taken it.
    pub fn handle(&mut self, cpu: &mut impl Cpu, mut exception: Exception<'_>) -> Handled {
        if self.image.is_empty() {
            return Handled::No;
        }
        let class = exception.class();
        // What is lent may be where the instruction is, so it is read before anything is taken back.
        let word = match class {
            Class::Undefined | Class::Data(_) => cpu.instruction(*exception.elr),
            Class::Fetch(_) | Class::Step | Class::Other => 0,
        };
        let step = self.end_step(cpu, &mut exception);
        let is_same_instruction = step.is_some_and(|step| step.at == *exception.elr);
        if !(is_same_instruction && matches!(class, Class::Fetch(_) | Class::Data(_))) {
            self.take_back(cpu);
        }
        let handled = match (class, step) {
            (Class::Undefined, _) => self.instruction(cpu, word, &mut exception),
            (Class::Fetch(kind) | Class::Data(kind), _) => self.abort(cpu, kind, word, &mut exception),
            (Class::Step, Some(step)) => self.stepped(cpu, step, *exception.elr),
            (Class::Step | Class::Other, _) => Handled::No,
        };
        match handled {
            Handled::Stuck(_) => return handled,
            Handled::Yes => {}
            Handled::No => {
                self.take_back(cpu);
                // Taking an exception is a context synchronization event.
                if let stuck @ Handled::Stuck(_) = self.synchronized(cpu) {
                    return stuck;
                }
            }
        }
        self.resume(cpu, handled, &mut exception)
    }

    /// Emulates the instruction `word`.
    fn instruction(&mut self, cpu: &mut impl Cpu, word: u32, exception: &mut Exception<'_>) -> Handled {
        let Some(access) = Access::decode(word) else { return Handled::No };
        let operand = exception.x.get_mut(usize::from(access.operand));
        match access.direction {
            Direction::Read => {
                let value = self.registers.read(access.register);
                if let Some(x) = operand {
                    *x = value;
                }
            }
            Direction::Write => {
                let value = operand.map_or(0, |x| *x);
                if let stuck @ Handled::Stuck(_) = self.write(cpu, access.register, value) {
                    return stuck;
                }
            }
        }
        *exception.elr += 4;
        Handled::Yes
    }

    fn write(&mut self, cpu: &mut impl Cpu, register: Register, value: u64) -> Handled {
        self.registers.write(register, value);
        if self.timing == Timing::Early {
            self.registers.synchronize();
        }
        let mut regions = self.registers.regions().iter().zip(&self.effective);
        if register == Register::Prselr || !regions.any(|(after, before)| after.is_change_of(*before)) {
            return Handled::Yes;
        }
        // While the MPU is off nobody can tell when.
        if self.timing == Timing::Late && cpu.sctlr() & SCTLR_M != 0 {
            self.due = Due::Completion;
            return Handled::Yes;
        }
        self.due = Due::Synchronization;
        self.apply_if_due(cpu)
    }

    fn abort(&mut self, cpu: &mut impl Cpu, kind: Kind, word: u32, exception: &mut Exception<'_>) -> Handled {
        if kind == Kind::Translation && self.fill(cpu, exception.far, word) {
            return Handled::Yes;
        }
        if kind != Kind::Other {
            exception.become_mpu_fault();
        }
        Handled::No
    }

    /// The instruction of `step` is done, and `next` is the one after it.
    fn stepped(&mut self, cpu: &mut impl Cpu, step: Step, next: u64) -> Handled {
        // Where the handler sent the CPU is not known beforehand, but a barrier leads to the instruction behind it.
        match step.effect.or_else(|| self.effect(cpu, next.wrapping_sub(4))) {
            Some(Effect::Synchronization) => self.synchronized(cpu),
            Some(Effect::Completion) if self.due == Due::Completion => {
                self.due = Due::Synchronization;
                Handled::Yes
            }
            _ => Handled::Yes,
        }
    }

    /// What the instruction at `address` does. What is not in the tables cannot be read while they are used.
    fn effect(&self, cpu: &impl Cpu, address: u64) -> Option<Effect> {
        let is_readable = cpu.sctlr() & SCTLR_M == 0 || self.mirror.walk(address).is_some();
        is_readable.then(|| Effect::of(cpu.instruction(address)))
    }

    /// Has the CPU come back after the next instruction, if anything is to be done then.
    fn resume(&mut self, cpu: &mut impl Cpu, handled: Handled, exception: &mut Exception<'_>) -> Handled {
        let at = *exception.elr;
        // After an exception that others handle the CPU may go on anywhere.
        let effect = if handled == Handled::Yes { self.effect(cpu, at) } else { None };
        if effect == Some(Effect::Return) {
            // It is a context synchronization event too, and the end of stepping.
            if let stuck @ Handled::Stuck(_) = self.synchronized(cpu) {
                return stuck;
            }
        } else if self.due != Due::Nothing || !self.registers.is_synchronized() || !self.lent.is_empty() {
            self.step = Some(Step { at, effect, masked: *exception.spsr & SPSR_D });
            *exception.spsr = *exception.spsr & !SPSR_D | SPSR_SS;
            cpu.start_stepping();
        }
        handled
    }

    /// Ends what [`Self::resume`] began.
    fn end_step(&mut self, cpu: &mut impl Cpu, exception: &mut Exception<'_>) -> Option<Step> {
        let step = self.step.take()?;
        cpu.stop_stepping();
        *exception.spsr = *exception.spsr & !(SPSR_D | SPSR_SS) | step.masked;
        Some(step)
    }

    /// Puts the largest leaf into the tables that has `address` and nothing of other attributes, if there is any. If
    /// even a page is too large, the instruction `word` is lent one.
    fn fill(&mut self, cpu: &mut impl Cpu, address: u64, word: u32) -> bool {
        let Some((segment, leaf)) = self.lookup(cpu, address) else { return false };
        let level = match Level::LEAVES.into_iter().find(|level| segment.covers(&level.around(address))) {
            Some(level) => level,
            None if Effect::of(word) == Effect::Exclusive => return false,
            None if self.lent.add(Level::PAGE.around(address).start) => Level::PAGE,
            None => return false,
        };
        if self.mirror.map(address, level, leaf).is_err() {
            self.forget_all_but_image(cpu);
            if self.mirror.map(address, level, leaf).is_err() {
                return false;
            }
        }
        cpu.publish();
        true
    }

    /// Ends what [`Self::fill`] has lent.
    fn take_back(&mut self, cpu: &mut impl Cpu) {
        if self.lent.is_empty() {
            return;
        }
        for page in self.lent.take() {
            self.mirror.forget(&Level::PAGE.around(page));
        }
        cpu.invalidate();
    }

    /// The segment of `address`, and the leaf that stands for it, if accesses are possible there.
    fn lookup(&self, cpu: &impl Cpu, address: u64) -> Option<(Segment, Leaf)> {
        if !ADDRESS_SPACE.contains(&address) {
            return None;
        }
        let segment = Segment::around(&self.effective, address);
        let leaf = match segment.matched {
            Match::One(region) => Leaf::of_region(region),
            Match::None if cpu.sctlr() & SCTLR_BR != 0 => Leaf::of_background(cpu.mair())?,
            Match::None | Match::Several => return None,
        };
        Some((segment, leaf))
    }

    fn forget_all_but_image(&mut self, cpu: &mut impl Cpu) {
        self.mirror.forget(&(0..self.image.start));
        self.mirror.forget(&(self.image.end..ADDRESS_SPACE.end));
        cpu.invalidate();
    }

    /// A context synchronization event.
    fn synchronized(&mut self, cpu: &mut impl Cpu) -> Handled {
        self.registers.synchronize();
        self.apply_if_due(cpu)
    }

    /// Has the tables stand for what is in the registers, if the time has come and exceptions stay possible.
    fn apply_if_due(&mut self, cpu: &mut impl Cpu) -> Handled {
        if self.due != Due::Synchronization {
            return Handled::Yes;
        }
        self.due = Due::Nothing;
        let sctlr = cpu.sctlr();
        if sctlr & SCTLR_M != 0 {
            let regions = self.registers.regions();
            let cut = |(address, purpose): &(u64, Use)| !is_possible(regions, *address, *purpose, sctlr);
            if let Some((address, _)) = cpu.lifelines().into_iter().find(cut) {
                return Handled::Stuck(address);
            }
        }
        self.apply(cpu);
        Handled::Yes
    }

    fn apply(&mut self, cpu: &mut impl Cpu) {
        let before = self.effective;
        let after = self.registers.regions();
        self.effective[..after.len()].copy_from_slice(after);
        for (before, after) in before.into_iter().zip(self.effective) {
            if after.is_change_of(before) {
                self.renew(cpu, before);
                self.renew(cpu, after);
            }
        }
        cpu.invalidate();
    }

    /// Forgets what the tables say of the addresses of `region`, and tells them anew what belongs to the image.
    fn renew(&mut self, cpu: &impl Cpu, region: Region) {
        if !region.is_enabled() {
            return;
        }
        let span = region.span();
        self.mirror.forget(&(span.start..span.end.min(self.image.start)));
        self.mirror.forget(&(span.start.max(self.image.end)..span.end));
        let first = span.start.max(self.image.start) & !(PAGE - 1);
        for page in (first..span.end.min(self.image.end)).step_by(PAGE as usize) {
            let leaf = self.lookup(cpu, page).filter(|(segment, _)| segment.covers(&Level::PAGE.around(page)));
            self.mirror.set_page(page, leaf.map(|(_, leaf)| leaf));
        }
    }
}

/// Whether `regions` let memory at `address` be used through a page, with SCTLR_EL2.WXN as in `sctlr`.
fn is_possible(regions: &[Region], address: u64, purpose: Use, sctlr: u64) -> bool {
    let segment = Segment::around(regions, address);
    let Match::One(region) = segment.matched else { return false };
    let allowed = match purpose {
        Use::Read => true,
        Use::Write => region.is_writable(),
        Use::Execute => region.is_executable() && (sctlr & SCTLR_WXN == 0 || !region.is_writable()),
    };
    allowed && segment.covers(&Level::PAGE.around(address))
}
