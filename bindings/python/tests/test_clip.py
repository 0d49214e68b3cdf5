"""CLIP: loading, embedding, comparing, and what is refused."""

import copy
import pickle

import numpy as np
import pytest

import vitrum

LABELS = ["octopus", "squid", "bicycle", "strawberry"]
NAMES = ["octopus-3d", "bicycle-3d", "strawberry-3d"]


@pytest.fixture(scope="module")
def pictures(demo):
    return [demo / f"images/{name}.png" for name in NAMES]


def test_classify_is_a_softmax_over_similarities(clip, pictures):
    images = clip.encode_images(pictures)
    texts = clip.encode_texts([f"a photo of a {label}" for label in LABELS])
    logits = clip.similarity(images, texts)
    assert logits.shape == (3, 4) and logits.dtype == np.float32
    assert np.allclose(logits, clip.logit_scale * images @ texts.T, atol=1e-4)
    assert clip.logit_bias == pytest.approx(0, abs=1e-6) and not clip.has_independent_probabilities
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for path, expected in zip(pictures, probabilities):
        got = clip.classify(path, LABELS)
        assert got.shape == (4,) and got.sum() == pytest.approx(1)
        assert np.allclose(got, expected, atol=1e-5)
    assert np.allclose(clip.classify(pictures[0], LABELS, "{}, drawn").sum(), 1)
    assert not np.allclose(clip.classify(pictures[0], LABELS, "{}, drawn"), probabilities[0])


def test_normalized_or_not(clip, pictures):
    raw = clip.encode_images(pictures, normalize=False)
    unit = clip.encode_images(pictures)
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert np.allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), unit, atol=1e-5)
    words = clip.encode_texts(LABELS, False)
    assert np.allclose(clip.similarity(raw, words), clip.similarity(unit, clip.encode_texts(LABELS)), atol=1e-4)


def test_one_text_many_texts(clip):
    many = [f"{label} number {i}" for i in range(30) for label in LABELS]
    embeddings = clip.encode_texts(iter(many))
    assert embeddings.shape == (120, clip.embed_dim)
    for i in (0, 63, 64, 119):
        assert np.allclose(clip.encode_texts(many[i])[0], embeddings[i], atol=1e-6)
    assert clip.similarity(embeddings[0], embeddings[1]).shape == (1, 1)


def test_tokens(clip):
    tokens = clip.tokenize("an octopus")
    start, end = clip.tokenize("").tolist()
    assert tokens.dtype == np.uint32 and (tokens[0], tokens[-1]) == (start, end) and len(tokens) > 3
    assert len(clip.tokenize("word " * 100)) == len(clip.tokenize("word " * 200)) < 100
    assert len(clip.tokenize("Ein Café 🐙")) > 4


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda c: c.encode_texts([]), ValueError, "texts: there are none"),
        (lambda c: c.encode_texts(["a", 3]), TypeError, r"texts\[1\]: a str is needed, not int"),
        (lambda c: c.encode_texts(["a\0b"]), ValueError, r"texts\[0\]: .* NUL"),
        (lambda c: c.classify(np.zeros((9, 9), np.uint8), []), ValueError, "label"),
        (lambda c: c.classify(np.zeros((9, 9), np.uint8), ["a", " "]), ValueError, "label"),
        (lambda c: c.classify(np.zeros((9, 9), np.uint8), "cat"), TypeError, "labels: a list"),
        (lambda c: c.classify(np.zeros((9, 9), np.uint8), ["a"], "no place"), ValueError, "{}"),
        (
            lambda c: c.similarity(np.zeros((2, 7)), np.zeros((2, c.embed_dim))),
            ValueError,
            r"images: .* \[n, \d+\], not \(2, 7\)",
        ),
        (lambda c: c.similarity(np.zeros((2, c.embed_dim)), np.zeros((0, c.embed_dim))), ValueError, "texts: "),
        (lambda c: c.similarity(np.zeros((1, 2, c.embed_dim)), np.zeros((1, c.embed_dim))), ValueError, "images: "),
    ],
)
def test_what_is_refused(clip, use, error, message):
    with pytest.raises(error, match=message):
        use(clip)


def test_weights_in_other_formats(clip, demo, pictures):
    reference = clip.encode_images(pictures)
    sizes = {}
    for weights in ("f32", "f16", "bf16", "int8", "q4"):
        model = vitrum.Clip(demo / "clip-nano", weights=weights)
        sizes[weights] = model.memory_bytes
        cosines = (model.encode_images(pictures) * reference).sum(axis=1)
        assert cosines.min() > (0.9 if weights == "q4" else 0.99), weights
    assert sizes["f32"] == clip.memory_bytes > sizes["f16"] == sizes["bf16"] > sizes["int8"] > sizes["q4"]
    with pytest.raises(ValueError, match="weights: one of .*'q4', not 'q8'"):
        vitrum.Clip(demo / "clip-nano", weights="q8")


def test_options_of_loading(clip, demo, pictures):
    expected = clip.encode_images(pictures)
    for options in ({"mmap": True}, {"in_place": True}, {"lenient": True}, {"activation": "quick_gelu"}):
        assert np.array_equal(vitrum.Clip(demo / "clip-nano", **options).encode_images(pictures), expected)
    other = vitrum.Clip(str(demo / "clip-nano"), activation="gelu").encode_images(pictures)
    assert not np.allclose(other, expected)
    with pytest.raises(ValueError, match="activation"):
        vitrum.Clip(demo / "clip-nano", activation="relu")
    assert clip.warnings == []
    with pytest.raises(TypeError):
        vitrum.Clip(demo / "clip-nano", "int8")  # Options have names.


