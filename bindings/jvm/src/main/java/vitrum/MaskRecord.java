package vitrum;

/** A mask of {@link Sam#everything} or {@link Sam#ground}. */
public final class MaskRecord {
    /** Receives masks as they are found. */
    public interface Listener {
        /**
         * Called on the thread that made the call.
         *
         * @param record a mask
         * @return true to go on; false ends the call, which then throws {@link Status#CANCELLED}
         */
        boolean onRecord(MaskRecord record);
    }

    /** What the native part passes beside the runs: this many numbers. */
    static final int NUMBERS = 14;

    private final Rle rle;
    private final double[] numbers;

    /** Width, height, box, crop, point, predicted IoU, stability. */
    MaskRecord(int[] counts, double[] numbers) {
        if (numbers.length != NUMBERS) {
            throw new IllegalArgumentException(numbers.length + " numbers");
        }
        this.rle = new Rle(counts, (int) numbers[0], (int) numbers[1]);
        this.numbers = numbers;
    }

    /**
     * The mask.
     *
     * @return its run lengths
     */
    public Rle getRle() {
        return rle;
    }

    /**
     * How many pixels it has.
     *
     * @return the number
     */
    public int getArea() {
        return rle.getArea();
    }

    /**
     * The box around it. As in segment-anything, width and height are from the first pixel to the last one, which is 1 less than
     * {@link Mask#getBox} counts.
     *
     * @return the box
     */
    public Box getBox() {
        return new Box(numbers, 2);
    }

    /**
     * The crop in which it was found.
     *
     * @return the box
     */
    public Box getCropBox() {
        return new Box(numbers, 6);
    }

    /**
     * The click that gave the mask.
     *
     * @return x and y, in pixels
     */
    public double[] point() {
        return new double[] {numbers[10], numbers[11]};
    }

    /**
     * The IoU (intersection over union) with the object that the model predicts.
     *
     * @return the score
     */
    public float getPredictedIou() {
        return (float) numbers[12];
    }

    /**
     * The stability score: the pixels of the mask at a higher threshold, over those at a lower one.
     *
     * @return the score
     */
    public float getStabilityScore() {
        return (float) numbers[13];
    }
}
