//! The words that trees for mutation are made of.

use super::*;

/// Names and values that the facts look at, right ones and wrong ones.
pub const NAMES: [&str; 16] = [
    "chosen",
    "aliases",
    "reserved-memory",
    "memory@0",
    "memory@80000000",
    "psci",
    "firmware",
    "uart@0",
    "soc",
    "bus",
    "domU1",
    "module@0",
    "kernel",
    "pool",
    "gic@0",
    "timer",
];
pub const KEYS: [&str; 42] = [
    "reg",
    "ranges",
    "compatible",
    "device_type",
    "status",
    "method",
    "stdout-path",
    "linux,stdout-path",
    "bootargs",
    "xen,xen-bootargs",
    "linux,initrd-start",
    "linux,initrd-end",
    "xen,static-mem",
    "serial0",
    "no-map",
    "size",
    "phandle",
    "interrupt-parent",
    "#interrupt-cells",
    "interrupts",
    "interrupts-extended",
    "interrupt-names",
    "#redistributor-regions",
    "redistributor-stride",
    "memory",
    "cpus",
    "vpl011",
    "nr_spis",
    "direct-map",
    "trap-unmapped-accesses",
    "passthrough",
    "xen,sci_type",
    "llc-colors",
    "v8r_el1_msa",
    "xen,enhanced",
    "sve",
    "max_grant_frames",
    "capabilities",
    "domain-cpupool",
    "cpupool-cpus",
    "hard-affinity",
    "id",
];
pub const TEXTS: [&str; 27] = [
    "memory",
    "okay",
    "disabled",
    "smc",
    "hvc",
    "arm,psci-1.0",
    "arm,pl011",
    "multiboot,module",
    "multiboot,kernel\0multiboot,module",
    "xen,domain",
    "serial0:115200n8",
    "/soc/uart@0",
    "/uart@0",
    "serial0",
    "",
    "loglevel=debug",
    "multiboot,ramdisk\0multiboot,module",
    "multiboot,device-tree\0multiboot,module",
    "xen,vcpu",
    "xen,cpupool",
    "0-3,5",
    "xen,domain-shared-memory-v1",
    "xen,evtchn-v1",
    "arm,gic-v3",
    "arm,armv8-timer",
    "virt",
    "none",
];
pub const WORDS: [u32; 16] =
    [0, 1, 2, 3, 4, 5, 8, 9, 36, 40, 0x1000, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, u32::MAX];

/// Guest, GIC and timer as they should be, for mutations to spoil.
pub fn sound() -> Vec<Node> {
    let kernel = node("kernel").text("compatible", "multiboot,module").cells("reg", &[0x4000_0000, 0x1000]);
    let guest = node("domU1")
        .text("compatible", "xen,domain")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .cells("memory", &[0x1000])
        .cells("xen,static-mem", &[0, 0x4100_0000, 0x40_0000])
        .with(kernel);
    let gic = node("gic@0")
        .text("compatible", "arm,gic-v3")
        .cells("#interrupt-cells", &[3])
        .cells("reg", &[0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x2_0000])
        .cells("interrupts", &[1, 9, 4]);
    let timer =
        node("timer").text("compatible", "arm,armv8-timer").cells("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4]);
    vec![node("chosen").with(guest), gic, timer]
}
