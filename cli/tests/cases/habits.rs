//! Cases of habits.

use crate::case::Check;

pub(crate) const CHECKS: &[Check] = &[];
