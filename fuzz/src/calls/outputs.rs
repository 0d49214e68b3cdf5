//! Where calls write their results: room of any size, and nothing may be written beyond it or in vain.

use std::fmt::Debug;
use std::ptr;

use vitrum::ffi::status::{VITRUM_E_BUFFER_TOO_SMALL, VITRUM_OK, vitrum_status};

use crate::source::Source;

/// Values that are written.
pub(super) trait Value: Copy + PartialEq + Debug {
    /// What is there before.
    const MARK: Self;
}

impl Value for u8 {
    const MARK: Self = 0xa5;
}
impl Value for i8 {
    const MARK: Self = 0x5a;
}
impl Value for u32 {
    const MARK: Self = 0xa5a5_a5a5;
}
impl Value for i64 {
    const MARK: Self = 0x5a5a_5a5a;
}
impl Value for f32 {
    const MARK: Self = -1234.5;
}

/// A number of values before a call has told it.
const UNTOLD: usize = 0x7777_7777;
/// Values behind a buffer that are not offered.
const FENCE: usize = 2;

/// A buffer of the caller's.
pub(super) struct Output<T> {
    values: Vec<T>,
    capacity: usize,
    is_null: bool,
    needed: usize,
    tells: bool,
}

impl<T: Value> Output<T> {
    /// Room for none, for too few, or for enough.
    pub(super) fn new(source: &mut Source<'_>) -> Self {
        let capacity = match source.below(8) {
            0 | 1 => 0,
            2 => source.below(64),
            _ => 1 << 13,
        };
        let is_null = capacity == 0 && source.below(8) > 0;
        Self::with(capacity, is_null, source)
    }

    /// Room for `capacity` values.
    pub(super) fn of(capacity: usize, source: &mut Source<'_>) -> Self {
        Self::with(capacity, false, source)
    }

    fn with(capacity: usize, is_null: bool, source: &mut Source<'_>) -> Self {
        let values = vec![T::MARK; capacity + FENCE];
        Self { values, capacity, is_null, needed: UNTOLD, tells: source.below(8) > 0 }
    }

    pub(super) fn pointer(&mut self) -> *mut T {
        if self.is_null { ptr::null_mut() } else { self.values.as_mut_ptr() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn needed(&mut self) -> *mut usize {
        if self.tells { &raw mut self.needed } else { ptr::null_mut() }
    }

    /// Checks what a call with `status` has written, and returns it.
    pub(super) fn written(&self, function: &str, status: vitrum_status) -> &[T] {
        // A call that fails may have told it before.
        let is_told = status == VITRUM_OK || status == VITRUM_E_BUFFER_TOO_SMALL;
        assert!(
            !self.tells || !is_told || self.needed != UNTOLD,
            "{function}: status {status}, nothing told"
        );
        let only_asked = self.is_null || (self.tells && self.needed > self.capacity);
        let len = match status {
            VITRUM_OK if only_asked => 0,
            VITRUM_OK if self.tells => self.needed,
            VITRUM_OK => self.capacity,
            _ => 0,
        };
        let (written, rest) = self.values.split_at(len);
        // Without being told, nobody knows where the result ends.
        let rest = if self.tells || status != VITRUM_OK { rest } else { &rest[rest.len() - FENCE..] };
        assert!(
            rest.iter().all(|value| *value == T::MARK),
            "{function}: status {status} wrote beyond {len} values"
        );
        if self.tells { written } else { &[] }
    }
}

/// Whether all values are numbers.
pub(super) fn are_finite(function: &str, values: &[f32]) {
    assert!(values.iter().all(|value| value.is_finite()), "{function}: a result that is no number");
}
