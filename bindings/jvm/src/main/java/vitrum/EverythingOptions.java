package vitrum;

import java.util.ArrayList;
import java.util.List;

/** How {@link Sam#everything} finds masks. The names and the defaults are those of segment-anything's automatic mask generator. */
public final class EverythingOptions {
    /** In the order of the C struct. */
    final double[] values = new double[13];
    final List<double[]> grids = new ArrayList<>();
    Progress progress;

    /** The defaults of the library. {@link Sam#everythingDefaults} has those of a model. */
    public EverythingOptions() {
        Native.everythingDefaults(0, values);
    }

    EverythingOptions(long sam) {
        Native.everythingDefaults(sam, values);
    }

    private EverythingOptions with(int index, String name, int value) {
        values[index] = Fields.count(name, value);
        return this;
    }

    private EverythingOptions with(int index, double value) {
        values[index] = value;
        return this;
    }

    /**
     * Points along each side of the regular grid of clicks.
     *
     * @param points 32 by default
     * @return this
     */
    public EverythingOptions pointsPerSide(int points) {
        return with(0, "pointsPerSide", points);
    }

    /**
     * Points that go through the mask decoder at once. More points need more memory.
     *
     * @param points 64 by default
     * @return this
     */
    public EverythingOptions pointsPerBatch(int points) {
        return with(1, "pointsPerBatch", points);
    }

    /**
     * Layers of crops that are segmented in addition to the whole picture: the first has 4 crops, the second 16, and so on.
     *
     * @param layers 0 by default
     * @return this
     */
    public EverythingOptions cropLayers(int layers) {
        return with(2, "cropLayers", layers);
    }

    /**
     * In layer {@code i} of crops, the points per side are divided by this to the power of {@code i}.
     *
     * @param factor 1 by default
     * @return this
     */
    public EverythingOptions cropPointsDownscaleFactor(int factor) {
        return with(3, "cropPointsDownscaleFactor", factor);
    }

    /**
     * Holes and islands of a smaller area are removed.
     *
     * @param area 0 by default; in pixels of the picture with a SAM, in values of the low-resolution mask with a SAM 2
     * @return this
     */
    public EverythingOptions minMaskRegionArea(int area) {
        return with(4, "minMaskRegionArea", area);
    }

    /**
     * Masks whose predicted IoU is not above this are dropped.
     *
     * @param threshold 0.88 by default, 0 keeps all
     * @return this
     */
    public EverythingOptions predIouThreshold(double threshold) {
        return with(5, threshold);
    }

    /**
     * Masks whose stability score is below this are dropped.
     *
     * @param threshold 0.95 by default, 0 keeps all
     * @return this
     */
    public EverythingOptions stabilityScoreThreshold(double threshold) {
        return with(6, threshold);
    }

    /**
     * Offset of the two thresholds, in logits, between which the stability score compares the mask.
     *
     * @param offset 1 by default
     * @return this
     */
    public EverythingOptions stabilityScoreOffset(double offset) {
        return with(7, offset);
    }

    /**
     * Of two masks whose boxes have a greater IoU than this, the one with the higher predicted IoU is kept.
     *
     * @param threshold 0.7 by default
     * @return this
     */
    public EverythingOptions boxNmsThreshold(double threshold) {
        return with(8, threshold);
    }

    /**
     * The same for masks from different crops, of which the one from the smaller crop is kept.
     *
     * @param threshold 0.7 by default
     * @return this
     */
    public EverythingOptions cropNmsThreshold(double threshold) {
        return with(9, threshold);
    }

    /**
     * Overlap of the crops of the first layer, as a fraction of the picture's shorter side.
     *
     * @param ratio 512/1500 by default
     * @return this
     */
    public EverythingOptions cropOverlapRatio(double ratio) {
        return with(10, ratio);
    }

    /**
     * Whether each mask becomes a prompt once, together with its point, and the answer replaces it.
     *
     * @param refine false by default
     * @return this
     */
    public EverythingOptions useM2m(boolean refine) {
        return with(11, refine ? 1 : 0);
    }

    /**
     * Whether there is one mask for each point, not three.
     *
     * @param single false by default
     * @return this
     */
    public EverythingOptions singleMask(boolean single) {
        return with(12, single ? 1 : 0);
    }

    /**
     * Adds a grid of points: the first for the whole picture, one more for each layer of crops. They take the place of the regular
     * ones.
     *
     * @param points x and y of each point in turn, from 0 to 1 of the crop's width and height
     * @return this
     */
    public EverythingOptions pointGrid(double[] points) {
        if (points.length % 2 != 0) {
            throw new IllegalArgumentException("points: " + points.length + " numbers are no points");
        }
        grids.add(points.clone());
        return this;
    }

    /**
     * Hears how far it is.
     *
     * @param progress null for nobody
     * @return this
     */
    public EverythingOptions progress(Progress progress) {
        this.progress = progress;
        return this;
    }

    double[][] grids() {
        return grids.toArray(new double[0][]);
    }
}
