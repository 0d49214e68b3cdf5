//! How systems name libraries, and how programs find shared ones when they start.

/// A system, by what differs in the package.
pub(crate) struct Platform {
    system: System,
    /// The version of the binary interface.
    abi: u32,
}

enum System {
    /// Linux, the BSDs: `libvitrum.so.ABI`, found by its SONAME.
    Elf,
    /// Libraries lie beside each other in the application; their names carry no version.
    Android,
    Apple,
    WindowsGnu,
    WindowsMsvc,
}

impl Platform {
    pub(crate) fn of(target: &str, abi: u32) -> Result<Self, String> {
        let system = match target {
            _ if target.contains("-android") => System::Android,
            _ if target.contains("-apple-") => System::Apple,
            _ if target.contains("-windows-gnu") => System::WindowsGnu,
            _ if target.contains("-windows-msvc") => System::WindowsMsvc,
            _ if target.contains("-linux-") || target.contains("bsd") => System::Elf,
            _ => return Err(format!("{target} has no shared libraries that this command knows how to name")),
        };
        Ok(Self { system, abi })
    }

    /// What the linker must be told: programs record the library's name and not where it was built; and it stays where it is
    /// once it was loaded. Threads of a host that used it keep values whose destructors are code of it, and what the standard
    /// library keeps for the length of a process would be lost with every load.
    pub(crate) fn link_args(&self, version: &str) -> Vec<String> {
        match self.system {
            System::Elf | System::Android => {
                vec![format!("-Wl,-soname,{}", self.soname()), "-Wl,-z,nodelete".into()]
            }
            System::Apple => vec![
                format!("-Wl,-install_name,@rpath/{}", self.soname()),
                format!("-Wl,-compatibility_version,{}.0.0", self.abi),
                format!("-Wl,-current_version,{version}"),
            ],
            System::WindowsGnu | System::WindowsMsvc => Vec::new(),
        }
    }

    /// The name that programs record.
    fn soname(&self) -> String {
        match self.system {
            System::Elf => format!("libvitrum.so.{}", self.abi),
            System::Android => "libvitrum.so".into(),
            System::Apple => format!("libvitrum.{}.dylib", self.abi),
            System::WindowsGnu | System::WindowsMsvc => "vitrum.dll".into(),
        }
    }

    /// Where the shared library lies below the prefix.
    pub(crate) fn shared_path(&self, version: &str) -> String {
        match self.system {
            System::Elf => format!("lib/libvitrum.so.{version}"),
            System::Apple => format!("lib/libvitrum.{version}.dylib"),
            System::Android => "lib/libvitrum.so".into(),
            System::WindowsGnu | System::WindowsMsvc => "bin/vitrum.dll".into(),
        }
    }

    /// Further names of the shared library in `lib`, and what they point to.
    pub(crate) fn links(&self, version: &str) -> Vec<(String, String)> {
        let (real, development) = match self.system {
            System::Elf => (format!("libvitrum.so.{version}"), "libvitrum.so"),
            System::Apple => (format!("libvitrum.{version}.dylib"), "libvitrum.dylib"),
            System::Android | System::WindowsGnu | System::WindowsMsvc => return Vec::new(),
        };
        vec![(self.soname(), real), (development.into(), self.soname())]
    }

    /// The property of CMake's imported target without which programs would not start, or not link.
    pub(crate) fn shared_property(&self) -> String {
        match self.system {
            System::Elf | System::Android => format!("IMPORTED_SONAME {}", self.soname()),
            System::Apple => format!("IMPORTED_SONAME \"@rpath/{}\"", self.soname()),
            System::WindowsGnu | System::WindowsMsvc => {
                format!("IMPORTED_IMPLIB \"${{vitrum_PREFIX}}/lib/{}\"", self.import_file())
            }
        }
    }

    pub(crate) fn static_file(&self) -> &'static str {
        if matches!(self.system, System::WindowsMsvc) { "vitrum_static.lib" } else { "libvitrum.a" }
    }

    /// What programs link for the shared library, where that is not the library itself.
    pub(crate) fn import_file(&self) -> &'static str {
        if matches!(self.system, System::WindowsMsvc) { "vitrum.lib" } else { "libvitrum.dll.a" }
    }

    pub(crate) fn program(&self, name: &str) -> String {
        let windows = matches!(self.system, System::WindowsGnu | System::WindowsMsvc);
        format!("{name}{}", if windows { ".exe" } else { "" })
    }
}
