//! The command line of `xtask dist`.

use std::path::PathBuf;

pub(crate) struct Options {
    /// The triple to build for; `None` is this machine's.
    pub(crate) target: Option<String>,
    pub(crate) prefix: PathBuf,
    /// Without the optimisations that `dev` leaves out.
    pub(crate) debug: bool,
    /// Compile the standard library, too: for targets that rustup has not installed.
    pub(crate) build_std: bool,
    /// Without the command, its manual and its completions.
    pub(crate) library_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { target: None, prefix: "dist".into(), debug: false, build_std: false, library_only: false }
    }
}

impl Options {
    pub(crate) fn parse(args: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = args.iter();
        while let Some(&arg) = rest.next() {
            let (name, joined) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg, None),
            };
            let mut value = || {
                let value = joined.or_else(|| rest.next().copied());
                value.ok_or_else(|| format!("{name} wants a value"))
            };
            match name {
                "--target" => options.target = Some(value()?.to_owned()),
                "--prefix" => options.prefix = value()?.into(),
                "--debug" => options.debug = true,
                "--build-std" => options.build_std = true,
                "--library-only" => options.library_only = true,
                _ => return Err(format!("dist has no option {arg}; see `cargo run -p xtask -- help`")),
            }
        }
        if options.build_std && options.target.is_none() {
            return Err("--build-std wants a --target".into());
        }
        Ok(options)
    }
}
