//! One image for all prompts of a batch, or one for each.

/// Which image the prompts of a batch look at, with what is known of it: `S` of a shared image, `P` of images per prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSource<S, P = ()> {
    /// All prompts look at one image, whose projections were made once.
    Shared(S),
    /// Each prompt has an image of its own, or its own features of the same image.
    PerPrompt(P),
}
