//! Members with every kind of header, and with every kind of damage.

use super::{COMMENT, CRC, EXTRA, GzipError, HEADER_CHECKSUM, MAGIC, Member, NAME};
use crate::testing::unless_interpreted;
use miniz_oxide::deflate::compress_to_vec;
use proptest::prelude::{any, prop, proptest};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// A member that holds `data`, with the header fields that `flags` names.
pub(in crate::guest) fn packed(data: &[u8], flags: u8) -> Vec<u8> {
    let mut bytes = vec![MAGIC[0], MAGIC[1], 8, flags, 1, 2, 3, 4, 0, 3];
    if flags & EXTRA != 0 {
        bytes.extend(b"\x05\0ab\0cd");
    }
    if flags & NAME != 0 {
        bytes.extend(b"Image\0");
    }
    if flags & COMMENT != 0 {
        bytes.extend(b"a comment\0");
    }
    if flags & HEADER_CHECKSUM != 0 {
        let checksum = CRC.checksum(&bytes) as u16;
        bytes.extend(checksum.to_le_bytes());
    }
    bytes.extend(compress_to_vec(data, 6));
    bytes.extend(CRC.checksum(data).to_le_bytes());
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes
}

/// Bytes that pack to less, with long matches among them.
fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| if at % 1000 < 500 { 0 } else { ((at * at) >> 7) as u8 }).collect()
}

fn unpack(bytes: &[u8], room: usize) -> Result<Vec<u8>, GzipError> {
    let mut into = vec![0xa5; room];
    let size = Member::new(bytes)?.unpack(&mut into)?;
    assert!(into[size..].iter().all(|&byte| byte == 0xa5), "bytes behind the unpacked ones were written");
    into.truncate(size);
    Ok(into)
}

fn refusal(bytes: &[u8]) -> String {
    unpack(bytes, 1 << 20).unwrap_err().to_string()
}

#[test]
fn a_member_unpacks_whatever_its_header_has() {
    let data = data(unless_interpreted(100_000, 1000));
    for fields in 0..16 {
        assert_eq!(unpack(&packed(&data, fields << 1), data.len()).unwrap(), data);
    }
}

#[test]
fn a_member_of_another_packer_unpacks() {
    // printf 'Lacuna Lacuna Lacuna' | gzip -9n
    let bytes = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xf3, 0x49, 0x4c, 0x2e, 0xcd, 0x4b, 0x54, 0xf0,
        0x41, 0xa6, 0x00, 0x20, 0xb2, 0x21, 0x8b, 0x14, 0x00, 0x00, 0x00,
    ];
    assert_eq!(unpack(&bytes, 20).unwrap(), b"Lacuna Lacuna Lacuna");
}

