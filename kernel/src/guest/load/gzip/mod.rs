//! Unpacking gzip (RFC 1952), from one slice into another.
//!
//! DEFLATE itself is `miniz_oxide`'s. It writes only into the given slice, and reads back its own output from there, so
//! no window is copied. This module handles gzip's frame: a header of which little matters, and a checksum and a size
//! behind the data, which both matter.
//!
//! One member is unpacked. A second member would be legal, with contents that follow those of the first, but no tool
//! packs a kernel that way: it is refused rather than half unpacked. Zeros behind the member are padding, as for
//! gzip(1).

use crc::{CRC_32_ISO_HDLC, Crc};
use thiserror::Error;

#[cfg(test)]
pub(super) mod tests;

/// What a member starts with.
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes of the header without its optional fields.
const HEADER_SIZE: usize = 10;

/// Bytes of the checksum and the size behind the data.
const TRAILER_SIZE: usize = 8;

/// The most bytes that one byte of DEFLATE data unpacks to: two bits for each match of 258 bytes, and then some.
const MAX_RATIO: u64 = 1032;

/// The only method there is.
const DEFLATE: u8 = 8;

// Flags: which optional fields follow the header, in the order in which they do.
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const HEADER_CHECKSUM: u8 = 1 << 1;
/// Flags without a meaning, which must be zero: a field that nobody can skip might follow.
const RESERVED: u8 = 0b1110_0000;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Why something cannot be unpacked. Offsets are in bytes from the start of what is packed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum GzipError {
    #[error("gzip data starts with {found:02x?} instead of {MAGIC:02x?}")]
    Magic { found: [u8; 2] },
    #[error("gzip data is cut short: its {have} bytes end in the {part}")]
    Cut { part: &'static str, have: usize },
    #[error("gzip data is packed by method {method}, only {DEFLATE} (DEFLATE) is known")]
    Method { method: u8 },
    #[error("gzip header has flags {flags:#04x}, of which {RESERVED:#04x} are unknown")]
    Flags { flags: u8 },
    #[error("gzip header has checksum {computed:#06x}, but says {stored:#06x}")]
    HeaderChecksum { stored: u16, computed: u16 },
    #[error(
        "gzip data is damaged: it stops making sense within its {packed} bytes, after {unpacked} bytes were unpacked"
    )]
    Damaged { packed: usize, unpacked: usize },
    #[error("gzip data unpacks to more than the {room} bytes there are for it")]
    NoRoom { room: usize },
    #[error("gzip data unpacks to {unpacked} bytes, but says {stored}")]
    Size { stored: u32, unpacked: usize },
    #[error("gzip data unpacks to bytes of checksum {computed:#010x}, but says {stored:#010x}")]
    Checksum { stored: u32, computed: u32 },
    #[error(
        "gzip data cannot be unpacked by an image without the feature gzip: unpack it first, or build with the feature"
    )]
    NotBuiltIn,
    #[error("gzip data is followed by another member at offset {offset:#x}, only one is unpacked")]
    SecondMember { offset: usize },
    #[error("gzip data is followed by something else at offset {offset:#x}, {bytes} bytes before its end")]
    Garbage { offset: usize, bytes: usize },
}

/// A gzip member whose header was understood.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    bytes: &'a [u8],
    /// Where the packed data starts.
    data: usize,
}

impl<'a> Member<'a> {
    /// Reads the header.
    pub fn new(bytes: &'a [u8]) -> Result<Self, GzipError> {
        let cut = |part| GzipError::Cut { part, have: bytes.len() };
        let header = bytes.first_chunk::<HEADER_SIZE>().ok_or(cut("header"))?;
        let [first, second, method, flags, ..] = *header;
        if [first, second] != MAGIC {
            return Err(GzipError::Magic { found: [first, second] });
        }
        if method != DEFLATE {
            return Err(GzipError::Method { method });
        }
        if flags & RESERVED != 0 {
            return Err(GzipError::Flags { flags });
        }

        let mut rest = Rest { bytes, at: HEADER_SIZE };
        if flags & EXTRA != 0 {
            let length = rest.take().map(u16::from_le_bytes).ok_or(cut("header's extra field"))?;
            rest.skip(length.into()).ok_or(cut("header's extra field"))?;
        }
        if flags & NAME != 0 {
            rest.skip_text().ok_or(cut("header's file name"))?;
        }
        if flags & COMMENT != 0 {
            rest.skip_text().ok_or(cut("header's comment"))?;
        }
        if flags & HEADER_CHECKSUM != 0 {
            let header = bytes.get(..rest.at).unwrap_or_default();
            // The lower half of the checksum.
            let computed = CRC.checksum(header) as u16;
            let stored = rest.take().map(u16::from_le_bytes).ok_or(cut("header's checksum"))?;
            if stored != computed {
                return Err(GzipError::HeaderChecksum { stored, computed });
            }
        }
        Ok(Self { bytes, data: rest.at })
    }

