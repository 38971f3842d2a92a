//! The response to a trapped access.
//!
//! A register of a feature that a guest's ID registers do not announce is UNDEFINED, as on a machine without it: a
//! guest that checks first never gets there, and one that does not gets the exception at the instruction. Registers
//! that are mandatory whatever the ID registers say exist and have no effect.

use super::{SystemRegister, id_register, names};
use crate::arch::id_register::IdRegister;
use crate::arch::syndrome::Direction;
use crate::arch::virtual_interface::CommonRegister;
use crate::guest::device::vgic::SgiRegister;
use names::Family;

/// What to do about an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Send the SGI that the value describes.
    Sgi(SgiRegister),
    /// Deactivate the interrupt that the value names.
    Deactivate,
    /// Stand in for a register of the virtual CPU interface, which is trapped where ICC_DIR_EL1 cannot be trapped alone.
    Interface(CommonRegister),
    /// Read as this, and ignore writes.
    Value(u64),
    /// Read as what [`filtered`](super::filtered) leaves of the hardware's register.
    Id(IdRegister),
    /// Raise an exception at EL1: the guest has no such register.
    Undefined,
}

impl Handling {
    /// RAZ/WI.
    pub const ZERO: Self = Self::Value(0);
}

/// OSLSR_EL1: OSLM, bits 3 and 0, 0b10, there is an OS lock, as Armv8-A demands; OSLK, bit 1: it is not locked.
const OS_LOCK_OPEN: u64 = 1 << 3;

/// What to do about `access` to `register`.
pub const fn handling(register: SystemRegister, access: Direction) -> Handling {
    match (register, access) {
        // Write-only.
        (names::ICC_SGI1R_EL1, Direction::Write) => Handling::Sgi(SgiRegister::Sgi1),
        (names::ICC_SGI0R_EL1, Direction::Write) => Handling::Sgi(SgiRegister::Sgi0),
        (names::ICC_ASGI1R_EL1, Direction::Write) => Handling::Sgi(SgiRegister::AliasedSgi1),
        (names::ICC_DIR_EL1, Direction::Write) => Handling::Deactivate,
        (names::ICC_CTLR_EL1, _) => Handling::Interface(CommonRegister::Control),
        (names::ICC_PMR_EL1, _) => Handling::Interface(CommonRegister::PriorityMask),
        // Read-only.
        (names::ICC_RPR_EL1, Direction::Read) => Handling::Interface(CommonRegister::RunningPriority),
        (register, Direction::Read) if id_register::in_group(register) => match IdRegister::of(register) {
            Some(id) => Handling::Id(id),
            None => Handling::ZERO,
        },
        // Trapped together with SMIDR_EL1. They go with MIDR_EL1, which is the machine's.
        (names::REVIDR_EL1, Direction::Read) => Handling::Id(IdRegister::Revision),
        (names::AIDR_EL1, Direction::Read) => Handling::Id(IdRegister::Auxiliary),
        // Implementation defined control may be none.
        (names::ACTLR_EL1, _) => Handling::ZERO,
        (names::OSLSR_EL1, Direction::Read) => Handling::Value(OS_LOCK_OPEN),
        _ if is_debug(register) => Handling::ZERO,
        _ => Handling::Undefined,
    }
}

