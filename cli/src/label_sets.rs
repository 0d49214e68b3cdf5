//! OpenAI's lists of classes and templates for the data sets of CLIP's paper: `cli/label-sets`.

use std::sync::LazyLock;

use serde::Deserialize;

/// The classes of a data set, and sentences in which their names take the place of `{}`.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct LabelSet {
    pub(crate) name: String,
    /// As the paper calls it.
    pub(crate) title: String,
    pub(crate) templates: Vec<String>,
    /// The names of each class.
    pub(crate) classes: Vec<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Document {
    sets: Vec<LabelSet>,
}

static SETS: LazyLock<Document> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../label-sets/openai.json")).expect("the program's own file")
});

/// All sets.
pub(crate) fn all() -> &'static [LabelSet] {
    &SETS.sets
}

/// The set called `name`; for the command line.
pub(crate) fn parse(name: &str) -> Result<&'static LabelSet, String> {
    all().iter().find(|set| set.name == name).ok_or_else(|| format!("the sets are {}", names()))
}

/// Their names, with commas between.
pub(crate) fn names() -> String {
    all().iter().map(|set| set.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of classes as the paper's table 9 has them, but for PASCAL VOC; of templates as they are published.
    #[test]
    fn sets_are_those_of_the_paper() {
        let sizes = |name| parse(name).map(|set| (set.classes.len(), set.templates.len()));
        for (name, classes, templates) in [
            ("imagenet", 1000, 80),
            ("cifar10", 10, 18),
            ("cifar100", 100, 18),
            ("food101", 101, 1),
            ("sun397", 397, 2),
            ("cars", 196, 8),
            ("fgvc-aircraft", 100, 2),
            ("dtd", 47, 8),
            ("pets", 37, 1),
            ("caltech101", 102, 34),
            ("flowers102", 102, 1),
            ("kinetics700", 700, 28),
            ("ucf101", 101, 48),
        ] {
            assert_eq!(sizes(name), Ok((classes, templates)), "{name}");
        }
        assert_eq!(all().len(), 27);
        assert!(sizes("imagenot").unwrap_err().contains("imagenet, kinetics700"));
        for set in all() {
            assert!(set.templates.iter().all(|it| it.contains("{}")), "{}", set.title);
            assert!(set.classes.iter().all(|names| !names.is_empty()), "{}", set.title);
        }
        assert_eq!(parse("food101").unwrap().templates, ["a photo of {}, a type of food."]);
        assert_eq!(parse("fer2013").unwrap().classes[2], ["fearful"]);
    }
}
