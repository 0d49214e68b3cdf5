package vitrum;

/** How a {@link Tracker} behaves. The defaults are those of sam2's video predictor. */
public final class TrackerOptions {
    /** In the order of the C struct. */
    final double[] values = new double[12];

    /** The defaults. */
    public TrackerOptions() {
        Native.trackerDefaults(values);
    }

    private TrackerOptions with(int index, String name, long value) {
        values[index] = Fields.count(name, value);
        return this;
    }

    private TrackerOptions with(int index, boolean value) {
        values[index] = value ? 1 : 0;
        return this;
    }

    /**
     * Most objects at the same time.
     *
     * @param objects 1 to 1024; 16 by default
     * @return this
     */
    public TrackerOptions maxObjects(int objects) {
        return with(0, "maxObjects", objects);
    }

    /**
     * Most prompted frames of an object to which later frames attend.
     *
     * @param frames 1 to 4096; 8 by default
     * @return this
     */
    public TrackerOptions maxPromptedFrames(int frames) {
        return with(1, "maxPromptedFrames", frames);
    }

    /**
     * How many of the frames pushed last are held. They can be prompted and tracked, and their masks read.
     *
     * @param frames 1 to 4096; 1 by default
     * @return this
     */
    public TrackerOptions heldFrames(int frames) {
        return with(2, "heldFrames", frames);
    }

    /**
     * Number of frames of the video.
     *
     * @param frames 0, the default, if it is not known, as with a camera
     * @return this
     */
    public TrackerOptions numFrames(long frames) {
        return with(3, "numFrames", frames);
    }

    /**
     * Holes of at most this area in the low-resolution masks are filled.
     *
     * @param area 8 by default, 0 leaves them
     * @return this
     */
    public TrackerOptions fillHoleArea(int area) {
        return with(4, "fillHoleArea", area);
    }

    /**
     * Whether the memories around prompted frames are kept, so that frames after them and then frames before them can be tracked.
     *
     * @param both false by default
     * @return this
     */
    public TrackerOptions bothDirections(boolean both) {
        return with(5, both);
    }

    /**
     * Whether every pixel is given to one object at most in the masks that are read.
     *
     * @param apart false by default
     * @return this
     */
    public TrackerOptions nonOverlapOutput(boolean apart) {
        return with(6, apart);
    }

    /**
     * The same in the masks that the memory encoder gets.
     *
     * @param apart false by default
     * @return this
     */
    public TrackerOptions nonOverlapMemory(boolean apart) {
        return with(7, apart);
    }

    /**
     * Whether the memory encoder gets masks of prompted frames as 0 and 1, not as probabilities.
     *
     * @param binarize true by default
     * @return this
     */
    public TrackerOptions binarizeClickedMasks(boolean binarize) {
        return with(8, binarize);
    }

    /**
     * Whether prompts on a frame that was tracked already make it a conditioning frame, as prompts on other frames do.
     *
     * @param conditioning false by default
     * @return this
     */
    public TrackerOptions correctionsAreConditioning(boolean conditioning) {
        return with(9, conditioning);
    }

    /**
     * Whether tracked frames around a prompted one are forgotten.
     *
     * @param clear false by default
     * @return this
     */
    public TrackerOptions clearMemoryAroundInput(boolean clear) {
        return with(10, clear);
    }

    /**
     * Whether the best of three masks is taken where a single mask is not stable.
     *
     * @param dynamic true by default
     * @return this
     */
    public TrackerOptions dynamicMultimaskViaStability(boolean dynamic) {
        return with(11, dynamic);
    }
}
