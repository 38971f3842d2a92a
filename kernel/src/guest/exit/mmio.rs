//! From a stage 2 fault to an access of a device.
//!
//! The fault leaves everything in three registers. [`Abort::decode`] costs some tens of instructions, because each
//! access to an emulated device pays for it.
//!
//! Relies on: the fault was a data abort from a lower exception level, ESR_EL2.EC 0x24 (DDI 0487, D24.2.37, "ISS
//! encoding for an exception from a Data Abort"). For an instruction abort, EC 0x20, the address and the table-walk bit
//! are decoded alike.

use crate::arch::syndrome::{Class, Direction, Syndrome};
use crate::base::addr::GuestAddr;
use crate::guest::device::size::Size;

/// ISV: bits 23:14 describe the instruction. Not for pairs, write-back, atomics, exclusives and vectors.
const ISV: u64 = 1 << 24;
/// SAS, bits 23:22: log2 of the size in bytes.
const SAS_SHIFT: u32 = 22;
/// SSE: a load extends the sign.
const SSE: u64 = 1 << 21;
/// SRT, bits 20:16: the general register.
const SRT_SHIFT: u32 = 16;
/// SF: the register is an X, not a W.
const SF: u64 = 1 << 15;
/// CM: cache maintenance, or address translation.
const CM: u64 = 1 << 8;
/// S1PTW: the walk of the guest's own tables faulted.
const S1PTW: u64 = 1 << 7;
/// WnR: a store.
const WNR: u64 = 1 << 6;
/// DFSC, bits 5:0: the kind of fault.
const DFSC_MASK: u64 = 0x3f;

/// HPFAR_EL2.FIPA, bits 43:4: bits 51:12 of the address (DDI 0487, "HPFAR_EL2"). Bit 63, NS, is no part of it.
const FIPA_MASK: u64 = ((1 << 44) - 1) & !0xf;
/// How far FIPA stands below the bits that it holds.
const FIPA_SHIFT: u32 = 8;
/// The bits that FAR_EL2 has in common with the guest's physical address: the offset in a page of 4 KiB.
const OFFSET_MASK: u64 = 0xfff;

/// A general register as an instruction names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct GeneralRegister(u8);

impl GeneralRegister {
    /// The zero register: it reads as zero, and writes to it are lost.
    pub const ZERO: Self = Self(31);

    /// From five bits of an instruction or a syndrome; others are dropped.
    pub const fn new(number: u64) -> Self {
        Self((number & 0x1f) as u8)
    }

    /// 0 to 30, or `None` for the zero register.
    pub const fn index(self) -> Option<usize> {
        match self {
            Self::ZERO => None,
            Self(number) => Some(number as usize),
        }
    }
}

/// What a load does with the bits above those that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// They become 0.
    Zero,
    /// They become the sign: LDRSB, LDRSH, LDRSW. Up to bit 31 if the register is a W.
    Sign(LoadWidth),
}

/// How much of a general register an instruction uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadWidth {
    /// Its lower half. Writing that clears the upper one.
    W,
    /// All of it.
    X,
}

/// A load from a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Where the value goes.
    pub register: GeneralRegister,
    /// How much is read.
    pub size: Size,
    /// What becomes of the rest of the register.
    pub extension: Extension,
}

impl Load {
    /// What the register holds afterwards, if the device answered `value`.
    #[inline]
    pub const fn result(self, value: u64) -> u64 {
        let unused = 64 - 8 * self.size.bytes();
        match self.extension {
            Extension::Zero => self.size.truncate(value),
            Extension::Sign(LoadWidth::X) => ((value << unused) as i64 >> unused) as u64,
            Extension::Sign(LoadWidth::W) => ((value << unused) as i64 >> unused) as u32 as u64,
        }
    }
}

/// A store to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where the value is.
    pub register: GeneralRegister,
    /// How much is written.
    pub size: Size,
}

impl Store {
    /// What the device is to get, if the register holds `value`.
    #[inline]
    pub const fn value(self, value: u64) -> u64 {
        self.size.truncate(value)
    }
}

