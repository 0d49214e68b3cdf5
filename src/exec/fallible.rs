//! Allocations that can fail, for all that can be large.

use alloc::string::String;
use alloc::vec::Vec;

use super::reserve::out_of_memory;
use crate::error::{Result, err};

/// `len` zeros.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn try_zeroed<T: Clone + Default>(len: usize) -> Result<Vec<T>> {
    try_filled(T::default(), len)
}

/// `len` copies of `value`.
pub(crate) fn try_filled<T: Clone>(value: T, len: usize) -> Result<Vec<T>> {
    let mut items = try_with_capacity(len)?;
    items.resize(len, value);
    Ok(items)
}

/// An empty vector with room for `len`.
pub(crate) fn try_with_capacity<T>(len: usize) -> Result<Vec<T>> {
    let mut items = Vec::new();
    match items.try_reserve_exact(len) {
        Ok(()) => Ok(items),
        Err(_) => Err(err!(OutOfMemory, "no memory for {len} × {} bytes", size_of::<T>())),
    }
}

/// A copy of `items`.
pub(crate) fn try_copied<T: Clone>(items: &[T]) -> Result<Vec<T>> {
    let mut copy = try_with_capacity(items.len())?;
    copy.extend_from_slice(items);
    Ok(copy)
}

/// Iterators whose items go into a vector that may be large.
pub(crate) trait TryCollect: Iterator + Sized {
    /// All items.
    fn try_to_vec(self) -> Result<Vec<Self::Item>> {
        let mut items = try_with_capacity(self.size_hint().0)?;
        for item in self {
            items.try_push(item)?;
        }
        Ok(items)
    }

    /// All values, or the first error.
    fn try_values<T>(mut self) -> Result<Vec<T>>
    where
        Self: Iterator<Item = Result<T>>,
    {
        let mut values = try_with_capacity(self.size_hint().0)?;
        self.try_for_each(|value| values.try_push(value?))?;
        Ok(values)
    }
}

impl<I: Iterator> TryCollect for I {}

/// What grows a vector or a string, or returns `OutOfMemory` and leaves it as it was.
pub(crate) trait TryGrow<T> {
    /// Appends `item`.
    fn try_push(&mut self, item: T) -> Result<()>;
    /// Appends copies of `items`.
    fn try_extend(&mut self, items: &[T]) -> Result<()>
    where
        T: Clone;
}

impl<T> TryGrow<T> for Vec<T> {
    fn try_push(&mut self, item: T) -> Result<()> {
        self.try_reserve(1).map_err(|_| out_of_memory())?;
        self.push(item);
        Ok(())
    }

    fn try_extend(&mut self, items: &[T]) -> Result<()>
    where
        T: Clone,
    {
        self.try_reserve(items.len()).map_err(|_| out_of_memory())?;
        self.extend_from_slice(items);
        Ok(())
    }
}

/// What grows a text, or returns `OutOfMemory` and leaves it as it was.
pub(crate) trait TryGrowText {
    /// Appends `character`.
    fn try_push_char(&mut self, character: char) -> Result<()>;
    /// Appends `text`.
    fn try_push_str(&mut self, text: &str) -> Result<()>;
}

impl TryGrowText for String {
    #[inline]
    fn try_push_char(&mut self, character: char) -> Result<()> {
        self.try_reserve(character.len_utf8()).map_err(|_| out_of_memory())?;
        self.push(character);
        Ok(())
    }

    #[inline]
    fn try_push_str(&mut self, text: &str) -> Result<()> {
        self.try_reserve(text.len()).map_err(|_| out_of_memory())?;
        self.push_str(text);
        Ok(())
    }
}

/// `text` as a string of its own.
pub(crate) fn try_string(text: &str) -> Result<String> {
    let mut copy = try_string_with_capacity(text.len())?;
    copy.push_str(text);
    Ok(copy)
}

/// An empty string with room for `len` bytes.
pub(crate) fn try_string_with_capacity(len: usize) -> Result<String> {
    let mut text = String::new();
    text.try_reserve_exact(len).map_err(|_| out_of_memory())?;
    Ok(text)
}
