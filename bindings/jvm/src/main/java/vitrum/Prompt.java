package vitrum;

import java.util.Arrays;

/**
 * What is asked for: clicks, a box, an earlier mask, or several of these, in pixels of the picture from its top left corner. An empty
 * prompt asks for the most prominent object.
 */
public final class Prompt {
    // The native part reads these four.
    private float[] points = new float[0];
    private int[] labels = new int[0];
    private float[] box;
    private float[] mask;

    /** An empty prompt. */
    public Prompt() {}

    /**
     * A click on the object.
     *
     * @param x from the left
     * @param y from the top
     * @return the prompt
     */
    public static Prompt click(double x, double y) {
        return new Prompt().point(x, y);
    }

    /**
     * A box around the object.
     *
     * @param left at most {@code right}
     * @param top at most {@code bottom}
     * @param right in pixels
     * @param bottom in pixels
     * @return the prompt
     */
    public static Prompt within(double left, double top, double right, double bottom) {
        return new Prompt().box(left, top, right, bottom);
    }

    /**
     * Adds a click on the object.
     *
     * @param x from the left
     * @param y from the top
     * @return this
     */
    public Prompt point(double x, double y) {
        return labelled(x, y, 1);
    }

    /**
     * Adds a click on what is not part of the object.
     *
     * @param x from the left
     * @param y from the top
     * @return this
     */
    public Prompt notPoint(double x, double y) {
        return labelled(x, y, 0);
    }

    /**
     * Adds a point that is no click, as the reference does to bring prompts to a common length, which changes results a little.
     *
     * @return this
     */
    public Prompt padding() {
        return labelled(0, 0, -1);
    }

    /**
     * Sets the box around the object.
     *
     * @param left at most {@code right}
     * @param top at most {@code bottom}
     * @param right in pixels
     * @param bottom in pixels
     * @return this
     */
    public Prompt box(double left, double top, double right, double bottom) {
        box = new float[] {(float) left, (float) top, (float) right, (float) bottom};
        return this;
    }

    /**
     * Sets an earlier mask of the object, which is refined.
     *
     * @param lowRes {@link Mask#lowRes} of it
     * @return this
     */
    public Prompt mask(float[] lowRes) {
        mask = lowRes.clone();
        return this;
    }

    private Prompt labelled(double x, double y, int label) {
        int count = labels.length;
        labels = Arrays.copyOf(labels, count + 1);
        labels[count] = label;
        points = Arrays.copyOf(points, 2 * count + 2);
        points[2 * count] = (float) x;
        points[2 * count + 1] = (float) y;
        return this;
    }
}
