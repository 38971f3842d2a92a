//! The registers of a vCPU that shares its CPU, while another vCPU runs there.
//!
//! A switch stores the registers of one vCPU ([`store`](GuestContext::store)) and loads those of another
//! ([`load`](GuestContext::load)). Between the two, and between two writes of a load, tables and controls of two guests
//! would be mixed, and a CPU may walk tables speculatively: EL1's registers must not be used from EL2 for that (DDI 0487,
//! D8.2.6), but some CPUs do (Arm's errata 1165522, 1319367 and 1530923). So stage 1 walks are off meanwhile (TCR_EL1.EPD0
//! and EPD1), and stage 2 changes by the one write of VTTBR_EL2, which has the VMID too.

use crate::arch::aarch64::virtualization::GuestRegime;
use crate::arch::aarch64::{barrier, controls, el1::El1Snapshot, own};
use crate::arch::controls::{Control, Feature, IdRegisters};
use crate::arch::guest_registers::guest_registers;
use arm_sysregs::el0::accessors as el0;
use arm_sysregs::el0::registers as of_el0;
use arm_sysregs::el1::accessors as el1;
use arm_sysregs::el1::registers as of_el1;
use arm_sysregs::el2::accessors as el2;
use arm_sysregs::el2::registers as of_el2;
#[cfg(target_os = "none")]
use core::arch::global_asm;

/// TCR_EL1.EPD0 and EPD1: no walks of the tables of either half (DDI 0487, D24.2.139).
const NO_WALKS: u64 = 1 << 23 | 1 << 7;

/// Bits of CNTV_CTL_EL0 and CNTP_CTL_EL0: ENABLE, and IMASK, which keeps the interrupt from being asserted.
const TIMER_MASK: u64 = 0b11;
const TIMER_ON: u64 = 0b01;

/// A register of 64 bits as the type that its accessor has.
trait Word: Copy {
    fn raw(self) -> u64;
    fn of(raw: u64) -> Self;
}

impl Word for u64 {
    fn raw(self) -> u64 {
        self
    }

    fn of(raw: u64) -> Self {
        raw
    }
}

macro_rules! words {
    ($($module:ident: $($name:ident)*;)*) => {
        $($(impl Word for $module::$name {
            fn raw(self) -> u64 {
                self.bits()
            }

            fn of(raw: u64) -> Self {
                Self::from_bits_retain(raw)
            }
        })*)*
    };
}

// Some types have a second name, and are here once.
words! {
    of_el1: CpacrEl1 Ttbr1El1 TcrEl1 SpsrEl1 ElrEl1 EsrEl1 FarEl1 ParEl1 MairEl1 VbarEl1 ContextidrEl1 TpidrEl1;
    of_el1: CntkctlEl1 CsselrEl1 MdscrEl1 SpEl1 ApiakeyloEl1 ApiakeyhiEl1 SctlrEl1;
    of_el0: TpidrEl0 CntpCtlEl0 CntpCvalEl0;
    of_el2: VdisrEl2 VsesrEl2;
}

macro_rules! context {
    ($(
        $feature:ident {
            $($name:ident $module:ident $read:ident $write:ident $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal,)*
        }
    )*) => {
        /// The registers of EL1 and EL0 but SCTLR_EL1, and those of EL2 that EL1 reads as its own.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[allow(non_snake_case, reason = "the names are the registers'")]
        struct Registers {
            $($($name: u64,)*)*
        }

        impl Registers {
            fn store(&mut self, id: &IdRegisters) {
                $(
                    if context!(@ $feature id) {
                        $(context!(@store $name $module $read self);)*
                    }
                )*
            }

            /// Loads all but TCR_EL1.
            ///
            /// # Safety
            ///
            /// As for [`GuestContext::load`].
            unsafe fn load(&self, id: &IdRegisters) {
                $(
                    if context!(@ $feature id) {
                        $(context!(@load $name $module $write self);)*
                    }
                )*
            }
        }
    };
    (@ Always $id:ident) => { true };
    (@ $feature:ident $id:ident) => { $id.has(Feature::$feature) };
    // At EL2 this is EL2's own. EL1's is VDISR_EL2.
    (@store DISR_EL1 $module:ident $read:ident $self:ident) => {};
    (@store $name:ident $module:ident $read:ident $self:ident) => { $self.$name = $module::$read().raw() };
    (@load DISR_EL1 $module:ident $write:ident $self:ident) => {};
    (@load TCR_EL1 $module:ident $write:ident $self:ident) => {};
    (@load $name:ident $module:ident $write:ident $self:ident) => {
        #[allow(unused_unsafe, reason = "the crate lets some of them be written by anybody")]
        // SAFETY: a register of EL1 or EL0, or of EL2 that EL1 reads as its own. The vCPU that is loaded left this value
        // there, and no other vCPU is on this CPU, as the caller says. The register exists with the feature.
        unsafe {
            $module::$write(Word::of($self.$name))
        }
    };
}

