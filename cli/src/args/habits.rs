//! Command lines as people type them, rewritten to what clap reads in one way only.
//!
//! Clap gives an option with several values all words up to the next hyphen: `--point 10,10 cat.png` asks for a point
//! `cat.png`, and `--point -5,-5` for options `-5`. Here the command's own definition, and the parsers of its values,
//! tell what is meant:
//!
//! - The word behind an option that takes a value is its value, also with a hyphen in front, unless it is an option of
//!   the command itself.
//! - Further values of an option that takes several are those that its parser takes. The first word that is none is the
//!   picture, if there is still one to come. What begins like an option (a hyphen, then a letter, no space) is left to
//!   clap, so that a mistyped option is no text.
//! - Where any word would be a value (`--text`), the last one is the picture if the picture is missing and the word
//!   names a file.
//!
//! Values leave here as `--option=value`.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

/// `arguments`, the program's name first, in the form that `root` reads without doubt. `exists` tells files.
pub(super) fn normalized(
    arguments: Vec<OsString>,
    root: &Command,
    exists: &dyn Fn(&OsStr) -> bool,
) -> Vec<OsString> {
    let mut root = root.clone();
    root.build();
    let mut line = Line { command: &root, exists, positionals: 0, items: Vec::new() };
    let mut words = arguments.into_iter().peekable();
    line.items.extend(words.next().map(Item::Word));
    while let Some(word) = words.next() {
        if word == "--" {
            line.positionals += words.len();
            line.items.push(Item::Word(word));
            line.items.extend(words.by_ref().map(Item::Word));
            break;
        }
        match read(line.command, &word) {
            Meaning::Option(option) if words.peek().is_some_and(|next| line.is_first(option, next)) => {
                let mut values: Vec<OsString> = words.next().into_iter().collect();
                while let Some(value) = words.next_if(|next| line.is_further(option, next)) {
                    values.push(value);
                }
                line.items.push(Item::Values(option, values));
            }
            Meaning::Word if line.command.has_subcommands() => {
                let command = line.command.find_subcommand(&word);
                line.items.push(Item::Word(word));
                match command {
                    // Clap says what the commands are, and what `help` is about.
                    None => line.items.extend(words.by_ref().map(Item::Word)),
                    Some(command) => line.command = command,
                }
            }
            meaning => {
                line.positionals += usize::from(matches!(meaning, Meaning::Word));
                line.items.push(Item::Word(word));
            }
        }
    }
    line.find_picture();
    line.items.into_iter().flat_map(Item::into_words).collect()
}

/// A part of the command line.
enum Item<'a> {
    Word(OsString),
    /// An option with its values.
    Values(&'a Arg, Vec<OsString>),
}

impl Item<'_> {
    fn into_words(self) -> Vec<OsString> {
        match self {
            Item::Word(word) => vec![word],
            Item::Values(option, values) => {
                let long = option.get_long().unwrap_or_default();
                let joined = |value: OsString| {
                    let mut word = OsString::from(format!("--{long}="));
                    word.push(value);
                    word
                };
                values.into_iter().map(joined).collect()
            }
        }
    }
}

/// What a word is to a command.
enum Meaning<'a> {
    /// An option whose values follow.
    Option(&'a Arg),
    /// A flag, several short ones, or an option with its value.
    Whole,
    /// It begins with a hyphen, but the command has no such option.
    Unknown,
    /// A value, a picture, a command.
    Word,
}

fn read<'a>(command: &'a Command, word: &OsStr) -> Meaning<'a> {
    let bytes = word.as_encoded_bytes();
    let (name, has_value, option) = if let Some(long) = bytes.strip_prefix(b"--") {
        let end = long.iter().position(|&b| b == b'=').unwrap_or(long.len());
        let name = str::from_utf8(&long[..end]).unwrap_or_default();
        (name, end < long.len(), command.get_arguments().find(|arg| is_long(arg, name)))
    } else if let Some(short) = bytes.strip_prefix(b"-").filter(|short| !short.is_empty()) {
        let name = str::from_utf8(short).unwrap_or_default();
        let first = name.chars().next();
        let has_more = name.chars().count() > 1;
        (name, has_more, command.get_arguments().find(|arg| first.is_some() && arg.get_short() == first))
    } else {
        return Meaning::Word;
    };
    match option {
        Some(option) if takes_values(option) && !has_value && option.get_long().is_some() => {
            Meaning::Option(option)
        }
        Some(_) if !name.is_empty() => Meaning::Whole,
        _ => Meaning::Unknown,
    }
}

fn is_long(arg: &Arg, name: &str) -> bool {
    !name.is_empty()
        && (arg.get_long() == Some(name)
            || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name)))
}

fn takes_values(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// Whether the option's parser takes `value`.
fn takes(option: &Arg, value: &OsStr) -> bool {
    // There may be thousands of these.
    if is_text(option) || option.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
        return true;
    }
    let probe = Arg::new("value").required(true).allow_hyphen_values(true);
    let probe = probe.value_parser(option.get_value_parser().clone());
    Command::new("probe")
        .no_binary_name(true)
        .disable_help_flag(true)
        .arg(probe)
        .try_get_matches_from([value])
        .is_ok()
}

