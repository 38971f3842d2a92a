//! Instruction words, from GNU as 2.40 (`-march=armv8-r`) and from the encodings in the manuals.

use crate::pmsa::decode::{Access, Choice, Direction, Effect, Register};
use Choice::{Direct, Selected};
use Direction::{Read, Write};
use Register::{Mpuir, Prbar, Prenr, Prlar, Prselr};
use std::vec;

/// What `objdump` says of each word stands behind it.
const GOLDEN: [(u32, Direction, Register, u8); 18] = [
    (0xd53c_0085, Read, Mpuir, 5),               // mrs x5, mpuir_el2
    (0xd53c_6125, Read, Prenr, 5),               // mrs x5, prenr_el2
    (0xd51c_6127, Write, Prenr, 7),              // msr prenr_el2, x7
    (0xd53c_6225, Read, Prselr, 5),              // mrs x5, prselr_el2
    (0xd51c_6224, Write, Prselr, 4),             // msr prselr_el2, x4
    (0xd53c_6800, Read, Prbar(Selected), 0),     // mrs x0, prbar_el2
    (0xd51c_6802, Write, Prbar(Selected), 2),    // msr prbar_el2, x2
    (0xd53c_6821, Read, Prlar(Selected), 1),     // mrs x1, prlar_el2
    (0xd51c_683f, Write, Prlar(Selected), 31),   // msr prlar_el2, xzr
    (0xd51c_6881, Write, Prbar(Direct(1)), 1),   // msr prbar1_el2, x1
    (0xd53c_68a1, Read, Prlar(Direct(1)), 1),    // mrs x1, prlar1_el2
    (0xd51c_6902, Write, Prbar(Direct(2)), 2),   // msr prbar2_el2, x2
    (0xd53c_6ba7, Read, Prlar(Direct(7)), 7),    // mrs x7, prlar7_el2
    (0xd51c_6c08, Write, Prbar(Direct(8)), 8),   // msr prbar8_el2, x8
    (0xd53c_6cac, Read, Prlar(Direct(9)), 12),   // mrs x12, prlar9_el2
    (0xd51c_6f0e, Write, Prbar(Direct(14)), 14), // msr prbar14_el2, x14
    (0xd53c_6f9e, Read, Prbar(Direct(15)), 30),  // mrs x30, prbar15_el2
    (0xd51c_6fbe, Write, Prlar(Direct(15)), 30), // msr prlar15_el2, x30
];

#[test]
fn the_assembler_and_the_decoder_agree() {
    for (word, direction, register, operand) in GOLDEN {
        assert_eq!(Access::decode(word), Some(Access { direction, register, operand }), "{word:#x}");
    }
}

/// S3_4_Cn_Cm_op2 of each register, as DDI 0600, G1.3 lists them.
fn encoding(register: Register) -> (u32, u32, u32) {
    let numbered = |number: u8, first| (6, 8 + u32::from(number) / 2, 4 * (u32::from(number) % 2) + first);
    match register {
        Mpuir => (0, 0, 4),
        Prenr => (6, 1, 1),
        Prselr => (6, 2, 1),
        Prbar(Selected) => numbered(0, 0),
        Prlar(Selected) => numbered(0, 1),
        Prbar(Direct(number)) => numbered(number, 0),
        Prlar(Direct(number)) => numbered(number, 1),
    }
}

/// MRS and MSR (register) with op0 = 3: 1101 0101 00 L 1 1 op1 CRn CRm op2 Rt.
fn word(direction: Direction, op1: u32, (crn, crm, op2): (u32, u32, u32), operand: u32) -> u32 {
    let l = u32::from(direction == Read);
    0b11_0101_0100 << 22 | l << 21 | 0b11 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | operand
}

/// Every system register access there can be decodes to what is in the list, and to nothing where the list has nothing.
#[test]
fn of_all_system_registers_those_of_the_el2_mpu_are_decoded_and_no_other() {
    let mut registers = vec![Mpuir, Prenr, Prselr, Prbar(Selected), Prlar(Selected)];
    registers.extend((1..16).flat_map(|number| [Prbar(Direct(number)), Prlar(Direct(number))]));
    let expected = |direction, op1, numbers| {
        let register = registers.iter().copied().find(|register| op1 == 4 && encoding(*register) == numbers)?;
        (register != Mpuir || direction == Read).then_some(register)
    };
    let mut found = 0;
    for direction in [Read, Write] {
        for bits in 0..1 << 14 {
            let (op1, numbers) = (bits >> 11, (bits >> 7 & 0xf, bits >> 3 & 0xf, bits & 7));
            for operand in [0, 17, 30, 31] {
                let decoded = Access::decode(word(direction, op1, numbers, operand));
                let register = expected(direction, op1, numbers);
                found += usize::from(register.is_some());
                let access = register.map(|register| Access { direction, register, operand: operand as u8 });
                assert_eq!(decoded, access, "op1 {op1}, {numbers:?}");
            }
        }
    }
    assert_eq!(found, 4 * (35 + 34));
}

#[test]
fn what_is_no_access_to_a_system_register_is_not_decoded() {
    for other in [
        0xd538_6804, // mrs x4, prbar_el1
        0xd51c_2001, // msr vsctlr_el2, x1
        0xd51c_0085, // msr mpuir_el2, x5
        0xd50c_6802, // sys #4, C6, C8, #0, x2
        0xd514_6802, // msr S2_4_C6_C8_0, x2
        0x0000_0000, // udf #0
        0xd503_201f, // nop
    ] {
        assert_eq!(Access::decode(other), None, "{other:#x}");
    }
}

#[test]
fn barriers_and_exclusives_are_told_apart() {
    let all = [
        (0xd503_3f9f, Effect::Completion),      // dsb sy
        (0xd503_3b9f, Effect::Completion),      // dsb ish
        (0xd503_3fdf, Effect::Synchronization), // isb
        (0xd69f_03e0, Effect::Return),          // eret
        (0xd503_3fbf, Effect::Other),           // dmb sy
        (0xd503_201f, Effect::Other),           // nop
        (0x885f_7c20, Effect::Exclusive),       // ldxr w0, [x1]
        (0xc85f_fc20, Effect::Exclusive),       // ldaxr x0, [x1]
        (0x8802_7c20, Effect::Exclusive),       // stxr w2, w0, [x1]
        (0xc87f_0440, Effect::Exclusive),       // ldxp x0, x1, [x2]
        (0x88df_fc20, Effect::Other),           // ldar w0, [x1]
        (0x889f_fc20, Effect::Other),           // stlr w0, [x1]
        (0xb940_0020, Effect::Other),           // ldr w0, [x1]
    ];
    for (word, effect) in all {
        assert_eq!(Effect::of(word), effect, "{word:#x}");
    }
}