/// What a guest's access was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmioRequest {
    /// A load that the syndrome describes.
    Load(Load),
    /// A store that the syndrome describes.
    Store(Store),
    /// A load or store that only its instruction describes: no guest should use such a one on a device.
    NoSyndrome,
    /// Cache maintenance by address, or an address translation. A device has no lines to maintain.
    CacheMaintenance,
    /// A walk of the guest's own tables, which it must have put where no memory is. The address is that of the page.
    TableWalk,
    /// A fault of another kind than a missing mapping. Of the address, only the offset in its page is certain.
    Other(Class),
}

/// The registers that a fault leaves behind.
#[derive(Clone, Copy, Debug)]
pub struct FaultRegisters {
    /// ESR_EL2.
    pub esr: Syndrome,
    /// FAR_EL2: the guest's virtual address.
    pub far: u64,
    /// HPFAR_EL2: the page of the guest's physical address.
    pub hpfar: u64,
}

/// A data abort that stage 2 took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// The guest's physical address.
    pub address: GuestAddr,
    /// Read or write, for the syndrome that is injected if no device answers.
    pub access: Direction,
    /// What was asked.
    pub request: MmioRequest,
}

impl Abort {
    /// What the registers say.
    #[inline]
    pub const fn decode(registers: &FaultRegisters) -> Self {
        let esr = registers.esr.get();
        let page = (registers.hpfar & FIPA_MASK) << FIPA_SHIFT;
        let access = if esr & WNR == 0 { Direction::Read } else { Direction::Write };
        // The walk's address is not in FAR_EL2, which has the address that was to be translated.
        if esr & S1PTW != 0 {
            return Self { address: GuestAddr::new(page), access, request: MmioRequest::TableWalk };
        }
        let address = GuestAddr::new(page | registers.far & OFFSET_MASK);
        let request = match esr & DFSC_MASK {
            // Translation and access flag faults: those after which HPFAR_EL2 is valid.
            0x04..=0x0b | 0x2b if esr & ISV != 0 => Self::described(esr),
            0x04..=0x0b | 0x2b if esr & CM != 0 => MmioRequest::CacheMaintenance,
            0x04..=0x0b | 0x2b => MmioRequest::NoSyndrome,
            _ => MmioRequest::Other(registers.esr.class()),
        };
        Self { address, access, request }
    }

    /// The load or store that a syndrome with ISV describes.
    const fn described(esr: u64) -> MmioRequest {
        let register = GeneralRegister::new(esr >> SRT_SHIFT);
        let size = Size::from_sas(esr >> SAS_SHIFT);
        if esr & WNR != 0 {
            return MmioRequest::Store(Store { register, size });
        }
        let extension = match (esr & SSE, esr & SF) {
            (0, _) => Extension::Zero,
            (_, 0) => Extension::Sign(LoadWidth::W),
            _ => Extension::Sign(LoadWidth::X),
        };
        MmioRequest::Load(Load { register, size, extension })
    }
}

#[cfg(test)]
mod tests {
    use super::{Abort, Extension, FaultRegisters, GeneralRegister, Load, LoadWidth, MmioRequest, Store};
    use crate::arch::syndrome::{Class, Direction, FaultKind, Syndrome};
    use crate::base::addr::GuestAddr;
    use crate::guest::device::size::Size;
    use crate::testing::unless_interpreted;

    fn abort(esr: u64) -> Abort {
        Abort::decode(&FaultRegisters { esr: Syndrome::new(esr), far: 0xffff_8000_1234_5018, hpfar: 0x9_0000 })
    }

