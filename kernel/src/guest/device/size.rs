//! How wide an access to a device is.

/// Width of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Size {
    /// How many bytes, from 1 to 8.
    pub const fn bytes(self) -> u64 {
        1 << self as u32
    }

    /// `value` without the bits that such an access does not transfer.
    pub const fn truncate(self, value: u64) -> u64 {
        value & (u64::MAX >> (64 - 8 * self.bytes()))
    }

    /// Whether `address` is a multiple of this size.
    pub const fn aligns(self, address: u64) -> bool {
        address & (self.bytes() - 1) == 0
    }

    /// From a field SAS.
    pub const fn from_sas(sas: u64) -> Self {
        match sas & 0b11 {
            0b00 => Self::Byte,
            0b01 => Self::Half,
            0b10 => Self::Word,
            _ => Self::Double,
        }
    }
}
