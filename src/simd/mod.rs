//! The `Simd` trait, its implementations and CPU detection.
