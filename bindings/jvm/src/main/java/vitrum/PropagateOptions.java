package vitrum;

/** Through which frames {@link Tracker#propagate} follows objects. */
public final class PropagateOptions {
    boolean backward;
    long start = -1;
    long maxFrames = -1;
    Progress progress;

    /** Forward from the earliest frame that has prompts, to the end of the video. */
    public PropagateOptions() {}

    /**
     * Whether from later frames to earlier ones.
     *
     * @param backward false by default
     * @return this
     */
    public PropagateOptions backward(boolean backward) {
        this.backward = backward;
        return this;
    }

    /**
     * The first frame.
     *
     * @param frame -1, the default, for the earliest one that has prompts
     * @return this
     */
    public PropagateOptions start(long frame) {
        start = frame;
        return this;
    }

    /**
     * How many frames are tracked after the first.
     *
     * @param frames -1, the default, for all up to the end of the video
     * @return this
     */
    public PropagateOptions maxFrames(long frames) {
        maxFrames = frames;
        return this;
    }

    /**
     * Hears how far it is.
     *
     * @param progress null for nobody
     * @return this
     */
    public PropagateOptions progress(Progress progress) {
        this.progress = progress;
        return this;
    }
}
