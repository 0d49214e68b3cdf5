"""The binding knows the C ABI of `include/vitrum.h`, all of it."""

import re
import subprocess
import sys
from importlib.metadata import version

import pytest

import vitrum
from vitrum._ffi import ffi, lib


@pytest.fixture(scope="module")
def header(repository):
    text = (repository / "include/vitrum.h").read_text()
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def test_every_function_is_known(header):
    declared = re.findall(r"^(?!typedef)[a-z].*?\b(vitrum_\w+)\(", header, flags=re.MULTILINE)
    assert len(declared) > 80
    known = [name for name in dir(lib) if name.startswith("vitrum_")]
    assert sorted(declared) == sorted(known)
    for name in declared:
        assert ffi.typeof(getattr(lib, name)).kind == "function"


def test_every_type_is_known(header):
    structs = re.findall(r"^typedef struct (vitrum_\w+)", header, flags=re.MULTILINE)
    assert len(structs) > 20
    for name in structs:
        ffi.typeof(f"{name} *")


def test_every_constant_has_its_value(header):
    constants = dict(re.findall(r"^#define (VITRUM_\w+) (-?\d+)$", header, flags=re.MULTILINE))
    assert len(constants) > 50
    for name, value in constants.items():
        assert getattr(lib, name) == int(value)
    errors = {name[9:]: int(value) for name, value in constants.items() if name.startswith("VITRUM_E_")}
    assert {it.name: it.value for it in vitrum.Status} == errors


def test_structs_have_the_size_that_the_library_expects():
    for name in (
        "limits",
        "context_options",
        "clip_options",
        "sam_prompt",
        "sam_everything_options",
        "tracker_options",
    ):
        it = vitrum._ffi.struct(name)
        assert it.struct_size == ffi.sizeof(f"vitrum_{name}")


def test_versions_agree(header):
    assert f'"{vitrum.__version__}"' in header
    assert version("vitrum-vision") == vitrum.__version__


def test_what_is_public_is_there_and_documented():
    for name in vitrum.__all__:
        it = getattr(vitrum, name)
        # In Python 3.9, aliases such as Callable[...] are types, too.
        if isinstance(it, type) and not hasattr(it, "__origin__"):
            assert it.__doc__ and it.__module__ == "vitrum", name
            for member, value in vars(it).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert value.__doc__, f"{name}.{member}"


def test_the_module_runs():
    done = subprocess.run([sys.executable, "-m", "vitrum"], capture_output=True, text=True, check=True)
    assert vitrum.__version__ in done.stdout
    assert vitrum.Context(threads=1).isa in done.stdout
    assert vitrum.library_path() in done.stdout
