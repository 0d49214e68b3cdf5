"""Small tokenizers with the structure of SigLIP 2's, SigLIP's, XLM-R's, BERT's and RoBERTa's files, and the ids that the reference gives.

By hand, more tokenizers and texts than fit into a repository:

    python -m generators.tokenizer_parts DIRECTORY [RANDOM [TEXTS …]]
    VITRUM_TOKENIZERS=DIRECTORY cargo test --release --test tokenizer_parts -- --ignored

TEXTS are files of real texts (.po and .mo catalogues, plain text), on which the vocabularies are trained, too.
"""

import base64
import gettext
import json
import random
import re
import string
import sys
import tempfile
from pathlib import Path

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer, SiglipTokenizer

from .strings import STRINGS

MARK = "\u2581"
SIGLIP_SPECIALS = ["</s>", "<unk>", "</s> <unk>"]
SCRIPTS = ["latin", "greek", "cyrillic", "hebrew", "arabic", "devanagari", "bengali", "thai", "hangul", "kana", "han"]

# Where random characters come from, besides all of Unicode.
BLOCKS = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0x61, 0x7A), (0x61, 0x7A), (0x30, 0x39),
    (0x00, 0x1F), (0x7F, 0xA0), (0xA1, 0x17F), (0x180, 0x24F), (0x2B0, 0x36F), (0x300, 0x36F), (0x370, 0x3FF),
    (0x400, 0x45F), (0x530, 0x5F4), (0x600, 0x6FF), (0x700, 0x74F), (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF),
    (0xC00, 0xCFF), (0xD00, 0xD7F), (0xE00, 0xE7F), (0xF00, 0xFBC), (0x1000, 0x109F), (0x10A0, 0x10FF),
    (0x1100, 0x11FF), (0x1780, 0x17E9), (0x1E00, 0x1EFF), (0x1F00, 0x1FFE), (0x2000, 0x206F), (0x2070, 0x20CF),
    (0x20D0, 0x20F0), (0x2100, 0x218F), (0x2190, 0x23FF), (0x2460, 0x24FF), (0x2500, 0x25FF), (0x2600, 0x27BF),
    (0x2E80, 0x2FDF), (0x3000, 0x30FF), (0x3130, 0x318F), (0x3200, 0x33FF), (0x4E00, 0x9FFF), (0xA960, 0xA97F),
    (0xAC00, 0xD7A3), (0xD7B0, 0xD7FB), (0xE000, 0xE010), (0xF900, 0xFAFF), (0xFB00, 0xFB4F), (0xFB50, 0xFDFF),
    (0xFE00, 0xFE2F), (0xFE30, 0xFEFF), (0xFF00, 0xFFEF), (0xFFF0, 0xFFFD), (0x10400, 0x1044F), (0x11000, 0x1107F),
    (0x1D100, 0x1D1FF), (0x1D400, 0x1D7FF), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F64F), (0x1F680, 0x1FAFF),
    (0x20000, 0x20100), (0x2F800, 0x2FA1D), (0xE0001, 0xE007F), (0xF0000, 0xF0010), (0x10FF00, 0x10FFFF),
]
PIECES = [
    " ", "  ", "   ", " " * 40, "\t", "\n", "\r\n", "\n\n", "\n" * 5, "\u3000", "\u00a0", "\u2028", MARK, MARK * 3, "\u200d",
    "\ufe0f", "\u0301", "\u0323\u0307", "\u094d", "\u0e33", "\u0600", "'s", "...", "!?", "<", ">", "</s>", "<s>", "<unk>",
    "<pad>", "<mask>", "<bos>", "<eos>", "<0x41>", "<0xE2>", "<start_of_turn>", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "##",
    "##s", "the", "The", "photo", "a photo of", "cat", "\u212b", "\ufb01", "\u2122\u0301", "\u0958\u0301", "\u1e9e", "\u0130",
    "\u03a3", "\u0663", "\u00bd", "\u1100\u1161\u11a8", "\uac00\u11a8", "\U0001f468\u200d\U0001f469", "\U0001f1e9\U0001f1ea",
    "\ufdfa", "\u3300", "\u304b\u3099", "\uff76\uff9e", "\u0e40\u0e41", "\x00", "\ufffd", "\ufeff", "\u200b", "<extra_id_0>",
]


