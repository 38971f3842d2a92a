//! The device tree's description of this machine, as typed facts.
//!
//! A device tree is input from outside: firmware, a script or a person wrote it. [`Blob::check`] accepts a blob only if
//! every later read of it must succeed, or refuses it with one sentence; [`Blob::facts`] then turns it into the banks,
//! reservations, devices and guests that the boot needs. Nothing after that looks at the bytes again.
//!
//! The reader is the `fdt` crate. It panics on malformed blobs, so the checker is written against its source: each of
//! its `expect`s, slice indexings and recursions has a check here. Not called are its `memory()`, which sees one node
//! only, `chosen()`, which panics if there is none, path lookup, which follows aliases in circles, and `raw_reg()`,
//! which never ends where both cell counts are zero.

mod bus;
mod check;
mod chosen;
mod compact;
mod console;
mod cpus;
mod error;
mod facts;
mod gic;
mod guests;
mod interrupts;
mod memory;
mod node;
mod owned;
mod parts;
mod read;
mod refusal;
mod survey;
mod tokens;
mod warning;

#[cfg(test)]
pub(crate) mod tests;

pub use check::{Blob, total_size};
pub use error::{BlobBlock, BlobError, HEADER_SIZE, MAX_DEPTH, MAX_SIZE, Oddity};
pub use facts::Facts;
pub(crate) use node::{is_compatible, text};
pub use owned::{MapPermission, Owned, Owner};
pub use parts::{
    Backing, Bank, Console, ConsoleDevice, CpuFacts, CpuPool, EnableMethod, GicFacts, Guest, GuestAddresses,
    GuestStart, GuestUart, HardAffinity, Module, ModuleRole, PoolCpu, PsciFacts, RestartPolicy, Unmapped,
};
pub use refusal::{FactsError, GicError, GuestNodeError, InterruptError};
pub use survey::Survey;
pub use warning::TreeWarning;
