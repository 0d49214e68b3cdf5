"""The examples and the notebook run, with the repository's models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout


def test_zero_shot(demo):
    labels = ["octopus", "bicycle", "strawberry"]
    pictures = [f"{label}={demo / 'images' / f'{label}-3d.png'}" for label in labels]
    out = run("zero_shot.py", demo / "clip-nano", ",".join(labels), *pictures).splitlines()
    assert len(out) == 4
    assert all(any(label in line for label in labels) for line in out[:3])
    assert 0 <= float(out[3].removeprefix("accuracy ")) <= 1


def test_coco_results(demo, tmp_path):
    pytest.importorskip("pycocotools")
    output = tmp_path / "results.json"
    out = run("coco_results.py", demo / "sam-nano", demo / "images/garden-scene-3d.png", output, 8, 0.2, 0.4)
    assert f"{len(json.loads(output.read_text()))} masks in" in out and "pairs overlap" in out
    out = run("coco_results.py", demo / "sam-nano", demo / "images/garden-scene-3d.png", output, 2, 1)
    assert "0 masks in" in out and json.loads(output.read_text()) == []


def test_supervision_masks(demo, tmp_path):
    pytest.importorskip("supervision")
    picture, output = demo / "images/garden-scene-3d.png", tmp_path / "overlay.png"
    out = run("supervision_masks.py", demo / "sam-nano", picture, output, "310,210,470,370", "100,50,300,250")
    assert out.count("score") == 2 and "masks of everything" in out
    with Image.open(output) as drawn, Image.open(picture) as original:
        assert drawn.size == original.size and drawn.tobytes() != original.convert("RGB").tobytes()


def test_the_notebook_runs(demo, monkeypatch, tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    stored = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(stored), "the notebook is kept without outputs"
    monkeypatch.setenv("VITRUM_DEMO", str(demo))
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any("image/png" in str(cell.get("outputs")) for cell in notebook.cells)
