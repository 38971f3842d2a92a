//! Device trees as boards and boot loaders write them and Linux boots with them: each oddity costs a line, not the boot.

use lacuna_tests::{Boot, Outcome, made_file};
use std::process::Command;

/// What is odd, in the order in which it stands here: reservations past the end of the address space and outside RAM;
/// ranges that overlap or are named twice, are empty, have cells left over or no address; memory without `reg`, twice the
/// same, or with cells left over; numbers of cells without a value; and an initrd from 0 to 0.
const ODD: &str = r#"/dts-v1/;
/memreserve/ 0xfffffffffffff000 0x2000;
/memreserve/ 0x10000000 0x1000;
/ {
    #address-cells = <2>;
    #size-cells = <2>;
    psci { compatible = "arm,psci-1.0"; method = "smc"; };
    pl011@9000000 { compatible = "arm,pl011", "arm,primecell"; reg = <0 0x9000000 0 0x1000>; };
    memory { device_type = "memory"; };
    memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x60000000>; };
    memory@80000000 { device_type = "memory"; reg = <0 0x80000000 0 0x40000000 0>; };
    reserved-memory {
        #address-cells = <2>; #size-cells = <2>; ranges;
        hyp@60000000 { reg = <0 0x60000000 0 0x800000>; no-map; };
        smem@60600000 { reg = <0 0x60600000 0 0x200000>; };
        twice@60600000 { reg = <0 0x60600000 0 0x200000>; };
        filled@0 { reg = <0 0 0 0>; };
        rest@61000000 { reg = <0 0x61000000 0 0x1000 0>; };
        pool { size = <0 0x400000>; alloc-ranges = <0 0x40000000 0 0x40000000>; };
    };
    soc { #address-cells; #size-cells; device@0 { reg = <0>; }; };
    a.name@0 { };
    NESTED
    chosen {
        stdout-path = "/pl011@9000000";
        linux,initrd-start = <0 0>;
        linux,initrd-end = <0 0>;
        RANGE
    };
};
"#;

/// One line of the boot for each.
const TOLD: [&str; 13] = [
    "device tree has byte 0x20 in the name 'a name@0' of the node at offset ",
    "device tree has #address-cells of 0 bytes instead of 4 in node 'soc', at offset ",
    "memreserve entry 0 [0xfffffffffffff000, 0xffffffffffffffff), 0x2000 bytes, reaches past the end of the address space",
    "/memory has no reg: left out",
    "reg of /memory@80000000 has 20 bytes, not a multiple of its 16-byte entries: left out",
    "reserved-memory /reserved-memory/filled@0 has an empty range at 0x0: ignored",
    "reg of /reserved-memory/rest@61000000 has 20 bytes, not a multiple of its 16-byte entries: left out",
    "/reserved-memory/pool wants a range of 4194304 bytes anywhere: ignored",
    "initrd has an empty range at 0x0: ignored",
    "memory of /memory@80000000 [0x80000000, 0xc0000000) overlaps memory of /memory@40000000 [0x40000000, 0xa0000000)",
    "memreserve entry 1 [0x10000000, 0x10001000) does not lie in RAM",
    "reserved-memory /reserved-memory/smem@60600000 [0x60600000, 0x60800000) overlaps reserved-memory (no-map) \
     /reserved-memory/hyp@60000000 [0x60000000, 0x60800000): both are reserved",
    "reserved-memory /reserved-memory/twice@60600000 [0x60600000, 0x60800000) overlaps reserved-memory (no-map) \
     /reserved-memory/hyp@60000000 [0x60000000, 0x60800000): both are reserved",
];

/// The blob of `source`, of this version.
fn compiled(source: &str, version: &str) -> Vec<u8> {
    let file = made_file(&format!("{version}.dts"), source.as_bytes());
    // What is odd is worth an error to the compiler unless it is forced.
    let dtc = Command::new("dtc").args(["-q", "-f", "-I", "dts", "-O", "dtb", "-V", version]).arg(&file).output();
    let dtc = dtc.expect("dtc can be run");
    assert!(dtc.status.success(), "{}", String::from_utf8_lossy(&dtc.stderr));
    dtc.stdout
}

/// The odd tree, with this property in `/chosen`.
fn odd(range: &str, version: &str) -> Vec<u8> {
    // As deep as a tree may be: with the root, 64 nodes.
    let nested = format!("{}{}", "n { ".repeat(63), "}; ".repeat(63));
    let mut blob = compiled(&ODD.replace("NESTED", &nested).replace("RANGE", range), version);
    // No source has a space in a name, but the blobs of some boards do.
    let name = blob.windows(6).position(|bytes| bytes == b"a.name").expect("the tree has that node");
    blob[name + 1] = b' ';
    blob
}

/// Boots both images.
fn boots(blob: &[u8]) -> [Outcome; 2] {
    [Boot::with_blob(blob.into()), Boot::with_blob(blob.into()).mpu_image("pmsa-regions=32")].map(|boot| {
        let outcome = boot.run();
        outcome.expect_pass();
        outcome
    })
}

#[test]
fn a_tree_with_many_oddities_boots_and_each_is_told() {
    for outcome in boots(&odd("", "17")) {
        TOLD.iter().for_each(|line| outcome.expect_line(&format!("lacuna: warning: {line}")));
        let facts = outcome.facts();
        assert_eq!((facts.number("banks"), facts.number("ram_kib")), (1, 2 << 20));
    }
}

#[test]
fn a_tree_of_version_16_boots_in_the_memory_that_it_may_use() {
    let range = "linux,usable-memory-range = <0 0x40000000 0 0x20000000>;";
    for outcome in boots(&odd(range, "16")) {
        outcome.expect_line("lacuna: warning: device tree is of version 16, before 17: taken as it is");
        outcome.expect_line("linux,usable-memory-range of /chosen: RAM is used in [0x40000000, 0x60000000) only");
        assert_eq!(outcome.facts().number("ram_kib"), 512 << 10);
    }
}