/// Whether the option's parser takes anything: texts, files.
fn takes_anything(option: &Arg) -> bool {
    takes(option, OsStr::new("?"))
}

fn is_text(option: &Arg) -> bool {
    option.get_value_parser().type_id() == TypeId::of::<String>()
}

/// Whether `word` begins as options do: a hyphen or two, then a letter; and has no space in it.
fn is_like_an_option(word: &OsStr) -> bool {
    let text = word.to_string_lossy();
    let name = text.strip_prefix("--").or(text.strip_prefix('-'));
    name.is_some_and(|name| name.starts_with(char::is_alphabetic)) && !text.contains(char::is_whitespace)
}

/// Whether `word` begins as negative numbers do.
fn is_like_a_number(word: &OsStr) -> bool {
    matches!(word.as_encoded_bytes(), [b'-', b'0'..=b'9', ..] | [b'-', b'.', b'0'..=b'9', ..])
}

/// Whether `word` is meant for numbers, though perhaps wrong ones.
fn is_like_numbers(word: &OsStr) -> bool {
    let text = word.to_string_lossy();
    text.contains(',') && text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
}

/// A command line on its way.
struct Line<'a> {
    /// The command that was named so far.
    command: &'a Command,
    exists: &'a dyn Fn(&OsStr) -> bool,
    /// How many pictures and the like there were.
    positionals: usize,
    items: Vec<Item<'a>>,
}