    /// Unpacks the first `N` bytes, unchecked: the checksum is about all of them.
    pub fn start<const N: usize>(&self) -> Result<[u8; N], GzipError> {
        let mut start = [0; N];
        match self.inflate(&mut start)? {
            // Less than that is all there is.
            Inflated { unpacked, .. } if unpacked < N => Err(GzipError::Cut { part: "data", have: self.bytes.len() }),
            _ => Ok(start),
        }
    }

    /// Unpacks all of it into the start of `into`, whose other bytes stay as they are, and gives its size. After an error
    /// `into` has any contents.
    pub fn unpack(&self, into: &mut [u8]) -> Result<usize, GzipError> {
        let room = into.len();
        let Inflated { packed: Some(packed), unpacked } = self.inflate(into)? else {
            return Err(GzipError::NoRoom { room });
        };
        let mut rest = Rest { bytes: self.bytes, at: self.data.saturating_add(packed) };
        let cut = || GzipError::Cut { part: "trailer", have: self.bytes.len() };
        let stored = rest.take().map(u32::from_le_bytes).ok_or_else(cut)?;
        let computed = CRC.checksum(into.get(..unpacked).unwrap_or_default());
        if stored != computed {
            return Err(GzipError::Checksum { stored, computed });
        }
        let stored = rest.take().map(u32::from_le_bytes).ok_or_else(cut)?;
        // The size modulo 2^32.
        if stored != unpacked as u32 {
            return Err(GzipError::Size { stored, unpacked });
        }
        rest.is_padding()?;
        Ok(unpacked)
    }

    /// The size of what is packed, as the last bytes have it, modulo 2^32. A guess until it is unpacked: these bytes may be
    /// padding, or data of a member that was cut short. `None` if DEFLATE cannot pack as much into what is there.
    pub fn stored_size(&self) -> Option<u32> {
        let data = self.bytes.get(self.data..)?;
        let size = u32::from_le_bytes(*data.last_chunk()?);
        (data.len() >= TRAILER_SIZE && u64::from(size) <= MAX_RATIO * data.len() as u64).then_some(size)
    }

    /// Unpacks until `into` is full or all is unpacked.
    #[cfg(feature = "gzip")]
    fn inflate(&self, into: &mut [u8]) -> Result<Inflated, GzipError> {
        use alloc::boxed::Box;
        use miniz_oxide::inflate::TINFLStatus;
        use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
        let data = self.bytes.get(self.data..).unwrap_or_default();
        // 11 KiB: too large for a stack.
        let mut state = Box::<DecompressorOxide>::default();
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, packed, unpacked) = decompress(&mut state, data, into, 0, flags);
        match status {
            TINFLStatus::Done => Ok(Inflated { packed: Some(packed), unpacked }),
            TINFLStatus::HasMoreOutput => Ok(Inflated { packed: None, unpacked }),
            TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
                Err(GzipError::Cut { part: "data", have: self.bytes.len() })
            }
            _ => Err(GzipError::Damaged { packed: self.bytes.len(), unpacked }),
        }
    }

    #[cfg(not(feature = "gzip"))]
    fn inflate(&self, _into: &mut [u8]) -> Result<Inflated, GzipError> {
        Err(GzipError::NotBuiltIn)
    }
}

/// How far unpacking got, in bytes.
struct Inflated {
    /// How long the packed data is, if its end was reached.
    packed: Option<usize>,
    unpacked: usize,
}

/// What is still to be read.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(taken)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        let at = self.at.checked_add(bytes)?;
        self.at = (at <= self.bytes.len()).then_some(at)?;
        Some(())
    }

    /// Steps behind the next zero.
    fn skip_text(&mut self) -> Option<()> {
        let length = self.bytes.get(self.at..)?.iter().position(|&byte| byte == 0)?;
        self.skip(length + 1)
    }

    /// Whether nothing but zeros is left.
    fn is_padding(&self) -> Result<(), GzipError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(zeros) = rest.iter().position(|&byte| byte != 0) else {
            return Ok(());
        };
        let offset = self.at + zeros;
        let bytes = rest.len() - zeros;
        let is_member = rest.get(zeros..).is_some_and(|rest| rest.starts_with(&MAGIC));
        Err(if is_member { GzipError::SecondMember { offset } } else { GzipError::Garbage { offset, bytes } })
    }
}

#[cfg(all(test, not(feature = "gzip")))]
mod without_gzip {
    use super::{GzipError, Member};

    #[test]
    fn packed_data_is_refused_by_an_image_that_cannot_unpack_it() {
        // A header, and DEFLATE's empty block with its checksum and size.
        let empty = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let member = Member::new(&empty).unwrap();
        assert_eq!(member.unpack(&mut []), Err(GzipError::NotBuiltIn));
        assert_eq!(member.start::<4>(), Err(GzipError::NotBuiltIn));
    }
}
