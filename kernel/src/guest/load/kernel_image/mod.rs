//! A guest's kernel, as the boot loader put it into memory: an arm64 Image, possibly packed by gzip.
//!
//! Linux, U-Boot, Zephyr and others come as an *Image*: a header of 64 bytes, with the kernel's load offset and memory
//! size, in front of the code, which is entered at the first byte (Linux, Documentation/arch/arm64/booting.rst, "Call
//! the kernel image"). [`KernelImage::probe`] reads it without unpacking more than the header, so that the kernel can
//! be placed; [`KernelImage::load`] then puts the kernel there.
//!
//! A file of another format that its first bytes identify is refused by the format's name.

use crate::base::addr::{Bytes, PAGE_SIZE};
use crate::guest::load::gzip::{self, GzipError, Member};
use core::fmt;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Bytes of an Image's header.
pub const HEADER_SIZE: usize = 64;

/// What stands at [`MAGIC_OFFSET`] of an Image's header.
const MAGIC: [u8; 4] = *b"ARM\x64";

// Offsets of the header's fields, in bytes. All fields are little-endian.
const TEXT_OFFSET_OFFSET: usize = 8;
const IMAGE_SIZE_OFFSET: usize = 16;
const FLAGS_OFFSET: usize = 24;
const MAGIC_OFFSET: usize = 56;

/// Flag of a kernel that expects the CPU to be big-endian.
const BIG_ENDIAN: u64 = 1 << 0;

/// Where a kernel wants to be whose header does not say it, because it is older than Linux 3.17.
const OLD_TEXT_OFFSET: u64 = 0x8_0000;

/// One past the highest `text_offset`: it is counted from a multiple of 2 MiB.
const TEXT_OFFSET_LIMIT: u64 = 2 << 20;

/// Why something is not a kernel that can be started.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum KernelError {
    #[error("kernel of {bytes} bytes is no arm64 Image, the header of which has {HEADER_SIZE}")]
    TooShort { bytes: usize },
    #[error("kernel is no arm64 Image: it looks like {0}")]
    Other(LooksLike),
    #[error("kernel is packed by gzip, but no arm64 Image: what is packed looks like {0}")]
    PackedOther(LooksLike),
    #[error("kernel is big-endian, by its flags {flags:#x}: only little-endian ones are started")]
    BigEndian { flags: u64 },
    #[error(
        "kernel wants to be {text_offset:#x} bytes above a multiple of 2 MiB: that must be a multiple of {PAGE_SIZE:#x} less \
         than {TEXT_OFFSET_LIMIT:#x}"
    )]
    TextOffset { text_offset: u64 },
    #[error("kernel of {} does not fit into the {} that are there for it", Bytes(*bytes as u64), Bytes(*room as u64))]
    NoRoom { bytes: usize, room: usize },
    #[error("kernel: {0}")]
    Gzip(#[from] GzipError),
}

/// What something looks like that is no arm64 Image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LooksLike {
    /// An ELF file, like `vmlinux`.
    Elf,
    /// A `zImage` of 32-bit Arm.
    ZImage,
    /// A kernel that unpacks itself by means of UEFI.
    EfiZboot,
    /// A program for UEFI or Windows.
    Pe,
    /// What U-Boot's mkimage makes.
    UImage,
    /// A device tree blob, or U-Boot's FIT, which has the same format.
    DeviceTree,
    /// An archive, like an initramfs.
    Cpio,
    /// Packed data of a format that is not unpacked here.
    Packed(&'static str),
    /// Packed data inside packed data.
    Gzip,
    /// Nothing but zeros.
    Zeros,
    /// Nothing known: its first bytes.
    Unknown([u8; 4]),
}

impl fmt::Display for LooksLike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elf => f.write_str("an ELF file (the Image is made of it by objcopy -O binary)"),
            Self::ZImage => f.write_str("a zImage of 32-bit Arm"),
            Self::EfiZboot => f.write_str("an EFI zboot image (the Image is packed inside it)"),
            Self::Pe => f.write_str("a PE file without an Image's header"),
            Self::UImage => f.write_str("a uImage (the Image is inside it)"),
            Self::DeviceTree => f.write_str("a device tree or a FIT image"),
            Self::Cpio => f.write_str("a cpio archive: a ramdisk"),
            Self::Packed(format) => write!(f, "data packed by {format}, only gzip is unpacked"),
            Self::Gzip => f.write_str("gzip data"),
            Self::Zeros => f.write_str("memory that nothing was loaded to: it starts with zeros"),
            Self::Unknown(start) => write!(f, "something unknown that starts with {start:02x?}"),
        }
    }
}

/// What a thing that is no arm64 Image may start with.
const SIGNATURES: [(&[u8], LooksLike); 13] = [
    (b"\x7fELF", LooksLike::Elf),
    (b"\x27\x05\x19\x56", LooksLike::UImage),
    (b"\xd0\x0d\xfe\xed", LooksLike::DeviceTree),
    (b"070701", LooksLike::Cpio),
    (b"070702", LooksLike::Cpio),
    (b"\xfd7zXZ\0", LooksLike::Packed("xz")),
    (b"\x28\xb5\x2f\xfd", LooksLike::Packed("zstd")),
    (b"\x04\x22\x4d\x18", LooksLike::Packed("lz4")),
    (b"\x02\x21\x4c\x18", LooksLike::Packed("lz4")),
    (b"\x89LZO\0", LooksLike::Packed("lzop")),
    (b"BZh", LooksLike::Packed("bzip2")),
    (b"\x5d\0\0", LooksLike::Packed("lzma")),
    (&gzip::MAGIC, LooksLike::Gzip),
];

