"""Side files of tokenizers, and the ids that transformers gives with them."""

import json
import shutil
import tempfile
from pathlib import Path

from transformers import AutoTokenizer

TEXTS = ["a CAT <cat> <CAT> <dog>", "hey! <|endoftext|> b", "<|STARTOFTEXT|><sks> a<SKS>", "a b c d e f g"]
CLIP = {"tokenizer_class": "CLIPTokenizer"}
SOURCES = {"tokenizer.json": ["tokenizer.json"], "lists": ["vocab.json", "merges.txt"]}


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False,
            "special": False} | flags


START = token("<|startoftext|>", special=True)
END = token("<|endoftext|>", special=True)
SPECIALS = {"912": START, "913": END}


def config(**keys):
    return {"tokenizer_config.json": CLIP | keys}


CASES = {
    "nothing": {},
    "added_tokens.json": {"added_tokens.json": {"<cat>": 914, "<dog>": 915}},
    "added_tokens_decoder": config(added_tokens_decoder=SPECIALS | {"914": token("<cat>")}),
    "its flags": config(added_tokens_decoder={"912": START | {"normalized": True}, "913": END,
                                              "914": token("<cat>", normalized=True)}),
    "it stands for added_tokens.json": config(added_tokens_decoder=SPECIALS | {"914": token("<cat>")})
    | {"added_tokens.json": {"<dog>": 914}},
    "it stands for special_tokens_map.json": config(added_tokens_decoder=SPECIALS)
    | {"special_tokens_map.json": {"pad_token": "!"}},
    "it has no special tokens": config(added_tokens_decoder={"914": token("<cat>")}),
    "it has a token of the vocabulary": config(added_tokens_decoder=SPECIALS | {"0": token("!", special=True)},
                                               pad_token="!"),
    "extra_special_tokens": config(extra_special_tokens=["<sks>"]),
    "additional_special_tokens": config(additional_special_tokens=["<sks>", "<cat>"]),
    "additional in the map": {"special_tokens_map.json": {"additional_special_tokens": ["<sks>"]}},
    "pad_token in the vocabulary": config(pad_token="!"),
    "pad_token in the map": {"special_tokens_map.json": {"pad_token": token("!")}},
    "new pad_token": config(pad_token="<dog>"),
    "bos_token and eos_token": config(bos_token="a</w>", eos_token="b</w>"),
    "model_max_length": config(model_max_length=5),
    "no model_max_length": config(model_max_length=int(1e30)),
    "split_special_tokens": config(split_special_tokens=True),
    "what changes nothing": config(do_lower_case=False, add_prefix_space=True, add_bos_token=False,
                                   add_eos_token=False, errors="strict", strip_accents=True,
                                   clean_up_tokenization_spaces=True),
    "CLIPTokenizerFast": {"tokenizer_config.json": {"tokenizer_class": "CLIPTokenizerFast"}},
}
AS_IS = {"tokenizer_class": "PreTrainedTokenizerFast"}
CASES_AS_IS = {
    "as it is": {"tokenizer_config.json": AS_IS},
    "as it is, bos_token": {"tokenizer_config.json": AS_IS | {"bos_token": "a</w>", "pad_token": "!"}},
    "as it is, added": {"tokenizer_config.json": AS_IS | {"added_tokens_decoder": SPECIALS | {"914": token("<cat>")}}},
    "as it is, added_tokens.json": {"tokenizer_config.json": AS_IS, "added_tokens.json": {"<cat>": 914}},
}


def row(root, name, source, files):
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        for file in SOURCES[source]:
            shutil.copy(root / "tokenizer" / file, directory)
        for file, value in ({"config.json": {"model_type": "clip"}} | files).items():
            (directory / file).write_text(json.dumps(value))
        tokenizer = AutoTokenizer.from_pretrained(directory)
        ids = [tokenizer(text, truncation=True, max_length=min(77, tokenizer.model_max_length)).input_ids
               for text in TEXTS]
        return {"name": name, "source": source, "files": files, "ids": ids,
                "padding": tokenizer.pad_token_id, "size": len(tokenizer)}


def generate(root: Path) -> None:
    """Write `tokenizer/side_files.json`."""
    rows = [row(root, name, source, files) for source in SOURCES for name, files in CASES.items()]
    rows += [row(root, name, "tokenizer.json", files) for name, files in CASES_AS_IS.items()]
    body = ",\n".join(json.dumps(one) for one in rows)
    text = f'{{\n"texts": {json.dumps(TEXTS)},\n"rows": [\n{body}\n]\n}}\n'
    (root / "tokenizer" / "side_files.json").write_text(text)
