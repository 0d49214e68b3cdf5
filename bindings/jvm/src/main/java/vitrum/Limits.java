package vitrum;

/**
 * What a context, and every model and tracker made with it, may be asked for: so that a file or a request from a stranger cannot
 * take more time and memory than the application is willing to spend. What exceeds a limit is {@link Status#LIMIT}, before memory
 * is taken for it. {@code vitrum_limits} of the C header says what the defaults are and how far they can be raised.
 */
public final class Limits {
    final double[] values = new double[8];

    /** The defaults. */
    public Limits() {
        Native.limitsDefaults(values);
    }

    private Limits with(int index, String name, long value) {
        values[index] = Fields.count(name, value);
        return this;
    }

    /**
     * Whether weights and results that are NaN or infinite pass; otherwise they are {@link Status#NON_FINITE}.
     *
     * @param allow false by default
     * @return this
     */
    public Limits allowNonFinite(boolean allow) {
        values[0] = allow ? 1 : 0;
        return this;
    }

    /**
     * Pixels of a picture, a frame, or a mask of their size.
     *
     * @param pixels at most this many
     * @return this
     */
    public Limits pixels(long pixels) {
        return with(1, "pixels", pixels);
    }

    /**
     * Points of a prompt.
     *
     * @param points at most this many
     * @return this
     */
    public Limits points(long points) {
        return with(2, "points", points);
    }

    /**
     * Objects of a tracker.
     *
     * @param objects at most this many
     * @return this
     */
    public Limits objects(long objects) {
        return with(3, "objects", objects);
    }

    /**
     * Side of a model's input in pixels, whether its files or the caller ask for it.
     *
     * @param side at most this long
     * @return this
     */
    public Limits imageSize(long side) {
        return with(4, "imageSize", side);
    }

    /**
     * Bytes of a model's weights, counted as f32.
     *
     * @param bytes at most this many
     * @return this
     */
    public Limits weightsBytes(long bytes) {
        return with(5, "weightsBytes", bytes);
    }

    /**
     * Bytes of scratch memory that one step of a call takes at once.
     *
     * @param bytes at most this many
     * @return this
     */
    public Limits scratchBytes(long bytes) {
        return with(6, "scratchBytes", bytes);
    }

    /**
     * Bytes of scratch memory that the context keeps for its next calls.
     *
     * @param bytes at most this many
     * @return this
     */
    public Limits idleScratchBytes(long bytes) {
        return with(7, "idleScratchBytes", bytes);
    }
}
