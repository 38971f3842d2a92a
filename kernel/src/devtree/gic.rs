//! The interrupt controller, and the timer that interrupts guests.
//!
//! Both are found by `compatible`, anywhere in the tree: some trees have the GIC on a bus of its own. A machine without
//! them boots all the same, since only guests need them, so a defect in their nodes is a warning.

use super::bus;
use super::facts::Facts;
use super::interrupts::Controller;
use super::node::{number, value};
use super::parts::GicFacts;
use super::refusal::{FRAME, GicError, InterruptError, REDISTRIBUTOR};
use crate::base::addr::{PAGE_SIZE, Span};
use fdt::node::FdtNode;

const COMPATIBLE_GIC: &[&str] = &["arm,gic-v3"];
/// The name of EL2's physical timer.
const EL2_TIMER: &str = "hyp-phys";

const COMPATIBLE_TIMER: &[&str] = &["arm,armv8-timer"];

/// Adds the GIC and the timers' interrupts to `facts`. Returns what is needed to read the interrupts of others.
pub(super) fn read(root: FdtNode<'_, '_>, facts: &mut Facts<'_>) -> Option<Controller> {
    let [gic, timer] = bus::find(root, [COMPATIBLE_GIC, COMPATIBLE_TIMER]);
    let nodes = gic?;
    let (mut gic, controller) = facts.or_warning(describe(&nodes).map(Some))?;
    gic.maintenance = facts.or_warning(controller.private(&nodes, 0));
    facts.gic = Some(gic);
    if let Some(timer) = timer {
        let mut interrupt = |name, place| {
            let index = timer_interrupt(&timer, name, place)?;
            match controller.private(&timer, index) {
                // Kernels do without EL2's, and so do some trees.
                Err(InterruptError::Cut { .. }) if name == EL2_TIMER => None,
                found => facts.or_warning(found),
            }
        };
        let timers = [("phys", 1), ("virt", 2), (EL2_TIMER, 3)].map(|(name, place)| interrupt(name, place));
        [facts.physical_timer, facts.virtual_timer, facts.hypervisor_timer] = timers;
    }
    Some(controller)
}

/// The GIC that is the last of `nodes`, but for its interrupt.
fn describe(nodes: &[FdtNode<'_, '_>]) -> Result<(GicFacts, Controller), GicError> {
    const REGIONS: &str = "#redistributor-regions";
    const STRIDE: &str = "redistributor-stride";
    let node = bus::path(nodes);
    let controller = Controller::new(nodes).map_err(|cells| GicError::Cells { node: node.clone(), cells })?;
    let property = |property| match nodes.last().and_then(|gic| value(*gic, property)) {
        None => Ok(None),
        Some(found) if matches!(found.len(), 4 | 8) => Ok(Some(number(found))),
        Some(found) => Err(GicError::Length { node: node.clone(), property, bytes: found.len() }),
    };
    let bad = |property, value| GicError::Value { node: node.clone(), property, value };
    let regions = property(REGIONS)?.unwrap_or(1);
    let count = u32::try_from(regions).ok().filter(|count| *count > 0).ok_or_else(|| bad(REGIONS, regions))?;
    let stride = property(STRIDE)?;
    if let Some(stride) = stride.filter(|stride| !stride.is_multiple_of(FRAME) || *stride < REDISTRIBUTOR) {
        return Err(bad(STRIDE, stride));
    }

    // The distributor is before them.
    let spans = bus::registers(nodes, count as usize + 1).unwrap_or_default();
    let Some((distributor, redistributors)) = spans.split_first() else {
        return Err(GicError::Unreachable { node, regions });
    };
    // On hardware they start at a multiple of a frame. A hypervisor below may have them elsewhere, as Xen has, and so have we.
    let is_whole = |span: &Span| span.start.is_aligned(PAGE_SIZE) && span.bytes().is_multiple_of(FRAME);
    if let Some(&span) = spans.iter().find(|span| !is_whole(span)) {
        return Err(GicError::Frames { node, span });
    }
    if let Some(&span) = redistributors.iter().find(|span| span.bytes() < REDISTRIBUTOR) {
        return Err(GicError::Small { node, span });
    }
    let (distributor, redistributors) = (*distributor, redistributors.to_vec());
    Ok((GicFacts { node, distributor, redistributors, stride, maintenance: None }, controller))
}

/// Which interrupt of the timer, the last of `nodes`, is the one of that name: where names are left out, that in `place`
/// (Linux, Documentation/devicetree/bindings/timer/arm,arch_timer.yaml).
fn timer_interrupt(nodes: &[FdtNode<'_, '_>], name: &str, place: usize) -> Option<usize> {
    match value(*nodes.last()?, "interrupt-names") {
        Some(names) => names.split(|&byte| byte == 0).position(|listed| listed == name.as_bytes()),
        None => Some(place),
    }
}
