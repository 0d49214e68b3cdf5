package vitrum;

/** What the native part calls during a call. Each returns whether the call goes on; what one throws, the call throws. */
class Callbacks {
    private final Progress progress;

    /** What {@link #read} found; the native part takes it from here, and it stays until the next frame is asked for. */
    private Picture picture;

    Callbacks(Progress progress) {
        this.progress = progress;
    }

    /** Without a progress there is nothing to call. */
    static Callbacks of(Progress progress) {
        return progress == null ? null : new Callbacks(progress);
    }

    /** Whether {@link #progress} is to be called. */
    final boolean watches() {
        return progress != null;
    }

    final boolean progress(float fraction) {
        return progress.onProgress(fraction);
    }

    /** A mask of everything, or for a text. */
    boolean mask(int text, float probability, int[] counts, double[] numbers) {
        throw new UnsupportedOperationException();
    }

    /** Reads a frame to {@link #picture}; false at the end of the video. */
    final boolean read(long frame) {
        picture = frame(frame);
        return picture != null;
    }

    Picture frame(long frame) {
        throw new UnsupportedOperationException();
    }

    /** A frame was tracked. */
    boolean tracked(long frame) {
        throw new UnsupportedOperationException();
    }
}