def test_from_files(clip, demo, pictures):
    files = {path.name: path.read_bytes() for path in (demo / "clip-nano").iterdir()}
    names = ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors")
    model = vitrum.Clip.from_files({name: files[name] for name in names})
    assert np.array_equal(model.encode_images(pictures), clip.encode_images(pictures))
    assert np.array_equal(model.encode_texts(LABELS), clip.encode_texts(LABELS))
    views = {name: memoryview(bytearray(files[name])) for name in names}
    assert vitrum.Clip.from_files(views).embed_dim == clip.embed_dim
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(model)
    with pytest.raises(ValueError):
        vitrum.Clip.from_files({})
    with pytest.raises(ValueError):
        vitrum.Clip.from_files({name: files[name] for name in ("config.json", "README.md")})
    del files["tokenizer.json"], names
    with pytest.raises(vitrum.Error):
        vitrum.Clip.from_files({"model.safetensors": files["model.safetensors"][:-9]})


def test_models_that_cannot_be_loaded(demo, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        vitrum.Clip(tmp_path / "nothing")
    assert isinstance(caught.value, vitrum.NotFoundError)
    assert caught.value.code == vitrum.Status.NOT_FOUND and caught.value.errno == 2
    assert "nothing" in caught.value.message == str(caught.value)
    with pytest.raises(vitrum.Error) as caught:
        vitrum.Clip(demo / "sam-nano")
    assert caught.value.code in (vitrum.Status.UNSUPPORTED, vitrum.Status.CONFIG, vitrum.Status.MISSING_TENSOR)
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((demo / "clip-nano" / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\x09\0\0\0\0\0\0\0no json!")
    with pytest.raises(vitrum.ModelError) as caught:
        vitrum.Clip(tmp_path)
    assert isinstance(caught.value, ValueError) and caught.value.code == vitrum.Status.FORMAT
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.code, again.message) == (vitrum.ModelError, caught.value.code, str(caught.value))
    with pytest.raises(TypeError):
        vitrum.Clip(7)


def test_close(demo):
    with vitrum.Clip(demo / "clip-nano") as clip:
        assert f"{clip.memory_bytes / 1e6:.1f} MB" in repr(clip) and "clip-nano" in repr(clip)
    clip.close()
    assert "closed" in repr(clip)
    for use in (lambda: clip.embed_dim, lambda: clip.encode_texts("a"), lambda: clip.warnings):
        with pytest.raises(ValueError, match="this clip is closed"):
            use()


def test_models_are_not_copied_but_pickle_as_their_path(clip, demo, pictures, monkeypatch, tmp_path):
    assert copy.copy(clip) is clip and copy.deepcopy([clip])[0] is clip
    monkeypatch.chdir(demo)
    context = vitrum.Context(threads=1, isa="portable")
    model = vitrum.Clip("clip-nano", weights="int8", context=context)
    pickled = pickle.dumps([model, vitrum.Sam("sam-nano", image_size=128, context=context), context])
    assert len(pickled) < 1000
    monkeypatch.chdir(tmp_path)
    again, sam, its_context = pickle.loads(pickled)
    assert again.memory_bytes == model.memory_bytes and sam.image_size == 128
    assert (its_context.threads, its_context.isa) == (1, "portable")
    assert again._options["context"] is sam._options["context"] is its_context
    assert np.array_equal(again.encode_images(pictures), model.encode_images(pictures))


def test_contexts(demo, clip, pictures):
    expected = clip.encode_images(pictures)
    default = vitrum.Context()
    for threads in (1, 3):
        context = vitrum.Context(threads=threads, isa=default.isa)
        assert (context.threads, context.isa, context.amx) == (threads, default.isa, "not asked")
        model = vitrum.Clip(demo / "clip-nano", context=context)
        del context  # The model keeps what it needs.
        assert np.array_equal(model.encode_images(pictures), expected)
    portable = vitrum.Clip(demo / "clip-nano", context=vitrum.Context(2, "portable"))
    assert np.allclose(portable.encode_images(pictures), expected, atol=1e-4)
    default.trim()
    with pytest.raises(ValueError, match="isa: one of None, 'portable'"):
        vitrum.Context(isa="sse")
    with pytest.raises(NotImplementedError):
        vitrum.Context(isa="simd128")
    for threads in (-1, 5000, 2**40):
        with pytest.raises(ValueError, match="thread"):
            vitrum.Context(threads=threads)
    limited = vitrum.Context(limits={"image_size": 8})
    with pytest.raises(ValueError, match="limit image_size is 8"):
        vitrum.Clip(demo / "clip-nano", context=limited)
    with pytest.raises(ValueError, match="limit image_size is 8"):
        vitrum.Clip(demo / "clip-nano", context=pickle.loads(pickle.dumps(limited)))
    with pytest.raises(TypeError, match="no such limit"):
        vitrum.Context(limits={"pixel": 8})
    with pytest.raises(TypeError, match=r"vitrum\.Context"):
        vitrum.Clip(demo / "clip-nano", context=4)
