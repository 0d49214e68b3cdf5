//! Cases of text.

use crate::case::Check;

pub(crate) const CHECKS: &[Check] = &[];
