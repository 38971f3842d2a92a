//! The UART that `stdout-path` names, and its interrupt.

use super::bus;
use super::facts::{Console, Facts, Warning};
use super::interrupts::Controller;
use super::node::{is_compatible, is_okay, text};
use alloc::vec::Vec;
use fdt::node::FdtNode;

const PL011: [&str; 2] = ["arm,pl011", "arm,sbsa-uart"];

/// Bytes of registers that a console needs of a PL011: up to UARTICR (Arm DDI 0183, section 3.2). Some trees name 0x200 of
/// the 0x1000 that there are.
const PL011_BYTES: u64 = 0x48;

/// What registers are aligned to that are accessed as 32 bits.
const PL011_ALIGN: u64 = 4;

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

/// Resolves `stdout-path`: a path or the name of an alias, with options of the line behind a colon. With the console
/// come the nodes along its path.
fn find<'b, 'a>(
    root: FdtNode<'b, 'a>,
    chosen: Option<FdtNode<'b, 'a>>,
    aliases: Option<FdtNode<'b, 'a>>,
) -> Result<(Console, Vec<FdtNode<'b, 'a>>), Warning> {
    let property = |name| chosen.and_then(|chosen| chosen.property(name)).and_then(|property| text(property.value));
    let stdout = property("stdout-path").or_else(|| property("linux,stdout-path")).ok_or(Warning::NoStdout)?;
    let (device, options) = stdout.split_once(':').unwrap_or((stdout, ""));

    let path = if device.starts_with('/') { device } else { resolve(aliases, device)? };
    let nodes = bus::walk(root, path).ok_or_else(|| Warning::StdoutNotFound { path: path.into() })?;
    let uart = *nodes.last().ok_or_else(|| Warning::StdoutNotFound { path: path.into() })?;

    if !is_okay(uart.property("status").map(|status| status.value)) {
        return Err(Warning::StdoutDisabled { node: path.into() });
    }
    if !is_compatible(uart, &PL011) {
        let compatible = uart.property("compatible").and_then(|compatible| text(compatible.value));
        return Err(Warning::StdoutNotPl011 { node: path.into(), compatible: compatible.unwrap_or_default().into() });
    }
    let registers = bus::registers(&nodes, 1).unwrap_or_default();
    let [registers] = registers.as_slice() else {
        return Err(Warning::StdoutUnreachable { node: path.into() });
    };
    if registers.bytes() < PL011_BYTES || !registers.start.is_aligned(PL011_ALIGN) {
        return Err(Warning::StdoutRegisters { node: path.into(), registers: *registers });
    }
    let digits = options.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(options.len());
    let baud = options.get(..digits).and_then(|digits| digits.parse().ok());
    let (base, size) = (registers.start, registers.bytes());
    Ok((Console { node: path.into(), base, size, baud, interrupt: None }, nodes))
}

/// The path that an alias stands for. An alias cannot stand for another one, so there is no circle to be caught in.
fn resolve<'a>(aliases: Option<FdtNode<'_, 'a>>, alias: &str) -> Result<&'a str, Warning> {
    let value = aliases.and_then(|aliases| aliases.property(alias)).and_then(|property| text(property.value));
    match value {
        Some(path) if path.starts_with('/') => Ok(path),
        Some(value) => Err(Warning::StdoutAlias { alias: alias.into(), value: value.into() }),
        None => Err(Warning::StdoutNotFound { path: alias.into() }),
    }
}
