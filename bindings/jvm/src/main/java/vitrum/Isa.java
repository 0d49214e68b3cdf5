package vitrum;

/** An instruction set. */
public enum Isa {
    /** The best that this CPU has. */
    BEST,
    /** The baseline of the target that the library was compiled for. */
    PORTABLE,
    /** x86-64: AVX2 with FMA and F16C. */
    AVX2,
    /** x86-64: AVX-512 F, VL, BW and DQ. */
    AVX512,
    /** AArch64: Advanced SIMD. */
    NEON,
    /** WebAssembly: 128-bit SIMD. */
    SIMD128
}
