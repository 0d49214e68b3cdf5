package vitrum;

/** Checks of numbers that become unsigned integers of a C struct: the library would see another number, not a wrong one. */
final class Fields {
    /** Whole numbers up to here are exact as doubles, in which structs of numbers are passed. */
    private static final long EXACT = 1L << 53;

    private Fields() {}

    static int count(String name, int value) {
        return (int) count(name, (long) value);
    }

    static long count(String name, long value) {
        if (value < 0 || value > EXACT) {
            throw new IllegalArgumentException(name + " is " + value);
        }
        return value;
    }
}
