//! Branch predictor state that a guest may have trained: each exit's mitigation, and the firmware workarounds announced
//! to a guest.
//!
//! A guest can train two things. The *targets* of indirect branches (Spectre variant 2, CVE-2017-5715) are separate for
//! each exception level where ID_AA64PFR0_EL1.CSV2 says so; else the firmware invalidates them, by
//! SMCCC_ARCH_WORKAROUND_1. The *history* of branches, which chooses among a level's own targets (Spectre-BHB,
//! CVE-2022-23960), is separate where CSV2 is 3 or ID_AA64MMFR1_EL1.ECBHB is 1; else CLRBHB clears it, or as many taken
//! branches as Arm gives for the CPU, or SMCCC_ARCH_WORKAROUND_3, which includes SMCCC_ARCH_WORKAROUND_1 (DEN0028, 7.5
//! to 7.7).
//!
//! SMCCC_ARCH_WORKAROUND_2 permanently stops loads from bypassing older stores (variant 4, CVE-2018-3639), unless the
//! CPU has PSTATE.SSBS, which is 0 at EL2 and where a guest starts.

use crate::arch::id_register::IdRegister;
use crate::arch::workarounds::{Firmware, NOT_REQUIRED, WORKAROUND_1, WORKAROUND_2, WORKAROUND_3, Workaround};
use crate::options::Mitigations;
use core::fmt;
use core::num::NonZeroU32;

/// What is done at each exit: see `lacuna_boot::Hardening`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtExit {
    /// The workaround to call.
    pub function: Option<u32>,
    /// Rounds of branches that clear the history.
    pub rounds: NonZeroU32,
}

/// What is done on a CPU about one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// The CPU needs none.
    None,
    /// The firmware is called.
    Call,
    /// Branches, so many rounds of them; one where CLRBHB alone would do.
    Rounds(NonZeroU32),
    /// None is known.
    Unknown,
}

/// What was found and chosen for a CPU.
#[derive(Clone, Copy, Debug)]
pub struct Speculation {
    firmware: Firmware,
    /// Whether the CPU has PSTATE.SSBS, and so the guest.
    has_ssbs: bool,
    mitigations: Mitigations,
    targets: Remedy,
    history: Remedy,
}

impl Speculation {
    /// Chooses for the CPU with this MIDR_EL1 and these ID registers.
    pub fn new(
        midr: u64,
        id_register: impl Fn(IdRegister) -> u64,
        firmware: Firmware,
        mitigations: Mitigations,
    ) -> Self {
        let field = |id, shift: u32| id_register(id) >> shift & 0xf;
        let csv2 = field(IdRegister::Pfr0, 56);
        let model = CpuModel::of(midr);
        let targets = match firmware.targets {
            _ if csv2 != 0 || model.keeps_targets_apart() => Remedy::None,
            Workaround::NotRequired => Remedy::None,
            Workaround::Required => Remedy::Call,
            Workaround::Absent => Remedy::Unknown,
        };
        let (has_clrbhb, has_ecbhb) = (field(IdRegister::Isar2, 28) != 0, field(IdRegister::Mmfr1, 60) != 0);
        let history = match (model.rounds(), firmware.history) {
            _ if csv2 >= 3 || has_ecbhb || model.is_in_order() => Remedy::None,
            (_, Workaround::NotRequired) => Remedy::None,
            _ if has_clrbhb => Remedy::Rounds(NonZeroU32::MIN),
            (Some(rounds), _) => Remedy::Rounds(rounds),
            (None, Workaround::Required) => Remedy::Call,
            (None, Workaround::Absent) => Remedy::Unknown,
        };
        let has_ssbs = field(IdRegister::Pfr1, 4) != 0;
        Self { firmware, has_ssbs, mitigations, targets, history }
    }

    /// What each exit does; nothing, if it need not or may not.
    pub fn at_exit(&self) -> Option<AtExit> {
        if self.mitigations == Mitigations::Off {
            return None;
        }
        let calls = self.targets == Remedy::Call || self.history == Remedy::Call;
        let function = calls.then_some(match self.firmware.history {
            Workaround::Required => WORKAROUND_3,
            _ => WORKAROUND_1,
        });
        match self.history {
            Remedy::Rounds(rounds) if function != Some(WORKAROUND_3) => Some(AtExit { function, rounds }),
            _ => function.map(|_| AtExit { function, rounds: NonZeroU32::MIN }),
        }
    }

    /// Whether the firmware is to hold loads back, for good.
    pub fn holds_loads_back(&self) -> bool {
        self.firmware.stores == Workaround::Required && !self.has_ssbs
    }

    /// What SMCCC_ARCH_FEATURES tells a guest of this function; `None` if it is none of the three, or not there.
    pub fn feature(&self, function: u32) -> Option<i32> {
        const NEEDED: i32 = 0;
        const NOT_NEEDED: i32 = 1;
        match function {
            WORKAROUND_1 if self.targets == Remedy::None => Some(NOT_NEEDED),
            WORKAROUND_1 => (self.firmware.targets == Workaround::Required).then_some(NEEDED),
            WORKAROUND_3 if self.history == Remedy::None => Some(NOT_NEEDED),
            WORKAROUND_3 => (self.firmware.history == Workaround::Required).then_some(NEEDED),
            // With SSBS a guest looks after itself. Without, loads are held back all the time.
            WORKAROUND_2 if self.has_ssbs || self.firmware.stores == Workaround::Absent => None,
            WORKAROUND_2 => Some(NOT_REQUIRED),
            _ => None,
        }
    }

