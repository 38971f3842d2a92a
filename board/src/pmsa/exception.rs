//! An exception as the handler hands it over, and what becomes of it.

/// A synchronous exception from EL2 to EL2, as the vectors saved it.
#[derive(Debug)]
pub struct Exception<'a> {
    /// General registers x0 to x30.
    pub x: &'a mut [u64; 31],
    /// ELR_EL2: the instruction, and where execution is to go on.
    pub elr: &'a mut u64,
    /// ESR_EL2. Faults that the MPU would have raised are told as it tells them, at level 0.
    pub esr: &'a mut u64,
    /// SPSR_EL2. The emulation may step over the next instruction; then SS is set and D is clear in here.
    pub spsr: &'a mut u64,
    /// FAR_EL2.
    pub far: u64,
}

/// What became of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Handled {
    /// It does not exist on a PMSAv8-64 core: go on at `elr`.
    Yes,
    /// It would have been taken on a PMSAv8-64 core too.
    No,
    /// The instruction changes the regions so that the code of exceptions, its data or its stack at this address can no
    /// longer be used. A PMSAv8-64 core would fault from here on and on. The change has not been made.
    Stuck(u64),
}

/// What an exception is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The instruction is UNDEFINED.
    Undefined,
    /// The instruction cannot be fetched.
    Fetch(Kind),
    /// The data cannot be accessed.
    Data(Kind),
    /// An instruction was stepped over.
    Step,
    /// Anything else.
    Other,
}

/// The kind of an abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is mapped there.
    Translation,
    /// What is mapped there forbids the access.
    Permission,
    /// Anything else.
    Other,
}

/// SPSR_EL2.D: debug exceptions are masked.
pub const SPSR_D: u64 = 1 << 9;
/// SPSR_EL2.SS: the next instruction is stepped over.
pub const SPSR_SS: u64 = 1 << 21;

/// ESR_EL2.IFSC and DFSC: the level of a fault, in bits 1:0.
const FAULT_LEVEL: u64 = 0b11;
/// ESR_EL2.ISS of a data abort: ISV, and what it makes valid. Clear for every abort of stage 1, but some versions of
/// QEMU set them.
const ABOUT_INSTRUCTION: u64 = 0x7ff << 14;

impl Exception<'_> {
    /// What the exception is about (DDI 0487, D24.2.37 "ESR_EL2").
    pub const fn class(&self) -> Class {
        // IFSC and DFSC: the kind of a fault, in bits 5:2.
        let kind = match *self.esr >> 2 & 0xf {
            0b0001 => Kind::Translation,
            0b0011 => Kind::Permission,
            _ => Kind::Other,
        };
        match *self.esr >> 26 & 0x3f {
            0x00 => Class::Undefined,
            0x21 => Class::Fetch(kind),
            0x25 => Class::Data(kind),
            0x33 => Class::Step,
            _ => Class::Other,
        }
    }

    /// Makes an abort of the translation tables one of the MPU: that has no levels and reports all faults at level 0.
    pub const fn become_mpu_fault(&mut self) {
        *self.esr &= !(FAULT_LEVEL | ABOUT_INSTRUCTION);
    }
}
