//! The effects of the guest's execution state on an instruction that EL2 emulates: the byte order of an access, whether
//! the instruction's condition holds, and the address at which the guest continues.
//!
//! A guest's EL1 is AArch64. Its ID registers announce the same for EL0; on a CPU that has AArch32 there, EL1 can enter
//! it all the same, and the exceptions are taken to the vectors for AArch64, since the level below EL2 uses AArch64
//! (DDI 0487, D1.3.1.5).

use crate::guest::device::size::Size;

/// SPSR_EL2.M, bit 4: the guest ran AArch32 code, at EL0. The others are laid out differently then (DDI 0487,
/// "SPSR_EL2").
pub const AARCH32: u64 = 1 << 4;
/// SPSR_EL2.M, bits 3:2: the exception level.
const LEVEL_MASK: u64 = 0b11 << 2;
/// SPSR_EL2.E of AArch32: data is big-endian.
const AARCH32_BIG_ENDIAN: u64 = 1 << 9;
/// SPSR_EL2.IT of AArch32, bits 7:2 and 1:0: the conditions of the instructions in an IT block.
const IT_HIGH_SHIFT: u32 = 10;
const IT_HIGH_MASK: u64 = 0x3f;
const IT_LOW_SHIFT: u32 = 25;
const IT_LOW_MASK: u64 = 0b11;
/// SPSR_EL2, N, Z, C and V.
const FLAGS_SHIFT: u32 = 28;

/// SCTLR_EL1.EE: data is big-endian at EL1.
pub const BIG_ENDIAN_EL1: u64 = 1 << 25;
/// SCTLR_EL1.E0E: data is big-endian at EL0, in AArch64.
pub const BIG_ENDIAN_EL0: u64 = 1 << 24;

/// ESR_EL2.IL: the instruction has 32 bits, not 16.
const IL: u64 = 1 << 25;
/// ESR_EL2.EC, and its classes for instructions with a condition: WFI, WFE, coprocessors, FP and SIMD.
const EC_SHIFT: u32 = 26;
const CONDITIONAL_FIRST: u64 = 0x01;
const CONDITIONAL_LAST: u64 = 0x0c;
/// ISS.CV and COND of a trapped AArch32 instruction: its condition, if CV is 1.
const CV: u64 = 1 << 24;
const COND_SHIFT: u32 = 20;
/// The condition AL.
const ALWAYS: u64 = 0b1110;

/// The order of bytes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// That of devices, too.
    Little,
    /// The first byte counts most.
    Big,
}

impl ByteOrder {
    /// That of the data accesses of code with this SPSR_EL2 under this SCTLR_EL1 (DDI 0487, "BigEndian()").
    pub const fn of(pstate: u64, sctlr: u64) -> Self {
        let is_big = match pstate & (AARCH32 | LEVEL_MASK) {
            mode if mode & AARCH32 != 0 => pstate & AARCH32_BIG_ENDIAN,
            0 => sctlr & BIG_ENDIAN_EL0,
            _ => sctlr & BIG_ENDIAN_EL1,
        };
        if is_big == 0 { Self::Little } else { Self::Big }
    }

    /// What `value`, of that size, is in the other order of the two: this one, or that of devices.
    pub const fn convert(self, size: Size, value: u64) -> u64 {
        match self {
            Self::Little => value,
            Self::Big => value.swap_bytes() >> (64 - 8 * size.bytes()),
        }
    }
}

/// PC and PSTATE behind an instruction at `pc` that EL2 has carried out, whose exception left ESR_EL2 and `pstate`.
pub const fn behind(pc: u64, pstate: u64, esr: u64) -> (u64, u64) {
    let length = if esr & IL == 0 { 2 } else { 4 };
    if pstate & AARCH32 == 0 {
        // BTYPE is 0: see `GuestFrame::pstate`.
        return (pc.wrapping_add(length), pstate);
    }
    let it = next_it(it_state(pstate));
    let others = !(IT_HIGH_MASK << IT_HIGH_SHIFT | IT_LOW_MASK << IT_LOW_SHIFT);
    let it = (it >> 2 & IT_HIGH_MASK) << IT_HIGH_SHIFT | (it & IT_LOW_MASK) << IT_LOW_SHIFT;
    (pc.wrapping_add(length) & u32::MAX as u64, pstate & others | it)
}

/// Whether the condition of a trapped AArch32 instruction holds, if it has one. If not, the trap may be taken all the
/// same, but the instruction does nothing (DDI 0487, "ISS encoding for an exception from an MCR or MRC access", CV).
pub const fn is_executed(pstate: u64, esr: u64) -> bool {
    let condition = match it_state(pstate) {
        _ if !matches!(esr >> EC_SHIFT & 0x3f, CONDITIONAL_FIRST..=CONDITIONAL_LAST) => ALWAYS,
        _ if esr & CV != 0 => esr >> COND_SHIFT & 0xf,
        0 => ALWAYS,
        it => it >> 4,
    };
    holds(condition, pstate >> FLAGS_SHIFT)
}

/// ITSTATE.
const fn it_state(pstate: u64) -> u64 {
    (pstate >> IT_HIGH_SHIFT & IT_HIGH_MASK) << 2 | pstate >> IT_LOW_SHIFT & IT_LOW_MASK
}

/// ITAdvance() of DDI 0487.
const fn next_it(it: u64) -> u64 {
    if it & 0b111 == 0 { 0 } else { it & 0xe0 | it << 1 & 0x1f }
}