    /// Whether a guest may call the function.
    pub fn offers(&self, function: u32) -> bool {
        function != WORKAROUND_2 && self.feature(function).is_some()
    }

    /// Whether a guest's call of a workaround that it is offered has to be forwarded: the CPU needs it, and the exit
    /// that it makes has not called as much.
    pub fn is_forwarded(&self, function: u32) -> bool {
        let called = self.at_exit().and_then(|at_exit| at_exit.function);
        self.feature(function) == Some(0) && called != Some(function) && called != Some(WORKAROUND_3)
    }
}

impl fmt::Display for Speculation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mitigations == Mitigations::Off {
            return f.write_str("leave the branch predictor as it is, as mitigations=off says");
        }
        match self.at_exit() {
            None => f.write_str("leave the branch predictor as it is")?,
            Some(AtExit { function: Some(WORKAROUND_3), .. }) => f.write_str("call SMCCC_ARCH_WORKAROUND_3")?,
            Some(AtExit { function, rounds }) => {
                let also = if function.is_some() { "call SMCCC_ARCH_WORKAROUND_1 and " } else { "" };
                match self.history {
                    Remedy::Rounds(NonZeroU32::MIN) => write!(f, "{also}clear the branch history by CLRBHB")?,
                    Remedy::Rounds(_) => write!(f, "{also}clear the branch history by {rounds} rounds of branches")?,
                    _ => f.write_str("call SMCCC_ARCH_WORKAROUND_1")?,
                }
            }
        }
        if self.targets == Remedy::Unknown {
            f.write_str("; branch targets stay, as the firmware has no SMCCC_ARCH_WORKAROUND_1")?;
        }
        if self.history == Remedy::Unknown {
            f.write_str("; branch history stays, as the firmware has no SMCCC_ARCH_WORKAROUND_3")?;
        }
        Ok(())
    }
}

/// Which CPU it is: MIDR_EL1.Implementer, bits 31:24, and PartNum, bits 15:4.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CpuModel(u8, u16);

/// Arm's part numbers.
const fn arm(part: u16) -> CpuModel {
    CpuModel(0x41, part)
}

/// Brahma-B53 (Broadcom), and the little cores of Kryo 2xx, 3xx and 4xx (Qualcomm), which are A53 and A55.
const OTHERS_IN_ORDER: [CpuModel; 4] =
    [CpuModel(0x42, 0x100), CpuModel(0x51, 0x801), CpuModel(0x51, 0x803), CpuModel(0x51, 0x805)];
/// TaiShan v110 (HiSilicon).
const TAISHAN_V110: CpuModel = CpuModel(0x48, 0xd01);

impl CpuModel {
    const fn of(midr: u64) -> Self {
        Self((midr >> 24) as u8, (midr >> 4 & 0xfff) as u16)
    }

    /// Cortex-A35, A53, A55, A510 and A520, which hardly speculate, and their like.
    fn is_in_order(self) -> bool {
        matches!(self, CpuModel(0x41, 0xd04 | 0xd03 | 0xd05 | 0xd46 | 0xd80)) || OTHERS_IN_ORDER.contains(&self)
    }

    /// Whether variant 2 does not concern it, though it may be older than CSV2.
    fn keeps_targets_apart(self) -> bool {
        self.is_in_order() || self == TAISHAN_V110
    }

    /// After how many rounds of branches nothing of the older history is left, if that is known (Arm, "Spectre-BHB",
    /// table of affected CPUs, and what vendors told Linux).
    fn rounds(self) -> Option<NonZeroU32> {
        const A57: CpuModel = arm(0xd07);
        const A72: CpuModel = arm(0xd08);
        const A76: CpuModel = arm(0xd0b);
        const A76AE: CpuModel = arm(0xd0e);
        const A77: CpuModel = arm(0xd0d);
        const N1: CpuModel = arm(0xd0c);
        const KRYO_4XX_GOLD: CpuModel = CpuModel(0x51, 0x804);
        const A78: CpuModel = arm(0xd41);
        const A78AE: CpuModel = arm(0xd42);
        const A78C: CpuModel = arm(0xd4b);
        const X1: CpuModel = arm(0xd44);
        const X1C: CpuModel = arm(0xd4c);
        const A710: CpuModel = arm(0xd47);
        const X2: CpuModel = arm(0xd48);
        const N2: CpuModel = arm(0xd49);
        const V1: CpuModel = arm(0xd40);
        const A715: CpuModel = arm(0xd4d);
        const A720: CpuModel = arm(0xd81);
        const X3: CpuModel = arm(0xd4e);
        const V2: CpuModel = arm(0xd4f);
        const AMPERE1: CpuModel = CpuModel(0xc0, 0xac3);
        let rounds = match self {
            A57 | A72 => 8,
            AMPERE1 => 11,
            A76 | A76AE | A77 | N1 | KRYO_4XX_GOLD => 24,
            A78 | A78AE | A78C | X1 | X1C | A710 | X2 | N2 | V1 => 32,
            A715 | A720 => 38,
            X3 | V2 => 132,
            _ => 0,
        };
        NonZeroU32::new(rounds)
    }
}

#[cfg(test)]
mod tests;
