package vitrum;

/** Stops calls from another thread: give it to a call as its progress. One object serves any number of calls. */
public final class Cancellation implements Progress {
    private volatile boolean cancelled;

    /** Calls that it was given to go on until {@link #cancel}. */
    public Cancellation() {}

    /** Stops the calls within some milliseconds; later ones stop when they begin. */
    public void cancel() {
        cancelled = true;
    }

    /**
     * Whether it was cancelled.
     *
     * @return true after {@link #cancel}
     */
    public boolean isCancelled() {
        return cancelled;
    }

    @Override
    public boolean onProgress(float fraction) {
        return !cancelled;
    }
}
