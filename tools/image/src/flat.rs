//! The image as one piece, as a boot loader copies it into memory.

use crate::elf::Segment;

/// The loaded parts of `file` at their distances from the first; what is zero at first and at the end is left out.
pub fn image(file: &[u8], segments: &[Segment]) -> Vec<u8> {
    let mut flat = Vec::new();
    let base = segments.first().map_or(0, |segment| segment.memory.start);
    for segment in segments {
        let content = &file[segment.file.start as usize..segment.file.end as usize];
        let start = (segment.memory.start - base) as usize;
        let end = start + content.len();
        if !content.is_empty() {
            flat.resize(flat.len().max(end), 0);
            flat[start..end].copy_from_slice(content);
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::image;
    use crate::elf::{Access, Segment};

    #[test]
    fn segments_keep_their_distances_and_trailing_zeros_stay_out() {
        let segment = |start, size, file| Segment { memory: start..start + size, file, access: Access::Read };
        let segments = [segment(0x10, 4, 1..4), segment(0x18, 8, 4..6), segment(0x20, 64, 6..6)];
        assert_eq!(image(b"-abcde", &segments), b"abc\0\0\0\0\0de");
    }
}
