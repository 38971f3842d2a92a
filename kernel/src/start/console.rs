//! The console that the device tree names, mapped and started.

use crate::console::uart::{self, Dcc, DebugChannel, Mmio, UartDriver};
use crate::console::{is_mute, open};
use crate::cpu::fixup::Fault;
use crate::devtree::{Console, ConsoleDevice};
use crate::vmap::{Vmap, VmapError};
use alloc::boxed::Box;
use alloc::string::String;

/// Why the console that the device tree names cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// It cannot be mapped.
    #[error("console {0} cannot be mapped: {1}")]
    Unmappable(String, VmapError),
    /// Nothing answers where it should be.
    #[error("console {0} does not answer ({class})", class = .1.syndrome.class())]
    Silent(String, Fault),
}

/// Maps the console's registers, for good, and starts to use it.
///
/// Without a console, in an image that has no other way to say anything, the CPU's debug channel is the console: a
/// debugger can read it, and without one nothing is lost.
///
/// # Errors
///
/// [`ConsoleError`]. There is no console then, or the debug channel.
pub fn start(vmap: &'static Vmap, console: Option<&Console>) -> Result<(), ConsoleError> {
    let result = console.map_or(Ok(()), |console| {
        let node = || console.node.clone();
        let uart: Box<dyn UartDriver> = match console.device {
            ConsoleDevice::DebugChannel => Box::new(Dcc(DebugChannel)),
            ConsoleDevice::Memory { model, registers, access } => {
                let base = vmap
                    .ioremap_for_good(registers.start, registers.bytes())
                    .map_err(|error| ConsoleError::Unmappable(node(), error))?;
                // SAFETY: the registers are mapped as device memory for good, and the device tree's check has seen to it that
                // those of the model are among them and aligned. The tree says that it is the console: for the boot stages
                // before this one to have used, and nobody beside this one from here on.
                uart::driver(model, unsafe { Mmio::new(base, access) })
            }
        };
        open(uart).map_err(|fault| ConsoleError::Silent(node(), fault))
    });
    if is_mute() {
        // Where that faults, too, there is nobody to be told.
        let _ = open(Box::new(Dcc(DebugChannel)));
    }
    result
}
