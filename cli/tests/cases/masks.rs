//! Cases of masks.

use crate::case::Check;

pub(crate) const CHECKS: &[Check] = &[];
