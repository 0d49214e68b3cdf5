"""Writes the cases of CLIP's towers alone: tests/cases/clip/31-… and 32-…, with transformers 5.24.

Run from the repository's root. Pictures, preprocessing and tokenizer are those of other cases.
"""

import shutil
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

CASES = Path("tests/cases/clip")
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
EXPECTED = "{0}, which transformers 5 saves without a scope around its names: embed --raw {1} = its pooler_output {2}\n"


def save(model: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """Random weights, as the file has them."""
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.half().save_pretrained(folder)
    return model.float().eval()


@torch.no_grad()
def main() -> None:
    torch.manual_seed(5)
    folder = CASES / "31-vision-model-alone"
    model = save(CLIPVisionModel(CLIPVisionConfig(**SIZES, image_size=16, patch_size=8)), folder)
    for name in ["preprocessor_config.json", "picture.png"]:
        shutil.copy(CASES / "17-vision-only" / name, folder)
    picture = Image.open(folder / "picture.png").convert("RGB")
    inputs = CLIPImageProcessorPil.from_pretrained(folder)(picture, return_tensors="pt")
    values = [round(x, 4) for x in model(**inputs).pooler_output[0, :4].tolist()]
    (folder / "expected.txt").write_text(EXPECTED.format("CLIPVisionModel", "--image picture.png", values))

    folder = CASES / "32-text-model-alone"
    config = CLIPTextConfig(**SIZES, vocab_size=526, eos_token_id=525, bos_token_id=524)
    model = save(CLIPTextModel(config), folder)
    shutil.copy(CASES / "18-safetensors-metadata-null/tokenizer.json", folder)
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("the cat").ids
    values = [round(x, 4) for x in model(input_ids=torch.tensor([ids])).pooler_output[0, :4].tolist()]
    (folder / "expected.txt").write_text(EXPECTED.format("CLIPTextModel", "--text 'the cat'", values))


if __name__ == "__main__":
    main()
