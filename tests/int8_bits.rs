//! Products in int8 have the same bits at every level and on every target. Emulated and in WebAssembly, too: `.ci/run`.

#[path = "int8_bits/product.rs"]
mod product;

use vitrum::exec::{Cx, CxOptions};
use vitrum::simd::{Extensions, Level};

#[test]
fn products_have_the_same_bits_everywhere() {
    for level in Level::available() {
        for extensions in [Extensions::NONE, Extensions::detect(), Extensions::detect().with_amx().0] {
            for threads in [1, 3] {
                let options = CxOptions::default().with_level(level).with_threads(threads);
                let cx = Cx::new(&options).expect("a context").with_extensions(extensions);
                let hash = product::hash(&cx);
                let names = extensions.names().collect::<Vec<_>>().join(" ");
                assert_eq!(
                    hash,
                    product::EXPECTED,
                    "{} {names}, {threads} threads: {hash:#018x}",
                    level.name()
                );
            }
        }
    }
}
