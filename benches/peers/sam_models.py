"""SAM ViT-B and MobileSAM at their published sizes with random weights, and their parts as ONNX, in a cache.

torch is imported where it is used: the processes that measure the memory of other engines never load it.
"""

import importlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np

SIDE, GRID, DIM = 1024, 64, 256
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
# Inputs of the ONNX files, in order, and the dynamic axes among them.
INPUTS = {"encoder": {"pixels": {}}, "decoder": {"embedding": {}, "points": {1: "prompts"}}}
OUTPUTS = {"encoder": ["embedding"], "decoder": ["masks", "iou"]}


class VitB:
    """`facebook/sam-vit-base` as transformers builds it, in Hugging Face layout."""

    name, parts = "SAM ViT-B", ("encoder", "decoder")

    @staticmethod
    def build(source: Path | None):
        from transformers import SamConfig, SamModel

        return SamModel(SamConfig())

    @staticmethod
    def save(model, directory: Path) -> None:
        model.save_pretrained(directory, max_shard_size="100GB")
        (directory / "preprocessor_config.json").write_text(json.dumps({
            "image_processor_type": "SamImageProcessor", "do_resize": True, "resample": 2,
            "size": {"longest_edge": SIDE}, "do_pad": True, "pad_size": {"height": SIDE, "width": SIDE},
            "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "do_convert_rgb": True,
            "image_mean": MEAN.astype(float).round(3).tolist(),
            "image_std": STD.astype(float).round(3).tolist(),
        }))

    @staticmethod
    def load_encoder(directory: Path, source: Path | None):
        """pixels [1, 3, S, S] -> embedding [1, C, G, G]"""
        import torch

        class Encoder(torch.nn.Module):
            def __init__(self, sam):
                super().__init__()
                self.encoder = sam.vision_encoder

            def forward(self, pixels):
                return self.encoder(pixels)[0]

        return Encoder(VitB._load(directory))

    @staticmethod
    def load_decoder(directory: Path):
        """embedding [1, C, G, G], points [1, P, 1, 2] -> masks [1, P, 3, 4G, 4G], iou [1, P, 3]

        Every point is a prompt, and foreground. The positions of the picture's tokens do not depend on
        anything, and are computed once.
        """
        import torch

        class Decoder(torch.nn.Module):
            def __init__(self, sam):
                super().__init__()
                self.prompt_encoder, self.mask_decoder = sam.prompt_encoder, sam.mask_decoder
                self.register_buffer("positions", sam.get_image_wide_positional_embeddings())

            def forward(self, embedding, points):
                labels = torch.ones_like(points[..., 0], dtype=torch.int64)
                sparse, dense = self.prompt_encoder(points, labels, None, None)
                return self.mask_decoder(embedding, self.positions, sparse, dense, multimask_output=True)

        with torch.inference_mode():
            return Decoder(VitB._load(directory))

    @staticmethod
    def _load(directory: Path):
        import torch
        from transformers import SamModel

        return SamModel.from_pretrained(directory, dtype=torch.float32).eval()


class Mobile:
    """MobileSAM's TinyViT, built by the authors' package, in its own naming. Its decoder is SAM's."""

    name, parts = "MobileSAM", ("encoder",)

    @staticmethod
    def build(source: Path | None):
        if source is None:
            raise SystemExit("MobileSAM: --mobile-sam DIR names a checkout of github.com/ChaoningZhang/MobileSAM")
        if str(source) not in sys.path:
            sys.path.insert(0, str(source))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses timm by old names
            return importlib.import_module("mobile_sam.build_sam").build_sam_vit_t()

    @staticmethod
    def save(model, directory: Path) -> None:
        from safetensors.torch import save_file

        save_file({name: t.contiguous() for name, t in model.state_dict().items()},
                  directory / "model.safetensors")

    @staticmethod
    def load_encoder(directory: Path, source: Path | None):
        """pixels [1, 3, S, S] -> embedding [1, C, G, G]"""
        from safetensors.torch import load_file

        model = Mobile.build(source)
        model.load_state_dict(load_file(directory / "model.safetensors"))
        # Its attention copies its biases when it enters this mode.
        return model.image_encoder.train().eval()


MODELS = {"vit-b": VitB, "mobile": Mobile}


def model_directory(cache: Path, name: str, source: Path | None) -> Path:
    """Seeded random weights, made on first use."""
    directory = cache / name
    if (directory / "complete").exists():
        return directory
    import torch

    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = MODELS[name].build(source)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            # Not as the packages initialise: biases, positions and running means at 0, norms at 1 and
            # transformers' ViT at 1e-10 would hide every mistake.
            if key.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif "gaussian_matrix" in key or "positional_embedding" in key or "embed.weight" in key:
                value.normal_()
            elif value.dim() == 1 or "rel_pos" in key or "pos_embed" in key or "attention_biases" in key:
                value.add_(0.1 * torch.randn_like(value))
            elif value.dim() > 1:
                value.normal_(std=value[0].numel() ** -0.5)
    MODELS[name].save(model, directory)
    (directory / "complete").touch()
    return directory


def onnx_file(directory: Path, part: str) -> Path:
    """Where `export` leaves a part."""
    return directory / f"{part}.onnx"


def export(directory: Path, name: str, part: str, source: Path | None) -> None:
    """Writes a part as ONNX, unless it is there."""
    path = onnx_file(directory, part)
    if path.exists():
        return
    import torch

    if part == "encoder":
        module, example = MODELS[name].load_encoder(directory, source), (torch.zeros(1, 3, SIDE, SIDE),)
    else:
        module = MODELS[name].load_decoder(directory)
        example = torch.zeros(1, DIM, GRID, GRID), torch.zeros(1, 2, 1, 2)
    scratch = path.with_suffix(".partial")
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, example, str(scratch), input_names=list(INPUTS[part]), output_names=OUTPUTS[part],
            dynamic_axes={k: v for k, v in INPUTS[part].items() if v}, opset_version=17, dynamo=False)
    scratch.rename(path)


def embedding(directory: Path, name: str, source: Path | None) -> Path:
    """`picture()` as PyTorch encodes it, for the decoders, made on first use."""
    path = directory / "embedding.npy"
    if not path.exists():
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(pixels_of(picture()))
            tokens = MODELS[name].load_encoder(directory, source)(pixels).numpy()
        assert tokens.std(axis=(2, 3)).min() > 0.01, "an encoder that sees nothing"
        np.save(path, tokens)
    return path


def picture() -> np.ndarray:
    """u8 [S, S, 3] at the input size, so that preprocessing resizes nothing."""
    return np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def points(count: int) -> np.ndarray:
    """f32 [P, 2]: x and y of pixels of the picture; more points begin with the fewer."""
    return np.random.default_rng(2).integers(0, SIDE, (count, 2)).astype(np.float32)


def pixels_of(rgb: np.ndarray) -> np.ndarray:
    """transformers' rescale and normalise: f32 [1, 3, S, S]."""
    scaled = (rgb.astype(np.float64) * (1 / 255)).astype(np.float32)
    return np.ascontiguousarray(((scaled - MEAN) / STD).transpose(2, 0, 1)[None])
