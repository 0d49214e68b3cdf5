//! What a C library without `std` must bring itself: a panic handler.
//!
//! It exists where panics abort. Elsewhere (tests, whose harness brings `std`) another one is linked.

use core::panic::PanicInfo;

/// Stops the program: nothing can unwind to the caller, and going on after a broken invariant could do harm.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        trap();
    }
}

/// The fault that a debugger, the system or the host's fault handler sees.
fn trap() {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    // SAFETY: an invalid instruction has no effect but the trap.
    unsafe {
        core::arch::asm!("ud2");
    }
    #[cfg(any(target_arch = "arm", target_arch = "aarch64"))]
    // SAFETY: an undefined instruction has no effect but the trap.
    unsafe {
        core::arch::asm!("udf #0");
    }
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    core::hint::spin_loop();
}
