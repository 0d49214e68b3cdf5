"""Tiny CLIPs with random weights whose text towers are a BERT or RoBERTa, and MetaCLIP 2: stages, and strings to embeddings.

M-CLIP's program is no package that runs with transformers 5: its forward pass, a mean and a linear layer, is here.
"""

import json
from pathlib import Path

import open_clip
import torch
from open_clip import hf_model
from tokenizers import Tokenizer
from transformers import BertConfig, BertTokenizer, ChineseCLIPConfig, ChineseCLIPModel, MetaClip2Config, MetaClip2Model
from transformers import XLMRobertaConfig, XLMRobertaModel
from transformers.models.chinese_clip.image_processing_pil_chinese_clip import ChineseCLIPImageProcessorPil

from .clip import CLIP_MEAN, CLIP_STD, Recorder, write_weights
from .common import picture, seeded, write_json, write_tensors
from .towers import fill

EMBED = 20
KEYS = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size")
TEXTS = ["the cat", "a photo of Word, in the word 3", "and more of the dog on a photo than there is room for in a text of it"]
CHINESE = ["猫", "一只猫和两只狗的照片", "The CAT, 照片: unwanted 猫狗猫狗猫狗猫狗猫狗猫狗猫狗"]
VOCABULARY = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"，。：,.:", *"一二三只和的照片猫狗两大小", *"abcdefghijklmnopqrstuvwxyz",
              *("##" + c for c in "abcdefghijklmnopqrstuvwxyz"), "the", "cat", "un", "##want", "##ed", "photo"]


def tower(width: int, heads: int, layers: int, inner: int) -> dict:
    return dict(zip(KEYS, (width, heads, layers, inner)))


def texts_of(lengths: list[int], context: int, first: int, end: int, padding: int, size: int, name: str) -> torch.Tensor:
    """Random texts between two special tokens, with padding behind."""
    ids = torch.randint(6, size, (len(lengths), context), generator=seeded(name + ".ids"))
    for row, length in zip(ids, lengths):
        row[0], row[length - 1], row[length:] = first, end, padding
    return ids


def bert_stages(tower: torch.nn.Module, ids: torch.Tensor, padding: int, pooled, embed) -> dict:
    """Named stages of a BERT, of all tokens but padding."""
    stages, present = {}, ids != padding
    with Recorder(stages) as record:
        record("text.embeddings", tower.embeddings)
        for i, layer in enumerate(tower.encoder.layer):
            record(f"text.layers.{i}", layer)
        stages["text_embeds"] = embed(ids)
        hidden = tower(input_ids=ids, attention_mask=present.long())
    stages = {key: value[present] if value.dim() == 3 else value for key, value in stages.items()}
    return stages | {"input_ids": ids, "text.pooled": pooled(hidden, present)}


def mean(hidden, present: torch.Tensor) -> torch.Tensor:
    weights = present.float().unsqueeze(-1)
    return (hidden.last_hidden_state * weights).sum(1) / weights.sum(1)


def vision_stages(vision: torch.nn.Module, pixels: torch.Tensor, encode) -> dict:
    """Named stages of an image tower of transformers' CLIPs."""
    stages = {"pixels": pixels}
    with Recorder(stages) as record:
        record("vision.embeddings", vision.embeddings)
        record("vision.pre_layrnorm", vision.pre_layrnorm)
        for i, layer in enumerate(vision.encoder.layers):
            record(f"vision.layers.{i}", layer)
        record("vision.pooled", vision.post_layernorm)
        stages["image_embeds"] = encode(pixels)
    return stages


def original_stages(visual: torch.nn.Module, pixels: torch.Tensor, encode) -> dict:
    """Named stages of an image tower of OpenCLIP."""
    stages = {"pixels": pixels}
    visual.ln_pre.register_forward_pre_hook(lambda _, inputs: stages.update({"vision.embeddings": inputs[0]}))
    with Recorder(stages) as record:
        record("vision.pre_layrnorm", visual.ln_pre)
        for i, block in enumerate(visual.transformer.resblocks):
            record(f"vision.layers.{i}", block)
        record("norm", visual.ln_post)
        stages["image_embeds"] = encode(pixels)
    norm = stages.pop("norm")
    return stages | {"vision.pooled": norm if norm.dim() == 2 else norm[:, 0]}


