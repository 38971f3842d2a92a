//! The files and tables put into a guest's memory before it starts, and their places.

pub mod gzip;
pub mod kernel_image;
pub mod placement;
pub mod tree;
