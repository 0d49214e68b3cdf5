//! Typed, range-checked reading of JSON configurations.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::{Debug, Display};
use core::ops::RangeInclusive;

use serde_json::Value;

use super::json::{self, Bounds, brief, quoted};
use crate::error::{Error, ErrorCode, Result, err};

/// Limits of a configuration; the largest published ones are 20 kB.
const LIMITS: Bounds = Bounds { bytes: 1 << 20, depth: 16, nodes: 1 << 16 };

/// A JSON object of settings, such as `config.json`.
///
/// Keys are paths: `"vision_config.hidden_size"`. A value that is `null`, or whose parent is no object, counts
/// as absent, as in the files' own conventions. Getters called `…_or` take a default for absent values; a value
/// that is present but wrong is an error for either kind.
///
/// It remembers which keys were asked for, so that a [`Review`](super::Review) can tell which settings nothing has
/// read.
#[derive(Clone, Debug)]
pub struct Config {
    /// What messages call it.
    file: String,
    root: Value,
    /// Keys that were asked for, whether they are there or not.
    read: RefCell<BTreeSet<String>>,
}

impl Config {
    /// Parses `text`; messages will call it `file`.
    ///
    /// # Errors
    /// `Config` if it is not a JSON object, holds a number beyond f64 or a repeated key; `Limit` if it is
    /// unreasonably large.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self> {
        let root = json::parse(text, LIMITS).map_err(|error| {
            let error = error.within(file);
            match error.code() {
                ErrorCode::Format => Error::new(ErrorCode::Config, error.message()),
                _ => error,
            }
        })?;
        if !root.is_object() {
            return Err(err!(Config, "{file}: not a JSON object"));
        }
        Ok(Self { file: file.into(), root, read: RefCell::default() })
    }

    /// What messages call it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The object at `key` as a configuration of its own, of which nothing has been read; `None` if there is none.
    pub fn section(&self, key: &str) -> Option<Self> {
        let root = self.get(key).filter(|value| value.is_object())?.clone();
        Some(Self { file: alloc::format!("{}: {key}", self.file), root, read: RefCell::default() })
    }

    /// Puts the object at `from`, if there is one, into the place of the one at `to`, both at the top level. Of what
    /// was there, keys for which `stays` holds and that `from` does not have stay.
    pub(crate) fn replace(&mut self, to: &str, from: &str, stays: impl Fn(&str) -> bool) {
        let Some(root) = self.root.as_object_mut() else { return };
        let Some(Value::Object(mut section)) = root.get_mut(from).map(Value::take) else { return };
        if let Some(Value::Object(earlier)) = root.remove(to) {
            for (key, value) in earlier {
                if stays(&key) && !section.contains_key(&key) {
                    section.insert(key, value);
                }
            }
        }
        root.insert(to.into(), Value::Object(section));
    }

    /// The paths of the values that nothing has asked for, in the file's order. Values of `null` count as absent.
    pub fn unread(&self) -> Vec<String> {
        let (read, mut unread) = (self.read.borrow(), Vec::new());
        leaves(&self.root, &mut String::new(), &mut |path| {
            if !read.contains(path) {
                unread.push(path.into());
            }
        });
        unread
    }

    /// The value at `key`, unless it is absent or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        if !self.read.borrow().contains(key) {
            self.read.borrow_mut().insert(key.into());
        }
        let value = key.split('.').try_fold(&self.root, |value, part| value.as_object()?.get(part))?;
        (!value.is_null()).then_some(value)
    }

    /// Whether there is a value at `key`.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// An integer in `range`.
    ///
    /// # Errors
    /// `Config` if it is absent, not an integer, or out of range.
    pub fn usize(&self, key: &str, range: RangeInclusive<usize>) -> Result<usize> {
        self.required(key, self.optional_usize(key, range)?)
    }

    /// An integer in `range`, or `default`.
    ///
    /// # Errors
    /// `Config` if it is present but not an integer, or out of range.
    pub fn usize_or(&self, key: &str, default: usize, range: RangeInclusive<usize>) -> Result<usize> {
        Ok(self.optional_usize(key, range)?.unwrap_or(default))
    }

    /// A finite number in `range`.
    ///
    /// # Errors
    /// `Config` if it is absent, not a number, or out of range.
    pub fn f32(&self, key: &str, range: RangeInclusive<f32>) -> Result<f32> {
        self.required(key, self.optional_f32(key, range)?)
    }

    /// A finite number in `range`, or `default`.
    ///
    /// # Errors
    /// `Config` if it is present but not a number, or out of range.
    pub fn f32_or(&self, key: &str, default: f32, range: RangeInclusive<f32>) -> Result<f32> {
        Ok(self.optional_f32(key, range)?.unwrap_or(default))
    }

    /// A finite number in `range`, if there is one.
    ///
    /// # Errors
    /// `Config` if it is present but not a number, or out of range.
    pub fn f64_if(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let expected = format_args!("a number from {} to {}", range.start(), range.end());
        self.optional(key, expected, |value| value.as_f64().filter(|number| range.contains(number)))
    }

    /// `N` finite numbers in `range`, or `default`.
    ///
    /// # Errors
    /// `Config` if it is present but not an array of `N` numbers in range.
    pub fn f32s_or<const N: usize>(
        &self,
        key: &str,
        default: [f32; N],
        range: RangeInclusive<f32>,
    ) -> Result<[f32; N]> {
        let numbers = |value: &Value| {
            let items = value.as_array().filter(|items| items.len() == N)?;
            let mut numbers = [0.0; N];
            for (number, item) in numbers.iter_mut().zip(items) {
                *number = number_in(item, &range)?;
            }
            Some(numbers)
        };
        let expected = format_args!("{N} numbers from {} to {}", range.start(), range.end());
        Ok(self.optional(key, expected, numbers)?.unwrap_or(default))
    }

    /// A truth value, or `default`.
    ///
    /// # Errors
    /// `Config` if it is present but not `true` or `false`.
    pub fn bool_or(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.optional(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// A string.
    ///
    /// # Errors
    /// `Config` if it is absent or not a string.
    pub fn str(&self, key: &str) -> Result<&str> {
        self.required(key, self.optional(key, "a string", Value::as_str)?)
    }

    /// A string, or `default`.
    ///
    /// # Errors
    /// `Config` if it is present but not a string.
    pub fn str_or<'s>(&'s self, key: &str, default: &'s str) -> Result<&'s str> {
        Ok(self.optional(key, "a string", Value::as_str)?.unwrap_or(default))
    }

    /// The error of a value that is well-typed but cannot be used: `expected …, found …` for `key`.
    pub fn unusable(&self, key: &str, expected: impl Display) -> Error {
        let found = self.get(key).map_or("nothing".into(), |value| brief(&value.to_string()));
        err!(Config, "{}: {}: expected {expected}, found {found}", self.file, quoted(key))
    }

    fn optional_usize(&self, key: &str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
        let expected = format_args!("an integer from {} to {}", range.start(), range.end());
        let integer = |value: &Value| value.as_u64()?.try_into().ok().filter(|n| range.contains(n));
        self.optional(key, expected, integer)
    }

    fn optional_f32(&self, key: &str, range: RangeInclusive<f32>) -> Result<Option<f32>> {
        let expected = format_args!("a number from {} to {}", range.start(), range.end());
        self.optional(key, expected, |value| number_in(value, &range))
    }

    fn optional<'s, T>(
        &'s self,
        key: &str,
        expected: impl Display,
        convert: impl FnOnce(&'s Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.get(key).map(convert) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(self.unusable(key, expected)),
        }
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| err!(Config, "{}: missing {}", self.file, quoted(key)))
    }
}

/// Calls `visit` with the path of each value that is neither an object nor null.
fn leaves(value: &Value, path: &mut String, visit: &mut impl FnMut(&str)) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (key, value) in members {
                let len = path.len();
                if len > 0 {
                    path.push('.');
                }
                path.push_str(key);
                leaves(value, path, visit);
                path.truncate(len);
            }
        }
        _ => visit(path),
    }
}

/// A number that is finite and in `range` as f32.
fn number_in(value: &Value, range: &RangeInclusive<f32>) -> Option<f32> {
    let number = value.as_f64()? as f32;
    (number.is_finite() && range.contains(&number)).then_some(number)
}
