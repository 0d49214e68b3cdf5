package vitrum;

/** A box of whole pixels. */
public final class Box {
    private final int left;
    private final int top;
    private final int width;
    private final int height;

    Box(double[] numbers, int from) {
        left = (int) numbers[from];
        top = (int) numbers[from + 1];
        width = (int) numbers[from + 2];
        height = (int) numbers[from + 3];
    }

    /**
     * The left side.
     *
     * @return in pixels
     */
    public int getLeft() {
        return left;
    }

    /**
     * The top side.
     *
     * @return in pixels
     */
    public int getTop() {
        return top;
    }

    /**
     * The width.
     *
     * @return in pixels
     */
    public int getWidth() {
        return width;
    }

    /**
     * The height.
     *
     * @return in pixels
     */
    public int getHeight() {
        return height;
    }

    @Override
    public boolean equals(Object other) {
        if (!(other instanceof Box)) {
            return false;
        }
        Box it = (Box) other;
        return left == it.left && top == it.top && width == it.width && height == it.height;
    }

    @Override
    public int hashCode() {
        return ((left * 31 + top) * 31 + width) * 31 + height;
    }

    @Override
    public String toString() {
        return "[" + left + ", " + top + ", " + width + ", " + height + "]";
    }
}
