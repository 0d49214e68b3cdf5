//! Instructions beyond a [`Level`](super::Level) that multiply numbers of 8 and 16 bits.

/// Such instructions that this CPU is known to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions(u32);

impl Extensions {
    /// None.
    pub const NONE: Self = Self(0);

    /// Those of this CPU that need no permission.
    pub fn detect() -> Self {
        Self::NONE
    }
}
