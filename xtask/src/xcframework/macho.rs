//! Static libraries of Mach-O objects: which symbols they have, for what they were built, and other names for symbols.

use std::collections::BTreeSet;

const MAGIC_64: u32 = 0xfeed_facf;
const LC_SYMTAB: u32 = 0x2;
const LC_SEGMENT_64: u32 = 0x19;
const LC_BUILD_VERSION: u32 = 0x32;
const N_STAB: u8 = 0xe0;
const N_TYPE: u8 = 0x0e;
const N_UNDF: u8 = 0x00;
const N_EXT: u8 = 0x01;
const N_WEAK_DEF: u16 = 0x80;

/// What an object was built for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Built {
    pub(crate) cpu: Cpu,
    /// `PLATFORM_…` of Mach-O: 1 is macOS, 2 iOS, 7 the simulator of iOS.
    pub(crate) platform: u32,
    /// Oldest version of the system, major and minor.
    pub(crate) oldest: (u16, u8),
}

/// `cputype` and `cpusubtype` of Mach-O.
pub(crate) type Cpu = (u32, u32);

/// What a static library defines and wants.
#[derive(Default, Debug)]
pub(crate) struct Contents {
    pub(crate) built: BTreeSet<Built>,
    /// Symbols that other objects can use, and that must not be there twice.
    pub(crate) strong: BTreeSet<String>,
    /// Symbols that other objects can use, of which a linker takes any.
    pub(crate) weak: BTreeSet<String>,
    pub(crate) undefined: BTreeSet<String>,
    pub(crate) segments: BTreeSet<String>,
}

/// Reads a static library.
pub(crate) fn read(archive: &[u8]) -> Result<Contents, String> {
    let mut contents = Contents::default();
    for (start, end) in members(archive)? {
        let object = Object::of(&archive[start..end])?;
        if let Some(built) = object.built {
            contents.built.insert(built);
        }
        contents.segments.extend(object.segments.iter().cloned());
        for symbol in object.symbols()? {
            let name = symbol.name.to_owned();
            match symbol.kind {
                Kind::Undefined => contents.undefined.insert(name),
                Kind::Strong => contents.strong.insert(name),
                Kind::Weak => contents.weak.insert(name),
            };
        }
    }
    if contents.built.is_empty() {
        return Err("no object says what it was built for".into());
    }
    contents.undefined.retain(|name| !contents.strong.contains(name) && !contents.weak.contains(name));
    Ok(contents)
}

/// Gives symbols other names of the same length, wherever the library defines, uses or lists them. Says how many entries it wrote.
pub(crate) fn rename(archive: &mut [u8], other: impl Fn(&str) -> Option<String>) -> Result<usize, String> {
    let mut places = Vec::new();
    for (start, end) in members(archive)? {
        let object = Object::of(&archive[start..end])?;
        let symbols = object.symbols()?;
        for symbol in &symbols {
            if let Some(name) = other(symbol.name) {
                // A table of strings keeps one that ends another one inside it: `_realloc` in `___rdl_realloc`. What changes must
                // belong to no other name that counts.
                let differs = |at: &usize| name.as_bytes().get(*at) != symbol.name.as_bytes().get(*at);
                let changed = (0..symbol.name.len()).filter(differs).map(|at| symbol.at + at);
                let is_shared = |at: usize| {
                    symbols
                        .iter()
                        .any(|it| it.at != symbol.at && (it.at..it.at + it.name.len()).contains(&at))
                };
                if changed.into_iter().any(is_shared) {
                    return Err(format!("the name {} is shared with another symbol", symbol.name));
                }
                places.push((start + symbol.at, symbol.name.to_owned(), name));
            }
        }
    }
    for (at, name) in table_of_contents(archive)? {
        if let Some(other) = other(&name) {
            places.push((at, name, other));
        }
    }
    for (_, name, other) in &places {
        if other.len() != name.len() {
            return Err(format!("{other} is not as long as {name}"));
        }
    }
    for (at, _, other) in &places {
        archive[*at..at + other.len()].copy_from_slice(other.as_bytes());
    }
    Ok(places.len())
}

