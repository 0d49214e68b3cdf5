"""``python -m vitrum``: the version, what this CPU gives, and where the library lies."""

from __future__ import annotations

import platform

import numpy

from . import Context, __version__, library_path


def main() -> None:
    context = Context(amx=True)
    print(f"vitrum           {__version__}")
    print(f"instruction set  {context.isa}, AMX {context.amx}")
    print(f"threads          {context.threads}")
    print(f"library          {library_path()}")
    print(f"python           {platform.python_implementation()} {platform.python_version()}, numpy {numpy.__version__}")


if __name__ == "__main__":
    main()
