//! The C library for Android: what is exported comes from these two.

#![no_std]
#![allow(missing_docs, reason = "nothing of its own")]

extern crate unwinding as _;
extern crate vitrum as _;
