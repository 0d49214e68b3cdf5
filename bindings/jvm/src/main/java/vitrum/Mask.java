package vitrum;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Objects;

/**
 * A mask of a {@link Prediction} or a {@link Tracker}, which is computed when it is asked for, in the size of the picture. It can be
 * read as long as what it came from holds it: a prediction until it is closed or used again, a tracker as long as it holds the
 * frame; later it is an {@link IllegalStateException} or a {@link VitrumException}.
 *
 * <p>A pixel belongs to the mask if its logit is above a threshold; the models are trained for 0.
 */
public final class Mask {
    private static final int AREA = 0;
    private static final int BOX = 1;
    private static final int SCORE = 5;
    private static final int OTHER_SCORE = 6;

    private final Owner owner;
    private final int kind;
    private final long first;
    private final long second;
    private final int width;
    private final int height;
    private final float threshold;

    /** What holds the mask. */
    interface Owner {
        /** The pointer, if the mask is still there, for a call that ends with {@link #leave}. */
        long enterMask();

        void leave();
    }

    /** {@code first} and {@code second} are prompt and mask of a prediction, or object and frame of a tracker. */
    Mask(Owner owner, int kind, long first, long second, int width, int height, float threshold) {
        this.owner = owner;
        this.kind = kind;
        this.first = first;
        this.second = second;
        this.width = width;
        this.height = height;
        this.threshold = threshold;
    }

    /**
     * The same mask at another threshold.
     *
     * @param threshold the logit that its pixels are above
     * @return the mask
     */
    public Mask at(float threshold) {
        return new Mask(owner, kind, first, second, width, height, threshold);
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

    /**
     * How many pixels it has.
     *
     * @return the number
     */
    public int getArea() {
        return (int) stats()[AREA];
    }

    /**
     * The smallest box around it.
     *
     * @return all 0 if it is empty
     */
    public Box getBox() {
        return new Box(stats(), BOX);
    }

    /**
     * The IoU (intersection over union) with the object that the model predicts.
     *
     * @return the score
     */
    public float getScore() {
        return (float) stats()[SCORE];
    }

    /**
     * The stability score of a prediction's mask: the pixels at a threshold that is 1 higher, over those at one that is 1 lower.
     *
     * @return not a number if there are no such pixels, and for a tracker's mask
     */
    public float getStability() {
        return kind == Native.PREDICTION ? (float) stats()[OTHER_SCORE] : Float.NaN;
    }

    /**
     * The stability score of a prediction's mask with another offset.
     *
     * @param offset the pixels at {@code threshold + offset} are compared with those at {@code threshold - offset}
     * @return not a number if there are no such pixels
     */
    public float stability(float offset) {
        if (kind != Native.PREDICTION) {
            throw new UnsupportedOperationException("a tracker's mask has no stability score");
        }
        long pointer = owner.enterMask();
        try {
            return Native.predictionStability(pointer, first, second, threshold, offset);
        } finally {
            owner.leave();
        }
    }

    /**
     * The logit of the probability that a tracker's object is visible on the frame: above 0 if it is more likely than not.
     *
     * @return not a number for a prediction's mask
     */
    public float getObjectScore() {
        return kind == Native.TRACKER ? (float) stats()[OTHER_SCORE] : Float.NaN;
    }

    private double[] stats() {
        long pointer = owner.enterMask();
        try {
            return Native.maskStats(kind, pointer, first, second, threshold);
        } finally {
            owner.leave();
        }
    }

    /**
     * The mask as bytes.
     *
     * @return 1 where it is, otherwise 0; row after row
     */
    public byte[] pixels() {
        long pointer = owner.enterMask();
        try {
            return Native.maskPixels(kind, pointer, first, second, threshold);
        } finally {
            owner.leave();
        }
    }

    /**
     * Writes the mask as bytes into a buffer, from its position on, which moves to the end of the mask: nothing else is allocated.
     *
     * @param pixels a direct buffer with room for {@code width * height} bytes
     */
    public void pixels(ByteBuffer pixels) {
        if (!Objects.requireNonNull(pixels, "pixels").isDirect() || pixels.isReadOnly()) {
            throw new IllegalArgumentException("pixels: a direct buffer that can be written is needed");
        }
        if (pixels.remaining() < width * height) {
            throw new IllegalArgumentException(
                    "pixels: " + width * height + " bytes are needed, there is room for " + pixels.remaining());
        }
        long pointer = owner.enterMask();
        try {
            Native.maskPixelsInto(kind, pointer, first, second, threshold, pixels.slice());
        } finally {
            owner.leave();
        }
        pixels.position(pixels.position() + width * height);
    }

    /**
     * The mask in run lengths.
     *
     * @return the runs
     */
    public Rle rle() {
        long pointer = owner.enterMask();
        try {
            return new Rle(Native.maskRle(kind, pointer, first, second, threshold), width, height);
        } finally {
            owner.leave();
        }
    }

    /**
     * The outlines of the mask.
     *
     * @param tolerance how far a corner that is left out may be from the outline, in pixels; 0 for exact outlines
     * @return outer outlines, each before its holes
     */
    public List<Polygon> polygons(float tolerance) {
        long pointer = owner.enterMask();
        try {
            return Polygon.all(Native.maskPolygons(kind, pointer, first, second, threshold, tolerance));
        } finally {
            owner.leave();
        }
    }

    /**
     * The logits in the size of the picture.
     *
     * @return above 0 where the object is; row after row
     */
    public float[] logits() {
        long pointer = owner.enterMask();
        try {
            return Native.maskLogits(kind, pointer, first, second, false);
        } finally {
            owner.leave();
        }
    }

    /**
     * The logits at the model's own resolution, for {@link Prompt#mask}.
     *
     * @return a square with sides of {@link Sam#getMaskSide}
     */
    public float[] lowRes() {
        long pointer = owner.enterMask();
        try {
            return Native.maskLogits(kind, pointer, first, second, true);
        } finally {
            owner.leave();
        }
    }
}
