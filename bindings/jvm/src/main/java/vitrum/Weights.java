package vitrum;

/** What the weights of a model's towers or image encoder are kept as, and the arithmetic that goes with it. */
public enum Weights {
    /** The format that the files name if {@code vitrum quantize} wrote them, otherwise {@link #F32}. */
    OF_FILES,
    /** 32-bit floats: results equal the reference implementations'. */
    F32,
    /** 16-bit floats, half the memory; the arithmetic is that of f32. */
    F16,
    /** bfloat16, half the memory; activations are rounded to it, sums are f32. */
    BF16,
    /** 8-bit integers, a quarter of the memory. Their products are the same on every CPU, bit by bit. */
    INT8,
    /** 4-bit integers, a sixth of the memory; the arithmetic is that of f32. */
    Q4
}
