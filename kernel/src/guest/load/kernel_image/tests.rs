//! Images, and files that people mistake for one.

use super::{HEADER_SIZE, KernelError, KernelImage, LooksLike, PageSize};
use crate::guest::load::gzip::GzipError;
use crate::guest::load::gzip::tests::packed;
use proptest::prelude::{any, prop, proptest};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// An Image of `length` bytes with the given header.
fn image(length: usize, text_offset: u64, image_size: u64, flags: u64) -> Vec<u8> {
    let mut file: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    file[8..16].copy_from_slice(&text_offset.to_le_bytes());
    file[16..24].copy_from_slice(&image_size.to_le_bytes());
    file[24..32].copy_from_slice(&flags.to_le_bytes());
    file[56..60].copy_from_slice(&0x644d_5241_u32.to_le_bytes());
    file
}

/// Text offset and memory size.
fn facts(file: &[u8]) -> (u64, u64) {
    let kernel = KernelImage::probe(file).unwrap();
    (kernel.text_offset(), kernel.memory_size())
}

fn refusal(file: &[u8]) -> String {
    KernelImage::probe(file).unwrap_err().to_string()
}

/// 64 bytes with `bytes` at `offset`, and not zero elsewhere.
fn with(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0xee; HEADER_SIZE];
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn an_image_says_where_and_how_large_it_wants_to_be() {
    let file = image(5000, 0, 9000, 0xa);
    assert_eq!(facts(&file), (0, 9000));
    assert_eq!(facts(&packed(&file, 0)), (0, 9000));
    assert_eq!(facts(&image(5000, 0x8_0000, 9000, 0)), (0x8_0000, 9000));
    // Something was appended that the header does not know.
    let longer = image(5000, 0, 4000, 0);
    assert_eq!((facts(&longer), facts(&packed(&longer, 0))), ((0, 5000), (0, 5000)));
}

#[test]
fn an_old_image_says_nothing_and_gets_the_old_place() {
    // The other fields may be in any byte order.
    let file = image(5000, 0x800_0000_0000, 0, 1);
    assert_eq!(facts(&file), (0x8_0000, 5000));
    assert_eq!(facts(&packed(&file, 0)), (0x8_0000, 5000));
}

#[test]
fn an_image_is_loaded_plain_or_packed() {
    let file = image(5000, 0, 9000, 0);
    for module in [file.clone(), packed(&file, 8)] {
        let kernel = KernelImage::probe(&module).unwrap();
        let mut memory = vec![0xa5; 9000];
        assert_eq!(kernel.load(&mut memory), Ok(5000));
        assert_eq!(memory[..5000], file);
        assert!(memory[5000..].iter().all(|&byte| byte == 0xa5));
        let mut memory = vec![0xa5; 5000];
        assert_eq!(kernel.load(&mut memory), Ok(5000));
    }
}

#[test]
fn an_image_without_room_is_refused() {
    let file = image(5000, 0, 9000, 0);
    let error = KernelImage::probe(&file).unwrap().load(&mut [0; 4999]).unwrap_err();
    assert_eq!(error, KernelError::NoRoom { bytes: 5000, room: 4999 });
    assert_eq!(error.to_string(), "kernel of 4.8 KiB does not fit into the 4.8 KiB that are there for it");
    let module = packed(&file, 0);
    let error = KernelImage::probe(&module).unwrap().load(&mut [0; 4999]).unwrap_err();
    assert_eq!(error, KernelError::Gzip(GzipError::NoRoom { room: 4999 }));
    assert_eq!(error.to_string(), "kernel: gzip data unpacks to more than the 4999 bytes there are for it");
}

#[test]
fn the_page_size_is_in_the_flags() {
    let pages = |flags| KernelImage::probe(&image(64, 0, 64, flags)).unwrap().page_size();
    let all = [PageSize::Unspecified, PageSize::Kib4, PageSize::Kib16, PageSize::Kib64];
    assert_eq!([pages(0b1000), pages(0b1010), pages(0b1100), pages(0b1110)], all);
}