guest_registers!(context);

/// v0 to v31, FPCR and FPSR. They exist in the image only.
#[cfg(target_os = "none")]
#[derive(Clone, Debug, Default)]
#[repr(C, align(16))]
struct FloatingPoint {
    vectors: [u128; 32],
    control: u64,
    status: u64,
}

#[cfg(target_os = "none")]
unsafe extern "C" {
    /// Stores v0 to v31, FPCR and FPSR into `to`.
    fn store_floating_point(to: *mut FloatingPoint);

    /// Loads them from `from`.
    fn load_floating_point(from: *const FloatingPoint);
}

#[cfg(target_os = "none")]
global_asm!(
    ".arch_extension fp",
    ".arch_extension simd",
    ".macro each_pair op",
    "\\op q0, q1, [x0, #0]",
    "\\op q2, q3, [x0, #32]",
    "\\op q4, q5, [x0, #64]",
    "\\op q6, q7, [x0, #96]",
    "\\op q8, q9, [x0, #128]",
    "\\op q10, q11, [x0, #160]",
    "\\op q12, q13, [x0, #192]",
    "\\op q14, q15, [x0, #224]",
    "\\op q16, q17, [x0, #256]",
    "\\op q18, q19, [x0, #288]",
    "\\op q20, q21, [x0, #320]",
    "\\op q22, q23, [x0, #352]",
    "\\op q24, q25, [x0, #384]",
    "\\op q26, q27, [x0, #416]",
    "\\op q28, q29, [x0, #448]",
    "\\op q30, q31, [x0, #480]",
    ".endm",
    "store_floating_point:",
    "each_pair stp",
    "mrs x1, fpcr",
    "mrs x2, fpsr",
    "add x0, x0, #512",
    "stp x1, x2, [x0]",
    "ret",
    "load_floating_point:",
    "each_pair ldp",
    "add x0, x0, #512",
    "ldp x1, x2, [x0]",
    "msr fpcr, x1",
    "msr fpsr, x2",
    "ret",
    ".arch_extension nosimd",
    ".arch_extension nofp",
);

/// All registers of a vCPU but its general ones and those of its virtual CPU interface.
#[derive(Clone, Debug, Default)]
pub struct GuestContext {
    registers: Registers,
    sctlr: u64,
    #[cfg(target_os = "none")]
    floating_point: FloatingPoint,
}

impl GuestContext {
    /// Stores the registers of the vCPU that is on this CPU, which has the ID registers `id`, and turns its timers off.
    pub fn store(&mut self, id: &IdRegisters) {
        self.registers.store(id);
        self.sctlr = el1::read_sctlr_el1().raw();
        // What they assert is this vCPU's. The next one must not be interrupted by them.
        el0::write_cntv_ctl_el0(of_el0::CntvCtlEl0::empty());
        el0::write_cntp_ctl_el0(of_el0::CntpCtlEl0::empty());
        #[cfg(target_os = "none")]
        // SAFETY: the pointer is a reference's. FP is not trapped at EL2 (CPTR_EL2.TFP is 0 from the start), and EL2, built
        // without, holds nothing in its registers.
        unsafe {
            store_floating_point(&raw mut self.floating_point)
        };
    }

