package vitrum;

/**
 * Hears how far a long call is, and may stop it. It runs on the thread that made the call, or on another one, but never on two at
 * the same time. It must not call what computes with the same context, nor wait for a thread that does.
 *
 * <p>What it throws stops the call, too, and is thrown by the call.
 */
public interface Progress {
    /**
     * Called every few milliseconds.
     *
     * @param fraction what is done, from 0 to 1, never decreasing
     * @return true to go on; false stops the call, which then throws {@link Status#CANCELLED} and leaves everything as it was
     */
    boolean onProgress(float fraction);
}
