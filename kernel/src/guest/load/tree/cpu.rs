//! The name of a CPU in a device tree.
//!
//! A guest's CPUs are the machine's, and a guest that reads MIDR_EL1 sees that. The name in the tree should agree,
//! because some guests choose drivers by it: Linux those for performance counters, for instance.

/// Bits of MIDR_EL1: implementer and part number (DDI 0487).
const IMPLEMENTER: (u32, u64) = (24, 0xff);
const PART: (u32, u64) = (4, 0xfff);

/// Arm Limited, as implementer.
const ARM: u64 = 0x41;

/// The part numbers of Arm's CPUs (from the technical reference manual of each) and their names in device trees
/// (Linux, Documentation/devicetree/bindings/arm/cpus.yaml).
const PARTS: [(u64, &str); 18] = [
    (0xd03, "arm,cortex-a53"),
    (0xd04, "arm,cortex-a35"),
    (0xd05, "arm,cortex-a55"),
    (0xd07, "arm,cortex-a57"),
    (0xd08, "arm,cortex-a72"),
    (0xd09, "arm,cortex-a73"),
    (0xd0a, "arm,cortex-a75"),
    (0xd0b, "arm,cortex-a76"),
    (0xd0c, "arm,neoverse-n1"),
    (0xd0d, "arm,cortex-a77"),
    (0xd40, "arm,neoverse-v1"),
    (0xd41, "arm,cortex-a78"),
    (0xd42, "arm,cortex-a78ae"),
    (0xd46, "arm,cortex-a510"),
    (0xd47, "arm,cortex-a710"),
    (0xd49, "arm,neoverse-n2"),
    (0xd4f, "arm,neoverse-v2"),
    (0xd81, "arm,cortex-a720"),
];

/// The name of the CPU with this MIDR_EL1; `arm,armv8` for one that is not known.
pub fn cpu_name(midr: u64) -> &'static str {
    let field = |(shift, mask)| (midr >> shift) & mask;
    let is_it = |(part, _): &&(u64, &str)| field(IMPLEMENTER) == ARM && field(PART) == *part;
    PARTS.iter().find(is_it).map_or("arm,armv8", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::cpu_name;

    #[test]
    fn a_cpu_is_known_by_its_maker_and_part_whatever_its_revision() {
        assert_eq!(cpu_name(0x411f_d070), "arm,cortex-a57");
        assert_eq!(cpu_name(0x410f_d083), "arm,cortex-a72");
        assert_eq!(cpu_name(0x410f_d034), "arm,cortex-a53");
        assert_eq!(cpu_name(0x414f_d0b1), "arm,cortex-a76");
        // QEMU's `max`, and another maker's part of the same number.
        assert_eq!(cpu_name(0x000f_0510), "arm,armv8");
        assert_eq!(cpu_name(0x421f_d070), "arm,armv8");
    }
}
