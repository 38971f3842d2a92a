//! A partial device tree that a guest's configuration brings along, merged into the guest's own.

#![no_main]

use lacuna::base::addr::GuestAddr;
use lacuna::devtree::{Blob, GuestUart, MAX_SIZE};
use lacuna::guest::load::tree::GuestTree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|given: &[u8]| {
    let bank = GuestAddr::new(0x4000_0000)..GuestAddr::new(0x5000_0000);
    let tree = GuestTree {
        banks: &[bank],
        vcpus: 1,
        cpu: "arm,cortex-a57",
        uart: GuestUart::Pl011,
        bootargs: None,
        ramdisk: None,
        given: Some(given),
    };
    let Ok(blob) = tree.blob() else { return };
    assert!(blob.len() <= MAX_SIZE);
    // What the guest finds is a tree that the hypervisor itself would boot with.
    Blob::check(&blob).expect("a tree that can be read").facts().expect("a tree with facts");
});
