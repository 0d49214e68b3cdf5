package vitrum;

/** Why a call failed: the statuses of the C interface. */
public enum Status {
    /** A parameter is outside its domain: unknown enum value, empty list, template without {@code {}} and so on. */
    INVALID_ARGUMENT(1),
    /** A pointer that must not be NULL is NULL. */
    NULL_POINTER(2),
    /** A struct's size is not one that this library knows. */
    STRUCT_SIZE(3),
    /** The caller's buffer is too small for the result. */
    BUFFER_TOO_SMALL(4),
    /** Text is not valid Unicode. */
    UTF8(5),
    /** A picture has no pixels, is too large, or its stride is shorter than a row. */
    IMAGE(6),
    /** The operating system could not read a file. */
    IO(7),
    /** A file or directory that must exist does not. */
    NOT_FOUND(8),
    /** A file is malformed: its bytes do not follow its format. */
    FORMAT(9),
    /** A size in a file or call exceeds a limit of this library. */
    LIMIT(10),
    /** A tensor that the model needs is absent. */
    MISSING_TENSOR(11),
    /** A tensor has another shape than the model needs. */
    TENSOR_SHAPE(12),
    /** A tensor has a data type that the model cannot use. */
    TENSOR_DTYPE(13),
    /** A configuration value is absent, of the wrong type or impossible. */
    CONFIG(14),
    /** A tokenizer file is inconsistent. */
    TOKENIZER(15),
    /** The input is valid but of a kind that this library or this build of it does not implement. */
    UNSUPPORTED(16),
    /** Memory could not be allocated. */
    OUT_OF_MEMORY(17),
    /** The caller cancelled the call. */
    CANCELLED(18),
    /** A bug in this library was caught before it could do harm. Please report it with the message. */
    PANIC(19),
    /** Weights or results are not finite: NaN or infinity. {@link Limits#allowNonFinite} lets them pass. */
    NON_FINITE(20),
    /** A status that this version of the classes does not know; {@link VitrumException#getCode} has its number. */
    UNKNOWN(-1);

    final int code;

    Status(int code) {
        this.code = code;
    }

    static Status of(int code) {
        for (Status status : values()) {
            if (status.code == code) {
                return status;
            }
        }
        return UNKNOWN;
    }
}
