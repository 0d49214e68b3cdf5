"""CLIP models at their published sizes with random weights, and their towers as ONNX, in a cache."""

import gzip
import json
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
PAGE = Path(__file__).parents[1] / "page"


@dataclass(frozen=True)
class Size:
    """A published size; towers as (width, heads, layers)."""

    name: str
    image: int
    patch: int
    vision: tuple[int, int, int]
    text: tuple[int, int, int]
    embed: int
    context = 77
    mean, std = MEAN, STD

    def config(self) -> CLIPConfig:
        def tower(width, heads, layers):
            return {"hidden_size": width, "num_attention_heads": heads,
                    "num_hidden_layers": layers, "intermediate_size": 4 * width,
                    "projection_dim": self.embed}

        return CLIPConfig(
            projection_dim=self.embed,
            vision_config=tower(*self.vision) | {"image_size": self.image, "patch_size": self.patch},
            text_config=tower(*self.text) | {"vocab_size": 49408, "eos_token_id": 2},
        )


@dataclass(frozen=True)
class Other:
    """A model of docs/models.md that is no CLIP of transformers, as its recipe there says."""

    name: str
    image: int
    context: int
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    words: bool = False  # Its tokenizer is not at hand; one that knows the words of `prompts` stands for it.

    def recipe(self) -> dict:
        models = json.loads((PAGE / "models.json").read_text())
        return next(model["recipe"] for model in models if model["name"] == self.name)


SIZES = {
    size.name: size for size in (
        Size("B/32", 224, 32, (768, 12, 12), (512, 8, 12), 512),
        Size("B/16", 224, 16, (768, 12, 12), (512, 8, 12), 512),
        Size("L/14", 224, 14, (1024, 16, 24), (768, 12, 12), 768),
    )
}
OTHERS = {
    other.name: other for other in (
        Other("CLIP RN50", 224, 77),
        Other("SigLIP B/16", 224, 64, (0.5,) * 3, (0.5,) * 3, words=True),
        Other("PE-Core B/16", 224, 32, (0.5,) * 3, (0.5,) * 3),
        Other("MobileCLIP 2 S0", 256, 77, (0.0,) * 3, (1.0,) * 3),
    )
}


class ImageTower(torch.nn.Module):
    """pixels [B, 3, S, S] -> image_embeds [B, E], not normalised."""

    def __init__(self, clip: CLIPModel):
        super().__init__()
        self.model, self.projection = clip.vision_model, clip.visual_projection

    def forward(self, pixels):
        return self.projection(self.model(pixels).pooler_output)


class TextTower(torch.nn.Module):
    """ids [B, 77] -> text_embeds [B, E], not normalised."""

    def __init__(self, clip: CLIPModel):
        super().__init__()
        self.model, self.projection = clip.text_model, clip.text_projection

    def forward(self, ids):
        return self.projection(self.model(ids).pooler_output)


class OtherTower(torch.nn.Module):
    """A tower of open_clip, or of transformers' SiglipModel, not normalised."""

    def __init__(self, embed):
        super().__init__()
        self.model, self.embed = embed.__self__, embed

    def forward(self, inputs):
        output = self.embed(inputs)
        return output if isinstance(output, torch.Tensor) else output.pooler_output


TOWERS = {"image": ImageTower, "text": TextTower}


def model_directory(cache: Path, size: Size | Other) -> Path:
    """A directory with seeded random weights, made on first use."""
    directory = cache / size.name.replace("/", "").replace(" ", "-").lower()
    if (directory / "complete").exists():
        return directory
    if isinstance(size, Other):
        recipe = json.dumps(size.recipe())
        subprocess.run([sys.executable, str(PAGE / "weights.py"), recipe, str(directory)], check=True)
        (directory / "recipe.json").write_text(recipe)
        (write_words if size.words else write_tokenizer)(directory)
        (directory / "complete").touch()
        return directory
    torch.manual_seed(0)
    model = CLIPModel(size.config())
    with torch.no_grad():
        for p in model.parameters():
            # transformers starts biases at 0 and layer norms at 1, where a mistake hides.
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(directory, max_shard_size="100GB")
    write_tokenizer(directory)
    write_preprocessor(directory, size)
    (directory / "complete").touch()
    return directory