def normalized(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def write_texts(directory: Path, texts: list[str], ids: list[list[int]], embeds: torch.Tensor) -> None:
    write_json(directory / "texts.json", {"texts": texts, "ids": ids})
    write_tensors(directory / "texts.safetensors", {"text_embeds_normalized": normalized(embeds)})


def write_stages(directory: Path, stages: dict) -> None:
    for key, value in stages.items():
        print(f"  {directory.name} {key} {list(value.shape)} rms {value.float().square().mean().sqrt():.2f}")
    write_tensors(directory / "golden.safetensors", stages)


def write_unigram(source: Path, directory: Path, size: int, length: int | None = None) -> Tokenizer:
    """The first `size` pieces of the tokenizer `source`, whose last one is its own."""
    file = json.loads(source.read_text())
    vocab, mask = file["model"]["vocab"], file["added_tokens"][-1]
    file["model"]["vocab"] = vocab[:size - 1] + [[mask["content"], 0.0]]
    mask["id"] = size - 1
    (directory / "tokenizer.json").write_text(json.dumps(file, ensure_ascii=False))
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>",
               "unk_token": "<unk>", "mask_token": "<mask>"}
    write_json(directory / "tokenizer_config.json", special | {
        "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": length or 512, "clean_up_tokenization_spaces": True})
    return Tokenizer.from_file(str(directory / "tokenizer.json"))


def write_chinese(directory: Path) -> None:
    """Chinese-CLIP in transformers."""
    name, image, positions = "chinese", 16, 32
    config = {
        "architectures": ["ChineseCLIPModel"], "initializer_factor": 1.0, "logit_scale_init_value": 2.6592,
        "model_type": "chinese_clip", "projection_dim": EMBED,
        "text_config": tower(32, 2, 2, 48) | {
            "attention_probs_dropout_prob": 0.1, "hidden_dropout_prob": 0.1, "directionality": "bidi", "pooler_fc_size": 768,
            "pooler_type": "first_token_transform", "model_type": "chinese_clip_text_model", "pad_token_id": 0,
            "type_vocab_size": 2, "vocab_size": len(VOCABULARY), "max_position_embeddings": positions},
        "vision_config": tower(32, 4, 1, 64) | {
            "dropout": 0.0, "image_size": image, "patch_size": 8, "model_type": "chinese_clip_vision_model"},
    }
    model = ChineseCLIPModel(ChineseCLIPConfig(**config)).eval().float()
    fill(model, name, torch.float16)
    directory.mkdir(parents=True, exist_ok=True)
    write_weights(directory / "model.safetensors", model.state_dict(), torch.float16)
    write_json(directory / "config.json", config)
    size = {"height": image, "width": image}
    write_json(directory / "preprocessor_config.json", {
        "do_center_crop": False, "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": CLIP_MEAN, "image_processor_type": "ChineseCLIPImageProcessor", "image_std": CLIP_STD, "resample": 3,
        "rescale_factor": 1 / 255, "size": size})
    (directory / "vocab.txt").write_text("".join(token + "\n" for token in VOCABULARY))

    def embed(ids: torch.Tensor) -> torch.Tensor:
        return model.get_text_features(input_ids=ids, attention_mask=(ids != 0).long()).pooler_output

    pixels = torch.randn(2, 3, image, image, generator=seeded(name + ".pixels"))
    ids = texts_of([3, 9, 14], 14, 3, 4, 0, len(VOCABULARY), name)
    stages = vision_stages(model.vision_model, pixels, lambda x: model.get_image_features(pixel_values=x).pooler_output)
    stages |= bert_stages(model.text_model, ids, 0, lambda hidden, _: hidden.last_hidden_state[:, 0], embed)
    write_stages(directory, stages | {"logit_scale": model.logit_scale})

    tokenizer = BertTokenizer.from_pretrained(directory)
    inputs = tokenizer(CHINESE, padding=True, return_tensors="pt")
    pictures = [picture("end-to-end.0", 75, 110, 3), picture("end-to-end.1", 50, 40, 3)]
    processor = ChineseCLIPImageProcessorPil.from_pretrained(directory)
    pixels = processor(pictures, return_tensors="pt").pixel_values
    out = model(pixel_values=pixels, input_ids=inputs.input_ids, attention_mask=inputs.attention_mask)
    write_json(directory / "texts.json", {"texts": CHINESE, "ids": tokenizer(CHINESE)["input_ids"]})
    write_tensors(directory / "texts.safetensors", {
        "image.0": pictures[0], "image.1": pictures[1], "pixels": pixels, "text_embeds_normalized": out.text_embeds,
        "image_embeds_normalized": out.image_embeds, "logits_per_image": out.logits_per_image})