    /// Loads the registers of a vCPU whose stage 2 translation and identity are `regime`, on the CPU on which they were stored.
    ///
    /// `stale` says whether this CPU may hold stage 1 translations of another vCPU of the same guest. Both may use one
    /// ASID for different tables (DDI 0487, D8.16.1: ASIDs are each CPU's own unless TTBR_EL1.CnP says otherwise).
    ///
    /// # Safety
    ///
    /// - `regime` must lead to complete stage 2 tables that map the guest's own memory and nothing else.
    /// - `self` must be what [`store`](Self::store) left of this vCPU, and the state of the vCPU that was on this CPU must be
    ///   stored or no longer needed.
    pub unsafe fn load(&self, id: &IdRegisters, regime: &GuestRegime, stale: StaleTranslations) {
        let walks_off = of_el1::TcrEl1::of(el1::read_tcr_el1().raw() | NO_WALKS);
        // SAFETY: nothing runs at EL1 until the registers of the next vCPU are complete.
        unsafe { el1::write_tcr_el1(walks_off) };
        barrier::isb();
        // SAFETY: all guests of this machine have the same format of tables; EL1 does not run.
        unsafe { el2::write_vtcr_el2(of_el2::VtcrEl2::from_bits_retain(regime.vtcr)) };
        // SAFETY: the tables are complete and map the guest's own memory, as the caller says.
        unsafe { el2::write_vttbr_el2(of_el2::VttbrEl2::from_bits_retain(regime.vttbr)) };
        el2::write_vmpidr_el2(of_el2::VmpidrEl2::from_bits_retain(regime.mpidr));
        el2::write_cntvoff_el2(of_el2::CntvoffEl2::from_bits_retain(regime.virtual_offset));
        // SAFETY: the caller promises the same.
        unsafe { self.registers.load(id) };
        // SAFETY: EL1 does not run, and its walks are off.
        unsafe { el1::write_sctlr_el1(of_el1::SctlrEl1::of(self.sctlr)) };
        controls::write(Control::Hcr, regime.hcr);
        barrier::isb();
        if stale == StaleTranslations::Possible {
            barrier::drop_own_guest_translations();
        }
        // All else is in place; the return to the guest synchronises this one.
        // SAFETY: the tables that it lets the CPU walk are this vCPU's, and so is stage 2 behind them.
        unsafe { el1::write_tcr_el1(of_el1::TcrEl1::of(self.registers.TCR_EL1)) };
        #[cfg(target_os = "none")]
        // SAFETY: as in `store`.
        unsafe {
            load_floating_point(&raw const self.floating_point)
        };
    }

    /// The registers that a report shows.
    pub fn snapshot(&self) -> El1Snapshot {
        let of = &self.registers;
        El1Snapshot {
            sctlr: self.sctlr,
            vbar: of.VBAR_EL1,
            esr: of.ESR_EL1,
            elr: of.ELR_EL1,
            far: of.FAR_EL1,
            ttbr: [of.TTBR0_EL1, of.TTBR1_EL1],
            tcr: of.TCR_EL1,
            sp: [of.SP_EL0, of.SP_EL1],
        }
    }
}

/// Whether this CPU may hold stage 1 translations of another vCPU of the same guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleTranslations {
    /// No other vCPU of the guest has run here since.
    None,
    /// Another vCPU of the guest has run here since.
    Possible,
}

/// When the first timer of the vCPU that is on this CPU asserts its interrupt, in ticks of the physical counter; `None` if
/// both are off or masked. `virtual_offset` is its CNTVOFF_EL2.
pub fn timer_deadline(virtual_offset: u64) -> Option<u64> {
    let virtual_timer = (el0::read_cntv_ctl_el0().bits() & TIMER_MASK == TIMER_ON)
        .then(|| el0::read_cntv_cval_el0().bits().saturating_add(virtual_offset));
    let physical_timer =
        (el0::read_cntp_ctl_el0().bits() & TIMER_MASK == TIMER_ON).then(|| el0::read_cntp_cval_el0().bits());
    virtual_timer.into_iter().chain(physical_timer).min()
}