/// A fat library of libraries, each for one kind of CPU.
pub(crate) fn join(libraries: &[(Cpu, Vec<u8>)]) -> Result<Vec<u8>, String> {
    const MAGIC: u32 = 0xcafe_babe;
    const ALIGNMENT: u32 = 3; // As `lipo` aligns libraries: 2³ bytes.
    let field = |value: usize| u32::try_from(value).map_err(|_| "a library of more than 4 GiB".to_owned());
    let mut fat = Vec::new();
    let mut header = vec![MAGIC, field(libraries.len())?];
    let mut at = (8 + 20 * libraries.len()).next_multiple_of(1 << ALIGNMENT);
    for ((kind, subkind), bytes) in libraries {
        header.extend([*kind, *subkind, field(at)?, field(bytes.len())?, ALIGNMENT]);
        at = (at + bytes.len()).next_multiple_of(1 << ALIGNMENT);
    }
    for value in header {
        fat.extend(value.to_be_bytes());
    }
    for (_, bytes) in libraries {
        fat.resize(fat.len().next_multiple_of(1 << ALIGNMENT), 0);
        fat.extend(bytes);
    }
    Ok(fat)
}

/// The libraries in a fat one, or the one that it is.
pub(crate) fn split(file: &[u8]) -> Result<Vec<&[u8]>, String> {
    if file.get(..4) != Some(&[0xca, 0xfe, 0xba, 0xbe]) {
        return Ok(vec![file]);
    }
    let field = |at: usize| {
        let bytes = file.get(at..at + 4).ok_or("a fat header is cut short")?;
        Ok::<_, String>(u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize)
    };
    (0..field(4)?)
        .map(|i| {
            let (start, size) = (field(8 + 20 * i + 8)?, field(8 + 20 * i + 12)?);
            file.get(start..start + size).ok_or_else(|| "a fat library is cut short".into())
        })
        .collect()
}

/// A file of an archive: its name, where it begins and where it ends.
type File = (String, usize, usize);

/// The files of an archive in BSD's format, which has long names in front of the contents.
fn files(archive: &[u8]) -> Result<Vec<File>, String> {
    const HEADER: usize = 60;
    if !archive.starts_with(b"!<arch>\n") {
        return Err("it is no archive".into());
    }
    let mut files = Vec::new();
    let mut at = 8;
    while at < archive.len() {
        let header = archive.get(at..at + HEADER).ok_or("an archive is cut short")?;
        let text =
            |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim_end().to_owned();
        let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text} is no number"));
        let size = number(&text(48..58))?;
        let (mut name, mut start) = (text(0..16), at + HEADER);
        let end = start + size;
        if end > archive.len() {
            return Err("an archive is cut short".into());
        }
        if let Some(length) = name.strip_prefix("#1/") {
            let length = number(length)?;
            let bytes = archive.get(start..start + length).ok_or("an archive is cut short")?;
            name = String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
            start += length;
        }
        files.push((name, start, end));
        at = end.next_multiple_of(2);
    }
    Ok(files)
}

fn is_table(name: &str) -> bool {
    name.starts_with("__.SYMDEF")
}

/// The objects: where they begin and end.
fn members(archive: &[u8]) -> Result<Vec<(usize, usize)>, String> {
    let files = files(archive)?;
    Ok(files.into_iter().filter(|(name, ..)| !is_table(name)).map(|(_, start, end)| (start, end)).collect())
}

/// The symbols that the archive lists, and where their names are.
fn table_of_contents(archive: &[u8]) -> Result<Vec<(usize, String)>, String> {
    let Some((name, start, end)) = files(archive)?.into_iter().find(|(name, ..)| is_table(name)) else {
        return Err("the archive lists no symbols".into());
    };
    if name.contains("64") {
        return Err(format!("a list of symbols of another kind: {name}"));
    }
    let table = &archive[start..end];
    // Pairs of 32 bits, each with the place of a name; then the names.
    let entries = u32_at(table, 0)? as usize;
    let strings = 4 + entries + 4;
    (4..4 + entries)
        .step_by(8)
        .map(|at| {
            let name = strings + u32_at(table, at)? as usize;
            Ok((start + name, string_at(table, name)?.to_owned()))
        })
        .collect()
}

enum Kind {
    Undefined,
    Strong,
    Weak,
}

struct Symbol<'a> {
    name: &'a str,
    /// Where the name is in the object.
    at: usize,
    kind: Kind,
}

/// An object file.
struct Object<'a> {
    bytes: &'a [u8],
    built: Option<Built>,
    segments: BTreeSet<String>,
    /// Where the symbols are, how many there are, and where their names are.
    symbols: Option<(usize, usize, usize)>,
}