#[test]
fn a_kernel_that_would_not_run_is_refused() {
    assert_eq!(
        refusal(&image(64, 0, 64, 0xb)),
        "kernel is big-endian, by its flags 0xb: only little-endian ones are started"
    );
    for text_offset in [0x20_0000, 0x1, 0x8_0001, 0x8, 0xff8, 0x1f_ffff] {
        let told = std::format!(
            "kernel wants to be {text_offset:#x} bytes above a multiple of 2 MiB: that must be a multiple of 0x1000 less \
             than 0x200000"
        );
        assert_eq!(refusal(&image(64, text_offset, 64, 0)), told);
        assert_eq!(refusal(&packed(&image(64, text_offset, 64, 0), 0)), told);
    }
    assert_eq!(facts(&image(64, 0x1f_f000, 64, 0)), (0x1f_f000, 64));
}

#[test]
fn what_is_no_image_is_refused_by_what_it_looks_like() {
    let zimage = [0x18, 0x28, 0x6f, 0x01];
    let looks = [
        (with(0, b"\x7fELF"), LooksLike::Elf),
        (with(0x24, &zimage), LooksLike::ZImage),
        (with(0, b"MZ\0\0zimg"), LooksLike::EfiZboot),
        (with(0, b"MZ\x40\xfa"), LooksLike::Pe),
        (with(0, b"\x27\x05\x19\x56"), LooksLike::UImage),
        (with(0, b"\xd0\x0d\xfe\xed"), LooksLike::DeviceTree),
        (with(0, b"070701"), LooksLike::Cpio),
        (with(0, b"\x28\xb5\x2f\xfd"), LooksLike::Packed("zstd")),
        (vec![0; 64], LooksLike::Zeros),
        (with(0, b"#!/b"), LooksLike::Unknown(*b"#!/b")),
    ];
    for (file, looks_like) in looks {
        assert_eq!(KernelImage::probe(&file).unwrap_err(), KernelError::Other(looks_like));
        assert_eq!(KernelImage::probe(&packed(&file, 0)).unwrap_err(), KernelError::PackedOther(looks_like));
    }
    let twice = packed(&packed(&image(5000, 0, 5000, 0), 0), 0);
    assert_eq!(KernelImage::probe(&twice).unwrap_err(), KernelError::PackedOther(LooksLike::Gzip));
}

#[test]
fn refusals_tell_what_to_do() {
    assert_eq!(
        refusal(&with(0, b"\x7fELF")),
        "kernel is no arm64 Image: it looks like an ELF file (the Image is made of it by objcopy -O binary)"
    );
    assert_eq!(
        refusal(&packed(&with(0, b"\x7fELF"), 0)),
        "kernel is packed by gzip, but no arm64 Image: what is packed looks like an ELF file (the Image is made of it by \
         objcopy -O binary)"
    );
    assert_eq!(
        refusal(&with(0, b"\xfd7zXZ\0")),
        "kernel is no arm64 Image: it looks like data packed by xz, only gzip is unpacked"
    );
    assert_eq!(
        refusal(&with(0, b"#!/b")),
        "kernel is no arm64 Image: it looks like something unknown that starts with [23, 21, 2f, 62]"
    );
    assert_eq!(refusal(&[0; 63]), "kernel of 63 bytes is no arm64 Image, the header of which has 64");
    assert_eq!(refusal(&packed(&[1; 20], 0)[..12]), "kernel: gzip data is cut short: its 12 bytes end in the data");
}

proptest! {
    /// What is written lies in the slice by construction; what is more, nothing is written behind the size that is given.
    #[test]
    fn mutated_kernels_are_refused_or_loaded(
        length in HEADER_SIZE..3000,
        (text_offset, image_size, flags) in any::<(u64, u64, u64)>(),
        gzip in prop::option::of(0u8..16),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        keep in any::<prop::sample::Index>(),
        room in 0usize..4000,
    ) {
        let mut module = image(length, text_offset, image_size, flags);
        if let Some(fields) = gzip {
            module = packed(&module, fields << 1);
        }
        for (at, byte) in damage {
            let at = at.index(module.len());
            module[at] = byte;
        }
        module.truncate(module.len() - keep.index(module.len()) / 8);
        if let Ok(kernel) = KernelImage::probe(&module) {
            assert!(kernel.text_offset() < 2 << 20 && kernel.text_offset().is_multiple_of(4096));
            let mut memory = vec![0xa5; room];
            if let Ok(size) = kernel.load(&mut memory) {
                assert!(memory[size..].iter().all(|&byte| byte == 0xa5));
            }
        }
    }

    #[test]
    fn any_header_is_refused_or_read(header in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = KernelImage::probe(&header);
    }
}
