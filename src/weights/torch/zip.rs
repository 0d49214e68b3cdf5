//! The members of a zip archive, as far as checkpoints use the format: stored members, and deflated code.
//!
//! The central directory says what there is; each member's own header must agree, and no two members may share
//! bytes. Checksums are not compared, because `torch.save` may be told to leave them out.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::{Result, err};
use crate::exec::{TryGrow, try_zeroed};
use crate::weights::header::MAX_TENSORS;
use crate::weights::json::quoted;
use crate::weights::source::Source;

/// Bytes of a central directory at most.
const MAX_DIRECTORY: u64 = 16 << 20;
/// Members at most: a storage for each tensor, and as much code.
const MAX_MEMBERS: u64 = 2 * MAX_TENSORS as u64;

/// The record at the end, and the longest comment after it.
const END: usize = 22;
const MAX_COMMENT: usize = 0xffff;
const END64: u64 = 56;
const LOCATOR64: u64 = 20;
const LOCAL: u64 = 30;
const CENTRAL: usize = 46;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// An archive of which every member is known to lie in the file.
#[derive(Debug)]
pub(super) struct Zip<'s, 'a> {
    source: &'s Source<'a>,
    directory: Vec<u8>,
    /// Sorted by name.
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// In the directory.
    name: Range<usize>,
    method: u16,
    encrypted: bool,
    /// Bytes in the file, and after inflating.
    packed: u64,
    size: u64,
    /// Where its header begins, and its data.
    header: u64,
    data: u64,
}

/// The little-endian integer of `N` bytes at `at`, which must exist.
fn int<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut int = [0; 8];
    int[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(int)
}

fn name_of(bytes: &[u8]) -> alloc::string::String {
    quoted(&alloc::string::String::from_utf8_lossy(bytes))
}

/// Where the central directory is.
struct Directory {
    at: u64,
    bytes: u64,
    members: u64,
    /// Where the records after it begin.
    end: u64,
}

impl<'s, 'a> Zip<'s, 'a> {
    /// Reads the directory of `source` and the header of each member.
    pub(super) fn open(source: &'s Source<'a>) -> Result<Self> {
        let Directory { at, bytes, members, end } = find_directory(source)?;
        if bytes > MAX_DIRECTORY || members > MAX_MEMBERS {
            return Err(err!(
                Limit,
                "zip: a directory of {members} members and {bytes} bytes, at most {MAX_MEMBERS} and \
                 {MAX_DIRECTORY} are read"
            ));
        }
        if at.checked_add(bytes).is_none_or(|directory_end| directory_end > end) {
            return Err(err!(Format, "zip: the directory leaves the file"));
        }
        let mut directory = try_zeroed(bytes as usize)?;
        source.read(at, &mut directory)?;
        let mut zip = Self { source, members: parse(&directory, members)?, directory };
        zip.check_members(at)?;
        Ok(zip)
    }

    /// Checks every member's own header, and that members follow one another before the directory at `end`.
    fn check_members(&mut self, end: u64) -> Result<()> {
        self.members.sort_unstable_by_key(|member| member.header);
        let mut free = 0;
        for i in 0..self.members.len() {
            let Member { header, ref name, method, packed, .. } = self.members[i];
            let name = &self.directory[name.clone()];
            let fault = |what: &str| err!(Format, "zip: {}: {what}", name_of(name));
            if header < free {
                return Err(fault("overlaps the member before it"));
            }
            let mut local = vec![0; LOCAL as usize + name.len()];
            if header.checked_add(local.len() as u64).is_none_or(|header_end| header_end > end) {
                return Err(fault("leaves the file"));
            }
            self.source.read(header, &mut local)?;
            if !local.starts_with(b"PK\x03\x04") {
                return Err(fault("has no header where the directory says"));
            }
            if int::<2>(&local, 26) != name.len() as u64
                || &local[LOCAL as usize..] != name
                || int::<2>(&local, 8) != u64::from(method)
            {
                return Err(fault("its header and the directory disagree"));
            }
            let data = header + local.len() as u64 + int::<2>(&local, 28);
            free = data.checked_add(packed).ok_or_else(|| fault("leaves the file"))?;
            if free > end {
                return Err(fault("leaves the file"));
            }
            self.members[i].data = data;
        }
        self.members
            .sort_unstable_by(|a, b| self.directory[a.name.clone()].cmp(&self.directory[b.name.clone()]));
        let names = || self.names();
        match names().zip(names().skip(1)).find(|(a, b)| a == b) {
            Some((name, _)) => Err(err!(Format, "zip: {} is there twice", name_of(name))),
            None => Ok(()),
        }
    }

