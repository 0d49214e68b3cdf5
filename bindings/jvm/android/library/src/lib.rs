//! The C library for Android: what is exported comes from these two.

extern crate unwinding as _;
extern crate vitrum as _;

/// Whether a panic can be caught, 1 or 0: for `check_android`. The library of the package does not have it.
#[unsafe(no_mangle)]
pub extern "C" fn android_panic_is_caught() -> i32 {
    std::panic::set_hook(Box::new(|_| ()));
    let caught = std::panic::catch_unwind(|| std::panic::panic_any(7_u8))
        .is_err_and(|it| it.downcast_ref() == Some(&7_u8));
    let _ = std::panic::take_hook();
    i32::from(caught)
}
