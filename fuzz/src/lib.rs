//! Thin wrappers: each target's body is in `crates/fuzz-targets`, so that ordinary tests run it, too.

use std::alloc::{GlobalAlloc, Layout, System};

/// No target has a reason to ask for more at a time: its input is a few kilobytes.
const ALLOCATION_BYTES_MAX: usize = 64 << 20;

/// The system's allocator, which gives up on a size that only a number in the input can have asked for.
pub struct Bounded;

// SAFETY: every call is handed to the system's allocator, or ends the process.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

fn check(size: usize) {
    if size > ALLOCATION_BYTES_MAX {
        eprintln!("an allocation of {size} bytes");
        std::process::abort();
    }
}

/// The whole program of a target.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[global_allocator]
        static BOUNDED: $crate::Bounded = $crate::Bounded;

        libfuzzer_sys::fuzz_target!(|data: &[u8]| longshore_fuzz_targets::$name(data));
    };
}
