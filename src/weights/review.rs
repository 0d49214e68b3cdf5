//! What of a model's files a load has not used.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use super::archive::Archive;
use super::bundle::Bundle;
use super::config::Config;
use super::json::quoted;
use super::scope::Scope;
use crate::error::{Error, Result, err};
use crate::exec::Limits;

/// Names that a message lists; of more it says the number.
const LISTED: usize = 4;

/// Keys of `transformers`' configurations that say how a model was made, is trained or generates text.
const QUIET_KEYS: &[&str] = &[
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "_processor_class",
    "_valid_processor_keys",
    "add_cross_attention",
    "architectures",
    "attention_dropout",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dropout",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "label2id",
    "length_penalty",
    "logit_scale_init_value",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    "problem_type",
    "processor_class",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
];

/// Names of tensors, or of the scopes around them, that no result depends on: indices, counters and masks that follow
/// from the sizes, and the heads of a training task.
const QUIET_TENSORS: &[&str] = &[
    "position_ids",
    "num_batches_tracked",
    "attn_mask",
    "attention_bias_idxs",
    "relative_position_index",
    "loss_scale",
    "classifier",
    "fc_norm",
    "head",
    "norm_head",
    "pixel_mean",
    "pixel_std",
];

/// Checks, while a model is loaded, that everything in its files is used, known not to matter, or reported.
///
/// What changes the result and is not understood is an error that names it. If the caller wants the model all the same
/// ([`new`](Self::new)), it becomes a warning. Everything else that is left over is a warning.
#[derive(Debug, Default)]
pub struct Review {
    lenient: bool,
    limits: Limits,
    warnings: Vec<String>,
}

impl Review {
    /// With `lenient`, what would be refused is warned of.
    pub fn new(lenient: bool) -> Self {
        Self { lenient, ..Self::default() }
    }

    /// What the model may ask for, for its [`bind`](crate::models::sam::SamModel::bind): the default limits otherwise.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What the model may ask for.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The warnings so far.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The warnings.
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    /// Adds a warning.
    pub fn warn(&mut self, message: impl Display) {
        let message = message.to_string();
        if !self.warnings.contains(&message) {
            self.warnings.push(message);
        }
    }

    /// `error`, or a warning of it for a lenient caller.
    ///
    /// # Errors
    /// `error`.
    pub fn refuse(&mut self, error: Error) -> Result<()> {
        if !self.lenient {
            return Err(error);
        }
        self.warn(error.message());
        Ok(())
    }

    /// Refuses settings that this library does not implement: each key of `neutral` may be absent, or have the value
    /// beside it (JSON), with which it changes nothing.
    ///
    /// # Errors
    /// `Unsupported` naming the key and its value.
    pub fn neutral(&mut self, config: &Config, neutral: &[(&str, &str)]) -> Result<()> {
        for (key, expected) in neutral {
            if config.get(key).is_some_and(|value| **expected != value.to_string()[..]) {
                let error = config.unusable(key, format_args!("{expected}; anything else is not supported"));
                self.refuse(err!(Unsupported, "{}", error.message()))?;
            }
        }
        Ok(())
    }

    /// Warns of the settings of `config` that nothing has read and that are not known to change nothing. `quiet` are
    /// further keys of that kind: a name, which matches at any depth with all that is below, or a whole path.
    pub fn settings(&mut self, config: &Config, quiet: &[&str]) {
        let is_quiet = |path: &str| {
            let mut names = path.split('.');
            quiet.contains(&path) || names.any(|name| QUIET_KEYS.contains(&name) || quiet.contains(&name))
        };
        let unread: Vec<String> = config.unread().into_iter().filter(|path| !is_quiet(path)).collect();
        if !unread.is_empty() {
            self.warn(format_args!("{}: {} not understood", config.file(), are(&unread)));
        }
    }

    /// Of the tensors below `root` that the model has not bound, refuses those in modules of which it has bound something:
    /// they are a part of it that is not computed. Warns of other modules, and of what is not below `root`. `quiet` are further
    /// names as in [`settings`](Self::settings).
    ///
    /// # Errors
    /// `Unsupported` naming them.
    pub fn tensors(&mut self, root: &Scope<'_>, quiet: &[&str]) -> Result<()> {
        let (archive, prefix) = (root.archive(), root.prefix());
        let used = archive.used().filter_map(|name| name.strip_prefix(prefix)?.split_once('.'));
        let modules: BTreeSet<&str> = used.map(|(module, _)| module).collect();
        let is_part = |name: &str| match name.split_once('.') {
            None => true,
            Some((module, _)) => modules.contains(module),
        };
        let is_quiet = |name: &str| {
            let mut parts = name.split('.');
            quiet.contains(&name) || parts.any(|part| QUIET_TENSORS.contains(&part) || quiet.contains(&part))
        };
        let (mut parts, mut rest) = (Vec::new(), Vec::new());
        for tensor in archive.unused().filter(|tensor| !is_quiet(tensor.name)) {
            let is_part = tensor.name.strip_prefix(prefix).is_some_and(is_part);
            if is_part { &mut parts } else { &mut rest }.push(tensor.name.to_string());
        }
        if !rest.is_empty() {
            self.warn(format_args!("tensors: {} not used", are(&rest)));
        }
        if parts.is_empty() {
            return Ok(());
        }
        self.refuse(err!(Unsupported, "tensors: {} part of the model, but not understood", are(&parts)))
    }

    /// Refuses weights that are not finite, of those that were read: bytes that are used in place are not, nor what a file
    /// has packed. If the [limits](Limits::allow_non_finite) allow them, warns of them.
    ///
    /// # Errors
    /// `NonFinite` naming the tensors.
    pub fn finite(&mut self, archive: &Archive<'_>) -> Result<()> {
        let names: Vec<String> = archive.non_finite().map(String::from).collect();
        if names.is_empty() {
            return Ok(());
        }
        let what = match &names[..] {
            [name] => format!("tensor {}: values that are not finite", quoted(name)),
            _ => format!("tensors: {} not finite", are(&names)),
        };
        if self.limits.allow_non_finite {
            self.warn(what);
            return Ok(());
        }
        Err(err!(NonFinite, "{what} (NaN or infinity); the context's limit allow_non_finite lets them pass"))
    }

    /// Refuses adapters beside the weights, and warns of other side files that nothing has read, but for `quiet` ones, and
    /// of what was left aside in the weights' own files.
    ///
    /// # Errors
    /// `Unsupported` naming the file.
    pub fn files(&mut self, bundle: &Bundle<'_>, quiet: &[&str]) -> Result<()> {
        for note in bundle.archive().notes() {
            self.warn(note);
        }
        if bundle.archive().packed_again() {
            self.warn("matrices that were packed for another kind of CPU or format are packed again");
        }
        for name in bundle.unread_files().filter(|name| !quiet.contains(name)) {
            if name == "adapter_config.json" {
                let message = "an adapter lies beside the weights; merge it into them first";
                self.refuse(err!(Unsupported, "{name}: {message}"))?;
            } else {
                self.warn(format_args!("{name}: not read for a model of this kind"));
            }
        }
        Ok(())
    }
}

/// `"a", "b" and 3 more are`.
fn are(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED).map(|name| quoted(name).to_string()).collect();
    let shown = shown.join(", ");
    match names.len() {
        1 => format!("{shown} is"),
        n if n > LISTED => format!("{shown} and {} more are", n - LISTED),
        _ => format!("{shown} are"),
    }
}
