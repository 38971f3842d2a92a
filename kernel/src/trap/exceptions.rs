//! Exceptions taken at EL2 from EL2.

use crate::arch::syndrome::Syndrome;
use crate::base::addr::VirtAddr;
use crate::base::outcome::Outcome;
use crate::console::Emergency;
use crate::cpu::block::block;
use crate::cpu::fixup::{self, Fault};
use crate::cpu::power;
#[cfg(feature = "cpus")]
use crate::trap::halt;
use crate::trap::{backtrace, fatal};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{DAIF, HCR_EL2, ReadWriteable, Readable};
use arm_sysregs::el1::accessors::read_isr_el1;
use arm_sysregs::el1::registers::IsrEl1;
use core::fmt::Write;
use lacuna_boot::ExceptionFrame;

/// The sixteen entries of the vector table (DDI 0487, D1.3.1.5): where the exception came from, and what it is.
const ORIGINS: [&str; 4] = ["EL2 with SP_EL0", "EL2", "a lower level", "a lower level in AArch32"];
const KINDS: [&str; 4] = ["synchronous exception", "IRQ", "FIQ", "SError"];

const IRQ: usize = 1;
const FIQ: usize = 2;

/// Index of the vector for synchronous exceptions from EL2 itself.
const EL2_SYNCHRONOUS: u64 = 4;

/// Index of the vector for SErrors from EL2 itself.
const EL2_SERROR: u64 = 7;

/// Lets SErrors be taken from here on, so that an access that failed late is reported instead of lost.
pub fn unmask_serror() {
    // Without AMO a physical SError stays pending while EL2 runs (DDI 0487, D1.3.6).
    HCR_EL2.modify(HCR_EL2::AMO::SET);
    barrier::isb(barrier::SY);
    DAIF.modify(DAIF::A::Unmasked);
}

/// Whether a physical SError is pending: ISR_EL1.A.
fn serror_is_pending() -> bool {
    read_isr_el1().contains(IsrEl1::A)
}

/// Runs `code` with SErrors unmasked, and masks them again if they were. `None` if one is pending already, which would be
/// taken for `code`'s.
pub fn with_serror<R>(code: impl FnOnce() -> R) -> Option<R> {
    let masked = DAIF.matches_all(DAIF::A::Masked);
    if masked && serror_is_pending() {
        return None;
    }
    unmask_serror();
    let result = code();
    if masked {
        DAIF.modify(DAIF::A::Masked);
    }
    Some(result)
}

/// Every exception that EL2 takes comes here, from `vectors.S`.
#[unsafe(no_mangle)]
extern "C" fn lacuna_exception(frame: &mut ExceptionFrame, vector: u64) {
    #[cfg(feature = "pmsa-emulation")]
    if vector == EL2_SYNCHRONOUS && emulated(frame) {
        return;
    }
    #[cfg(feature = "guests")]
    if vector == EL2_SERROR && lacuna_boot::is_leaving_guest(frame.elr) {
        frame.x[0] = frame.esr;
        return;
    }
    let fault =
        Fault { syndrome: Syndrome::new(frame.esr), address: VirtAddr::new(frame.far), at: VirtAddr::new(frame.elr) };
    if matches!(vector, EL2_SYNCHRONOUS | EL2_SERROR) && fixup::recover(frame, fault) {
        return;
    }
    report(frame, vector, fault);
    fatal::finish(Outcome::Failure);
}

/// Prints what is known of an exception that nobody expected. Takes no lock and allocates nothing.
fn report(frame: &ExceptionFrame, vector: u64, fault: Fault) {
    let depth = block().begin_report();
    if depth > 0 {
        if depth == 1 {
            let _ = writeln!(Emergency, "lacuna: fatal: another exception during the report ({:#x})", frame.esr);
        }
        power::end(Outcome::Failure);
    }
    #[cfg(feature = "cpus")]
    halt::begin_report();
    let (origin, kind) = (ORIGINS[(vector / 4 % 4) as usize], (vector % 4) as usize);
    // A failure to print can be told to nobody. For an interrupt ESR_EL2 says nothing.
    let _ = match kind {
        IRQ | FIQ => writeln!(Emergency, "\nlacuna: fatal: unexpected {} from {origin}", KINDS[kind]),
        _ => writeln!(Emergency, "\nlacuna: fatal: {} ({} from {origin})", fault.syndrome.class(), KINDS[kind]),
    };
    let _ = match block().running() {
        Some((domain, vcpu)) => writeln!(Emergency, "  on CPU {}, beside vCPU {vcpu} of domain {domain}", block().id()),
        None => writeln!(Emergency, "  on CPU {}", block().id()),
    };
    let _ = writeln!(Emergency, "  ESR {:#018x}  ELR {:#018x}  FAR {:#018x}", frame.esr, frame.elr, frame.far);
    let _ = writeln!(Emergency, "  SPSR {:#x}  SP {:#018x}", frame.spsr, frame.sp);
    for (row, registers) in frame.x.chunks(4).enumerate() {
        for (column, value) in registers.iter().enumerate() {
            let _ = write!(Emergency, "  x{:<2} {value:#018x}", row * 4 + column);
        }
        let _ = writeln!(Emergency);
    }
    backtrace::print(&mut Emergency, frame.elr, frame.x[30], frame.x[29]);
    #[cfg(feature = "cpus")]
    halt::end_report();
}

/// Has the emulation of the MPU look at an exception first: most of them a CPU with an MPU would not take.
#[cfg(feature = "pmsa-emulation")]
fn emulated(frame: &mut ExceptionFrame) -> bool {
    use lacuna_board::pmsa::{Exception, Handled, handle};
    let ExceptionFrame { x, elr, spsr, esr, far, .. } = frame;
    match handle(Exception { x, elr, esr, spsr, far: *far }) {
        Handled::Yes => true,
        Handled::No => false,
        Handled::Stuck(at) => crate::fatal!("the regions no longer cover what exceptions need ({at:#x})"),
    }
}
