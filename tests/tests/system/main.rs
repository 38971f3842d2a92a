//! The image, on every machine that we know and with every input that we could think of.

mod absent_ram;
mod board_image;
mod broken;
mod bugs;
mod consoles;
mod fvp;
mod guest_config;
mod guest_escape;
mod guest_forgery;
mod guest_heap;
mod guest_kernels;
mod guest_keyboard;
mod guest_life;
mod guest_machines;
mod guest_memory;
mod guest_reports;
mod large_trees;
mod linux;
mod machines;
mod mpu;
mod odd_trees;
mod options;
mod own_guest;
mod small_guest;
mod speculation;
mod trees;
