//! A guest's kernel, plain or packed by gzip: whatever a boot loader put into memory.

#![no_main]

use lacuna::guest::load::kernel_image::KernelImage;
use libfuzzer_sys::fuzz_target;

/// Room for the kernel, in bytes: more than an input of the usual size needs, less than a packed one can claim.
const ROOM: usize = 64 << 10;

fuzz_target!(|module: &[u8]| {
    let Ok(kernel) = KernelImage::probe(module) else { return };
    let _ = kernel.page_size();
    let mut memory = vec![0; ROOM];
    if let Ok(loaded) = kernel.load(&mut memory) {
        assert!(loaded <= ROOM);
        assert!(loaded as u64 <= kernel.memory_size(), "a kernel of {loaded} bytes needs {}", kernel.memory_size());
    }
});
