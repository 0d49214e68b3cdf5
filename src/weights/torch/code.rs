//! Which attributes of a TorchScript class are its state: its source says so, in lines that are read as text.
//!
//! An object keeps parameters, buffers and other tensors alike, but only the first two are in its `state_dict()`.
//! The class `__torch__.a.b.C` is written in `code/__torch__/a/b.py` as
//!
//! ```text
//! class C(Module):
//!   __parameters__ = ["weight", "bias", ]
//!   __buffers__ = []
//! ```

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::zip::Zip;

/// Bytes of a source file, and of all of them, at most. Of larger ones all tensors count as state.
const MAX_FILE: usize = 1 << 20;
const MAX_ALL: usize = 32 << 20;

/// The classes of an archive, read as they are asked for.
pub(super) struct Code<'z, 's, 'a> {
    zip: &'z Zip<'s, 'a>,
    top: &'z [u8],
    left: usize,
    /// By qualified name; nothing if the source does not tell.
    classes: BTreeMap<String, Option<Vec<String>>>,
}

impl<'z, 's, 'a> Code<'z, 's, 'a> {
    /// The code of `zip`, in its folder `top`.
    pub(super) fn new(zip: &'z Zip<'s, 'a>, top: &'z [u8]) -> Self {
        Self { zip, top, left: MAX_ALL, classes: BTreeMap::new() }
    }

    /// Whether the class `module.class` has `attribute` among its parameters and buffers. Yes if that is unknown.
    pub(super) fn declares(&mut self, module: &str, class: &str, attribute: &str) -> bool {
        let qualified = alloc::format!("{module}.{class}");
        if !self.classes.contains_key(&qualified) {
            let state = self.state(module, class);
            self.classes.insert(qualified.clone(), state);
        }
        let state = self.classes.get(&qualified).and_then(Option::as_ref);
        state.is_none_or(|names| names.iter().any(|name| name == attribute))
    }

    fn state(&mut self, module: &str, class: &str) -> Option<Vec<String>> {
        let file = alloc::format!("code/{}.py", module.replace('.', "/"));
        let max = MAX_FILE.min(self.left);
        let source = self.zip.inflated(&[self.top, file.as_bytes()].concat(), max).ok()??;
        self.left -= source.len();
        declared(core::str::from_utf8(&source).ok()?, class)
    }
}

/// The names in the two lists of `class` in `source`, if both are there.
fn declared(source: &str, class: &str) -> Option<Vec<String>> {
    let head = alloc::format!("class {class}(Module):");
    let body = source.lines().skip_while(|line| *line != head).skip(1);
    let body: Vec<&str> = body.take_while(|line| line.is_empty() || line.starts_with(' ')).collect();
    let list = |name: &str| {
        let list = body.iter().find_map(|line| line.trim_start().strip_prefix(name))?;
        list.trim_start().strip_prefix("= [")?.trim_end().strip_suffix(']')
    };
    let names = [list("__parameters__")?, list("__buffers__")?];
    // Between quotes lies every second piece.
    Some(names.iter().flat_map(|list| list.split('"').skip(1).step_by(2)).map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let source = "class A(Module):\n  __parameters__ = [\"w\", ]\n  __buffers__ = [\"m\", \"n\", ]\n  \
                      w : Tensor\nclass B(Module):\n  __parameters__ = []\n  __buffers__ = []\n\
                      class C(NamedTuple):\n  x : int\nclass D(Module):\n  w : Tensor\n";
        assert_eq!(declared(source, "A").unwrap(), ["w", "m", "n"]);
        assert!(declared(source, "B").unwrap().is_empty());
        for class in ["C", "D", "E", "A(Module):\nclass A"] {
            assert_eq!(declared(source, class), None, "{class}");
        }
    }
}
