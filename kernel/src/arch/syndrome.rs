//! ESR_EL2 in words (DDI 0487, D24.2.37).

use core::fmt;

/// An exception syndrome: the value of ESR_EL2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Syndrome(u64);

/// The kind of fault that a data or instruction abort reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Address size fault: an output or table address beyond the implemented size.
    AddressSize,
    /// No translation, or on an MPU no region.
    Translation,
    /// The access flag is clear.
    AccessFlag,
    /// The mapping forbids this access.
    Permission,
    /// Synchronous external abort: nobody answered at that physical address.
    External,
    /// The address is not aligned as the memory type demands.
    Alignment,
    /// Two TLB entries match.
    TlbConflict,
    /// Any other fault status code.
    Other(u8),
}

impl FaultKind {
    /// Decodes a fault status code, IFSC or DFSC: ESR_ELx.ISS[5:0].
    const fn from_status(status: u8) -> Self {
        match status {
            0x00..=0x03 | 0x29 | 0x2c => Self::AddressSize,
            0x04..=0x07 | 0x2a | 0x2b => Self::Translation,
            0x08..=0x0b => Self::AccessFlag,
            0x0c..=0x0f => Self::Permission,
            0x10 | 0x12..=0x17 => Self::External,
            0x21 => Self::Alignment,
            0x30 => Self::TlbConflict,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressSize => "address size fault",
            Self::Translation => "translation fault",
            Self::AccessFlag => "access flag fault",
            Self::Permission => "permission fault",
            Self::External => "external abort",
            Self::Alignment => "alignment fault",
            Self::TlbConflict => "TLB conflict",
            Self::Other(status) => return write!(f, "fault status {status:#04x}"),
        })
    }
}

/// The class of an exception, for those that a hypervisor without guests can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// The instruction is undefined here.
    Undefined,
    /// An instruction fetch faulted.
    InstructionAbort(FaultKind),
    /// A data access faulted.
    DataAbort(FaultKind, Direction),
    /// The program counter is not a multiple of 4.
    PcAlignment,
    /// The stack pointer is not a multiple of 16.
    SpAlignment,
    /// BRK instruction, with its immediate.
    Breakpoint(u16),
    /// HVC from EL2, with its immediate.
    HypervisorCall(u16),
    /// SMC that nobody answers, with its immediate.
    SecureMonitorCall(u16),
    /// FP or SIMD instruction while it is trapped.
    FloatingPoint,
    /// Illegal execution state.
    IllegalState,
    /// An access failed late, and nobody can tell which.
    SystemError,
    /// Any other class, ESR_EL2.EC.
    Other(u8),
}

/// What a data access did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A load.
    Read,
    /// A store, or cache maintenance that needs write permission.
    Write,
}

/// The instruction that an exception of class 0x01 trapped: ISS.TI, bits 1:0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitInstruction {
    /// WFI.
    Wfi,
    /// WFE.
    Wfe,
    /// WFIT or WFET.
    WithTimeout,
}

impl WaitInstruction {
    /// The instruction behind `syndrome`, whose class is 0x01.
    pub const fn of(syndrome: Syndrome) -> Self {
        match syndrome.0 & 0b11 {
            0b00 => Self::Wfi,
            0b01 => Self::Wfe,
            _ => Self::WithTimeout,
        }
    }
}

impl Syndrome {
    /// The syndrome `esr`, as read from ESR_EL2.
    pub const fn new(esr: u64) -> Self {
        Self(esr)
    }

    /// The register's value.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The class in ESR_EL2.EC, with what its ISS says.
    pub const fn class(self) -> Class {
        let immediate = (self.0 & 0xffff) as u16;
        let fault = FaultKind::from_status((self.0 & 0x3f) as u8);
        // ISS.WnR, bit 6.
        let access = if self.0 & (1 << 6) == 0 { Direction::Read } else { Direction::Write };
        match ((self.0 >> 26) & 0x3f) as u8 {
            0x00 => Class::Undefined,
            0x07 => Class::FloatingPoint,
            0x0e => Class::IllegalState,
            0x16 => Class::HypervisorCall(immediate),
            0x17 => Class::SecureMonitorCall(immediate),
            0x20 | 0x21 => Class::InstructionAbort(fault),
            0x22 => Class::PcAlignment,
            0x24 | 0x25 => Class::DataAbort(fault, access),
            0x26 => Class::SpAlignment,
            0x2f => Class::SystemError,
            0x3c => Class::Breakpoint(immediate),
            other => Class::Other(other),
        }
    }
}

impl fmt::Debug for Syndrome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} ({})", self.0, self.class())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined => f.write_str("undefined instruction"),
            Self::InstructionAbort(fault) => write!(f, "instruction fetch, {fault}"),
            Self::DataAbort(fault, Direction::Read) => write!(f, "data read, {fault}"),
            Self::DataAbort(fault, Direction::Write) => write!(f, "data write, {fault}"),
            Self::PcAlignment => f.write_str("misaligned program counter"),
            Self::SpAlignment => f.write_str("misaligned stack pointer"),
            Self::Breakpoint(immediate) => write!(f, "BRK #{immediate:#x}"),
            Self::HypervisorCall(immediate) => write!(f, "HVC #{immediate:#x}"),
            Self::SecureMonitorCall(immediate) => write!(f, "SMC #{immediate:#x}, which no service answers"),
            Self::FloatingPoint => f.write_str("trapped floating-point instruction"),
            Self::IllegalState => f.write_str("illegal execution state"),
            Self::SystemError => f.write_str("SError"),
            Self::Other(class) => write!(f, "exception class {class:#04x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Direction, FaultKind, Syndrome};
    use std::string::ToString;

    /// Values read from QEMU's exception log (`-d int`).
    #[test]
    fn syndromes_read_as_the_architecture_says() {
        let class = |esr| Syndrome::new(esr).class();
        assert_eq!(class(0x9600_0006), Class::DataAbort(FaultKind::Translation, Direction::Read));
        assert_eq!(class(0x9600_004f), Class::DataAbort(FaultKind::Permission, Direction::Write));
        assert_eq!(class(0x8600_000f), Class::InstructionAbort(FaultKind::Permission));
        assert_eq!(class(0x0200_0000), Class::Undefined);
        assert_eq!(class(0xf200_0001), Class::Breakpoint(1));
        assert_eq!(class(0x9600_0010), Class::DataAbort(FaultKind::External, Direction::Read));
        assert_eq!(class(0x9600_0061), Class::DataAbort(FaultKind::Alignment, Direction::Write));
    }

    #[test]
    fn classes_print_in_words() {
        assert_eq!(Syndrome::new(0x9600_0046).class().to_string(), "data write, translation fault");
        assert_eq!(Syndrome::new(0x5e00_0000).class().to_string(), "SMC #0x0, which no service answers");
        assert_eq!(Syndrome::new(0xbe00_0000).class().to_string(), "SError");
        assert_eq!(Syndrome::new(0xea00_0000).class().to_string(), "exception class 0x3a");
    }
}