    /// The members' names, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.members.iter().map(|member| &self.directory[member.name.clone()])
    }

    /// The folder, with its slash, in which `data.pkl` lies.
    pub(super) fn top(&self) -> Result<&[u8]> {
        let top = |name: &'_ [u8]| {
            let folder = name.len().checked_sub(b"data.pkl".len())?;
            let is_top = name[..folder].iter().filter(|&&byte| byte == b'/').count() <= 1;
            (name.ends_with(b"data.pkl") && is_top && (folder == 0 || name[folder - 1] == b'/'))
                .then_some(folder)
        };
        let mut tops = self.names().filter_map(|name| Some(&name[..top(name)?]));
        match (tops.next(), tops.next()) {
            (Some(top), None) => Ok(top),
            (Some(a), Some(b)) => {
                Err(err!(Format, "zip: data.pkl is in both {} and {}", name_of(a), name_of(b)))
            }
            (None, _) => Err(self.no_checkpoint()),
        }
    }

    /// What an archive without `data.pkl` is.
    fn no_checkpoint(&self) -> crate::Error {
        let any = |end: &[u8]| self.names().any(|name| name.ends_with(end));
        let kind = if any(b"/archive_format") {
            "a program of torch.export (.pt2), not a checkpoint"
        } else if any(b".npy") {
            "a NumPy archive (.npz), not a PyTorch checkpoint"
        } else if any(b".weights.h5") {
            "a Keras archive, not a PyTorch checkpoint"
        } else if any(b".safetensors") {
            "a zip archive of a model: unpack it first"
        } else {
            "a zip archive without data.pkl, not a PyTorch checkpoint"
        };
        err!(Unsupported, "{kind}")
    }

    fn find(&self, name: &[u8]) -> Option<&Member> {
        let at =
            self.members.binary_search_by(|member| self.directory[member.name.clone()].cmp(name)).ok()?;
        Some(&self.members[at])
    }

    /// Where the bytes of the stored member called `name` lie in the file.
    pub(super) fn range(&self, name: &[u8]) -> Result<Range<u64>> {
        let member = self.find(name).ok_or_else(|| err!(Format, "zip: no {}", name_of(name)))?;
        let Member { data, packed, size, method, encrypted, .. } = *member;
        if encrypted || method != STORED {
            let how = if encrypted { "encrypted" } else { "compressed" };
            return Err(err!(Unsupported, "zip: {} is {how}; torch.save stores it as it is", name_of(name)));
        }
        if packed != size {
            return Err(err!(Format, "zip: {}: stored, but of two sizes", name_of(name)));
        }
        Ok(data..data + size)
    }

    /// The contents of the stored member called `name`.
    pub(super) fn contents(&self, name: &[u8], max: usize) -> Result<Vec<u8>> {
        let range = self.range(name)?;
        let len = range.end - range.start;
        let len = usize::try_from(len).ok().filter(|&len| len <= max);
        let len = len
            .ok_or_else(|| err!(Limit, "zip: {}: {range:?}, at most {max} bytes are read", name_of(name)))?;
        let mut contents = try_zeroed(len)?;
        self.source.read(range.start, &mut contents)?;
        Ok(contents)
    }

    /// The same, or `None` if there is no such member.
    pub(super) fn contents_if_present(&self, name: &[u8], max: usize) -> Result<Option<Vec<u8>>> {
        self.find(name).map(|_| self.contents(name, max)).transpose()
    }

    /// The contents of the member called `name`, inflated if it is compressed; `None` if there is none, if it has
    /// more than `max` bytes, or cannot be inflated.
    pub(super) fn inflated(&self, name: &[u8], max: usize) -> Result<Option<Vec<u8>>> {
        let Some(member) = self.find(name) else { return Ok(None) };
        if member.encrypted || member.size.max(member.packed) > max as u64 {
            return Ok(None);
        }
        let mut contents = try_zeroed(member.packed as usize)?;
        self.source.read(member.data, &mut contents)?;
        Ok(match member.method {
            STORED => Some(contents),
            DEFLATED => {
                miniz_oxide::inflate::decompress_to_vec_with_limit(&contents, member.size as usize).ok()
            }
            _ => None,
        })
    }
}

