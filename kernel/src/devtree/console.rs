//! The UART that `stdout-path` names, and its interrupt.

use super::bus;
use super::facts::Facts;
use super::interrupts::Controller;
use super::node::{is_okay, lists, number, text, value};
use super::parts::{Console, ConsoleDevice};
use super::warning::TreeWarning;
use crate::base::addr::Span;
use crate::console::uart::{Order, RegisterAccess, RegisterWidth, UartModel};
use alloc::string::String;
use alloc::vec::Vec;
use fdt::node::FdtNode;

/// The debug communications channel of the CPU itself (Linux, Documentation/devicetree/bindings/arm/arm,dcc.yaml).
const DEBUG_CHANNEL: &str = "arm,dcc";

/// Adds the console to `facts`, or the reason why there is none. Without a `controller` its interrupt is nobody's.
pub(super) fn read<'b, 'a>(
    root: FdtNode<'b, 'a>,
    chosen: Option<FdtNode<'b, 'a>>,
    aliases: Option<FdtNode<'b, 'a>>,
    controller: Option<&Controller>,
    facts: &mut Facts<'_>,
) {
    match find(root, chosen, aliases) {
        Ok((console, nodes)) => {
            let interrupt = controller.map_or(Ok(None), |controller| controller.interrupt(&nodes, 0));
            let interrupt = facts.or_warning(interrupt);
            facts.console = Some(Console { interrupt, ..console });
        }
        Err(warning) => facts.warnings.push(warning),
    }
}

/// Resolves `stdout-path`: a path or the name of an alias, with options of the line behind a colon, which are
/// the firmware's business. With the console come the nodes along its path.
fn find<'b, 'a>(
    root: FdtNode<'b, 'a>,
    chosen: Option<FdtNode<'b, 'a>>,
    aliases: Option<FdtNode<'b, 'a>>,
) -> Result<(Console, Vec<FdtNode<'b, 'a>>), TreeWarning> {
    let property = |name| chosen.and_then(|chosen| value(chosen, name)).and_then(text);
    let stdout = property("stdout-path").or_else(|| property("linux,stdout-path")).ok_or(TreeWarning::NoStdout)?;
    let name = stdout.split(':').next().unwrap_or(stdout);

    let path = if name.starts_with('/') { name } else { resolve(aliases, name)? };
    let nodes = bus::walk(root, path).ok_or_else(|| TreeWarning::StdoutNotFound { path: path.into() })?;
    let uart = *nodes.last().ok_or_else(|| TreeWarning::StdoutNotFound { path: path.into() })?;

    if !is_okay(value(uart, "status")) {
        return Err(TreeWarning::StdoutDisabled { node: path.into() });
    }
    let device = device(uart, path, &nodes)?;
    Ok((Console { node: path.into(), device, interrupt: None }, nodes))
}

/// The device of the node at `path`, the last of `nodes`.
fn device(uart: FdtNode<'_, '_>, path: &str, nodes: &[FdtNode<'_, '_>]) -> Result<ConsoleDevice, TreeWarning> {
    let node = String::from(path);
    // The most specific name comes first, so the first one that is known is the best.
    let names = value(uart, "compatible").unwrap_or_default();
    let Some((model, usual)) = names.split(|&byte| byte == 0).find_map(UartModel::of) else {
        if lists(names, &[DEBUG_CHANNEL]) {
            return Ok(ConsoleDevice::DebugChannel);
        }
        let compatible = text(names).unwrap_or_default().into();
        return Err(TreeWarning::StdoutUnknown { node, compatible });
    };
    let Some(&[registers]) = bus::registers(nodes, 1).as_deref() else {
        return Err(TreeWarning::StdoutUnreachable { node });
    };
    let access = match access(uart, model, usual) {
        Ok(access) => access,
        Err((property, value)) => return Err(TreeWarning::StdoutAccess { node, property, value }),
    };
    match missing(registers, model, access) {
        None => Ok(ConsoleDevice::Memory { model, registers, access }),
        Some(bytes) => Err(TreeWarning::StdoutRegisters { node, registers, bytes, width: access.width.bytes() }),
    }
}

/// How the registers are accessed: as usual for the model, unless the node says something else (Linux,
/// Documentation/devicetree/bindings/serial/8250.yaml and serial.yaml). A property that makes no sense comes back.
fn access(
    uart: FdtNode<'_, '_>,
    model: UartModel,
    usual: RegisterAccess,
) -> Result<RegisterAccess, (&'static str, u64)> {
    let mut access = usual;
    if value(uart, "big-endian").is_some() {
        access.order = Order::Big;
    } else if ["little-endian", "native-endian"].iter().any(|name| value(uart, name).is_some()) {
        access.order = Order::Little;
    }
    // The registers of the others lie where they lie.
    if !matches!(model, UartModel::Ns16550(_)) {
        return Ok(access);
    }
    let property = |name| value(uart, name).map(number);
    if let Some(shift) = property("reg-shift") {
        access.shift = u8::try_from(shift).ok().filter(|shift| *shift <= 4).ok_or(("reg-shift", shift))?;
    }
    if let Some(width) = property("reg-io-width") {
        access.width = match width {
            1 => RegisterWidth::Byte,
            2 => RegisterWidth::Half,
            4 => RegisterWidth::Word,
            _ => return Err(("reg-io-width", width)),
        };
    }
    if let Some(offset) = property("reg-offset") {
        access.offset = u32::try_from(offset).map_err(|_| ("reg-offset", offset))?;
    }
    Ok(access)
}

/// How many bytes of registers the driver uses, if they are not all there or not aligned for their accesses. Some trees
/// name fewer than the device has.
fn missing(registers: Span, model: UartModel, access: RegisterAccess) -> Option<u64> {
    let width = access.width.bytes();
    let (first, last) = (access.position(0) as u64, access.position(model.last_register()) as u64);
    let bytes = last + width;
    // The last register of a 16550 has an odd number, so registers that are too close for their width show there.
    let is_aligned = |position: u64| (registers.start.get() + position).is_multiple_of(width);
    (registers.bytes() < bytes || !is_aligned(first) || !is_aligned(last)).then_some(bytes)
}

/// The path that an alias stands for. An alias cannot stand for another one, so there is no circle to be caught in.
fn resolve<'a>(aliases: Option<FdtNode<'_, 'a>>, alias: &str) -> Result<&'a str, TreeWarning> {
    match aliases.and_then(|aliases| value(aliases, alias)).and_then(text) {
        Some(path) if path.starts_with('/') => Ok(path),
        Some(value) => Err(TreeWarning::StdoutAlias { alias: alias.into(), value: value.into() }),
        None => Err(TreeWarning::StdoutNotFound { path: alias.into() }),
    }
}