impl LooksLike {
    /// Guesses from the start of what is no Image.
    fn guess(start: &[u8; HEADER_SIZE]) -> Self {
        // Linux, Documentation/arch/arm/booting.rst and drivers/firmware/efi/libstub/zboot-header.S.
        const ZIMAGE: (usize, [u8; 4]) = (0x24, 0x016f_2818_u32.to_le_bytes());
        const ZBOOT: (usize, [u8; 4]) = (4, *b"zimg");
        let is = |(offset, magic)| bytes_at::<4>(start, offset) == magic;
        match SIGNATURES.iter().find(|(signature, _)| start.starts_with(signature)) {
            Some((_, looks_like)) => *looks_like,
            None if is(ZIMAGE) => Self::ZImage,
            None if start.starts_with(b"MZ") && is(ZBOOT) => Self::EfiZboot,
            None if start.starts_with(b"MZ") => Self::Pe,
            None if start.iter().all(|&byte| byte == 0) => Self::Zeros,
            None => Self::Unknown(bytes_at(start, 0)),
        }
    }
}

/// Size of the pages that a kernel uses, as its header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSize {
    /// It does not say.
    Unspecified,
    /// 4 KiB.
    Kib4,
    /// 16 KiB, which not every CPU has.
    Kib16,
    /// 64 KiB, which not every CPU has.
    Kib64,
}

/// What an Image's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ImageHeader {
    text_offset: u64,
    /// Memory that the kernel needs from its first byte on, in bytes; 0 if it does not say.
    image_size: u64,
    flags: u64,
}

impl ImageHeader {
    /// Reads the header, or says what was found instead.
    fn read(start: &[u8; HEADER_SIZE]) -> Result<Self, LooksLike> {
        if bytes_at(start, MAGIC_OFFSET) != MAGIC {
            return Err(LooksLike::guess(start));
        }
        let number = |offset| u64::from_le_bytes(bytes_at(start, offset));
        Ok(match number(IMAGE_SIZE_OFFSET) {
            // Then the other fields mean nothing either, and their byte order is unknown.
            0 => Self { text_offset: OLD_TEXT_OFFSET, image_size: 0, flags: 0 },
            image_size => Self { text_offset: number(TEXT_OFFSET_OFFSET), image_size, flags: number(FLAGS_OFFSET) },
        })
    }
}

/// The `N` bytes at `offset` of a header; what lies outside is zero.
fn bytes_at<const N: usize>(header: &[u8; HEADER_SIZE], offset: usize) -> [u8; N] {
    header.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// A kernel that can be loaded.
#[derive(Clone, Copy, Debug)]
pub struct KernelImage<'a> {
    contents: Contents<'a>,
    header: ImageHeader,
}

#[derive(Clone, Copy, Debug)]
enum Contents<'a> {
    Plain(&'a [u8]),
    Packed(Member<'a>),
}

impl<'a> KernelImage<'a> {
    /// Finds out what `module`, all bytes of a kernel module, is.
    pub fn probe(module: &'a [u8]) -> Result<Self, KernelError> {
        let (contents, header) = if module.starts_with(&gzip::MAGIC) {
            let member = Member::new(module)?;
            (Contents::Packed(member), ImageHeader::read(&member.start()?).map_err(KernelError::PackedOther)?)
        } else {
            let start = module.first_chunk().ok_or(KernelError::TooShort { bytes: module.len() })?;
            (Contents::Plain(module), ImageHeader::read(start).map_err(KernelError::Other)?)
        };
        let ImageHeader { text_offset, flags, .. } = header;
        if flags & BIG_ENDIAN != 0 {
            return Err(KernelError::BigEndian { flags });
        }
        // Linux's were whole pages even when they were random, and an odd one is no place for an instruction.
        if text_offset >= TEXT_OFFSET_LIMIT || !text_offset.is_multiple_of(PAGE_SIZE) {
            return Err(KernelError::TextOffset { text_offset });
        }
        Ok(Self { contents, header })
    }

    /// How many bytes above a multiple of 2 MiB the kernel wants to start: whole pages, less than 2 MiB.
    pub fn text_offset(&self) -> u64 {
        self.header.text_offset
    }

    /// Bytes that the kernel needs from where it starts: what its header says, or at least its file. The size of the file is
    /// that which gzip noted, if it is packed, and [`load`](Self::load) checks it.
    pub fn memory_size(&self) -> u64 {
        let file = match self.contents {
            Contents::Plain(file) => file.len() as u64,
            Contents::Packed(member) => member.stored_size().unwrap_or_default().into(),
        };
        self.header.image_size.max(file)
    }

    /// The kernel's page size. A CPU without it cannot run the kernel, whose only sign of that may be silence.
    pub fn page_size(&self) -> PageSize {
        match self.header.flags >> 1 & 0b11 {
            1 => PageSize::Kib4,
            2 => PageSize::Kib16,
            3 => PageSize::Kib64,
            _ => PageSize::Unspecified,
        }
    }

    /// Puts the kernel at the start of `into`, which should have [`memory_size`](Self::memory_size) bytes, and gives the size
    /// of what was put there. The bytes behind it stay as they are: the kernel clears what it needs to be clear.
    pub fn load(&self, into: &mut [u8]) -> Result<usize, KernelError> {
        match self.contents {
            Contents::Plain(file) => {
                let (bytes, room) = (file.len(), into.len());
                into.get_mut(..bytes).ok_or(KernelError::NoRoom { bytes, room })?.copy_from_slice(file);
                Ok(bytes)
            }
            Contents::Packed(member) => Ok(member.unpack(into)?),
        }
    }
}
