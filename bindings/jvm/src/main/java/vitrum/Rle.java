package vitrum;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/** A mask in run lengths: of 0, of 1, of 0 and so on, down the columns from left to right, as COCO stores masks. */
public final class Rle {
    private final int width;
    private final int height;
    private final int[] counts;

    /**
     * A mask.
     *
     * @param counts the run lengths, which fill the mask
     * @param width in pixels
     * @param height in pixels
     */
    public Rle(int[] counts, int width, int height) {
        this.counts = counts.clone();
        this.width = width;
        this.height = height;
        long sum = 0;
        for (int count : counts) {
            // Counts are unsigned in C; a picture has 2^28 pixels at most.
            if (count < 0) {
                throw new IllegalArgumentException("counts: " + count);
            }
            sum += count;
        }
        if (width < 0 || height < 0 || sum != (long) width * height) {
            throw new IllegalArgumentException(
                    "counts: runs of " + sum + " pixels do not fill " + width + " x " + height);
        }
    }

    /**
     * The width of the mask.
     *
     * @return in pixels
     */
    public int getWidth() {
        return width;
    }

    /**
     * The height of the mask.
     *
     * @return in pixels
     */
    public int getHeight() {
        return height;
    }

    /**
     * The run lengths.
     *
     * @return of 0, of 1, of 0 and so on
     */
    public int[] counts() {
        return counts.clone();
    }

    /**
     * How many pixels the mask has.
     *
     * @return the sum of the runs of 1
     */
    public int getArea() {
        int area = 0;
        for (int i = 1; i < counts.length; i += 2) {
            area += counts[i];
        }
        return area;
    }

    /**
     * The mask as bytes.
     *
     * @return 1 where the mask is, otherwise 0; row after row
     */
    public byte[] pixels() {
        byte[] pixels = new byte[width * height];
        int at = 0;
        for (int i = 0; i < counts.length; i++) {
            int end = at + counts[i];
            for (; at < end; at++) {
                if (i % 2 == 1) {
                    pixels[at % height * width + at / height] = 1;
                }
            }
        }
        return pixels;
    }

    /**
     * The outlines of the mask.
     *
     * @param tolerance how far a corner that is left out may be from the outline, in pixels; 0 for exact outlines
     * @return outer outlines, each before its holes
     */
    public List<Polygon> polygons(float tolerance) {
        return Polygon.all(Native.rlePolygons(counts, width, height, tolerance));
    }

    /**
     * COCO's string of the run lengths, as in {@code segmentation} of its JSON: each as a difference from the one before the last,
     * 5 bits a character, the lowest first.
     *
     * @return ASCII
     */
    public String toCoco() {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < counts.length; i++) {
            int rest = i > 2 ? counts[i] - counts[i - 2] : counts[i];
            boolean more;
            do {
                int bits = rest & 31;
                rest >>= 5;
                more = (bits & 16) == 0 ? rest != 0 : rest != -1;
                text.append((char) (48 + (more ? bits | 32 : bits)));
            } while (more);
        }
        return text.toString();
    }

    /**
     * Reads COCO's string of run lengths.
     *
     * @param text as {@link #toCoco} writes it
     * @param width in pixels
     * @param height in pixels
     * @return the mask
     */
    public static Rle fromCoco(String text, int width, int height) {
        Objects.requireNonNull(text, "text");
        int[] counts = new int[text.length()];
        int length = 0;
        for (int at = 0; at < text.length(); length++) {
            long value = 0;
            int shift = 0;
            int bits;
            do {
                if (at == text.length() || shift > 30) {
                    throw new IllegalArgumentException("text: run " + length + " does not end");
                }
                bits = text.charAt(at++) - 48;
                if (bits < 0 || bits > 63) {
                    throw new IllegalArgumentException("text: character " + (at - 1) + " is none of COCO's");
                }
                value |= (long) (bits & 31) << shift;
                shift += 5;
            } while ((bits & 32) != 0);
            if ((bits & 16) != 0) {
                value |= -1L << shift;
            }
            long count = length > 2 ? value + counts[length - 2] : value;
            if (count < 0 || count > Integer.MAX_VALUE) {
                throw new IllegalArgumentException("text: run " + length + " has " + count + " pixels");
            }
            counts[length] = (int) count;
        }
        return new Rle(Arrays.copyOf(counts, length), width, height);
    }

    @Override
    public boolean equals(Object other) {
        if (!(other instanceof Rle)) {
            return false;
        }
        Rle it = (Rle) other;
        return width == it.width && height == it.height && Arrays.equals(counts, it.counts);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(counts) * 31 + width;
    }
}
