"""What the README shows runs, with the demo's models in the place of published ones."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.sub(r"\W+", " ", block)[:40])
def test_readme(demo, block, tmp_path, monkeypatch):
    (tmp_path / "path/to").mkdir(parents=True)
    for name in ("clip", "sam", "sam2"):
        (tmp_path / "path/to" / name).symlink_to(demo / f"{name}-nano")
    (tmp_path / "photo.jpg").symlink_to(demo / "images/coffee.jpg")
    (tmp_path / "other.png").symlink_to(demo / "images/octopus-3d.png")
    monkeypatch.chdir(tmp_path)
    with Image.open(demo / "images/chelsea.jpg") as image:
        frames = [np.array(image.convert("RGB").resize((256, 256)))] * 3
    names = {"frames": frames}
    exec(compile(block, str(README), "exec"), names)
    assert names["vitrum"].__version__


def test_there_is_something_to_run():
    assert len(BLOCKS) >= 4
