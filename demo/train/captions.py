"""Captions for concepts, and the CLIP-format tokenizer trained on them."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from emoji import Concept

TEMPLATES = (
    "a photo of a {}",
    "{}",
    "a picture of a {}",
    "an emoji of a {}",
    "a drawing of a {}",
    "an icon of a {}",
    "a photo of {}",
    "{} emoji",
    "a small {}",
    "this is a {}",
)
DEFAULT_TEMPLATE = TEMPLATES[0]

START, END = "<|startoftext|>", "<|endoftext|>"
VOCABULARY = 3072
CONTEXT = 32
Pair = tuple[str, str]
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Captioner:
    """Draws a caption of a concept: a template around its name or one of its keywords."""

    def __init__(self, concepts: list[Concept]):
        names = {concept.name for concept in concepts}
        uses = Counter(tag for concept in concepts for tag in concept.tags)
        self.concepts = concepts
        # A keyword stands alone only where it says which concept is meant.
        self.own_tags = [
            [tag for tag in concept.tags if uses[tag] <= 2 and tag not in names] for concept in concepts
        ]

    def draw(self, concept: int, rng: random.Random) -> str:
        """60 % name, 20 % a keyword of its own (if any), 20 % name and keyword; 40 % default template."""
        known = self.concepts[concept]
        subject, kind = known.name, rng.random()
        if kind < 0.2 and self.own_tags[concept]:
            subject = rng.choice(self.own_tags[concept])
        elif kind < 0.4 and known.tags:
            subject = f"{known.name}, {rng.choice(known.tags)}"
        template = DEFAULT_TEMPLATE if rng.random() < 0.4 else rng.choice(TEMPLATES)
        return template.format(subject)


def clip_pipeline(model: models.BPE, specials: dict[str, int] | None = None) -> Tokenizer:
    """CLIP's text path: NFC, white space collapsed, lower case, CLIP's pattern, byte-level BPE."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    if specials:
        tokenizer.add_special_tokens([START, END])
        tokenizer.post_processor = processors.RobertaProcessing(
            (END, specials[END]), (START, specials[START]), trim_offsets=False, add_prefix_space=False
        )
    return tokenizer


def byte_symbols() -> list[str]:
    """The printable stand-ins of the 256 bytes, in CLIP's vocabulary order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]


def train_tokenizer(concepts: list[Concept]) -> tuple[dict[str, int], list[Pair]]:
    """Vocabulary (bytes, bytes with `</w>`, one entry per merge, two specials) and merges, in order."""
    pipeline = clip_pipeline(models.BPE())
    corpus: Counter[str] = Counter()
    for text in [text for concept in concepts for text in (concept.name, *concept.tags)] + list(TEMPLATES) * 100:
        normal = pipeline.normalizer.normalize_str(text.replace("{}", ""))
        corpus.update(word for word, _ in pipeline.pre_tokenizer.pre_tokenize_str(normal))
    symbols = byte_symbols()
    merges = byte_pair_merges(corpus, VOCABULARY - 2 * len(symbols) - 2)
    entries = symbols + [symbol + "</w>" for symbol in symbols] + ["".join(pair) for pair in merges] + [START, END]
    return {token: index for index, token in enumerate(entries)}, merges


def byte_pair_merges(corpus: Counter[str], count: int) -> list[Pair]:
    """The `count` merges of byte-pair encoding (Sennrich et al. 2016): each time the commonest pair, the
    alphabetically first of equals, so that every run finds the same ones."""
    words = {word: [*word[:-1], word[-1] + "</w>"] for word in sorted(corpus)}
    counts: Counter[Pair] = Counter()
    users: dict[Pair, set[str]] = defaultdict(set)

    def tally(word: str, sign: int) -> None:
        for pair in zip(words[word], words[word][1:]):
            counts[pair] += sign * corpus[word]
            users[pair].add(word)

    for word in words:
        tally(word, 1)
    merges = []
    for _ in range(count):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        for word in users.pop(best):
            tally(word, -1)
            words[word] = merged(words[word], best)
            tally(word, 1)
        del counts[best]
    return merges


def merged(symbols: list[str], pair: Pair) -> list[str]:
    """`symbols` with every occurrence of `pair` joined, from the left."""
    out: list[str] = []
    for symbol in symbols:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return out


def build_tokenizer(vocabulary: dict[str, int], merges: list[Pair]) -> Tokenizer:
    """The runnable tokenizer; `encode` adds the start and end tokens."""
    model = models.BPE(
        vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", unk_token=END, continuing_subword_prefix=""
    )
    return clip_pipeline(model, {START: vocabulary[START], END: vocabulary[END]})


def save_tokenizer(folder: Path, vocabulary: dict[str, int], merges: list[Pair]) -> None:
    """Writes the five files of a Hugging Face CLIP tokenizer."""
    def write(name: str, value: dict) -> None:
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    build_tokenizer(vocabulary, merges).save(str(folder / "tokenizer.json"))
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    specials = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    write("special_tokens_map.json", specials)
    write("tokenizer_config.json", {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT, "add_prefix_space": False,
        "do_lower_case": True, "errors": "replace", **specials,
    })