def random_text(rng):
    parts = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 21, 34, 80])):
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.choice(PIECES))
        elif kind < 0.9:
            first, last = rng.choice(BLOCKS)
            parts.append("".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 4))))
        else:
            code = rng.randrange(0x110000 - 0x800)
            parts.append(chr(code if code < 0xD800 else code + 0x800))
    return "".join(parts)


def real_texts(paths):
    """Texts of catalogues and other files, each once, in the order of the files."""
    texts = {}
    for path in paths:
        path = Path(path)
        if path.suffix == ".mo":
            try:
                with path.open("rb") as file:
                    found = gettext.GNUTranslations(file)._catalog.values()
            except (OSError, IndexError, UnicodeDecodeError, ValueError):
                continue
        elif path.suffix == ".po":
            lines = path.read_text(encoding="utf-8").splitlines()
            found = [line[8:-1] for line in lines if line.startswith('msgstr "') and len(line) > 12]
        else:
            found = path.read_text(encoding="utf-8", errors="ignore").splitlines()
        texts |= dict.fromkeys(text.strip() for text in found if isinstance(text, str) and text.strip())
    return list(texts)


def charsmap_rules(texts):
    """Of SentencePiece's NFKC, those rules whose characters are in the texts."""
    import unicodedata

    rules = {c: " " for c in "\t\n\r\u00a0\u2003\u3000\u2009\u200b\ufeff"}
    rules |= {"\r\n": " "}
    for text in texts:
        for c in text:
            for form in (c, unicodedata.normalize("NFD", c)):
                if (normal := unicodedata.normalize("NFKC", form)) != form:
                    rules[form] = normal
    return {key: value for key, value in rules.items() if key and len(key) < 8}


def train_sentencepiece(texts, size, rules=None, **options):
    """A unigram model; the table of `rules`, or all of SentencePiece's."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "text").write_text("\n".join(t.replace("\n", " ").replace("\0", " ") for t in texts))
        if rules is not None:
            code = lambda text: " ".join(f"{ord(c):X}" for c in text)
            lines = (f"{code(key)}\t{code(value)}\n" for key, value in sorted(rules.items()))
            (Path(scratch) / "rules.tsv").write_text("".join(lines))
            options["normalization_rule_tsv"] = f"{scratch}/rules.tsv"
        sentencepiece.SentencePieceTrainer.train(**dict(
            input=f"{scratch}/text", model_prefix=f"{scratch}/model", vocab_size=size, hard_vocab_limit=False,
            model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
            max_sentence_length=100000, num_threads=1, character_coverage=0.995) | options)
        model = sentencepiece_model_pb2.ModelProto.FromString((Path(scratch) / "model.model").read_bytes())
        # Neither where it was trained nor with what.
        model.trainer_spec.ClearField("input")
        model.trainer_spec.ClearField("model_prefix")
        model.normalizer_spec.ClearField("normalization_rule_tsv")
        return model


def special(content, id, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True} | flags


def template(before, after, ids):
    token = lambda content: {"SpecialToken": {"id": content, "type_id": 0}}
    single = [*map(token, before), {"Sequence": {"id": "A", "type_id": 0}}, *map(token, after)]
    return {"type": "TemplateProcessing", "single": single, "pair": [*single, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {content: {"id": content, "ids": [ids[content]], "tokens": [content]}
                               for content in dict.fromkeys(before + after)}}


def file(**parts):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": None} | parts


def gemma(texts, size, lost_bytes=(), **options):
    """SigLIP 2's file: byte-pair encoding with byte fallback, spaces as marks, a text a word."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", MARK)
    trained.pre_tokenizer = pre_tokenizers.Split(MARK, "merged_with_next")
    trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, limit_alphabet=size // 4, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    learnt = sorted(model["vocab"], key=model["vocab"].get)
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "\n", "\n\n", MARK * 2, "<strong>"]
    first += [f"<0x{byte:02X}>" for byte in range(256) if byte not in lost_bytes]
    tokens = first + [token for token in learnt if token not in first]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    plain = [special(t, vocabulary[t], special=False) for t in ("\n\n", MARK * 2, "<strong>")]
    return file(
        added_tokens=[special(t, i) for i, t in enumerate(tokens[:6])] + plain,
        normalizer={"type": "Replace", "pattern": {"String": " "}, "content": MARK},
        pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        post_processor=template([], ["<eos>"], vocabulary),
        decoder={"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        model={"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
               "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
               "vocab": vocabulary, "merges": model["merges"]} | options)


