#!/usr/bin/env python3
"""Golden files for Vitrum's tests, made with the reference implementations.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python make_golden.py [part …]      # no argument: all

Weights and inputs are seeded by name, so a rerun with the same versions writes the same bytes. The
tests read the committed files and never need Python. Tensors are in safetensors files, activations
f32 and row-major, images u8 [H, W, C].

clip/<name>/    a tiny CLIP with random weights, run in f32 on the weights as the file rounds them

    quickgelu-p32   F32, Hugging Face; eos_token_id 2 (argmax pooling); leftover position_ids
                    buffers; a complete directory with tokenizer.json, and end_to_end.*
    gelu-p14        F16, Hugging Face; head dims 24 and 20; first-eos pooling with higher ids before
                    the eos token and eos tokens as padding behind it; text MLP ratio 2.5
    quickgelu-p16   BF16, Hugging Face; head dims 20 and 16; golden_80x64: interpolated positions
    openclip-gelu   F16, OpenCLIP naming; shapes tell everything but the activation (heads = width/64)
    openclip-g14    BF16, OpenCLIP naming; head_width and mlp_ratio as in ViT-g-14, so the config is
                    needed; golden_42x56
    openai-naming   F16, OpenAI naming with its integer tensors input_resolution, context_length and
                    vocab_size; QuickGELU; no config file

    resnet-openai   F16, OpenAI naming: a ResNet image tower with statistics in its batch norms; the same
                    weights as TorchScript, model.pt
    resnet-openclip BF16, OpenCLIP naming; heads of 32 features, so the config is needed
    siglip          F16, transformers' SiglipModel; 48 pixels in patches of 14; golden_64x48
    siglip2         BF16, the same with a bilinear processor
    naflex          F16, transformers' Siglip2Model; at most 24 patches of 6, positions for 4 x 4; golden_<H>x<W> and golden: a
                    sequence padded to 24 patches and masked, without its padding; end_to_end: pixels.<i> of a size each
    pe-timm         F16, OpenCLIP naming with a tower of timm: PE-Core with a class token
    pe-timm-g       BF16, the same as PE-Core G: 16 heads, no class token
    pe-meta         F16, Meta's own naming and no configuration; golden_64x48
    pe-meta-g       F16, the same without a class token; golden_28x56
    mobileclip-s0-timm      F16, OpenCLIP naming with a FastViT of timm; folded/: branches folded by timm, F32
    mobileclip-s3-timm      F16, the same with five stages and layer norms
    mobileclip-b-timm       F16, OpenCLIP naming with a Vision Transformer of timm behind a stem of convolutions
    mobileclip-l-timm       BF16, OpenCLIP naming with a CLIP's Vision Transformer of timm
    mobileclip-s0-apple     F16, Apple's naming: a FastViT, and convolutions in the text tower
    mobileclip-b-apple      F16, Apple's naming: the Vision Transformer with a stem of convolutions
    eva-timm        F16, OpenCLIP naming with an EVA of timm: keys without bias
    eva02-timm      BF16, the same with an EVA-02: gated MLPs, norms within layers, rotary positions
    convnext-timm   F16, OpenCLIP naming with a ConvNeXt of timm and a text tower without prefix; a matrix projects
    convnext-d-timm BF16, the same; an MLP projects
    chinese         F16, Chinese-CLIP in transformers: a BERT for texts; vocab.txt; texts.*
    xlm-roberta     F16, OpenCLIP with an XLM-R for texts: the mean through an MLP; texts.*
    bert            BF16, OpenCLIP with a BERT for texts: its own pooler and a matrix
    m-clip          F16, M-CLIP: an XLM-R's mean through a linear layer, and no image tower; texts.*
    metaclip2       F16, MetaCLIP 2 in transformers: token 2 ends texts; texts.*
    tinyclip        F16, transformers: towers of different width and depth, config.json as transformers saves it
    metaclip        F16, transformers with QuickGELU, pytorch_model.bin
    laion           F16, the same weights in the naming of transformers and of OpenCLIP
    dfn             F16, OpenCLIP naming with QuickGELU, pictures are squeezed
    siglip-timm     F16, OpenCLIP naming of SigLIP with a Vision Transformer of timm

  weights           model.safetensors (Hugging Face, OpenAI), open_clip_model.safetensors (OpenCLIP)
  configuration     config.json and preprocessor_config.json, or open_clip_config.json, or nothing
  golden.safetensors
    pixels [B, 3, H, W]                         input of the image tower
    vision.embeddings [B, 1 + N, D]             patches and class token, positions added
    vision.pre_layrnorm, vision.layers.<i>      as named in the checkpoint; <i>: output of block i
    vision.pooled [B, D]                        post_layernorm of the class token
    image_embeds [B, E]                         projected, not normalised
    vision.stem, vision.layer<1..4> [B, H, W, C], vision.pooled [B, D]
                                                instead, of a ResNet: its maps, and what attention pools
    vision.post_layernorm [B, N, D]             of a SigLIP, before its head pools
    input_ids i64 [3, context]                  short, longer and full rows
    text.embeddings [3, context, D], text.layers.<i>, text.final_layer_norm
    text.pooled [3, D], text_embeds [3, E]      projected, not normalised
    text.embeddings, text.layers.<i> [n, D]     of a BERT: the tokens of all texts but padding
    vision.stem, vision.stages.<i>.downsample, vision.stages.<i>.blocks.<j> [B, H, W, C]
                                                instead, of a FastViT: its maps
    vision.pooled.even, vision.pooled.odd [B, C]  means of channels with even and with odd numbers
    text.mixers.<0, 1> [3, context, D]          blocks of convolutions before and after the layers
    logit_scale []                              as stored; logits use exp(logit_scale)
    logit_bias [1]                              of a SigLIP
    logits_per_image [B, 3]                     exp(logit_scale) * cosine
  golden_<H>x<W>.safetensors                    the vision stages for another input size: positions by
                                                bicubic interpolation, align_corners false, no antialias
  end_to_end.{safetensors,json}                 image.<i> u8, template and labels -> pixels, input_ids,
                                                {image,text}_embeds_normalized, logits_per_image,
                                                probabilities; of a SigLIP, from token ids

  texts.{safetensors,json}                      strings and their ids -> text_embeds_normalized; chinese: pictures, too

  ResNets are open_clip's models. For the other original namings, open_clip's model with the converted tensors is checked to agree.

sam_decoder/<name>/    a tiny SAM with random weights: prompt encoder and mask decoder

    huggingface     transformers' SamModel: 9x9 tokens, 4 heads, an IoU head of four layers; of its two
                    copies of the position frequencies only shared_image_embedding's is kept
    original        segment-anything's Sam: 17x17 tokens, 8 heads

  model.safetensors, config.json
  golden.safetensors
    embedding [N, C]                            an image embedding, random
    dense_pe [N, C]                             encodings of its places
    <prompt>.{points [n, 2], labels i64 [n], box [4], mask [4g, 4g], multimask i64 [1]}
                                                a prompt, see PROMPTS; absent parts are absent
    <prompt>.prompt.sparse, prompt.dense        embeddings of points and box, and of the mask
    <prompt>.decoder.layers.<i>.{tokens,image}  after layer i of the two-way transformer
    <prompt>.decoder.tokens                     after its last norm
    <prompt>.decoder.mask_weights [M, C / 8]    what the hypernetworks of the wanted masks make
    <prompt>.decoder.upscaled [4g, 4g, C / 8]   upscaled features
    <prompt>.decoder.masks [M, 4g, 4g], decoder.iou [M]
  Large stages are kept for the prompts "point" and "point-mask" only.

sam2_decoder/<name>/    tiny prompt encoders and mask decoders of SAM 2 with random weights

    huggingface         transformers' Sam2PromptEncoder and Sam2MaskDecoder: 9x9 tokens
    original            sam2's: 7x7 tokens, 5 heads
    original-linear     sam2's: 4x4 tokens, a linear object score head

  model.safetensors
  golden.safetensors    as in sam_decoder/, and
    s1 [(2g)^2, C / 4], s0 [(4g)^2, C / 8]      the image's larger maps, random
    <prompt>.stability.<i>.{options [2], masks, iou, replaced i64 [1]}
                                                single masks only: with dynamic_multimask_via_stability;
                                                delta and threshold, and whether another mask was taken
    objects.embeddings [3, N, C], objects.mask [4g, 4g]
    objects.{padding,mask}.{single,multi}.{masks, iou, object_score, tokens [3, 4, C]}
                                                three objects of one frame, each with its own features,
                                                prompted by a padding point, with or without a mask

sam2_memory/<name>/    the memory of a tiny SAM 2 with random weights, without the rest of the model

    original-2.1, original-2.0          sam2's SAM2Base; grids of 5 and 6; memories of 8 channels, and as wide
                                        as the features
    huggingface-2.1, huggingface-2.0    transformers' Sam2VideoModel; its memories have 64 channels

  model.safetensors, BF16
  golden.safetensors
    top [N, C]                                  features of a frame
    memory.<frame>.<object> [N, D]              as bfloat16 has them
    pointer.<frame>.<object> [C]
    <scene>.memories i64 [n, 2]                 frames attended to, and rows of their temporal encodings
    <scene>.pointers i64 [n, 2]                 frames, and their distances
    <scene>.memory_attention.layers.<i>.0       output of layer i for the first object
    <scene>.memory_attention.<object> [N, C]
    mask.<object> [16g, 16g]                    logits for the memory encoder
    soft, binary                                their probabilities, or whether they are positive
    <kind>.0.memory_encoder.{mask_downsampler,fuser.layers.<i>}
    <kind>.<object>.memory_encoder [N, D]       before rounding; the second object cannot be seen
    mask_prompt [4g, 4g]                        mask_downsample of the first mask's positive logits
    <seen>.{token,object_pointer} [C], score    visible and hidden: the decoder's token and its pointer

sam2_predictor/     whole small SAM 2s with random weights: input 128, padded windows, F16

    original/       Meta's naming and packages; huggingface/: transformers
  model.safetensors, config.json
  golden.json                   prompts by "<picture>.<kind>" as in sam_predictor/, with max_hole_area and
                                max_sprinkle_area
  golden.safetensors            as in sam_predictor/; low_res clamped to +-32; <picture>.pixels [3, 32, 128] are
                                rows 48 to 80 of the input, of transformers' resized by Pillow
  original/automatic.{png,json} records of SAM2AutomaticMaskGenerator, as in automatic/

tokenizer_parts/<name>/    small tokenizers with the structure of published files, trained on generators/corpus.txt and strings.py

    gemma…, siglip, t5…, xlm-r, bert…, roberta…, other    tokenizer.json; ids.json: texts with the ids of tokenizers
    siglip-spiece, siglip-symbols     spiece.model, tokenizer_config.json; ids.json: those of transformers'
                                      SiglipTokenizer, cut to 64

tokenizer/      a byte-level CLIP BPE of 914 tokens trained on generators/corpus.txt

    vocab.json + merges.txt, tokenizer.json, bpe_simple_vocab.txt     the same tokenizer three times
    tokens.json     context_length, and rows {"text", "ids"} from CLIPTokenizerFast:
                    untruncated         every string of generators/strings.py
                    truncated           those longer than the context, cut to it (end token kept)
                    original_differs    those to which OpenAI's simple tokenizer gives other ids;
                                        for information, the fast tokenizer is the reference
    tokens_openai.json                  the untruncated rows under the vocabulary of the published
                                        models (its merge list is not repeated here)
    cleaning.json   by open_clip's ways to clean, rows of damaged texts with the ids of OpenAI's simple tokenizer
    side_files.json                     texts, and rows of side files with the ids that transformers gives with them

  Where the original differs, and why:
    it runs ftfy first: curly quotes become straight, ligatures and full-width forms are folded,
      control characters (the vertical tab too), terminal escapes and byte-order marks disappear, and
      U+0085 becomes an ellipsis;
    it undoes HTML escapes twice (`&amp;lt;` becomes `<`);
    it lower-cases whole words, so a final capital sigma becomes the final form;
    it knows the special tokens in any case, but not within a run of punctuation;
    its contractions ignore case, so that the long s counts in 's.
  In the fast tokenizer ByteLevel applies its own pattern after CLIP's, which splits `<|ENDOFTEXT|>`,
  lower-cased and no longer taken as a special token, into `<|`, `endoftext`, `|>`.

sam_predictor/  a whole small SAM of segment-anything with random weights: input 96, patches of 8, padded windows

    model.safetensors           F32, Meta's naming
    golden.json                 prompts by "<picture>.<kind>", in pixels of the picture; "mask" names the kind
                                whose second low-resolution mask is fed back
    golden.safetensors          <picture>.image u8 [H, W, 3], <picture>.embedding [12, 12, 32], and of each
                                prompt: .iou [M], .low_res [M, 48, 48], of some .logits [1, H, W]

resize/

    pillow.safetensors          u8 resize by Pillow; input.<mode>.<w>x<h> and
                                <filter>.<mode>.<w>x<h>-<W>x<H>; mode rgb | l, filter nearest |
                                bilinear | bicubic; C is 3 or 1
    clip_preprocess.*           CLIPImageProcessor, PIL backend: <case>.input u8, <case>.crop u8 after
                                resize and centre crop, <case>.pixels f32 [3, h, w]; the .json holds
                                each case's preprocessor_config. Pixels are exactly
                                (f32(f64(v) * rescale_factor) - f32(mean)) / f32(std); a crop larger
                                than the resized picture is filled with zeros before this
    interpolate.safetensors     torch.nn.functional.interpolate, align_corners false: input.<C>x<H>x<W>
                                and <mode>.<plain|antialias>.<C>x<H>x<W>-<h>x<w>; bilinear | bicubic

sam_encoder/<name>/     a tiny SAM with random weights, run in f32 on the weights as the file rounds them

    vit-original        F32, Meta naming; windows of 4 in a grid of 10 (padded), one global block
    vit-huggingface     F16, Hugging Face; head dim 20; its global blocks come first and last
    slim-huggingface    BF16, Hugging Face; widths of a pruned model: head dim 14, MLP of 58
    slim-original       F16, Meta naming; blocks differ in head dim and MLP, QKV is no multiple of the
                        width
    tiny-vit            F16, MobileSAM; needs a checkout of its repository, named by MOBILE_SAM;
                        batch norms not folded; windows with and without padding

  model.safetensors, and config.json (Hugging Face)
  golden_<S>.safetensors                        for an input of S × S pixels; other sizes than the
                                                checkpoint's have interpolated positions
    pixels [3, S, S]
    image_encoder.patch_embed [H, W, D]         with absolute positions; of TinyViT: the stem
    image_encoder.blocks.<i> [H, W, D]          output of block i
    image_encoder.layers.<i>.blocks.<j>, image_encoder.layers.<i>.downsample
                                                TinyViT's stages, [H, W, D] or [H * W, D]
    image_encoder.neck [H, W, C]                the image embedding

sam2_encoder/<name>/    a tiny image encoder of SAM 2 with random weights, run in f32 on the weights as the file rounds them

    original            F16, Meta naming; padded windows, also where the grid is reduced; the published
                        neck: one level takes the coarsest, which is dropped
    huggingface         BF16, Hugging Face; head dims 6, 15, 8 and 22; every level takes the coarser one
    lateral             F32, Hugging Face; no level does

  model.safetensors, config.json
  golden_<S>.safetensors                        for an input of S x S pixels
    pixels [3, S, S]
    image_encoder.trunk.patch_embed [H, W, D]   with position embeddings
    image_encoder.trunk.blocks.<i> [H, W, D]    output of block i
    image_encoder.neck.top [g, g, C]            the image embedding
    image_encoder.neck.s1 [2g, 2g, C / 4]       the finer levels after the mask decoder's conv_s1 and
    image_encoder.neck.s0 [4g, 4g, C / 8]       conv_s0
  published.json    names and shapes of the tensors of Meta's SAM 2 checkpoints by size, and "added": those of 2.1

automatic/      segment-anything's SamAutomaticMaskGenerator; records with COCO run lengths

    random.json, random.png     the model of sam_predictor/
    trained.json                demo/sam-nano on demo/images/garden-scene-3d.png, with and without crops
                                and removal of small regions; to be made again when that model changes

tracker/        small SAM 2s of the sam2 package with random weights that follow objects through a video of 22 frames of
                84 x 60 pixels, which tests and generator draw alike; sizes are odd against the input of 128

    scenarios.json              what a user does: clicks, boxes, masks (discs: x, y, radius), propagation ("most": frames
                                after the first), clearing, removal; which cases play it, and options
    selection.txt               what frames attend to, by SAM2Base._prepare_memory_conditioned_features: rules (memories,
                                stride, conditioning frames, pointers, only of the past, signed, frames); frame;
                                backward; conditioning frames; tracked frames -> memories (frame:row of
                                maskmem_tpos_enc) and pointers (frame:encoded distance)
    sam2.0/, sam2.1/            model.safetensors (F16, Meta's naming), config.json, and of each scenario
      <scenario>.safetensors    results in the order in which they come, by SAM2VideoPredictor with small holes filled
                                (non-overlap-memory: its legacy variant, which sees all objects together)
        frames i64 [n, 2]       frame and object; scores [n]: object scores
        logits [n, 8, 8]        every fourth of the 32 x 32 low-resolution logits, in both directions
        largest [n]             the largest absolute of all of them
        signs u8 [n, 128]       which of them are positive, a bit each, the first in the highest bit

torch/          checkpoints as PyTorch writes them

    sample.safetensors          every data type and kind of view; as sample.pt and sample-protocol-5.pt (zip),
                                sample-legacy.pth and sample-legacy-protocol-4.pth (before PyTorch 1.6)
    model.safetensors           a module; its state dict in training.pth and nested.ckpt, its TorchScript in
                                traced.pt and scripted.pt (in legacy files, TorchScript and sets a rerun
                                changes bytes: keys are addresses, names are counted)
    whole-model.pt, sparse.pt, quantized.pt, meta.pt, negated.pt, list.pt     what is refused

  torch_cases   the checkpoints of ../cases/clip/30-openai-torchscript and ../cases/sam/30-meta-pth

masks/          after the mask decoder

    masks.json                  masks: run lengths (pycocotools' string; Meta's counts), area, boxes;
                                overlaps of two of them; regions: remove_small_regions (null:
                                unchanged); nms: batched_nms; upscaled: mask, box and stability score
                                of the logits `full`
    upscale.safetensors         Sam.postprocess_masks: low.<case> and logits.<case>, where the case is
                                <side of the logits>-<side of the model's input>.<resized picture>-
                                <picture>, height first; full: u8, logits (v - 128) / 8
"""