def write_tokenizer(directory: Path) -> None:
    """`vocab.json` and `merges.txt` of the published models, from the copy inside open_clip."""
    from open_clip.tokenizer import bytes_to_unicode, default_bpe

    lines = gzip.open(default_bpe()).read().decode("utf-8").split("\n")[1:49152 - 256 - 2 + 1]
    single = list(bytes_to_unicode().values())
    tokens = single + [c + "</w>" for c in single] + ["".join(line.split()) for line in lines]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (directory / "vocab.json").write_text(
        json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    (directory / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8")


def write_words(directory: Path) -> None:
    """A `tokenizer.json` like SigLIP's, a piece for each of `WORDS`."""
    pieces = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], *(["\u2581" + word, -1.0] for word in WORDS)]
    tokens = [{"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
               "special": True} for id, (content, _) in enumerate(pieces[:3])]
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    end = {"SpecialToken": {"id": "</s>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    (directory / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": None,
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "post_processor": {"type": "TemplateProcessing", "single": [text, end], "pair": [text, end],
                           "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False}}), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>"}))


def write_preprocessor(directory: Path, size: Size) -> None:
    (directory / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "resample": 3,
        "size": {"shortest_edge": size.image}, "do_center_crop": True,
        "crop_size": {"height": size.image, "width": size.image}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "do_convert_rgb": True,
        "image_mean": MEAN, "image_std": STD,
    }))


def load_tower(directory: Path, tower: str) -> torch.nn.Module:
    """The PyTorch tower; of a CLIP of transformers the other one is dropped."""
    if (directory / "recipe.json").exists():
        return load_other(directory, tower)
    model = CLIPModel.from_pretrained(directory, dtype=torch.float32).eval()
    return TOWERS[tower](model)


def load_other(directory: Path, tower: str) -> torch.nn.Module:
    """The PyTorch tower of an `Other`."""
    recipe = json.loads((directory / "recipe.json").read_text())
    if recipe["program"] == "transformers":
        from transformers import SiglipModel

        model = SiglipModel.from_pretrained(directory, dtype=torch.float32).eval()
        return OtherTower({"image": model.get_image_features, "text": model.get_text_features}[tower])
    import open_clip
    from safetensors.torch import load_file

    model = open_clip.create_model(recipe["config"], load_weights=False).eval()
    model.load_state_dict(load_file(directory / "open_clip_model.safetensors"))
    return OtherTower({"image": model.encode_image, "text": model.encode_text}[tower])


def onnx_file(directory: Path, tower: str, example: np.ndarray) -> Path:
    """The tower with a dynamic batch, exported on first use."""
    path = directory / f"{tower}.onnx"
    if not path.exists():
        name = {"image": "pixels", "text": "ids"}[tower]
        scratch = path.with_suffix(".partial")
        # ONNX has no operator for the fused attention of `torch.nn.MultiheadAttention`.
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                load_tower(directory, tower), (torch.from_numpy(example),), str(scratch),
                input_names=[name], output_names=["embeds"], dynamic_axes={name: {0: "batch"}},
                opset_version=17, dynamo=False)
        torch.backends.mha.set_fastpath_enabled(True)
        scratch.rename(path)
    return path


def images(size: Size | Other, count: int, block: int = 1) -> np.ndarray:
    """u8 pictures [count, S, S, 3] at the input size, so that preprocessing resizes nothing: squares of `block` pixels
    in random colours."""
    squares = -(-size.image // block)
    colours = np.random.default_rng(1).integers(0, 256, (count, squares, squares, 3), np.uint8)
    return np.ascontiguousarray(colours.repeat(block, 1).repeat(block, 2)[:, : size.image, : size.image])


def pixels_of(size: Size | Other, pictures: np.ndarray) -> np.ndarray:
    """transformers' rescale and normalise: f32 [B, 3, S, S]."""
    scaled = (pictures.astype(np.float64) * (1 / 255)).astype(np.float32)
    mean, std = np.array(size.mean, np.float32), np.array(size.std, np.float32)
    return np.ascontiguousarray(((scaled - mean) / std).transpose(0, 3, 1, 2))


WORDS = "cat dog bird house tree car boat river mountain city street table chair cup".split()


def prompts(size: Size | Other, count: int) -> list[str]:
    """Texts of as many one-token words as fill the context, so that nobody can skip padding."""
    rng = np.random.default_rng(2)
    framed = 1 if getattr(size, "words", False) else 2
    return [" ".join(rng.choice(WORDS, size.context - framed)) for _ in range(count)]


def ids_of(size: Size | Other, directory: Path, texts: list[str]) -> np.ndarray:
    """i64 [B, context] by the tokenizer of the directory."""
    from tokenizers import Tokenizer
    from transformers import CLIPTokenizer

    if getattr(size, "words", False):
        ids = [row.ids for row in Tokenizer.from_file(str(directory / "tokenizer.json")).encode_batch(texts)]
    else:
        ids = CLIPTokenizer.from_pretrained(directory)(texts).input_ids
    assert all(len(row) == size.context for row in ids), [len(row) for row in ids]
    return np.array(ids, np.int64)
