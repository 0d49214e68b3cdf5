//! `with_…` methods of option structs.

/// `setters! { with_threads(threads: usize) }` makes `fn with_threads(self, threads: usize) -> Self`.
///
/// Option structs are `#[non_exhaustive]`, so that a field can be added without breaking a program: applications
/// begin with the defaults and change what they want. An optional field takes `impl Into<Option<T>>`, that is, a value,
/// `Some` or `None`.
macro_rules! setters {
    ($($setter:ident($field:ident: $type:ty)),+ $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $setter(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )+};
}
pub(crate) use setters;
