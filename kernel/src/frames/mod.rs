//! Frames of RAM: first taken one after the other ([`boot_alloc`]), then described ([`frametable`]) and owned
//! ([`page_alloc`]).

pub mod boot_alloc;
pub mod frametable;
pub mod page_alloc;
