"""SAM 2.1 Hiera-L at its published size with random weights, for `cargo bench --bench monitor`: sam2_large.py CACHE

What is not the trunk is that of the Hiera-T that `sam2_peers.py` has made in the same cache.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

DIM, BLOCKS = 144, [2, 6, 36, 4]
TRUNK, NECK = "image_encoder.trunk.", "image_encoder.neck.convs."


def main() -> None:
    cache = Path(sys.argv[1])
    tiny = load_file(cache / "sam2.1-tiny" / "model.safetensors")
    tensors = {name: value for name, value in tiny.items() if not name.startswith((TRUNK, NECK))}
    random = np.random.default_rng(0)

    def add(name: str, *shape: int, mean: float = 0) -> None:
        std = 0.1 if len(shape) == 1 else np.prod(shape[1:]) ** -0.5
        values = mean + std * random.standard_normal(shape, np.float32)
        # Half the file; the model holds f32 all the same.
        tensors[name] = values.astype(np.float16)

    def linear(name: str, *shape: int) -> None:
        add(f"{name}.weight", *shape)
        add(f"{name}.bias", shape[0])

    def norm(name: str, dim: int) -> None:
        add(f"{name}.weight", dim, mean=1)
        add(f"{name}.bias", dim)

    add(f"{TRUNK}pos_embed", 1, DIM, 7, 7)
    add(f"{TRUNK}pos_embed_window", 1, DIM, 8, 8)
    linear(f"{TRUNK}patch_embed.proj", DIM, 3, 7, 7)
    dim, number = DIM, 0
    for stage, blocks in enumerate(BLOCKS):
        for block in range(blocks):
            name, inputs = f"{TRUNK}blocks.{number}.", dim
            if stage > 0 and block == 0:
                dim *= 2
                linear(f"{name}proj", dim, inputs)
            norm(f"{name}norm1", inputs)
            linear(f"{name}attn.qkv", 3 * dim, inputs)
            linear(f"{name}attn.proj", dim, dim)
            norm(f"{name}norm2", dim)
            linear(f"{name}mlp.layers.0", 4 * dim, dim)
            linear(f"{name}mlp.layers.1", dim, 4 * dim)
            number += 1
    for i in range(len(BLOCKS)):
        linear(f"{NECK}{i}.conv", 256, dim >> i, 1, 1)

    directory = cache / "sam2.1-large"
    directory.mkdir(exist_ok=True)
    save_file(tensors, directory / "model.safetensors")


if __name__ == "__main__":
    main()
