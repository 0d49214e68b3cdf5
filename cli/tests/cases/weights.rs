//! Cases of weights.

use crate::case::Check;

pub(crate) const CHECKS: &[Check] = &[];
