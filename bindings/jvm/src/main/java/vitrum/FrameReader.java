package vitrum;

/** Reads the frames of a video for {@link Tracker#propagate}. */
public interface FrameReader {
    /**
     * Called on the thread that made the call, for each frame that the tracker does not hold. It must not use the tracker.
     *
     * @param frame which one, counted from 0
     * @return the frame, which must not change before the next one is asked for or the call ends; null where the video ends
     */
    Picture read(long frame);
}