impl<'a> Object<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, String> {
        if u32_at(bytes, 0)? != MAGIC_64 {
            return Err("a member of the archive is no Mach-O object of 64 bits".into());
        }
        let cpu = (u32_at(bytes, 4)?, u32_at(bytes, 8)?);
        let mut object = Self { bytes, built: None, segments: BTreeSet::new(), symbols: None };
        let mut at = 32;
        for _ in 0..u32_at(bytes, 16)? {
            let (command, size) = (u32_at(bytes, at)?, u32_at(bytes, at + 4)? as usize);
            match command {
                LC_SYMTAB => {
                    let field = |i: usize| Ok::<_, String>(u32_at(bytes, at + 8 + 4 * i)? as usize);
                    object.symbols = Some((field(0)?, field(1)?, field(2)?));
                }
                LC_BUILD_VERSION => {
                    let version = u32_at(bytes, at + 12)?;
                    let [_, minor, major @ ..] = version.to_le_bytes();
                    let oldest = (u16::from_le_bytes(major), minor);
                    object.built = Some(Built { cpu, platform: u32_at(bytes, at + 8)?, oldest });
                }
                LC_SEGMENT_64 => {
                    // Of an object, all sections are in one segment; each says where it goes.
                    for section in 0..u32_at(bytes, at + 64)? as usize {
                        let name = at + 72 + 80 * section + 16;
                        let name = bytes.get(name..name + 16).ok_or("an object is cut short")?;
                        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
                        object.segments.insert(name);
                    }
                }
                _ => {}
            }
            if size < 8 {
                return Err("a load command without a size".into());
            }
            at += size;
        }
        Ok(object)
    }

    /// The symbols that other objects can see, or must have.
    fn symbols(&self) -> Result<Vec<Symbol<'a>>, String> {
        let Some((start, count, strings)) = self.symbols else { return Ok(Vec::new()) };
        let mut symbols = Vec::new();
        for at in (0..count).map(|i| start + 16 * i) {
            let name = strings + u32_at(self.bytes, at)? as usize;
            let entry = self.bytes.get(at..at + 16).ok_or("an object is cut short")?;
            let (kind, description) = (entry[4], u16::from_le_bytes([entry[6], entry[7]]));
            if kind & N_STAB != 0 || kind & N_EXT == 0 {
                continue;
            }
            let kind = match kind & N_TYPE {
                N_UNDF => Kind::Undefined,
                _ if description & N_WEAK_DEF != 0 => Kind::Weak,
                _ => Kind::Strong,
            };
            symbols.push(Symbol { name: string_at(self.bytes, name)?, at: name, kind });
        }
        Ok(symbols)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, String> {
    let field = bytes.get(at..at + 4).ok_or("an object is cut short")?;
    Ok(u32::from_le_bytes(field.try_into().expect("four bytes")))
}