/// Whether it is one of the debug registers that Armv8-A cannot be without. The machine's debug logic stays the
/// hypervisor's: a guest may set its breakpoints, but they never hit.
const fn is_debug(register: SystemRegister) -> bool {
    match register.family() {
        Some((Family::BreakpointValue | Family::BreakpointControl, n)) => n < id_register::BREAKPOINTS,
        Some((Family::WatchpointValue | Family::WatchpointControl, n)) => n < id_register::WATCHPOINTS,
        Some((Family::EventCounter | Family::EventType, _)) => false,
        None => matches!(
            register,
            names::OSDTRRX_EL1
                | names::MDCCINT_EL1
                | names::MDSCR_EL1
                | names::OSDTRTX_EL1
                | names::OSECCR_EL1
                | names::MDRAR_EL1
                | names::OSLAR_EL1
                | names::OSDLR_EL1
                | names::DBGPRCR_EL1
                | names::DBGCLAIMSET_EL1
                | names::DBGCLAIMCLR_EL1
                | names::DBGAUTHSTATUS_EL1
                | names::MDCCSR_EL0
                | names::DBGDTR_EL0
                | names::DBGDTRRX_EL0
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Handling, handling};
    use crate::arch::id_register::IdRegister;
    use crate::arch::syndrome::Direction;
    use crate::arch::virtual_interface::CommonRegister;
    use crate::guest::device::vgic::SgiRegister;
    use crate::guest::sysreg::{SystemRegister, names};

    fn both(register: SystemRegister) -> [Handling; 2] {
        [Direction::Read, Direction::Write].map(|access| handling(register, access))
    }

    #[test]
    fn sgis_are_sent_by_writing_alone() {
        assert_eq!(both(names::ICC_SGI1R_EL1), [Handling::Undefined, Handling::Sgi(SgiRegister::Sgi1)]);
        assert_eq!(both(names::ICC_SGI0R_EL1), [Handling::Undefined, Handling::Sgi(SgiRegister::Sgi0)]);
        assert_eq!(both(names::ICC_ASGI1R_EL1), [Handling::Undefined, Handling::Sgi(SgiRegister::AliasedSgi1)]);
    }

    #[test]
    fn all_that_is_trapped_with_deactivation_is_handled() {
        use CommonRegister::{Control, PriorityMask, RunningPriority};
        let [control, mask, running] = [Control, PriorityMask, RunningPriority].map(Handling::Interface);
        assert_eq!(both(names::ICC_DIR_EL1), [Handling::Undefined, Handling::Deactivate]);
        assert_eq!(both(names::ICC_CTLR_EL1), [control; 2]);
        assert_eq!(both(names::ICC_PMR_EL1), [mask; 2]);
        assert_eq!(both(names::ICC_RPR_EL1), [running, Handling::Undefined]);
    }

    #[test]
    fn id_registers_are_read_and_those_of_the_future_are_zero() {
        assert_eq!(both(names::ID_AA64PFR0_EL1), [Handling::Id(IdRegister::Pfr0), Handling::Undefined]);
        for crm in 1..8 {
            for op2 in 0..8 {
                let register = SystemRegister::new(3, 0, 0, crm, op2);
                let [read, write] = both(register);
                assert!(matches!(read, Handling::Id(_) | Handling::ZERO), "{register}");
                assert_eq!(write, Handling::Undefined, "{register}");
            }
        }
        for absent in [names::ID_AA64ZFR0_EL1, names::ID_AA64SMFR0_EL1, names::ID_AA64MMFR3_EL1] {
            assert_eq!(both(absent)[0], Handling::ZERO, "{absent}");
        }
        // MPIDR_EL1, which is no ID register of that group, and one of the next CRn.
        assert_eq!(both(SystemRegister::new(3, 0, 0, 0, 5))[0], Handling::Undefined);
        assert_eq!(both(SystemRegister::new(3, 0, 1, 4, 0))[0], Handling::Undefined);
    }

    #[test]
    fn what_is_trapped_with_the_id_of_sme_is_the_machine_s() {
        assert_eq!(both(names::REVIDR_EL1), [Handling::Id(IdRegister::Revision), Handling::Undefined]);
        assert_eq!(both(names::AIDR_EL1), [Handling::Id(IdRegister::Auxiliary), Handling::Undefined]);
        assert_eq!(both(SystemRegister::new(3, 1, 0, 0, 6)), [Handling::Undefined; 2], "SMIDR_EL1");
    }

    #[test]
    fn what_linux_writes_to_debug_registers_at_boot_is_ignored() {
        for register in [names::MDSCR_EL1, names::OSLAR_EL1, names::OSDLR_EL1, names::DBGPRCR_EL1] {
            assert_eq!(both(register), [Handling::ZERO; 2], "{register}");
        }
        assert_eq!(both(names::OSLSR_EL1)[0], Handling::Value(8));
    }

    #[test]
    fn there_are_as_many_breakpoints_as_the_id_register_says() {
        for op2 in 4..8 {
            let answers = [0, 1, 2, 15].map(|crm| both(SystemRegister::new(2, 0, 0, crm, op2))[1]);
            assert_eq!(answers, [Handling::ZERO, Handling::ZERO, Handling::Undefined, Handling::Undefined]);
        }
    }

    #[test]
    fn what_is_not_announced_is_undefined() {
        let absent = [
            names::PMCR_EL0,
            names::PMCCNTR_EL0,
            names::PMUSERENR_EL0,
            names::LORC_EL1,
            names::AMCR_EL0,
            SystemRegister::new(3, 3, 14, 8, 0),
            SystemRegister::new(3, 0, 1, 2, 0), // ZCR_EL1
            SystemRegister::new(3, 1, 15, 2, 0),
        ];
        for register in absent {
            assert_eq!(both(register), [Handling::Undefined; 2], "{register}");
        }
    }
}
