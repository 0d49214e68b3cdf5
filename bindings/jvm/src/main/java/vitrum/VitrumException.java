package vitrum;

/** A call that failed, with the library's sentence that names the thing at fault. */
public final class VitrumException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int code;

    VitrumException(int code, String message) {
        super(message);
        this.code = code;
    }

    /** Called by the native part, with the message in UTF-8. */
    static VitrumException of(int code, byte[] message) {
        return new VitrumException(code, Text.of(message));
    }

    /**
     * Why it failed.
     *
     * @return the status
     */
    public Status getStatus() {
        return Status.of(code);
    }

    /**
     * The number of the status in the C interface.
     *
     * @return the number
     */
    public int getCode() {
        return code;
    }
}
