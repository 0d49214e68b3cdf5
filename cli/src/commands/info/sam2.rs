//! What a SAM 2 follows objects with.

use serde::Serialize;
use vitrum::models::sam2::PointerTimes;
use vitrum::pipelines::sam::Sam;
use vitrum::pipelines::tracker::{Tracker, TrackerOptions};

use super::megabytes;

/// The memory of a model that can follow objects.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    /// 2.1 has all four flags, 2.0 none.
    version: &'static str,
    layers: usize,
    mlp: usize,
    /// Channels of a memory.
    dim: usize,
    memories: usize,
    pointers: usize,
    #[serde(flatten)]
    flags: Flags,
    /// The most that a tracker of pictures of the model's size holds with one object, and how much more with another.
    tracker_bytes: usize,
    object_bytes: usize,
}

/// In what SAM 2 and 2.1 differ, with the names of the reference's configuration.
#[derive(Clone, Copy, Debug, Serialize)]
struct Flags {
    no_obj_embed_spatial: bool,
    add_tpos_enc_to_obj_ptrs: bool,
    proj_tpos_enc_in_obj_ptrs: bool,
    use_signed_tpos_enc_to_obj_ptrs: bool,
}

impl Flags {
    /// The names of those that are set.
    fn names(self) -> Vec<&'static str> {
        let all = [
            (self.no_obj_embed_spatial, "no_obj_embed_spatial"),
            (self.add_tpos_enc_to_obj_ptrs, "add_tpos_enc_to_obj_ptrs"),
            (self.proj_tpos_enc_in_obj_ptrs, "proj_tpos_enc_in_obj_ptrs"),
            (self.use_signed_tpos_enc_to_obj_ptrs, "use_signed_tpos_enc_to_obj_ptrs"),
        ];
        all.into_iter().filter_map(|(is_set, name)| is_set.then_some(name)).collect()
    }

    fn version(self) -> &'static str {
        match self.names().len() {
            0 => "2.0",
            4 => "2.1",
            _ => "neither 2.0 nor 2.1",
        }
    }
}

impl Memory {
    /// Of a SAM 2 that is not for pictures only.
    pub(super) fn of(sam: &Sam) -> Option<Self> {
        let config = &sam.sam2()?.config;
        let memory = config.memory.as_ref()?;
        let times = memory.pointer_times;
        let has = |flag: fn(&PointerTimes) -> bool| times.as_ref().is_some_and(flag);
        let flags = Flags {
            no_obj_embed_spatial: memory.no_object_spatial,
            add_tpos_enc_to_obj_ptrs: times.is_some(),
            proj_tpos_enc_in_obj_ptrs: has(|times| times.projected),
            use_signed_tpos_enc_to_obj_ptrs: has(|times| times.signed),
        };
        let bytes = |max_objects| {
            let options = TrackerOptions::default().with_max_objects(max_objects);
            Tracker::memory_bytes(sam, [config.image_size; 2], &options).ok()
        };
        let (one, two) = (bytes(1)?, bytes(2)?);
        Some(Self {
            version: flags.version(),
            layers: memory.layers,
            mlp: memory.mlp_dim,
            dim: memory.dim,
            memories: memory.count,
            pointers: config.tracking.max_pointers,
            flags,
            tracker_bytes: one,
            object_bytes: two - one,
        })
    }

    /// For people; `grid` is the side of the image embedding.
    pub(super) fn lines(&self, grid: usize) -> [(&'static str, String); 4] {
        let Self { version, layers, mlp, dim, memories, pointers, flags, tracker_bytes, object_bytes } = self;
        let flags = flags.names();
        let flags = if flags.is_empty() { "none".to_owned() } else { flags.join(", ") };
        let [first, further] = [tracker_bytes, object_bytes].map(|&bytes| megabytes(bytes as u64));
        let memories = format!("{memories} memories of {grid} x {grid} x {dim}, {pointers} pointers");
        [
            ("version", (*version).to_owned()),
            ("flags", flags),
            ("memory", format!("{layers} layers, mlp {mlp}, {memories}")),
            ("tracker", format!("{first} at most with one object, {further} more with each further one")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_tell_the_version() {
        let flags = |all: [bool; 4]| Flags {
            no_obj_embed_spatial: all[0],
            add_tpos_enc_to_obj_ptrs: all[1],
            proj_tpos_enc_in_obj_ptrs: all[2],
            use_signed_tpos_enc_to_obj_ptrs: all[3],
        };
        assert_eq!((flags([false; 4]).version(), flags([true; 4]).version()), ("2.0", "2.1"));
        let mixed = flags([false, true, false, true]);
        assert_eq!(mixed.names(), ["add_tpos_enc_to_obj_ptrs", "use_signed_tpos_enc_to_obj_ptrs"]);
        assert_eq!(mixed.version(), "neither 2.0 nor 2.1");
    }
}
