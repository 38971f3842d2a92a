//! A boot loader of a few instructions: QEMU's own insists on its device tree, so to boot with another one it stands aside.

/// What the boot loader leaves in x0, and in RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The address of a device tree.
    Tree(u64),
    /// Nothing: x0 is 0, and the word at this address, where QEMU leaves its tree for ELF files, is cleared.
    Nothing(u64),
}

const LDR_X0: u32 = ldr(0);
const LDR_X1: u32 = ldr(1);
const LDR_X2: u32 = ldr(2);
/// `str xzr, [x2]`
const CLEAR: u32 = 0xf900_005f;
/// `nop`
const NOP: u32 = 0xd503_201f;
/// `br x1`
const BRANCH: u32 = 0xd61f_0020;

/// Instructions before the three numbers that they load.
const INSTRUCTIONS: u32 = 6;

/// `ldr x<number>, [number-th 64-bit number behind the instructions]`, for the `number`-th instruction of the stub.
const fn ldr(number: u32) -> u32 {
    let words_ahead = INSTRUCTIONS + 2 * number - number;
    0x5800_0000 | words_ahead << 5 | number
}

/// The stub's bytes: it sets x0 and branches to `image`.
pub fn stub(image: u64, handover: Handover) -> Vec<u8> {
    let (x0, clear, at) = match handover {
        Handover::Tree(tree) => (tree, NOP, 0),
        Handover::Nothing(at) => (0, CLEAR, at),
    };
    let instructions = [LDR_X0, LDR_X1, LDR_X2, clear, BRANCH, NOP];
    const { assert!(INSTRUCTIONS == 6, "the numbers must stay aligned") };
    let numbers = [x0, image, at];
    let bytes = instructions.into_iter().flat_map(u32::to_le_bytes);
    bytes.chain(numbers.into_iter().flat_map(u64::to_le_bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Handover, stub};

    #[test]
    fn each_register_is_loaded_from_its_own_number() {
        let bytes = stub(0x4020_0000, Handover::Tree(0x4800_0000));
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let target = |at: usize| at + 4 * (word(at) >> 5 & 0x7_ffff) as usize;
        assert_eq!(number(target(0)), 0x4800_0000);
        assert_eq!(number(target(4)), 0x4020_0000);
        assert_eq!(number(target(8)), 0);
    }
}
