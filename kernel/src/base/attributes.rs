//! The attributes of a mapping: the memory type and the accesses allowed.
//!
//! Both backends take the same [`Attributes`] and encode them in their own format, so the rules common to both stand
//! here: memory is never writable and executable at once (no [`Access`] expresses it), and device memory is never
//! executable.

use core::fmt;

/// The kind of memory behind a mapping, as the architecture sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryType {
    /// RAM: write-back cacheable, inner shareable.
    Normal,
    /// RAM shared with something that does not look into the caches: not cacheable, accesses may still be reordered.
    NonCacheable,
    /// Registers of a device: Device-nGnRE, accesses in program order and never repeated or merged.
    Device,
}

impl fmt::Display for MemoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::NonCacheable => "non-cacheable",
            Self::Device => "device",
        })
    }
}

/// The accesses that a mapping allows. Every mapping can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Data that may be read and written, never executed.
    ReadWrite,
    /// Data that may only be read.
    ReadOnly,
    /// Code: it may be read and executed, never written.
    ReadExecute,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::ReadExecute => "read-execute",
        })
    }
}

/// A combination of memory type and access that EL2 is willing to map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    memory: MemoryType,
    access: Access,
}

impl Attributes {
    /// Data in RAM.
    pub const DATA: Self = Self { memory: MemoryType::Normal, access: Access::ReadWrite };
    /// Constants in RAM.
    pub const CONSTANTS: Self = Self { memory: MemoryType::Normal, access: Access::ReadOnly };
    /// Code in RAM.
    pub const CODE: Self = Self { memory: MemoryType::Normal, access: Access::ReadExecute };
    /// Registers of a device.
    pub const DEVICE: Self = Self { memory: MemoryType::Device, access: Access::ReadWrite };

    /// `memory`, to be accessed as `access` says.
    ///
    /// # Errors
    ///
    /// [`AttributesError::ExecutableDevice`]: an instruction fetch may be speculative, and a speculative read of a
    /// device register can have an effect.
    pub const fn new(memory: MemoryType, access: Access) -> Result<Self, AttributesError> {
        match (memory, access) {
            (MemoryType::Device, Access::ReadExecute) => Err(AttributesError::ExecutableDevice),
            _ => Ok(Self { memory, access }),
        }
    }

    /// The kind of memory.
    pub const fn memory(self) -> MemoryType {
        self.memory
    }

    /// The accesses allowed.
    pub const fn access(self) -> Access {
        self.access
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.memory, self.access)
    }
}

/// Why a memory type and an access do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributesError {
    /// Code in device memory.
    #[error("a mapping cannot be device memory and read-execute at once")]
    ExecutableDevice,
}

#[cfg(test)]
mod tests {
    use super::{Access, Attributes, AttributesError, MemoryType};

    #[test]
    fn device_memory_is_never_executable() {
        let device = |access| Attributes::new(MemoryType::Device, access);
        assert_eq!(device(Access::ReadExecute), Err(AttributesError::ExecutableDevice));
        assert_eq!(device(Access::ReadWrite), Ok(Attributes::DEVICE));
        assert!(device(Access::ReadOnly).is_ok());
        assert_eq!(Attributes::new(MemoryType::Normal, Access::ReadExecute), Ok(Attributes::CODE));
        assert!(Attributes::new(MemoryType::NonCacheable, Access::ReadExecute).is_ok());
    }
}