import argparse
from pathlib import Path

import torch

from generators import (
    automatic,
    cleaning,
    clip,
    clip_resnet,
    masks,
    naflex,
    relatives,
    resize,
    sam2_decoder,
    sam2_encoder,
    sam2_memory,
    sam2_predictor,
    sam_decoder,
    sam_encoder,
    sam_predictor,
    siglip,
    text_towers,
    tokenizer,
    tokenizer_files,
    tokenizer_parts,
    torch_cases,
    torch_files,
    towers,
    tracker,
)

# In this order: a CLIP directory contains the tokenizer.
GENERATORS = {
    "tokenizer": tokenizer,
    "cleaning": cleaning,
    "tokenizer_files": tokenizer_files,
    "tokenizer_parts": tokenizer_parts,
    "resize": resize,
    "masks": masks,
    "clip": clip,
    "clip_resnet": clip_resnet,
    "siglip": siglip,
    "naflex": naflex,
    "towers": towers,
    "text_towers": text_towers,
    "relatives": relatives,
    "sam_encoder": sam_encoder,
    "sam_decoder": sam_decoder,
    "sam2_decoder": sam2_decoder,
    "sam2_predictor": sam2_predictor,
    "sam_predictor": sam_predictor,
    "sam2_encoder": sam2_encoder,
    "sam2_memory": sam2_memory,
    "automatic": automatic,
    "tracker": tracker,
    "torch": torch_files,
    "torch_cases": torch_cases,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(GENERATORS))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(GENERATORS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    # Sums depend on the number of threads.
    torch.set_num_threads(1)
    for name, generator in GENERATORS.items():
        if not arguments.parts or name in arguments.parts:
            print(name)
            generator.generate(arguments.output)


if __name__ == "__main__":
    main()
