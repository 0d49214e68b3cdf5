//! Checkpoints from before PyTorch 1.6: pickles one after the other (a number, a version, a system's sizes, the
//! object, the storages' keys), then the storages in the order of the keys, each with its length before it.

use alloc::collections::BTreeMap;
use core::ops::Range;

use super::pickle::{self, Fault};
use super::value::{Heap, Storage, Value};
use super::{MAX_PICKLE, place, state_dict};
use crate::error::{Result, err};
use crate::exec::try_zeroed;
use crate::weights::index::Index;
use crate::weights::source::Source;

/// Bytes in which the pickles are looked for first. They say nowhere how long they are.
const WINDOW: usize = 64 << 10;

const PROTOCOL: i64 = 1001;

/// Reads the index of `source`, whose first bytes are `start`.
pub(super) fn read(source: &Source<'_>, start: &[u8]) -> Result<Index> {
    if !pickle::starts_with_magic(start) {
        return Err(err!(Unsupported, "a Python pickle, but not one that torch.save wrote"));
    }
    let most = MAX_PICKLE.min(usize::try_from(source.len()).unwrap_or(usize::MAX));
    let mut len = WINDOW.min(most);
    loop {
        let mut bytes = try_zeroed(len)?;
        source.read(0, &mut bytes)?;
        match parse(source, &bytes) {
            Err(Fault::Ended) if len < most => len = len.saturating_mul(4).min(most),
            Err(Fault::Ended) if most == MAX_PICKLE => {
                return Err(err!(Limit, "pickles of more than {MAX_PICKLE} bytes"));
            }
            result => return result.map_err(Fault::into_error),
        }
    }
}

/// Parses the file that starts with `bytes`, which are enough for its pickles.
fn parse(source: &Source<'_>, bytes: &[u8]) -> Result<Index, Fault> {
    let mut heap = Heap::default();
    let mut at = 0;
    let mut next = |heap: &mut _| pickle::load(heap, bytes, &mut at);
    let (magic, protocol) = (next(&mut heap)?, next(&mut heap)?);
    if (magic, protocol) != (Value::Magic, Value::Int(PROTOCOL)) {
        return Err(err!(Unsupported, "a legacy checkpoint of another protocol than {PROTOCOL}").into());
    }
    let system = next(&mut heap)?;
    let order = heap.dict(system).and_then(|entries| {
        entries.iter().find(|(key, _)| *key == Value::Text("little_endian")).map(|(_, value)| *value)
    });
    if order != Some(Value::Bool(true)) {
        return Err(err!(Unsupported, "a big-endian checkpoint, only little-endian ones are read").into());
    }
    let root = next(&mut heap)?;
    let keys = next(&mut heap)?;
    let places = places(source, &heap, keys, at as u64)?;
    let model = state_dict::find(&heap, root, &mut |_, _, _| true)?;
    Ok(place::index(&heap, model, source.len(), |storage| {
        places.get(storage.key).cloned().ok_or_else(|| err!(Format, "no storage {:?}", storage.key))
    })?)
}

/// Where each storage's bytes are, from the end of the pickles at `at` on.
fn places<'p>(
    source: &Source<'_>,
    heap: &Heap<'p>,
    keys: Value<'p>,
    mut at: u64,
) -> Result<BTreeMap<&'p str, Range<u64>>> {
    let storages: BTreeMap<&str, Storage<'_>> =
        heap.storages().map(|storage| (storage.key, *storage)).collect();
    let mut places = BTreeMap::new();
    for &key in heap.items(keys).ok_or_else(|| err!(Format, "no list of storages"))? {
        let Value::Text(key) = key else { return Err(err!(Format, "a storage's key is no text")) };
        let storage = storages.get(key).ok_or_else(|| err!(Format, "a storage {key:?} that nothing uses"))?;
        let mut count = [0; 8];
        if at.checked_add(8).is_none_or(|end| end > source.len()) {
            return Err(err!(Format, "storage {key:?}: the file is cut off"));
        }
        source.read(at, &mut count)?;
        let count = u64::from_le_bytes(count);
        let bytes = count.checked_mul(storage.dtype.bitsize() as u64 / 8);
        let end = bytes.and_then(|bytes| bytes.checked_add(at + 8)).filter(|&end| end <= source.len());
        let end =
            end.ok_or_else(|| err!(Format, "storage {key:?}: {count} elements, but the file ends before"))?;
        if places.insert(key, at + 8..end).is_some() {
            return Err(err!(Format, "storage {key:?} is there twice"));
        }
        at = end;
    }
    if at != source.len() {
        return Err(err!(Format, "{} bytes are left behind the storages", source.len() - at));
    }
    Ok(places)
}