def metaspace(scheme):
    return {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": True}


def precompiled(model):
    table = model.normalizer_spec.precompiled_charsmap
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}


def unigram(model, extra=0, **parts):
    """T5's file, which SigLIP's are like: the pieces of a SentencePiece model."""
    pieces = [[piece.piece, piece.score] for piece in model.pieces]
    pieces += [[f"<extra_id_{i}>", 0.0] for i in reversed(range(extra))]
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    specials = ["<pad>", "</s>", "<unk>"] + [f"<extra_id_{i}>" for i in range(extra)]
    return file(**dict(
        added_tokens=sorted((special(t, ids[t]) for t in specials), key=lambda token: token["id"]),
        normalizer={"type": "Sequence", "normalizers": [
            precompiled(model), {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": MARK}]},
        pre_tokenizer=metaspace("always"),
        post_processor=template([], ["</s>"], ids),
        decoder=metaspace("always"),
        model={"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False}) | parts)


def siglip_normalizer(model):
    """SigLIP's canonical texts, as its `spiece.model` is converted with them."""
    punctuation = "[" + re.escape(string.punctuation) + "]"
    return {"type": "Sequence", "normalizers": [
        {"type": "Lowercase"}, {"type": "Replace", "pattern": {"Regex": punctuation}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Strip", "strip_left": True, "strip_right": True}, precompiled(model)]}


def xlm_roberta(model):
    pieces = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    pieces += [[piece.piece, piece.score] for piece in model.pieces[3:]] + [["<mask>", 0.0]]
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    return file(
        added_tokens=[special(t, ids[t], lstrip=t == "<mask>") for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")],
        normalizer=precompiled(model),
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("always")]},
        post_processor=template(["<s>"], ["</s>"], ids),
        decoder=metaspace("always"),
        model={"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": False})


def bert(texts, size, **flags):
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=flags.get("lowercase", True))
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained.train_from_iterator(texts, trainers.WordPieceTrainer(
        vocab_size=size, limit_alphabet=size // 3, special_tokens=specials, show_progress=False))
    vocabulary = json.loads(trained.to_str())["model"]["vocab"]
    return file(
        added_tokens=[special(t, i) for i, t in enumerate(specials)],
        normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                    "lowercase": True} | flags,
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor=template(["[CLS]"], ["[SEP]"], vocabulary),
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
        model={"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
               "max_input_chars_per_word": 100, "vocab": vocabulary})


def roberta(texts, size, **byte_level):
    """RoBERTa's file: byte-pair encoding of GPT-2's words, whose characters stand for bytes."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True} | byte_level
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trained.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=specials, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    model["vocab"]["<mask>"] = len(model["vocab"])
    ids = model["vocab"]
    return file(
        added_tokens=[special(t, ids[t], lstrip=t == "<mask>", normalized=True) for t in [*specials, "<mask>"]],
        pre_tokenizer=byte_level,
        post_processor={"type": "RobertaProcessing", "sep": ["</s>", ids["</s>"]], "cls": ["<s>", ids["<s>"]],
                        "trim_offsets": True, "add_prefix_space": False},
        decoder={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        model={"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
               "fuse_unk": False, "vocab": ids, "merges": [" ".join(pair) for pair in model["merges"]]})


def other_parts(model):
    """Parts that these files have in none of the published structures, but that may come."""
    return unigram(
        model,
        normalizer={"type": "Sequence", "normalizers": [
            {"type": "Nmt"}, {"type": "NFD"}, {"type": "StripAccents"}, {"type": "NFC"}, {"type": "Prepend", "prepend": "x"},
            {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}]},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": False}, {"type": "Punctuation", "behavior": "Contiguous"},
            {"type": "Split", "pattern": {"Regex": "[aeiou]+"}, "behavior": "MergedWithNext", "invert": False},
            metaspace("first")]})


def gemma_sources(texts, size):
    yield "gemma", gemma(texts, size)
    yield "gemma-unknown", gemma(texts, size, lost_bytes=[0xE2, 0xF0, 0x61], fuse_unk=False, ignore_merges=True)
    lost = gemma(texts, size, byte_fallback=False)
    lost["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, lost["normalizer"]]}
    yield "gemma-lower", lost


def sources(texts, size, rules=None):
    """Names and files."""
    yield from gemma_sources(texts, size)
    model = train_sentencepiece(texts, size, rules)
    yield "t5", unigram(model, extra=4)
    yield "t5-first", unigram(model, pre_tokenizer=metaspace("first"))
    yield "siglip", unigram(model, normalizer=siglip_normalizer(model), pre_tokenizer={
        "type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("always")]})
    yield "xlm-r", xlm_roberta(model)
    with_bytes = train_sentencepiece(texts, size + 256, rules, byte_fallback=True)
    file = unigram(with_bytes)
    file["model"]["byte_fallback"] = True
    yield "t5-bytes", file
    yield "other", other_parts(model)
    yield "roberta", roberta(texts, size)
    yield "roberta-spaced", roberta(texts, size, add_prefix_space=True, use_regex=False)
    yield "bert", bert(texts, size)
    yield "bert-cased", bert(texts, size, lowercase=False, handle_chinese_chars=False)
    yield "bert-accents", bert(texts, size, lowercase=False, strip_accents=True, clean_text=False)


def siglip_files(directory, model):
    """`spiece.model` and its configuration; the tokenizer that transformers makes of them."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "spiece.model").write_bytes(model.SerializeToString())
    flags = dict(lstrip=True, rstrip=True, normalized=False, single_word=False, special=True)
    config = {"tokenizer_class": "SiglipTokenizer", "do_lower_case": True, "model_max_length": 64,
              "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>", "sp_model_kwargs": {},
              "additional_special_tokens": [],
              "added_tokens_decoder": {str(i): {"content": t, **flags} for i, t in ((1, "</s>"), (2, "<unk>"))}}
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return SiglipTokenizer.from_pretrained(directory)


def write(directory, texts, encode):
    rows = [json.dumps({"text": text, "ids": encode(text)}) for text in texts]
    (directory / "ids.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


def write_all(root, train, texts, size, rules=None):
    for name, contents in sources(train, size, rules):
        directory = root / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tokenizer.json").write_text(json.dumps(contents, ensure_ascii=False), encoding="utf-8")
        reference = Tokenizer.from_file(str(directory / "tokenizer.json"))
        write(directory, texts, lambda text: reference.encode(text).ids)
        print(name, reference.get_vocab_size())
    for name, options in (("siglip-spiece", {}), ("siglip-symbols", dict(
            user_defined_symbols=["photo", "the c", "\u732b"], remove_extra_whitespaces=False))):
        reference = siglip_files(root / name, train_sentencepiece(train, size, rules, **options))
        write(root / name, texts, lambda text: reference(text, truncation=True, max_length=64).input_ids)
        print(name, len(reference))


def generate(root):
    """Write `tokenizer_parts/`."""
    corpus = (Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8").splitlines()
    train = [*corpus, *STRINGS]
    rng = random.Random(0)
    texts = [*STRINGS, *SIGLIP_SPECIALS, *(random_text(rng) for _ in range(120))]
    write_all(root / "tokenizer_parts", train, [text for text in texts if len(text) < 400], 600, charsmap_rules(STRINGS))


def main():
    directory = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    rng = random.Random(count)
    real = real_texts(sys.argv[3:]) or STRINGS
    rng.shuffle(real)
    texts = [*STRINGS, *SIGLIP_SPECIALS, *real[:4000], *(random_text(rng) for _ in range(count))]
    write_all(directory, [*STRINGS, *(text for text in real if len(text) < 2000)][:60000], texts, 8000)


if __name__ == "__main__":
    main()
