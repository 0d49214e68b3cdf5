package vitrum;

/** Hears of every frame that {@link Tracker#propagate} tracked. */
public interface FrameListener {
    /**
     * Called on the thread that made the call. It may read masks of the tracker, but not change it.
     *
     * @param frame which one
     * @return true to go on; false ends the call, which then throws {@link Status#CANCELLED}
     */
    boolean onFrame(long frame);
}
