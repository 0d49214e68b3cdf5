# An overlay port, for the sources around this directory: vcpkg install vitrum --overlay-ports=packaging/vcpkg/ports
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)
find_program(CARGO cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" REQUIRED)

set(target "")
if(VCPKG_CROSSCOMPILING)
    include("${SOURCE_PATH}/packaging/cmake/VitrumCargo.cmake")
    set(CMAKE_CROSSCOMPILING TRUE)
    set(CMAKE_SYSTEM_NAME "${VCPKG_CMAKE_SYSTEM_NAME}")
    set(CMAKE_SYSTEM_PROCESSOR "${VCPKG_TARGET_ARCHITECTURE}")
    vitrum_rust_target("" triple target)
endif()

vcpkg_execute_required_process(
    COMMAND "${CARGO}" run --quiet --locked --package xtask -- dist --library-only --prefix "${CURRENT_PACKAGES_DIR}" ${target}
    WORKING_DIRECTORY "${SOURCE_PATH}"
    LOGNAME "build-${TARGET_TRIPLET}")
if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
    file(GLOB unwanted "${CURRENT_PACKAGES_DIR}/lib/*.so*" "${CURRENT_PACKAGES_DIR}/lib/*.dylib"
        "${CURRENT_PACKAGES_DIR}/lib/*.dll.a" "${CURRENT_PACKAGES_DIR}/bin")
else()
    file(GLOB unwanted "${CURRENT_PACKAGES_DIR}/lib/libvitrum.a" "${CURRENT_PACKAGES_DIR}/lib/vitrum_static.lib")
endif()
file(REMOVE_RECURSE ${unwanted})

# One library for both build types, with its CMake files where every prefix has them.
set(VCPKG_BUILD_TYPE release)
set(VCPKG_POLICY_SKIP_MISPLACED_CMAKE_FILES_CHECK enabled)
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE-MIT" "${SOURCE_PATH}/LICENSE-APACHE"
    "${CURRENT_PACKAGES_DIR}/share/doc/vitrum/THIRD-PARTY.md")
