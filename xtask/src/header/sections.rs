//! The header's table of contents: a title before the first function of each section.

/// The first function of a section, and the title before it.
const SECTIONS: [(&str, &str); 13] = [
    ("vitrum_version_string", "Versions, statuses, memory"),
    ("vitrum_limits_init", "Contexts: limits, threads and instruction sets"),
    ("vitrum_image_init", "Pictures and masks"),
    ("vitrum_clip_options_init", "CLIP: pictures and texts in one space"),
    ("vitrum_vectors_init", "Search among embeddings"),
    ("vitrum_sam_options_init", "SAM and SAM 2: models"),
    ("vitrum_sam_encode", "SAM: encoded pictures"),
    ("vitrum_sam_prompt_init", "SAM: masks from clicks, boxes and masks"),
    ("vitrum_sam_everything_options_init", "SAM: masks of everything, and from words"),
    ("vitrum_tracker_options_init", "SAM 2: objects through a video"),
    ("vitrum_tracker_prompt_options_init", "SAM 2: prompts of a video's objects"),
    ("vitrum_tracker_stats_init", "SAM 2: masks of a video's objects"),
    ("vitrum_tracker_propagate_options_init", "SAM 2: whole videos, saved trackers"),
];

/// The titles, for the beginning of the header.
pub(super) fn contents() -> String {
    let lines = SECTIONS.iter().map(|(first, title)| format!(" *   {first:<40}{title}\n"));
    lines.collect()
}

/// `header` with the titles in their places.
///
/// # Errors
/// If a section's first function is not declared.
pub(super) fn insert(header: &str) -> Result<String, String> {
    let lines: Vec<&str> = header.lines().collect();
    let mut titles = std::collections::BTreeMap::new();
    for (first, title) in SECTIONS {
        let declares =
            |line: &&str| !line.starts_with([' ', '#', '/', '}']) && line.contains(&format!("{first}("));
        let at = lines
            .iter()
            .position(declares)
            .ok_or_else(|| format!("{first} begins a section and is not declared"))?;
        // Above the function's comment.
        let blank = lines[..at].iter().rposition(|line| line.is_empty()).map_or(0, |blank| blank + 1);
        titles.insert(blank, title);
    }
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if let Some(title) = titles.get(&i) {
            let rule = "-".repeat(110 - title.len());
            out += &format!("/* {title} {rule} */\n\n");
        }
        out += line;
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_stand_above_comments() {
        let declared = SECTIONS.map(|(first, _)| format!("/* Doc. */\nint {first}(void);\n")).join("\n");
        let header = insert(&declared).unwrap();
        let second = format!(
            "\n\n/* {} {} */\n\n/* Doc. */\nint {}(",
            SECTIONS[1].1,
            "-".repeat(110 - SECTIONS[1].1.len()),
            SECTIONS[1].0
        );
        assert!(header.contains(&second), "{header}");
        assert_eq!(contents().lines().count(), SECTIONS.len());
        assert!(insert("int f(void);").is_err());
    }
}