fn string_at(bytes: &[u8], at: usize) -> Result<&str, String> {
    let rest = bytes.get(at..).ok_or("a name is outside its object")?;
    let end = rest.iter().position(|&byte| byte == 0).ok_or("a name without an end")?;
    std::str::from_utf8(&rest[..end]).map_err(|_| "a name is no text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM: Cpu = (0x0100_000c, 0);

    /// An object with a symbol of each kind, as a compiler writes it.
    fn object(names: &[(&str, u8, u16)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let words =
            |bytes: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|w| bytes.extend(w.to_le_bytes()));
        let after = 32 + 24 + 24;
        words(&mut bytes, &[MAGIC_64, ARM.0, ARM.1, 1, 2, 48, 0, 0]);
        words(&mut bytes, &[LC_BUILD_VERSION, 24, 2, 13 << 16 | 4 << 8, 0, 0]);
        let count = u32::try_from(names.len()).unwrap();
        words(&mut bytes, &[LC_SYMTAB, 24, after, count, after + 16 * count, 0]);
        let mut strings = vec![0];
        for &(name, kind, description) in names {
            words(&mut bytes, &[u32::try_from(strings.len()).unwrap()]);
            bytes.extend([kind, 1]);
            bytes.extend(description.to_le_bytes());
            bytes.extend([0; 8]);
            strings.extend(name.bytes().chain([0]));
        }
        bytes.extend(strings);
        bytes
    }

    fn archive(objects: &[Vec<u8>], listed: &[&str]) -> Vec<u8> {
        let mut table = u32::try_from(8 * listed.len()).unwrap().to_le_bytes().to_vec();
        let mut strings = Vec::new();
        for name in listed {
            table.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
            table.extend([0; 4]);
            strings.extend(name.bytes().chain([0]));
        }
        table.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
        table.extend(strings);
        let mut bytes = b"!<arch>\n".to_vec();
        let table = (String::from("__.SYMDEF"), table);
        let objects =
            objects.iter().enumerate().map(|(i, it)| (format!("a long name of object {i}.o"), it.clone()));
        for (name, contents) in [table].into_iter().chain(objects) {
            let (length, size) = (name.len(), name.len() + contents.len());
            bytes.extend(
                format!("{:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", format!("#1/{length}"), 0, 0, 0, 644)
                    .bytes(),
            );
            bytes.extend(name.bytes().chain(contents));
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        bytes
    }

    fn example() -> Vec<u8> {
        let first = object(&[
            ("_mine", 0x0f, 0),
            ("_same", 0x0f, N_WEAK_DEF),
            ("_local", 0x0e, 0),
            ("_other", 0x01, 0),
        ]);
        let second = object(&[("_mine", 0x01, 0), ("_more", 0x0f, 0), ("_wanted", 0x01, 0)]);
        archive(&[first, second], &["_mine", "_same", "_more"])
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_library_is_read() {
        let contents = read(&example()).unwrap();
        assert_eq!(contents.built, BTreeSet::from([Built { cpu: ARM, platform: 2, oldest: (13, 4) }]));
        assert_eq!(contents.strong, set(&["_mine", "_more"]));
        assert_eq!(contents.weak, set(&["_same"]));
        assert_eq!(contents.undefined, set(&["_other", "_wanted"]));
    }

    #[test]
    fn symbols_get_other_names_everywhere() {
        let mut bytes = example();
        // Its definition, its use, and the list.
        assert_eq!(rename(&mut bytes, |name| (name == "_mine").then(|| "_yours"[..5].into())), Ok(3));
        assert_eq!(read(&bytes).unwrap().strong, set(&["_more", "_your"]));
        let listed: Vec<String> =
            table_of_contents(&bytes).unwrap().into_iter().map(|(_, name)| name).collect();
        assert_eq!(listed, ["_your", "_same", "_more"]);
        assert!(rename(&mut bytes, |_| Some("short".into())).unwrap_err().contains("not as long"));
        assert_eq!(read(&bytes).unwrap().strong, set(&["_more", "_your"]), "nothing is changed by halves");
    }

    #[test]
    fn names_that_share_their_end_are_kept() {
        // The second symbol's name is the end of the first one's.
        let mut bytes = object(&[("_rust_realloc", 0x0f, 0), ("_", 0x01, 0)]);
        let shared = u32::try_from(1 + "_rust".len()).unwrap();
        let at = 32 + 24 + 24 + 16;
        bytes[at..at + 4].copy_from_slice(&shared.to_le_bytes());
        let mut library = archive(&[bytes], &["_rust_realloc"]);
        let before = library.clone();
        let whole = |name: &str| (name == "_rust_realloc").then(|| "_vtrm_reALLOC".to_owned());
        assert!(rename(&mut library, whole).unwrap_err().contains("shared with another symbol"));
        assert_eq!(library, before);
        let first = |name: &str| (name == "_rust_realloc").then(|| "_vtrm_realloc".to_owned());
        assert_eq!(rename(&mut library, first), Ok(2));
        let contents = read(&library).unwrap();
        assert_eq!((contents.strong, contents.undefined), (set(&["_vtrm_realloc"]), set(&["_realloc"])));
    }

    #[test]
    fn fat_libraries_are_joined_and_split() {
        let (a, b) = (example(), archive(&[object(&[("_b", 0x0f, 0)])], &["_b"]));
        let fat = join(&[(ARM, a.clone()), ((0x0100_0007, 3), b.clone())]).unwrap();
        assert_eq!(split(&fat).unwrap(), [&a[..], &b[..]]);
        assert_eq!(split(&a).unwrap(), [&a[..]]);
        assert!(split(&fat[..fat.len() - 1]).is_err());
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let bytes = example();
        for end in 0..bytes.len() - 1 {
            assert!(read(&bytes[..end]).is_err() || end <= 8 || end % 2 == 0, "{end} bytes");
        }
        assert!(read(b"no archive").is_err());
    }
}
