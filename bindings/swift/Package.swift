// swift-tools-version: 5.9
import PackageDescription

// On Apple's systems, the C library is an XCFramework of static libraries: `cargo run -p xtask -- xcframework` puts it beside
// this file. Elsewhere it is installed, and found by pkg-config: `cargo run -p xtask -- dist --prefix DIR`.
#if os(Linux)
let vitrum = Target.systemLibrary(name: "Vitrum", path: "Sources/Vitrum", pkgConfig: "vitrum")
#else
let vitrum = Target.binaryTarget(name: "Vitrum", path: "Vitrum.xcframework")
#endif

let package = Package(
    name: "VitrumSwift",
    platforms: [.iOS(.v13), .macOS(.v11)],
    products: [.library(name: "VitrumSwift", targets: ["VitrumSwift"])],
    targets: [
        vitrum,
        .target(name: "VitrumSwift", dependencies: ["Vitrum"], resources: [.copy("PrivacyInfo.xcprivacy")]),
        .testTarget(name: "VitrumSwiftTests", dependencies: ["VitrumSwift"]),
    ]
)
