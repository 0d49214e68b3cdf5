//! `index.html`: every picture that the demo wrote, with what it shows.

/// A picture of the page.
pub(super) struct Figure {
    /// File name beside the page.
    pub(super) file: &'static str,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// The picture that it was made from, if that is shown too.
    pub(super) before: Option<&'static str>,
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Vitrum: demo</title>
<style>
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #20242c; background: #fafaf8; }
section { margin: 2.5rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { flex: 1 1 20rem; margin: 0; }
img { width: 100%; height: auto; border-radius: .4rem; }
figcaption { font-size: .9rem; color: #5a6070; }
code { background: #ecece6; padding: .1rem .3rem; border-radius: .2rem; }
</style>
<h1>Vitrum: demo</h1>
<p>Everything on this page was computed on your CPU, by three small models that know emoji only, in a style of pictures
that they were not trained on.
"#;

const FOOT: &str = r#"<section>
<h2>Next</h2>
<p><code>vitrum classify cat.jpg --labels cat,dog --model openai/clip-vit-base-patch32</code>,
<code>vitrum segment cat.jpg --point 320,200 --model facebook/sam2.1-hiera-tiny</code>: with a published model, your own
pictures. The README says where models are looked for, and how to call the library from C, C++ and Rust.
</section>
</html>
"#;

/// The page that shows `figures`.
pub(super) fn html(figures: &[Figure]) -> String {
    let mut page = String::from(HEAD);
    for Figure { file, title, text, before } in figures {
        page += &format!("<section>\n<h2>{title}</h2>\n<p>{text}\n<div class=\"pictures\">\n");
        if let Some(before) = before {
            page += &format!(
                "<figure><img src=\"{before}\" alt=\"The picture\"><figcaption>Before</figcaption></figure>\n"
            );
        }
        page += &format!(
            "<figure><img src=\"{file}\" alt=\"{title}\"><figcaption>{file}</figcaption></figure>\n</div>\n</section>\n"
        );
    }
    page + FOOT
}
