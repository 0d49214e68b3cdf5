//! The demo model, from pixels and words to embeddings: `cargo bench --bench models`.

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vitrum::exec::{Cx, CxOptions};
use vitrum::image::{ImageView, PixelFormat};
use vitrum::pipelines::clip::{Clip, ClipOptions, EncodeOptions};
use vitrum::weights::{Bundle, OpenOptions};

fn clip(criterion: &mut Criterion) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/clip-nano");
    let bundle = Bundle::open(&directory, OpenOptions::new()).expect("the demo model");
    let cx = Cx::new(&CxOptions::default()).expect("threads");
    let clip = Clip::load(&cx, &bundle, &ClipOptions::default()).expect("the demo model");
    let pixels: Vec<u8> = (0..256 * 256 * 3).map(|i| (i * 31 % 251) as u8).collect();
    let view = ImageView::packed(&pixels, 256, 256, PixelFormat::Rgb8).expect("a picture");

    let mut group = criterion.benchmark_group("clip-nano");
    for batch in [1, 8] {
        let mut out = vec![0.0; batch * clip.embed_dim()];
        group.throughput(Throughput::Elements(batch as u64));
        let images = vec![view; batch];
        group.bench_function(format!("image/{batch}"), |bencher| {
            bencher.iter(|| {
                clip.encode_images_into(&images, &EncodeOptions::default(), &mut out).expect("embeddings")
            });
        });
        let texts = vec!["a photo of an octopus"; batch];
        group.bench_function(format!("text/{batch}"), |bencher| {
            bencher.iter(|| {
                clip.encode_texts_into(&texts, &EncodeOptions::default(), &mut out).expect("embeddings")
            });
        });
    }
    group.bench_function("load", |bencher| {
        bencher.iter(|| Clip::load(&cx, &bundle, &ClipOptions::default()).expect("the demo model"))
    });
    group.finish();
}

criterion_group!(benches, clip);
criterion_main!(benches);