/// ConditionHolds() of DDI 0487, with N, Z, C and V in bits 3 to 0 of `flags`.
const fn holds(condition: u64, flags: u64) -> bool {
    let (n, z, c, v) = (flags >> 3 & 1 != 0, flags >> 2 & 1 != 0, flags >> 1 & 1 != 0, flags & 1 != 0);
    let holds = match condition >> 1 {
        0b000 => z,
        0b001 => c,
        0b010 => n,
        0b011 => v,
        0b100 => c && !z,
        0b101 => n == v,
        0b110 => n == v && !z,
        _ => return true,
    };
    holds != (condition & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::{AARCH32, BIG_ENDIAN_EL0, BIG_ENDIAN_EL1, ByteOrder, behind, is_executed};
    use crate::guest::device::size::Size;

    /// SPSR_EL2.M.
    const EL0T: u64 = 0b0000;
    const EL1T: u64 = 0b0100;
    const EL1H: u64 = 0b0101;
    const USER: u64 = 0b1_0000;
    const THUMB: u64 = 1 << 5;
    const IL: u64 = 1 << 25;

    #[test]
    fn each_level_has_its_own_byte_order() {
        let order = |pstate, sctlr| ByteOrder::of(pstate, sctlr);
        let both = BIG_ENDIAN_EL0 | BIG_ENDIAN_EL1;
        for (pstate, bit) in [(EL0T, BIG_ENDIAN_EL0), (EL1T, BIG_ENDIAN_EL1), (EL1H, BIG_ENDIAN_EL1)] {
            assert_eq!(order(pstate, bit), ByteOrder::Big);
            assert_eq!(order(pstate, both & !bit), ByteOrder::Little);
            assert_eq!(order(pstate | 1 << 9, 0), ByteOrder::Little, "PSTATE.D is no byte order");
        }
        assert_eq!(order(USER, both), ByteOrder::Little);
        assert_eq!(order(USER | 1 << 9, 0), ByteOrder::Big);
    }

    #[test]
    fn conversion_turns_the_bytes_of_the_access_around() {
        let big = |size, value| ByteOrder::Big.convert(size, value);
        assert_eq!(big(Size::Byte, 0xa1), 0xa1);
        assert_eq!(big(Size::Half, 0xa1b2), 0xb2a1);
        assert_eq!(big(Size::Word, 0xa1b2_c3d4), 0xd4c3_b2a1);
        assert_eq!(big(Size::Double, 0xa1b2_c3d4_e5f6_0718), 0x1807_f6e5_d4c3_b2a1);
        assert_eq!(ByteOrder::Little.convert(Size::Word, 0xa1b2_c3d4), 0xa1b2_c3d4);
    }

    #[test]
    fn an_instruction_is_as_long_as_its_syndrome_says() {
        assert_eq!(behind(0x1000, EL1H, IL), (0x1004, EL1H));
        assert_eq!(behind(u64::MAX - 3, EL0T | 1 << 25, IL), (0, EL0T | 1 << 25), "TCO is no IT");
        assert_eq!(behind(0x1000, USER, IL), (0x1004, USER));
        assert_eq!(behind(0x1000, USER | THUMB, 0), (0x1002, USER | THUMB));
        assert_eq!(behind(0xffff_fffe, USER | THUMB, 0), (0, USER | THUMB));
    }

    /// ITTTE EQ and what becomes of it: 0b0000_0011 is left before the last of four (DDI 0406, A2.5.2).
    #[test]
    fn an_it_block_goes_on_to_its_end() {
        let pstate = |it: u64| USER | THUMB | (it >> 2) << 10 | (it & 3) << 25;
        let states = [0b0000_0011, 0b0000_0110, 0b0000_1100, 0b0001_1000, 0];
        for pair in states.windows(2) {
            assert_eq!(behind(0, pstate(pair[0]), 0), (2, pstate(pair[1])));
        }
    }

    #[test]
    fn a_condition_is_in_the_syndrome_or_in_the_it_block() {
        const Z: u64 = 1 << 30;
        const CV: u64 = 1 << 24;
        /// MCR or MRC of CP14.
        const COPROCESSOR: u64 = 0x05 << 26;
        /// A data abort.
        const ABORT: u64 = 0x24 << 26;
        let with = |condition: u64| COPROCESSOR | CV | condition << 20;
        assert!(is_executed(USER | Z, with(0)), "EQ");
        assert!(!is_executed(USER, with(0)));
        assert!(is_executed(USER, with(1)), "NE");
        assert!(is_executed(USER, with(14)) && is_executed(USER, with(15)) && is_executed(USER, COPROCESSOR), "AL");
        // In an IT block with NE.
        let ne = USER | THUMB | 0b0001_1000 >> 2 << 10;
        assert!(is_executed(ne, COPROCESSOR) && !is_executed(ne | Z, COPROCESSOR));
        assert!(is_executed(ne | Z, ABORT), "its condition held, or it could not abort");
    }

    /// Against the table of conditions (DDI 0487, C1.2.4), in words of the flags.
    #[test]
    fn conditions_hold_as_the_manual_has_them() {
        for flags in 0..16u64 {
            let [n, z, c, v] = [3, 2, 1, 0].map(|bit| flags >> bit & 1 == 1);
            let table =
                [z, !z, c, !c, n, !n, v, !v, c && !z, !c || z, n == v, n != v, !z && n == v, z || n != v, true, true];
            for (condition, expected) in (0u64..).zip(table) {
                let esr = 0x05 << 26 | 1 << 24 | condition << 20;
                assert_eq!(is_executed(AARCH32 | flags << 28, esr), expected, "{condition} with {flags:#x}");
            }
        }
    }
}
