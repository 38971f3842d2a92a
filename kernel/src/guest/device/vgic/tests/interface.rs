//! Registers of the virtual CPU interface as values.

use crate::arch::virtual_interface::{CommonRegister, Features, Group, InterfaceControl, Running};
use proptest::prelude::*;

/// ICH_VTR_EL2 of QEMU: 4 list registers, 5 bits of priority and preemption, 16 bits of INTID, A3V, TDS.
const VTR: u64 = 0b100 << 29 | 0b100 << 26 | 0b001 << 23 | 1 << 21 | 1 << 19 | 3;

fn features() -> Features {
    Features::from_raw(VTR)
}

#[test]
fn features_are_what_the_register_says() {
    let features = features();
    assert_eq!((features.list_registers(), features.priority_bits(), features.preemption_bits()), (4, 5, 5));
    assert!(features.traps_deactivation_alone());
    assert!(!Features::from_raw(VTR & !(1 << 19)).traps_deactivation_alone());
}

#[test]
fn a_level_is_the_part_of_the_priority_above_the_binary_point() {
    let level =
        |vmcr: u64, priority, group| Running::new([0; 2], InterfaceControl::from_raw(vmcr), 5).level(priority, group);
    // VBPR0 = 2 and VBPR1 = 3: all five bits, in both groups.
    let least = 2 << 21 | 3 << 18;
    assert_eq!((level(least, 0xa8, Group::Zero), level(least, 0xa8, Group::One)), (0x15, 0x15));
    // VBPR0 = 4 leaves bits 7 to 5, VBPR1 = 4 leaves one more.
    let fewer = 4 << 21 | 4 << 18;
    assert_eq!((level(fewer, 0xf8, Group::Zero), level(fewer, 0xf8, Group::One)), (0x1c, 0x1e));
    // VCBPR: that of group 0 counts for both.
    assert_eq!(level(fewer | 1 << 4, 0xf8, Group::One), 0x1c);
    assert_eq!(level(7 << 21, 0xf8, Group::Zero), 0);
}

#[test]
fn what_runs_is_in_the_active_priorities() {
    let control = InterfaceControl::from_raw(2 << 21 | 3 << 18);
    let running = Running::new([1 << 0x10, 1 << 0x14], control, 5);
    assert!(running.has(0x80, Group::Zero) && running.has(0xa0, Group::One));
    assert!(!running.has(0x80, Group::One) && !running.has(0xa0, Group::Zero));
    assert_eq!(running.priority(), 0x80);
    assert_eq!(Running::new([0; 2], control, 5).priority(), 0xff);
    assert_eq!(Running::new([0, 1 << 127], control, 7).priority(), 0xfe);
}

#[test]
fn trapped_registers_read_as_the_interface_has_them() {
    let vmcr = 0xa0 << 24 | 2 << 21 | 3 << 18 | 1 << 9 | 1 << 4 | 1 << 3;
    let running = Running::new([0, 1 << 0x10], InterfaceControl::from_raw(vmcr), 5);
    // A3V, IDbits, PRIbits, EOImode, CBPR (IHI 0069, 12.2 "ICC_CTLR_EL1").
    let control = 1 << 15 | 1 << 11 | 4 << 8 | 1 << 1 | 1;
    assert_eq!(CommonRegister::Control.read(features(), &running), control);
    assert_eq!(CommonRegister::PriorityMask.read(features(), &running), 0xa0);
    assert_eq!(CommonRegister::RunningPriority.read(features(), &running), 0x80);
    assert_eq!(CommonRegister::Control.read(Features::from_raw(1 << 22), &running), 1 << 14 | 0b11);
}

proptest! {
    /// A write changes what the register has, and nothing else of ICH_VMCR_EL2.
    #[test]
    fn trapped_registers_keep_what_is_written(vmcr: u32, value: u64) {
        let old = InterfaceControl::from_raw(vmcr.into());
        let running = |control| Running::new([0; 2], control, 5);

        let new = CommonRegister::Control.write(features(), old, value);
        prop_assert_eq!((new.raw() ^ old.raw()) & !(1 << 9 | 1 << 4), 0);
        prop_assert_eq!(CommonRegister::Control.read(features(), &running(new)) & 0b11, value & 0b11);
        prop_assert_eq!(new.splits_ends(), value & 0b10 != 0);

        let new = CommonRegister::PriorityMask.write(features(), old, value);
        prop_assert_eq!((new.raw() ^ old.raw()) & !(0xff << 24), 0);
        prop_assert_eq!(CommonRegister::PriorityMask.read(features(), &running(new)), value & 0xf8);

        prop_assert_eq!(CommonRegister::RunningPriority.write(features(), old, value), old);
    }
}