/// Finds the central directory by the record at the end of the file.
fn find_directory(source: &Source<'_>) -> Result<Directory> {
    let len = source.len();
    let tail_len = (END + MAX_COMMENT).min(usize::try_from(len).unwrap_or(usize::MAX));
    let mut tail = try_zeroed(tail_len)?;
    source.read(len - tail_len as u64, &mut tail)?;
    let ends_here = |at: usize| {
        tail[at..].starts_with(b"PK\x05\x06") && int::<2>(&tail, at + 20) as usize == tail.len() - at - END
    };
    let at = (0..=tail.len().saturating_sub(END)).rev().find(|&at| tail.len() >= END && ends_here(at));
    let at = at.ok_or_else(|| err!(Format, "zip: no end record; the file is cut off or damaged"))?;
    let record = &tail[at..at + END];
    let at = len - tail_len as u64 + at as u64;

    let [disk, start_disk, here, members] = [4, 6, 8, 10].map(|field| int::<2>(record, field));
    let mut directory = Directory { members, bytes: int::<4>(record, 12), at: int::<4>(record, 16), end: at };
    let old = [(members, 0xffff), (directory.bytes, 0xffff_ffff), (directory.at, 0xffff_ffff)];
    let mut disks = [disk, start_disk, members - here.min(members)];
    if let Some(locator) = at.checked_sub(LOCATOR64) {
        let mut bytes = [0; LOCATOR64 as usize];
        source.read(locator, &mut bytes)?;
        if bytes.starts_with(b"PK\x06\x07") {
            let record_at = int::<8>(&bytes, 8);
            let mut record = [0; END64 as usize];
            if record_at.checked_add(END64).is_none_or(|end| end > locator) {
                return Err(err!(Format, "zip: the 64-bit end record leaves the file"));
            }
            source.read(record_at, &mut record)?;
            if !record.starts_with(b"PK\x06\x06") {
                return Err(err!(Format, "zip: no 64-bit end record where the locator says"));
            }
            let [here, members, bytes, at] = [24, 32, 40, 48].map(|field| int::<8>(&record, field));
            directory = Directory { members, bytes, at, end: record_at };
            disks = [int::<4>(&record, 16), int::<4>(&record, 20), members - here.min(members)];
            // The 32-bit record says the same, or that it cannot.
            if old.iter().zip([members, bytes, at]).any(|(&(old, cannot), new)| old != new && old != cannot) {
                return Err(err!(Format, "zip: the two end records disagree"));
            }
        }
    }
    if disks != [0; 3] {
        return Err(err!(Unsupported, "zip: a part of an archive of several files"));
    }
    Ok(directory)
}

/// Parses the central directory.
fn parse(directory: &[u8], count: u64) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let fixed = directory.get(at..).and_then(|rest| rest.get(..CENTRAL));
        let fixed = fixed.filter(|fixed| fixed.starts_with(b"PK\x01\x02"));
        let fixed = fixed.ok_or_else(|| err!(Format, "zip: the directory is damaged at its byte {at}"))?;
        let [name_len, extra_len, comment_len] = [28, 30, 32].map(|field| int::<2>(fixed, field) as usize);
        let name = at + CENTRAL..at + CENTRAL + name_len;
        let extra = name.end..name.end + extra_len;
        at = extra.end + comment_len;
        if at > directory.len() {
            return Err(err!(Format, "zip: the directory ends within a member"));
        }
        let [packed, size, header] = [20, 24, 42].map(|field| int::<4>(fixed, field));
        let mut member = Member {
            method: int::<2>(fixed, 10) as u16,
            encrypted: int::<2>(fixed, 8) & 1 != 0,
            packed,
            size,
            header,
            data: 0,
            name: name.clone(),
        };
        wide_fields(&mut member, &directory[extra])
            .ok_or_else(|| err!(Format, "zip: {}: no 64-bit sizes", name_of(&directory[name])))?;
        members.try_push(member)?;
    }
    if at != directory.len() {
        return Err(err!(Format, "zip: the directory has more than its {count} members"));
    }
    Ok(members)
}

/// Takes the fields that do not fit in 32 bits from the extra field 1, which holds just these, in this order.
fn wide_fields(member: &mut Member, mut extra: &[u8]) -> Option<()> {
    const NO_ROOM: u64 = 0xffff_ffff;
    let mut wide: &[u8] = &[];
    while extra.len() >= 4 {
        let (id, len) = (int::<2>(extra, 0), int::<2>(extra, 2) as usize);
        let field = extra.get(4..4 + len)?;
        if id == 1 {
            wide = field;
            break;
        }
        extra = &extra[4 + len..];
    }
    for field in [&mut member.size, &mut member.packed, &mut member.header] {
        if *field == NO_ROOM {
            let (first, rest) = wide.split_first_chunk()?;
            *field = u64::from_le_bytes(*first);
            wide = rest;
        }
    }
    Some(())
}
