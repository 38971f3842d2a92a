//! The MPU that whoever starts the machine asks for.
//!
//! The options are words of the semihosting command line, where semihosting answers. QEMU hands on what follows each `arg=`
//! in `-semihosting-config`, or what `-kernel` and `-append` say if there is none.

use super::registers::RegionCount;
use super::stepping::Timing;
use core::num::IntErrorKind;
use core::str;

/// How many regions: a number.
const REGIONS: &[u8] = b"pmsa-regions=";
/// When changes take effect: `early` or `late`.
const SYNC: &[u8] = b"pmsa-sync=";

/// The choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// MPUIR_EL2.
    pub count: RegionCount,
    /// When changes take effect.
    pub timing: Timing,
}

impl Default for Options {
    fn default() -> Self {
        Self { count: RegionCount::DEFAULT, timing: Timing::Early }
    }
}

/// Why there is no MPU as asked for.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// No MPU has so many regions, or so few.
    #[error("pmsa-regions={0}: an MPU has 1 to 255 regions")]
    OutOfRange(u64),
    /// What follows `pmsa-regions=` is no number.
    #[error("pmsa-regions= wants a number from 1 to 255")]
    NotANumber,
    /// What follows `pmsa-sync=` is neither.
    #[error("pmsa-sync= is early or late")]
    Timing,
}

impl Options {
    /// The options in `command_line`, of each the last; words that are none are for somebody else.
    ///
    /// # Errors
    ///
    /// [`OptionError`] for the first value that cannot be.
    pub fn parse(command_line: &[u8]) -> Result<Self, OptionError> {
        let mut options = Self::default();
        for word in command_line.split(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            if let Some(value) = word.strip_prefix(REGIONS) {
                options.count = region_count(value)?;
            } else if let Some(value) = word.strip_prefix(SYNC) {
                options.timing = timing(value)?;
            }
        }
        Ok(options)
    }
}

fn region_count(value: &[u8]) -> Result<RegionCount, OptionError> {
    let text = str::from_utf8(value).map_err(|_| OptionError::NotANumber)?;
    let count = text.parse::<u64>().map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow => OptionError::OutOfRange(u64::MAX),
        _ => OptionError::NotANumber,
    })?;
    RegionCount::new(count).ok_or(OptionError::OutOfRange(count))
}

fn timing(value: &[u8]) -> Result<Timing, OptionError> {
    match value {
        b"early" => Ok(Timing::Early),
        b"late" => Ok(Timing::Late),
        _ => Err(OptionError::Timing),
    }
}
