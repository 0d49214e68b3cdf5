"""Conan 2: `conan create packaging/conan`. Needs Rust; CARGO_TARGET_DIR shares cargo's build directory."""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, load

SOURCES = ("Cargo.toml", "Cargo.lock", "LICENSE-*", "NOTICE", "README.md", "CHANGELOG.md", "src/*", "include/*", "xtask/*",
           "packaging/cmake/*", "packaging/pkgconfig/*", "cli/*", "demo/*", "examples/*", "benches/*", "tests/*.rs")
TRIPLES = {
    ("Linux", "x86_64"): "x86_64-unknown-linux-gnu",
    ("Linux", "armv8"): "aarch64-unknown-linux-gnu",
    ("Macos", "x86_64"): "x86_64-apple-darwin",
    ("Macos", "armv8"): "aarch64-apple-darwin",
    ("iOS", "armv8"): "aarch64-apple-ios",
    ("Android", "armv8"): "aarch64-linux-android",
    ("Windows", "x86_64"): "x86_64-pc-windows-msvc",
}


class Vitrum(ConanFile):
    name = "vitrum"
    description = "CLIP, SAM and SAM 2 on CPUs"
    license = "MIT OR Apache-2.0"
    topics = ("clip", "segment-anything", "inference", "computer-vision")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}

    def set_version(self):
        manifest = load(self, os.path.join(self.recipe_folder, "..", "..", "Cargo.toml"))
        self.version = next(line.split('"')[1] for line in manifest.splitlines() if line.startswith("version = "))

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..")
        for pattern in SOURCES:
            copy(self, pattern, root, self.export_sources_folder, excludes=("*/target/*", "demo/train/*"))

    def validate(self):
        if (str(self.settings.os), str(self.settings.arch)) not in TRIPLES:
            raise ConanInvalidConfiguration(f"no Rust target is known for {self.settings.os} on {self.settings.arch}")

    def package_id(self):
        # One C library for all compilers of a system.
        del self.info.settings.compiler

    def build(self):
        debug = " --debug" if self.settings.build_type == "Debug" else ""
        target = ""
        if self.settings.os != self.settings_build.os or self.settings.arch != self.settings_build.arch:
            target = " --target " + TRIPLES[str(self.settings.os), str(self.settings.arch)]
        prefix = os.path.join(self.build_folder, "package")
        self.run(f'cargo run --quiet --locked --package xtask -- dist --library-only --prefix "{prefix}"{debug}{target}',
                 cwd=self.source_folder)

    def package(self):
        unwanted = ("*.a", "*_static.lib") if self.options.shared else ("*.so*", "*.dylib", "*.dll", "*.dll.a")
        copy(self, "*", os.path.join(self.build_folder, "package"), self.package_folder, excludes=unwanted)

    def package_info(self):
        # The package has CMake and pkg-config files of its own.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "vitrum")]
        self.cpp_info.libs = ["vitrum"]
        if not self.options.shared and self.settings.os in ("Linux", "Android"):
            self.cpp_info.system_libs = ["pthread", "m", "dl"] if self.settings.os == "Linux" else ["m", "dl"]
