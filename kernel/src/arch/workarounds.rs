//! The workarounds for speculation that firmware has: SMCCC_ARCH_WORKAROUND_1 to 3 (DEN0028, 7.5 to 7.7).

/// SMCCC_ARCH_WORKAROUND_1: forget branch targets.
pub const WORKAROUND_1: u32 = 0x8000_8000;
/// SMCCC_ARCH_WORKAROUND_2: hold loads back, or no longer.
pub const WORKAROUND_2: u32 = 0x8000_7fff;
/// SMCCC_ARCH_WORKAROUND_3: forget branch targets and history.
pub const WORKAROUND_3: u32 = 0x8000_3fff;

/// What SMCCC_ARCH_FEATURES says of a workaround.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workaround {
    /// There is none; the CPU may need one.
    #[default]
    Absent,
    /// The CPU needs none.
    NotRequired,
    /// It is there to be called.
    Required,
}

impl Workaround {
    /// From W0 of SMCCC_ARCH_FEATURES.
    pub const fn from_answer(answer: i32) -> Self {
        match answer {
            0 => Self::Required,
            // On this CPU; on none, an answer of SMCCC_ARCH_WORKAROUND_2 alone.
            1 | NOT_REQUIRED => Self::NotRequired,
            _ => Self::Absent,
        }
    }
}

/// What SMCCC_ARCH_FEATURES answers of SMCCC_ARCH_WORKAROUND_2, if no CPU needs it.
pub const NOT_REQUIRED: i32 = -2;

/// What the firmware has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// SMCCC_ARCH_WORKAROUND_1: branch targets.
    pub targets: Workaround,
    /// SMCCC_ARCH_WORKAROUND_2: loads that pass stores.
    pub stores: Workaround,
    /// SMCCC_ARCH_WORKAROUND_3: branch targets and branch history.
    pub history: Workaround,
}