impl Line<'_> {
    /// Whether `word` is the value of the option in front of it.
    fn is_first(&self, option: &Arg, word: &OsStr) -> bool {
        if word == "--" {
            return false;
        }
        match read(self.command, word) {
            Meaning::Word => true,
            Meaning::Option(_) => false,
            // `--text -my` is a text; `--text --json` lacks one.
            Meaning::Whole => {
                is_text(option) && word.len() > 2 && !word.as_encoded_bytes().starts_with(b"--")
            }
            Meaning::Unknown if is_text(option) => true,
            // Clap says what is wrong with a number.
            Meaning::Unknown if is_like_a_number(word) => true,
            Meaning::Unknown => !word.as_encoded_bytes().starts_with(b"--") && takes(option, word),
        }
    }

    /// Whether `word` is a value of the option that has some already.
    fn is_further(&self, option: &Arg, word: &OsStr) -> bool {
        if word == "--" || option.get_num_args().is_none_or(|count| count.max_values() <= 1) {
            return false;
        }
        match read(self.command, word) {
            Meaning::Option(_) | Meaning::Whole => false,
            Meaning::Unknown => !is_like_an_option(word) && takes(option, word),
            Meaning::Word if takes(option, word) => true,
            // Clap says what is wrong with it.
            Meaning::Word => !self.has_room() || is_like_numbers(word) && !(self.exists)(word),
        }
    }

    /// Whether the command takes further pictures.
    fn has_room(&self) -> bool {
        let values = |arg: &Arg| arg.get_num_args().map_or(1, |count| count.max_values());
        self.positionals < self.command.get_positionals().map(values).fold(0, usize::saturating_add)
    }

    /// Takes the picture that is missing from the end of texts or files.
    fn find_picture(&mut self) {
        if self.positionals > 0 || !self.command.get_positionals().any(Arg::is_required_set) {
            return;
        }
        let is_picture = |word: &OsString| word == "-" || (self.exists)(word);
        let hides_one = |item: &Item<'_>| match item {
            Item::Word(_) => false,
            Item::Values(option, values) => {
                values.len() > 1 && takes_anything(option) && values.last().is_some_and(is_picture)
            }
        };
        let Some(at) = self.items.iter().rposition(hides_one) else { return };
        if let Item::Values(_, values) = &mut self.items[at]
            && let Some(picture) = values.pop()
        {
            self.items.insert(at + 1, Item::Word(picture));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command as Chosen, parse};
    use clap::CommandFactory;

    fn words(line: &str) -> Vec<OsString> {
        // A word with spaces has underscores here.
        line.split(' ').map(|word| word.replace('_', " ").into()).collect()
    }

    /// The command line after `vitrum`, as it is handed on; files end with .png or `/`.
    fn rewritten(line: &str) -> String {
        let exists =
            |word: &OsStr| word.to_str().is_some_and(|word| word.ends_with(".png") || word.ends_with('/'));
        let line = normalized(words(&format!("vitrum {line}")), &Cli::command(), &exists);
        let line: Vec<String> = line.iter().map(|word| word.to_str().unwrap().replace(' ', "_")).collect();
        line[1..].join(" ")
    }

    #[test]
    fn a_picture_may_follow_points() {
        for (line, expected) in [
            ("segment --point 10,10 cat.png", "segment --point=10,10 cat.png"),
            ("segment --point 1,2 3,4 cat.png --json", "segment --point=1,2 --point=3,4 cat.png --json"),
            ("segment --box 1,2,3,4 cat.png --neg 5,6", "segment --box=1,2,3,4 cat.png --neg=5,6"),
            ("segment cat.png --point 1,2 3,4", "segment cat.png --point=1,2 --point=3,4"),
            ("track --point 1,2@3#4 frames/", "track --point=1,2@3#4 frames/"),
            ("track --mask a.png@1 b.png@2 frames/", "track --mask=a.png@1 --mask=b.png@2 frames/"),
            ("track --mask a.png b.png -", "track --mask=a.png --mask=b.png -"),
            ("segment --text a_cat cat.png", "segment --text=a_cat cat.png"),
            ("segment --text a_cat --not a_dog cat.png", "segment --text=a_cat --not=a_dog cat.png"),
            // Nothing is a picture that is no file, or where there is one.
            ("segment --text a b", "segment --text=a --text=b"),
            ("segment --text cat.png", "segment --text=cat.png"),
            ("segment x.png --text a cat.png", "segment x.png --text=a --text=cat.png"),
            ("segment --point=1,2 cat.png", "segment --point=1,2 cat.png"),
            ("embed --image a.png b.png", "embed --image=a.png --image=b.png"),
            // Clap says what is wrong.
            ("segment --point cat.png", "segment --point=cat.png"),
            ("segment cat.png --image-size -1", "segment cat.png --image-size=-1"),
            ("segment --point 1,2 3,x cat.png", "segment --point=1,2 --point=3,x cat.png"),
            ("segment --point 1,2 a.png b.png", "segment --point=1,2 a.png b.png"),
        ] {
            assert_eq!(rewritten(line), expected, "{line}");
        }
    }

    #[test]
    fn values_may_begin_with_hyphens() {
        for (line, expected) in [
            ("segment cat.png --point -5,-5", "segment cat.png --point=-5,-5"),
            ("segment --point 5,5 -6,-6 cat.png", "segment --point=5,5 --point=-6,-6 cat.png"),
            ("segment cat.png --box -10,-10,100,100", "segment cat.png --box=-10,-10,100,100"),
            ("track a.gif --box -1,-1,5,5@2 -1,2,3,4#2", "track a.gif --box=-1,-1,5,5@2 --box=-1,2,3,4#2"),
            (
                "segment cat.png --point -.5,2 --threshold -1.5",
                "segment cat.png --point=-.5,2 --threshold=-1.5",
            ),
            ("embed --text -5_degrees", "embed --text=-5_degrees"),
            ("embed --text -hot", "embed --text=-hot"),
            ("embed --text --dashes", "embed --text=--dashes"),
            ("embed --text a -5 -_b --json", "embed --text=a --text=-5 --text=-_b --json"),
            (
                "classify a.png --labels -1,-2 --template -{}-",
                "classify a.png --labels=-1,-2 --template=-{}-",
            ),
            ("embed --text a -o -x.npy -m demo:clip", "embed --text=a --output=-x.npy --model=demo:clip"),
            ("embed --text - --threads 2", "embed --text=- --threads=2"),
            ("--threads 2 embed --text -x", "--threads=2 embed --text=-x"),
        ] {
            assert_eq!(rewritten(line), expected, "{line}");
        }
    }

    #[test]
    fn options_stay_options() {
        for line in [
            "embed --text --json",
            "embed --text --model=x",
            "embed --text -m",
            "embed --json --text",
            "embed -mdemo:clip",
            "segment -- --point",
            "help segment --point",
            "paint --point 1,2 x",
            "--version",
            "segment --point -x",
            "segment -o --jsn",
        ] {
            assert_eq!(rewritten(line), line);
        }
        assert_eq!(rewritten("embed --text a --jsn"), "embed --text=a --jsn");
        assert_eq!(rewritten("embed --text a -mdemo:clip"), "embed --text=a -mdemo:clip");
        assert_eq!(rewritten("embed --text a -- b"), "embed --text=a -- b");
    }

    #[test]
    fn what_is_rewritten_is_parsed() {
        let cli = parse(words("vitrum segment --point 1,2 -3,-4 --neg 5,6 cat.png --threshold -1")).unwrap();
        let Chosen::Segment(args) = cli.command else { panic!() };
        let places =
            |places: &[super::super::sam::Place]| places.iter().map(|place| place.0).collect::<Vec<_>>();
        assert_eq!(places(&args.prompt.points), [[1.0, 2.0], [-3.0, -4.0]]);
        assert_eq!(places(&args.prompt.negatives), [[5.0, 6.0]]);
        assert_eq!((args.image.to_str(), args.threshold), (Some("cat.png"), -1.0));

        let mut line = words("vitrum embed --text");
        line.extend(["".into(), "-5 degrees".into()]);
        let Chosen::Embed(args) = parse(line).unwrap().command else { panic!() };
        assert_eq!(args.inputs.texts, ["", "-5 degrees"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_text_pass() {
        use std::os::unix::ffi::OsStringExt;
        let mut line = words("vitrum embed --image a.png");
        line.push(OsString::from_vec(b"\xe9.png".into()));
        let Chosen::Embed(args) = parse(line).unwrap().command else { panic!() };
        assert_eq!(args.inputs.images[1].as_os_str().as_encoded_bytes(), b"\xe9.png");
    }
}
