//! Breaks an image where a test wants it broken, to see what it makes of a bug of its own.

use lacuna::trap::symbols::{MAGIC, Symbols};

/// Puts `instructions` where `function` starts.
pub fn replace(image: &mut [u8], function: &str, instructions: &[u32]) {
    let at = find(image, function).unwrap_or_else(|| panic!("the image names no function {function}"));
    let code = instructions.iter().copied().flat_map(u32::to_le_bytes);
    for (byte, new) in image[at..].iter_mut().zip(code) {
        *byte = new;
    }
}

/// The offset of `function`, by the names that the image has for backtraces.
fn find(image: &[u8], function: &str) -> Option<usize> {
    let tables = (0..image.len()).step_by(align_of::<u64>()).map(|at| &image[at..]);
    let tables = tables.filter(|bytes| bytes.starts_with(&MAGIC.to_le_bytes())).filter_map(Symbols::parse);
    let offsets = (0..image.len()).step_by(align_of::<u32>());
    tables.into_iter().find_map(|table| offsets.clone().find(|at| table.lookup(*at as u64) == Some((function, 0))))
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn only_the_start_of_the_function_is_replaced() {
        let words = [0xaa, 0xbb, 0xcc, 0xdd, super::MAGIC, 2, 16, 4, 0, 0, 8, 1, u32::from_le_bytes(*b"abcd")];
        let image = |words: &[u32]| words.iter().copied().flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        let mut broken = image(&words);
        replace(&mut broken, "bcd", &[0xee]);
        let mut expected = words;
        expected[2] = 0xee;
        assert_eq!(broken, image(&expected));
    }
}
