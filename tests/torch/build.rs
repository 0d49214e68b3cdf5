//! Pickles and zip archives, piece by piece, as files that no PyTorch would write need them.
#![allow(dead_code, reason = "each test binary uses a part")]

/// One member of an archive, and how it is described.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// What the directory says of the size, if not the truth.
    pub(crate) size: Option<u32>,
    pub(crate) packed: Option<u32>,
    /// Where the directory says that the header is.
    pub(crate) header: Option<u32>,
    /// Bytes of padding before the data, as PyTorch aligns it.
    pub(crate) padding: usize,
    /// The extra field in the directory.
    pub(crate) extra: Vec<u8>,
}

pub(crate) fn member(name: &str, data: &[u8]) -> Member {
    Member {
        name: name.into(),
        data: data.into(),
        method: 0,
        flags: 0x808,
        size: None,
        packed: None,
        header: None,
        padding: 0,
        extra: Vec::new(),
    }
}

/// An archive of `members`, with 64-bit end records too if `wide`.
pub(crate) fn zip(members: &[Member], wide: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let header = file.len() as u32;
        file.extend(b"PK\x03\x04\0\0");
        file.extend([member.flags, member.method].map(u16::to_le_bytes).concat());
        file.extend([0; 16]);
        file.extend([member.name.len() as u16, member.padding as u16].map(u16::to_le_bytes).concat());
        file.extend(&member.name);
        file.extend(std::iter::repeat_n(b'Z', member.padding));
        file.extend(&member.data);

        let len = member.data.len() as u32;
        directory.extend(b"PK\x01\x02\0\0\0\0");
        directory.extend([member.flags, member.method].map(u16::to_le_bytes).concat());
        directory.extend([0; 8]);
        directory.extend(
            [member.packed.unwrap_or(len), member.size.unwrap_or(len)].map(u32::to_le_bytes).concat(),
        );
        directory.extend(
            [member.name.len() as u16, member.extra.len() as u16, 0, 0, 0].map(u16::to_le_bytes).concat(),
        );
        directory.extend([0; 4]);
        directory.extend(member.header.unwrap_or(header).to_le_bytes());
        directory.extend(&member.name);
        directory.extend(&member.extra);
    }
    let (at, len, count) = (file.len() as u64, directory.len() as u64, members.len() as u64);
    file.extend(&directory);
    if wide {
        let record = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend(44u64.to_le_bytes());
        file.extend([0; 12]);
        file.extend([count, count, len, at].map(u64::to_le_bytes).concat());
        file.extend(b"PK\x06\x07\0\0\0\0");
        file.extend(record.to_le_bytes());
        file.extend(1u32.to_le_bytes());
    }
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count as u16, count as u16].map(u16::to_le_bytes).concat());
    file.extend([len as u32, at as u32].map(u32::to_le_bytes).concat());
    file.extend([0; 2]);
    file
}

/// A checkpoint of this pickle and these storages, `archive/data/<key>`.
pub(crate) fn checkpoint(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    zip(&members(pickle, storages), true)
}

pub(crate) fn members(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<Member> {
    let mut members = vec![member("archive/data.pkl", pickle)];
    members.extend(storages.iter().map(|(key, data)| member(&format!("archive/data/{key}"), data)));
    members
}

/// A pickle of protocol 2 whose value is `body`'s.
pub(crate) fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

pub(crate) fn int(int: i64) -> Vec<u8> {
    [b"\x8a\x08", &int.to_le_bytes()[..]].concat()
}

pub(crate) fn ints(ints: &[i64]) -> Vec<u8> {
    tuple(&ints.iter().map(|&i| int(i)).collect::<Vec<_>>())
}

pub(crate) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

pub(crate) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub(crate) fn call(module: &str, name: &str, args: &[Vec<u8>]) -> Vec<u8> {
    [global(module, name), tuple(args), b"R".to_vec()].concat()
}

pub(crate) fn dict(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> = entries.iter().flat_map(|(key, value)| [&key[..], value].concat()).collect();
    [b"}(", &entries[..], b"u"].concat()
}

/// A storage of `count` elements under `key`; `class` is `"Float"` or the like.
pub(crate) fn storage(class: &str, key: &str, count: i64) -> Vec<u8> {
    let id =
        [text("storage"), global("torch", &format!("{class}Storage")), text(key), text("cpu"), int(count)];
    [&tuple(&id)[..], b"Q"].concat()
}

/// A view of a storage.
pub(crate) fn tensor(storage: Vec<u8>, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let hooks = call("collections", "OrderedDict", &[]);
    let args = [storage, int(offset), ints(shape), ints(strides), b"\x89".to_vec(), hooks];
    call("torch._utils", "_rebuild_tensor_v2", &args)
}

/// `{"w": tensor}` with four F32 in storage "0".
pub(crate) fn one(offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    checkpoint(
        &pickle(&dict(&[(text("w"), tensor(storage("Float", "0", 4), offset, shape, strides))])),
        &[("0", &FOUR)],
    )
}

/// 1, 2, 3, 4 as F32.
pub(crate) const FOUR: [u8; 16] = [0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64, 0, 0, 128, 64];
