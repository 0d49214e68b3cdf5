"""A small CLIP-format tokenizer, and strings with the ids that transformers gives them."""

import gzip
import json
import tempfile
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import regex
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from tokenizers import Tokenizer
from transformers import CLIPTokenizer, CLIPTokenizerFast

from .common import write_json
from .strings import STRINGS

MERGES = 400
CONTEXT = 77
SPECIALS = ["<|startoftext|>", "<|endoftext|>"]
PATTERN = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")


def byte_characters() -> list[str]:
    """The printable stand-ins of GPT-2's byte-level BPE, in the order in which CLIP numbers them.

    Printable bytes of Latin-1 stand for themselves and come first; the others follow as U+0100….
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]


@cache
def byte_map() -> dict[int, str]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return dict(zip(printable + [b for b in range(256) if b not in printable], byte_characters()))


def train_merges(text: str, count: int) -> list[tuple[str, str]]:
    """Byte-pair merges of CLIP's kind: the last symbol of a word carries `</w>`.

    The most frequent pair wins, and of equally frequent pairs the first in code-point order, so
    the result depends on the text alone.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split()).lower()
    words = Counter(PATTERN.findall(text))
    split = {}
    for word, n in words.items():
        symbols = [byte_map()[b] for b in word.encode()]
        symbols[-1] += "</w>"
        split[tuple(symbols)] = n
    merges = []
    for _ in range(count):
        pairs = Counter()
        for symbols, n in split.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = {tuple(merge(symbols, best)): n for symbols, n in split.items()}
    return merges


def merge(symbols: tuple[str, ...], pair: tuple[str, str]) -> list[str]:
    """Replace each occurrence of `pair`, left to right."""
    out, i = [], 0
    while i < len(symbols):
        joined = symbols[i:i + 2] == pair
        out.append("".join(pair) if joined else symbols[i])
        i += 2 if joined else 1
    return out


def vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """CLIP's numbering: bytes, bytes at a word's end, merges, start, end."""
    single = byte_characters()
    tokens = single + [c + "</w>" for c in single] + ["".join(m) for m in merges] + SPECIALS
    assert len(set(tokens)) == len(tokens)
    return {token: i for i, token in enumerate(tokens)}


def golden_tokenizer(directory: Path) -> CLIPTokenizer:
    """The tokenizer of `tokenizer/`, read from its `vocab.json` and `merges.txt`."""
    return CLIPTokenizer.from_pretrained(directory)


def generate(root: Path) -> None:
    """Write `tokenizer/`."""
    directory = root / "tokenizer"
    directory.mkdir(parents=True, exist_ok=True)
    corpus = (Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8")
    merges = train_merges(corpus, MERGES)
    lines = "".join(f"{a} {b}\n" for a, b in merges)
    write_json(directory / "vocab.json", vocabulary(merges), indent=None)
    (directory / "merges.txt").write_text("#version: 0.2\n" + lines, encoding="utf-8")
    (directory / "bpe_simple_vocab.txt").write_text(
        '"bpe_simple_vocab.txt#version: 0.2\n' + lines, encoding="utf-8")

    tokenizer = CLIPTokenizerFast(vocab=vocabulary(merges), merges=merges)
    tokenizer.backend_tokenizer.save(str(directory / "tokenizer.json"))
    from_json = Tokenizer.from_file(str(directory / "tokenizer.json"))

    full, truncated = [], []
    for text in STRINGS:
        ids = tokenizer(text).input_ids
        assert ids == from_json.encode(text).ids, text
        cut = tokenizer(text, truncation=True, max_length=CONTEXT).input_ids
        full.append({"text": text, "ids": ids})
        if cut != ids:
            truncated.append({"text": text, "ids": cut})
    assert len(full) >= 120 and truncated
    write_rows(directory / "tokens.json", {
        "untruncated": full,
        "truncated": truncated,
        "original_differs": differences(directory / "bpe_simple_vocab.txt", full),
    })
    write_rows(directory / "tokens_openai.json", {"untruncated": with_openai_vocabulary()})


def write_rows(path: Path, lists: dict[str, list[dict]]) -> None:
    """One row a line, in ASCII, so that no editor or checkout can normalise the strings."""
    blocks = (f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]"
              for name, rows in lists.items())
    head = f'{{\n"context_length": {CONTEXT},\n'
    path.write_text(head + ",\n".join(blocks) + "\n}\n", encoding="utf-8")


def original_tokenizer(merges: Path, clean: str = "lower"):
    """OpenAI's simple tokenizer (as in open_clip) with a merge list: start id, `encode`, end id."""
    with tempfile.TemporaryDirectory() as scratch:
        packed = Path(scratch) / "merges.gz"
        # Without the final newline, which would count as an empty merge.
        packed.write_bytes(gzip.compress(merges.read_bytes().rstrip()))
        original = SimpleTokenizer(str(packed), clean=clean)
    # open_clip spells the two special tokens otherwise than OpenAI; put OpenAI's spelling back.
    start, end = original.all_special_ids
    original.encoder |= dict(zip(SPECIALS, (start, end)))
    original.cache = {token: token for token in SPECIALS}
    original.pat = regex.compile(PATTERN.pattern, regex.IGNORECASE)
    return start, original.encode, end


def differences(merges: Path, rows: list[dict]) -> list[dict]:
    """Rows on which OpenAI's simple tokenizer gives other ids, with those ids."""
    start, encode, end = original_tokenizer(merges)
    with_original = [{"text": row["text"], "ids": [start, *encode(row["text"]), end]} for row in rows]
    return [row for row, reference in zip(with_original, rows) if row != reference]


def with_openai_vocabulary() -> list[dict]:
    """The same strings under the vocabulary of the published CLIP models (49408 tokens)."""
    lines = gzip.open(default_bpe()).read().decode("utf-8").split("\n")[1:49152 - 256 - 2 + 1]
    merges = [tuple(line.split()) for line in lines]
    tokenizer = CLIPTokenizerFast(vocab=vocabulary(merges), merges=merges)
    return [{"text": text, "ids": tokenizer(text).input_ids} for text in STRINGS]
