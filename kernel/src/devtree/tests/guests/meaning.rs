//! Properties that a guest cannot have, and properties that are only named.

use super::*;

#[test]
fn what_would_change_memory_or_isolation_is_refused() {
    for (property, value, why) in [
        ("passthrough", "enabled", "no device can be given to a guest"),
        ("xen,sci_type", "scmi_smc", "no guest may call the system controller"),
        ("llc-colors", "0-3", "the cache is not divided among guests"),
        ("v8r_el1_msa", "mpu", "a guest has the memory system that EL1 starts with"),
    ] {
        let message = format!("{property} of /chosen/domU1 is not supported: {why}");
        assert_eq!(refusal(guest("domU1").text(property, value)), message);
    }
    let shared = guest("domU1").with(
        node("shm@0")
            .text("compatible", "xen,domain-shared-memory-v1")
            .cells("xen,shared-mem", &[0, 0x6000_0000, 0, 0x6000_0000, 0, 0x1000]),
    );
    assert_eq!(refusal(shared), "/chosen/domU1/shm@0 is not supported: guests share no memory");
}

#[test]
fn what_merely_tunes_or_is_unknown_is_named() {
    for (property, value, why) in [
        ("xen,enhanced", "enabled", "is ignored: there are none of Xen's interfaces"),
        ("xen,enhanced", "no-xenstore", "is ignored: there are none of Xen's interfaces"),
        ("xen,enhanced", "", "is ignored: there are none of Xen's interfaces"),
        ("capabilities", "control", "is ignored: no guest has any over others"),
        ("sve", "", "is ignored: guests have no SVE"),
        ("xen,domain-p2m-mem-mb", "", "is ignored: page tables of guests come from all free RAM"),
        ("max_grant_version", "", "is ignored: there are no grant tables"),
        ("max_grant_frames", "", "is ignored: there are no grant tables"),
        ("max_maptrack_frames", "", "is ignored: there are no grant tables"),
        ("vcpus", "", "is unknown: ignored"),
    ] {
        let message = format!("{property} of /chosen/domU1 {why}");
        assert_eq!(warnings(guest("domU1").text(property, value)), [message]);
    }
    let tree = guest("domU1")
        .with(node("ec1").text("compatible", "xen,evtchn-v1"))
        .with(node("policy").text("compatible", "xen,xsm-policy\0multiboot,module").cells("reg", &[0x5100_0000, 1]))
        .with(node("pci"))
        .with(module("ramdisk", RAMDISK, 0x5200_0000).text("bootarg", "quiet"));
    let expected = [
        "/chosen/domU1/ec1 is ignored: there are no event channels",
        "/chosen/domU1/policy is of an unknown kind: ignored",
        "/chosen/domU1/pci is of an unknown kind: ignored",
        "bootarg of /chosen/domU1/ramdisk is unknown: ignored",
    ];
    assert_eq!(warnings(tree), expected);
}

#[test]
fn what_says_nothing_about_the_guest_is_passed_over() {
    let tree = guest("domU1")
        .text("xen,enhanced", "disabled")
        .text("passthrough", "disabled")
        .text("xen,sci_type", "none")
        .text("name", "domU1")
        .text("status", "okay")
        .cells("phandle", &[7])
        .cells("linux,phandle", &[7]);
    assert_eq!(one(tree).name, "domU1");
}

#[test]
fn a_disabled_guest_waits_and_may_be_incomplete() {
    let disabled = guest("domU1").text("status", "disabled");
    let incomplete = bare("domU2").text("status", "disabled").text("passthrough", "enabled");
    let (guests, warnings) = read(&[disabled, incomplete, guest("domU3")]).unwrap();
    let starts: Vec<_> = guests.iter().map(|guest| (guest.name.as_str(), guest.start)).collect();
    assert_eq!(starts, [("domU1", GuestStart::AtThePrompt), ("domU3", GuestStart::AtBoot)]);
    let expected = [
        "/chosen/domU1 is disabled: not started until somebody starts it at the prompt",
        "passthrough of /chosen/domU2 is not supported: no device can be given to a guest: left out",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn a_guest_below_something_else_than_chosen_is_not_started() {
    let tree = [node("group").with(guest("domU1")), guest("domU2").with(guest("domU3"))];
    let (guests, mut warnings) = read(&tree).unwrap();
    warnings.sort();
    let message = |path| format!("{path} describes a guest, but not right below /chosen: not started");
    assert_eq!((guests.len(), guests[0].name.as_str()), (1, "domU2"));
    assert_eq!(warnings, [message("/chosen/domU2/domU3"), message("/chosen/group/domU1")]);
}
