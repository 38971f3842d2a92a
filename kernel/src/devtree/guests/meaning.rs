//! The properties and nodes that Xen reads and Lacuna does not.
//!
//! A tree that requests less isolation, other memory or other hardware than its guest would get is refused: it must not
//! start as if the request were met. Properties that only tune Xen, or request Xen's own interfaces, are named and left
//! out: a guest that needs them will miss them, and the warning says why.

use super::super::node::{is_compatible, text};
use super::placement::is_vcpu;
use super::{GUEST, SHARED_MEMORY};
use fdt::node::FdtNode;

/// What a property or a node means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is read elsewhere, or says nothing about the guest.
    Known,
    /// It changes nothing, and why.
    Ignored(&'static str),
    /// The guest cannot be had, and why.
    Unsupported(&'static str),
    /// Nobody knows.
    Unknown,
}

/// What a property of a guest's node means.
pub(super) fn of_property(name: &str, value: &[u8]) -> Meaning {
    match (name, text(value)) {
        ("compatible" | "#address-cells" | "#size-cells" | "phandle" | "linux,phandle" | "name" | "status", _) => {
            Meaning::Known
        }
        ("memory" | "cpus" | "vpl011" | "nr_spis" | "trap-unmapped-accesses", _) => Meaning::Known,
        ("xen,static-mem" | "direct-map" | "domain-cpupool", _) => Meaning::Known,
        ("lacuna,restart" | "lacuna,restart-limit", _) => Meaning::Known,
        ("#xen,static-mem-address-cells" | "#xen,static-mem-size-cells", _) => Meaning::Known,
        ("xen,enhanced" | "passthrough", Some("disabled")) | ("xen,sci_type", Some("none")) => Meaning::Known,

        ("passthrough", _) => Meaning::Unsupported("no device can be given to a guest"),
        ("xen,sci_type", _) => Meaning::Unsupported("no guest may call the system controller"),
        ("llc-colors", _) => Meaning::Unsupported("the cache is not divided among guests"),
        ("v8r_el1_msa", _) => Meaning::Unsupported("a guest has the memory system that EL1 starts with"),

        ("xen,enhanced", _) => Meaning::Ignored("there are none of Xen's interfaces"),
        ("capabilities", _) => Meaning::Ignored("no guest has any over others"),
        ("sve", _) => Meaning::Ignored("guests have no SVE"),
        ("xen,domain-p2m-mem-mb", _) => Meaning::Ignored("page tables of guests come from all free RAM"),
        ("max_grant_version" | "max_grant_frames" | "max_maptrack_frames", _) => {
            Meaning::Ignored("there are no grant tables")
        }
        _ => Meaning::Unknown,
    }
}

/// What a child of a guest's node means that is no module.
pub(super) fn of_node(node: FdtNode<'_, '_>) -> Meaning {
    if is_compatible(node, &SHARED_MEMORY) {
        Meaning::Unsupported("guests share no memory")
    } else if is_vcpu(node) {
        Meaning::Known
    } else if is_compatible(node, &["xen,evtchn", "xen,evtchn-v1"]) {
        Meaning::Ignored("there are no event channels")
    } else if is_compatible(node, &GUEST) {
        // Misplaced: reported by the check of all of /chosen.
        Meaning::Known
    } else {
        Meaning::Unknown
    }
}