#[test]
fn the_start_is_unpacked_without_the_rest() {
    let data = data(unless_interpreted(100_000, 1000));
    let bytes = packed(&data, NAME);
    // Half of the data is enough, and so is a damaged checksum.
    let half = Member::new(&bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(half.start::<64>().unwrap(), data[..64]);
    let small = packed(&data[..10], 0);
    assert_eq!(Member::new(&small).unwrap().start::<10>().unwrap(), data[..10]);
    assert_eq!(
        Member::new(&small).unwrap().start::<11>().unwrap_err().to_string(),
        std::format!("gzip data is cut short: its {} bytes end in the data", small.len())
    );
}

#[test]
fn more_than_there_is_room_for_is_refused() {
    let data = data(5000);
    let bytes = packed(&data, 0);
    assert_eq!(unpack(&bytes, 5000).unwrap(), data);
    for room in [0, 1, 4999] {
        assert_eq!(unpack(&bytes, room), Err(GzipError::NoRoom { room }));
    }
    assert_eq!(unpack(&packed(&[], 0), 0).unwrap(), []);
}

#[test]
fn the_size_is_guessed_from_the_last_bytes() {
    assert_eq!(Member::new(&packed(&data(5000), NAME)).unwrap().stored_size(), Some(5000));
    assert_eq!(Member::new(&packed(&[], 0)[..12]).unwrap().stored_size(), None);
    let impossible = [&packed(&data(5000), 0)[..], &[0xff; 4]].concat();
    assert_eq!(Member::new(&impossible).unwrap().stored_size(), None);
}

#[test]
fn a_header_that_is_none_is_refused() {
    let mut bytes = packed(&data(100), 0);
    bytes[1] = 0x8c;
    assert_eq!(refusal(&bytes), "gzip data starts with [1f, 8c] instead of [1f, 8b]");
    bytes[1] = 0x8b;
    bytes[2] = 9;
    assert_eq!(refusal(&bytes), "gzip data is packed by method 9, only 8 (DEFLATE) is known");
    bytes[2] = 8;
    bytes[3] = 0x21;
    assert_eq!(refusal(&bytes), "gzip header has flags 0x21, of which 0xe0 are unknown");
    let mut bytes = packed(&data(100), HEADER_CHECKSUM);
    bytes[4] ^= 1;
    assert!(matches!(unpack(&bytes, 100), Err(GzipError::HeaderChecksum { .. })));
}

#[test]
fn a_cut_is_told_by_the_part_that_it_is_in() {
    let flags = EXTRA | NAME | COMMENT | HEADER_CHECKSUM;
    let bytes = packed(&data(unless_interpreted(2000, 20)), flags);
    let part = |length: usize| match unpack(&bytes[..length], 2000) {
        Err(GzipError::Cut { part, have }) if have == length => part,
        other => panic!("{length}: {other:?}"),
    };
    let parts: Vec<&str> = (0..bytes.len()).map(part).collect();
    let mut seen = parts.clone();
    seen.dedup();
    assert_eq!(
        seen,
        [
            "header",
            "header's extra field",
            "header's file name",
            "header's comment",
            "header's checksum",
            "data",
            "trailer"
        ]
    );
    assert_eq!(parts.iter().filter(|part| **part == "trailer").count(), 8);
}

#[test]
fn damage_is_found_by_the_checksum_and_the_size() {
    let mut bytes = packed(&data(2000), 0);
    let end = bytes.len();
    bytes[end - 1] ^= 0x80;
    assert_eq!(refusal(&bytes), "gzip data unpacks to 2000 bytes, but says 2147485648");
    bytes[end - 1] ^= 0x80;
    bytes[end - 5] ^= 1;
    assert!(matches!(unpack(&bytes, 2000), Err(GzipError::Checksum { .. })));
    bytes[end - 5] ^= 1;
    // A block of the type that does not exist.
    bytes[10] |= 0b110;
    assert!(matches!(unpack(&bytes, 2000), Err(GzipError::Damaged { .. })));
}

#[test]
fn zeros_may_follow_but_nothing_else() {
    let mut bytes = packed(&data(2000), 0);
    let end = bytes.len();
    bytes.extend([0; 100]);
    assert_eq!(unpack(&bytes, 2000).unwrap(), data(2000));
    bytes.push(7);
    assert_eq!(
        refusal(&bytes),
        std::format!("gzip data is followed by something else at offset {:#x}, 1 bytes before its end", end + 100)
    );
    bytes.truncate(end);
    bytes.extend(packed(&data(10), 0));
    assert_eq!(
        refusal(&bytes),
        std::format!("gzip data is followed by another member at offset {end:#x}, only one is unpacked")
    );
}

proptest! {
    #[test]
    fn whatever_is_packed_comes_out(data in prop::collection::vec(any::<u8>(), 0..3000), fields in 0u8..16, more in 0usize..9) {
        assert_eq!(unpack(&packed(&data, fields << 1), data.len() + more).unwrap(), data);
    }

    #[test]
    fn damaged_members_are_refused_or_the_same(
        length in 0usize..3000,
        fields in 0u8..16,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        room in 0usize..4000,
    ) {
        let data = data(length);
        let mut bytes = packed(&data, fields << 1);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(unpacked) = unpack(&bytes, room) {
            assert_eq!(unpacked, data);
        }
        let _ = Member::new(&bytes).and_then(|member| member.start::<64>());
    }

    #[test]
    fn any_bytes_behind_a_header_are_refused_or_unpacked(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0], &bytes[..]].concat();
        let _ = unpack(&bytes, 1000);
    }
}