def open_clip_model(name: str, text: dict, config, dtype: torch.dtype):
    """One of OpenCLIP's models, with a text tower of `config` where it would take one from the hub."""
    config_of, hf_model.AutoConfig.from_pretrained = hf_model.AutoConfig.from_pretrained, lambda _: config
    model_cfg = {"embed_dim": EMBED, "text_cfg": text,
                 "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "mlp_ratio": 2.0}}
    try:
        model = open_clip.CustomTextCLIP(EMBED, model_cfg["vision_cfg"], text | {"hf_model_pretrained": False}).eval()
    finally:
        hf_model.AutoConfig.from_pretrained = config_of
    fill(model, name, dtype)
    return model, model_cfg


def write_open_clip(directory: Path, model, model_cfg: dict, ids: torch.Tensor, padding: int, pooled, dtype) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_weights(directory / "open_clip_model.safetensors", model.state_dict(), dtype)
    preprocess = {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    write_json(directory / "open_clip_config.json", {"model_cfg": model_cfg, "preprocess_cfg": preprocess})
    pixels = torch.randn(2, 3, 16, 16, generator=seeded(directory.name + ".pixels"))
    stages = original_stages(model.visual, pixels, model.encode_image)
    stages |= bert_stages(model.text.transformer, ids, padding, pooled, model.encode_text)
    write_stages(directory, stages | {"logit_scale": model.logit_scale})


def write_xlm_roberta(directory: Path, tokenizers: Path) -> None:
    """XLM-R in OpenCLIP: the mean of all tokens through an MLP."""
    size, context = 100, 20
    config = XLMRobertaConfig(**tower(64, 1, 1, 64), vocab_size=size, max_position_embeddings=context + 2, type_vocab_size=1,
                              layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    text = {"hf_model_name": "xlm-roberta-base", "hf_tokenizer_name": "xlm-roberta-base", "hf_proj_type": "mlp",
            "hf_pooler_type": "mean_pooler"}
    model, model_cfg = open_clip_model("xlm-roberta", text, config, torch.float16)
    ids = texts_of([2, 7, 12], 12, 0, 2, 1, size - 1, "xlm-roberta")
    write_open_clip(directory, model, model_cfg, ids, 1, mean, torch.float16)
    write_unigram(tokenizers / "xlm-r/tokenizer.json", directory, size)
    ids = open_clip.tokenizer.HFTokenizer(str(directory), context_length=context)(TEXTS)
    write_texts(directory, TEXTS, [[i for i in row if i != 1] for row in ids.tolist()], model.encode_text(ids))


def write_bert(directory: Path) -> None:
    """BERT in OpenCLIP, with its own pooler and a matrix."""
    config = BertConfig(**tower(64, 1, 1, 64), vocab_size=90, max_position_embeddings=14)
    text = {"hf_model_name": "google-bert/bert-base-uncased", "hf_tokenizer_name": "bert-base-uncased", "hf_proj_type": "linear",
            "hf_pooler_type": "cls_pooler"}
    model, model_cfg = open_clip_model("bert", text, config, torch.bfloat16)
    ids = texts_of([3, 8, 12], 12, 3, 4, 0, 90, "bert")
    write_open_clip(directory, model, model_cfg, ids, 0, lambda hidden, _: hidden.pooler_output, torch.bfloat16)


def write_multilingual(directory: Path, tokenizers: Path) -> None:
    """M-CLIP: the mean of XLM-R's tokens through a linear layer."""
    size = 100

    class MultilingualCLIP(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = XLMRobertaModel(XLMRobertaConfig(
                **tower(64, 1, 1, 64), vocab_size=size, max_position_embeddings=64, type_vocab_size=1, layer_norm_eps=1e-5,
                pad_token_id=1, bos_token_id=0, eos_token_id=2))
            self.LinearTransformation = torch.nn.Linear(64, EMBED)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            present = ids != 1
            return self.LinearTransformation(mean(self.transformer(input_ids=ids, attention_mask=present.long()), present))

    model = MultilingualCLIP().eval()
    fill(model, "m-clip", torch.float16)
    directory.mkdir(parents=True, exist_ok=True)
    write_weights(directory / "model.safetensors", model.state_dict(), torch.float16)
    write_json(directory / "config.json", {
        "_name_or_path": "M-CLIP", "architectures": ["MultilingualCLIP"], "modelBase": "xlm-roberta-large",
        "model_type": "M-CLIP", "numDims": EMBED, "torch_dtype": "float32", "transformerDimensions": 64})
    tokenizer = write_unigram(tokenizers / "xlm-r/tokenizer.json", directory, size)
    ids = texts_of([2, 7, 12], 12, 0, 2, 1, size - 1, "m-clip")
    write_stages(directory, bert_stages(model.transformer, ids, 1, mean, model))
    rows = [tokenizer.encode(text).ids for text in TEXTS]
    longest = max(map(len, rows))
    padded = torch.tensor([row + [1] * (longest - len(row)) for row in rows])
    write_texts(directory, TEXTS, rows, model(padded))


def write_metaclip_2(directory: Path, tokenizers: Path) -> None:
    """MetaCLIP 2: token 2 ends a text, which others follow in number."""
    size, context, image = 100, 20, 16
    text = tower(32, 2, 2, 64) | {"vocab_size": size, "max_position_embeddings": context, "bos_token_id": 0, "eos_token_id": 2,
                                  "model_type": "metaclip_2_text_model", "projection_dim": EMBED}
    vision = tower(32, 4, 1, 64) | {"image_size": image, "patch_size": 8, "model_type": "metaclip_2_vision_model",
                                    "projection_dim": EMBED}
    config = {"architectures": ["MetaClip2Model"], "initializer_factor": 1.0, "logit_scale_init_value": 2.6592,
              "model_type": "metaclip_2", "projection_dim": EMBED, "text_config": text, "vision_config": vision}
    for part in (text, vision):
        part["hidden_act"] = "gelu"
    model = MetaClip2Model(MetaClip2Config(**config)).eval().float()
    fill(model, "metaclip2", torch.float16)
    directory.mkdir(parents=True, exist_ok=True)
    write_weights(directory / "model.safetensors", model.state_dict(), torch.float16)
    write_json(directory / "config.json", config)
    write_json(directory / "preprocessor_config.json", {
        "crop_size": {"height": image, "width": image}, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True,
        "do_rescale": True, "do_resize": True, "image_mean": CLIP_MEAN, "image_processor_type": "CLIPImageProcessor",
        "image_std": CLIP_STD, "resample": 3, "rescale_factor": 1 / 255, "size": {"shortest_edge": image}})
    pixels = torch.randn(2, 3, image, image, generator=seeded("metaclip2.pixels"))
    stages = vision_stages(model.vision_model, pixels, lambda x: model.get_image_features(pixel_values=x).pooler_output)
    ids = texts_of([3, 9, context], context, 0, 2, 1, size, "metaclip2")
    stages["input_ids"], tower_ = ids, model.text_model
    with Recorder(stages) as record:
        record("text.embeddings", tower_.embeddings)
        for i, layer in enumerate(tower_.encoder.layers):
            record(f"text.layers.{i}", layer)
        record("text.final_layer_norm", tower_.final_layer_norm)
        stages["text_embeds"] = model.get_text_features(input_ids=ids).pooler_output
    stages["text.pooled"] = stages["text.final_layer_norm"][torch.arange(3), (ids == 2).int().argmax(-1)]
    write_stages(directory, stages | {"logit_scale": model.logit_scale})
    tokenizer = write_unigram(tokenizers / "xlm-r/tokenizer.json", directory, size, context)
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(pad_id=1)
    rows = tokenizer.encode_batch(TEXTS)
    out = model.get_text_features(input_ids=torch.tensor([row.ids for row in rows])).pooler_output
    write_texts(directory, TEXTS, [[i for i in row.ids if i != 1] for row in rows], out)


def generate(root: Path) -> None:
    """Write `clip/chinese`, `clip/xlm-roberta`, `clip/bert`, `clip/m-clip` and `clip/metaclip2`."""
    with torch.no_grad():
        write_chinese(root / "clip/chinese")
        write_xlm_roberta(root / "clip/xlm-roberta", root / "tokenizer_parts")
        write_bert(root / "clip/bert")
        write_multilingual(root / "clip/m-clip", root / "tokenizer_parts")
        write_metaclip_2(root / "clip/metaclip2", root / "tokenizer_parts")
