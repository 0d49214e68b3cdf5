"""Forty pictures, some of them damaged, and Ray and Spark on this machine with two workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[3]
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))
# Workers of Ray import the program that is under test.
os.environ["PYTHONPATH"] = str(EXAMPLES)
# For so little work, compiling Java well costs more than it gives.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


@pytest.fixture(scope="session")
def demo():
    return REPOSITORY / "demo"


@pytest.fixture(scope="session")
def pictures(demo, tmp_path_factory):
    """A directory: 18 good pictures and two bad ones in first/, as many in "second half/"; and a text beside them."""
    root = tmp_path_factory.mktemp("pictures")
    originals = [Image.open(path).convert("RGB") for path in sorted((demo / "images").iterdir())]
    halves = [root / "first", root / "second half"]
    for half in halves:
        half.mkdir()
    for i in range(36):
        original = originals[i % len(originals)]
        crop = original.crop((i, 2 * i, original.width - i, original.height - i)).resize((96 + 4 * i, 160))
        ending = ("jpg", "png", "webp", "JPG")[i % 4]
        crop.save(halves[i // 18] / f"{i:02}.{ending}")
    whole = (demo / "images/octopus-3d.png").read_bytes()
    (halves[0] / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (halves[0] / "text.png").write_text("This is no picture.")
    (halves[1] / "truncated.jpg").write_bytes((demo / "images/coffee.jpg").read_bytes()[:5000])
    (halves[1] / "short.webp").write_bytes(b"RIFF")
    (root / "notes.txt").write_text("Not a picture, and not named as one.")
    return root


@pytest.fixture(scope="session")
def good(pictures):
    """The paths of the pictures that can be read."""
    return sorted(path for path in pictures.glob("*/*") if path.stem.isdigit())


@pytest.fixture(scope="session")
def bad(pictures):
    return sorted(path for path in pictures.glob("*/*") if not path.stem.isdigit())


@pytest.fixture(scope="session")
def ray_jobs():
    import many_ray
    import ray

    # Two CPUs for the workers and one for the tasks that read; nothing but the loopback interface.
    options = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": 100_000_000}
    ray.init(num_cpus=3, log_to_driver=False, **options)
    yield many_ray.main
    ray.shutdown()


@pytest.fixture(scope="session")
def spark_jobs():
    import many_spark

    session = many_spark.session(workers=2, threads=1)
    session.sparkContext.setLogLevel("ERROR")
    yield many_spark.main
    session.stop()


@pytest.fixture(params=["ray", "spark"])
def engine(request):
    return request.param


@pytest.fixture
def run(engine, request):
    """Runs the engine's program with these arguments, and returns what it returns: rows written, those with errors."""
    main = request.getfixturevalue(f"{engine}_jobs")
    return lambda *arguments: main([str(it) for it in arguments])