    /// Syndromes put together by hand from the fields of DDI 0487, D24.2.37.
    #[test]
    fn loads_and_stores_are_what_the_syndrome_says() {
        // ldr w1, [x0] and str w1, [x0].
        let load = Load { register: GeneralRegister::new(1), size: Size::Word, extension: Extension::Zero };
        let read = abort(0x9381_0006);
        assert_eq!(read.request, MmioRequest::Load(load));
        assert_eq!((read.address, read.access), (GuestAddr::new(0x0900_0018), Direction::Read));
        let write = abort(0x9381_0046);
        assert_eq!(write.request, MmioRequest::Store(Store { register: GeneralRegister::new(1), size: Size::Word }));
        assert_eq!(write.access, Direction::Write);
        // strb wzr, [x0] and ldr x30, [x0], at level 3.
        assert_eq!(
            abort(0x931f_0047).request,
            MmioRequest::Store(Store { register: GeneralRegister::ZERO, size: Size::Byte })
        );
        let load = Load { register: GeneralRegister::new(30), size: Size::Double, extension: Extension::Zero };
        assert_eq!(abort(0x93de_8007).request, MmioRequest::Load(load));
        // ldrsh w2, [x0] and ldrsb x2, [x0].
        let load =
            Load { register: GeneralRegister::new(2), size: Size::Half, extension: Extension::Sign(LoadWidth::W) };
        assert_eq!(abort(0x9362_0006).request, MmioRequest::Load(load));
        let load =
            Load { register: GeneralRegister::new(2), size: Size::Byte, extension: Extension::Sign(LoadWidth::X) };
        assert_eq!(abort(0x9322_8006).request, MmioRequest::Load(load));
    }

    #[test]
    fn what_the_syndrome_does_not_describe_is_named() {
        assert_eq!(abort(0x9200_0046).request, MmioRequest::NoSyndrome);
        assert_eq!(abort(0x9200_0146).request, MmioRequest::CacheMaintenance);
        let permission = Class::DataAbort(FaultKind::Permission, Direction::Write);
        assert_eq!(abort(0x9381_004f).request, MmioRequest::Other(permission));
        assert_eq!(
            abort(0x9200_0010).request,
            MmioRequest::Other(Class::DataAbort(FaultKind::External, Direction::Read))
        );
    }

    #[test]
    fn the_address_of_a_table_walk_is_a_page() {
        let walk = abort(0x9200_0086);
        assert_eq!((walk.request, walk.address), (MmioRequest::TableWalk, GuestAddr::new(0x0900_0000)));
    }

    #[test]
    fn an_address_has_52_bits_and_no_security_state() {
        let registers = FaultRegisters { esr: Syndrome::new(0x9381_0006), far: 0xfff, hpfar: u64::MAX };
        assert_eq!(Abort::decode(&registers).address, GuestAddr::new((1 << 52) - 1));
    }

    #[test]
    fn a_load_fills_the_register_as_the_instruction_says() {
        let load = |size, extension| Load { register: GeneralRegister::ZERO, size, extension };
        let value = 0x8192_a3b4_c5d6_e7f8;
        assert_eq!(load(Size::Byte, Extension::Zero).result(value), 0xf8);
        assert_eq!(load(Size::Half, Extension::Zero).result(value), 0xe7f8);
        assert_eq!(load(Size::Word, Extension::Zero).result(value), 0xc5d6_e7f8);
        assert_eq!(load(Size::Double, Extension::Zero).result(value), value);
        assert_eq!(load(Size::Byte, Extension::Sign(LoadWidth::W)).result(value), 0xffff_fff8);
        assert_eq!(load(Size::Byte, Extension::Sign(LoadWidth::X)).result(value), 0xffff_ffff_ffff_fff8);
        assert_eq!(load(Size::Half, Extension::Sign(LoadWidth::X)).result(0x7fff), 0x7fff);
        assert_eq!(load(Size::Word, Extension::Sign(LoadWidth::X)).result(value), 0xffff_ffff_c5d6_e7f8);
    }

    #[test]
    fn the_zero_register_has_no_index() {
        assert_eq!(GeneralRegister::new(31).index(), None);
        assert_eq!(GeneralRegister::new(30).index(), Some(30));
        assert_eq!(GeneralRegister::new(0xe0).index(), Some(0));
    }

    #[test]
    fn no_syndrome_panics() {
        for esr in (0..1 << 25).step_by(unless_interpreted(0x3d, 0x3d3d)).chain([u64::MAX]) {
            if let MmioRequest::Load(load) = abort(esr | 0x24 << 26).request {
                load.result(u64::MAX);
            }
        }
    }
}
