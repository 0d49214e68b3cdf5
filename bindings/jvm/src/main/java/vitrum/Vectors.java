package vitrum;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * Embeddings to search, in f32 or as 8-bit integers. Every vector is compared: what is found is exact. Of direct buffers nothing is
 * copied: their contents must not change during a search. Arrays are copied once. Several threads may search at the same time.
 *
 * <p>The score of a query {@code q} and a vector {@code x} is {@code Σ q[i] x[i]}: the cosine, if both have length 1, as embeddings
 * have by default.
 */
public final class Vectors {
    private final int count;
    private final int dim;
    /** Either these, or the other two; the others are null. */
    private final FloatBuffer values;
    private final ByteBuffer codes;
    private final FloatBuffer scales;

    private Vectors(int count, int dim, FloatBuffer values, ByteBuffer codes, FloatBuffer scales) {
        this.count = count;
        this.dim = dim;
        this.values = values;
        this.codes = codes;
        this.scales = scales;
    }

    /**
     * A copy of vectors, one after the other, such as {@link Clip#embedPictures} returns.
     *
     * @param values a multiple of {@code dim} floats
     * @param dim features of each: {@link Clip#getEmbedDim}
     * @return the vectors
     */
    public static Vectors of(float[] values, int dim) {
        int count = rows("values", values.length, dim);
        FloatBuffer copy = floats("values", values.length);
        copy.put(values);
        copy.flip();
        return new Vectors(count, dim, copy, null, null);
    }

    /**
     * Vectors, one after the other, from the buffer's position to its limit.
     *
     * @param values a direct buffer in the machine's byte order, with a multiple of {@code dim} floats
     * @param dim features of each
     * @return the vectors, which are read when they are searched
     */
    public static Vectors of(FloatBuffer values, int dim) {
        FloatBuffer own = direct("values", values);
        return new Vectors(rows("values", own.remaining(), dim), dim, own, null, null);
    }

    /**
     * Vectors as {@link #quantize} made them: vector {@code i} is {@code scales[i]} times its row of {@code codes}.
     *
     * @param codes a direct buffer with a multiple of {@code dim} 8-bit integers
     * @param scales a direct buffer in the machine's byte order, with a float for each vector
     * @param dim features of each
     * @return the vectors, which are read when they are searched
     */
    public static Vectors of(ByteBuffer codes, FloatBuffer scales, int dim) {
        if (!Objects.requireNonNull(codes, "codes").isDirect()) {
            throw new IllegalArgumentException("codes: a direct buffer is needed (ByteBuffer.allocateDirect)");
        }
        FloatBuffer own = direct("scales", scales);
        int count = rows("codes", codes.remaining(), dim);
        if (own.remaining() != count) {
            throw new IllegalArgumentException("scales: there are " + own.remaining() + " for " + count + " vectors");
        }
        return new Vectors(count, dim, null, codes.slice(), own);
    }

    /**
     * These vectors, each rounded to 8-bit integers with a scale: a quarter of the memory, and of the time of a search that memory
     * bounds. The scale is the largest magnitude of the vector, divided by 127. A value that is NaN or infinite is
     * {@link Status#NON_FINITE}.
     *
     * @return other vectors, in memory of their own
     */
    public Vectors quantize() {
        if (values == null) {
            throw new IllegalStateException("these vectors are 8-bit integers");
        }
        ByteBuffer newCodes = ByteBuffer.allocateDirect(count * dim);
        FloatBuffer newScales = floats("scales", count);
        if (count > 0) {
            Native.quantizeVectors(values, count, dim, newCodes, newScales);
        }
        return new Vectors(count, dim, null, newCodes, newScales);
    }

    /**
     * How many vectors there are.
     *
     * @return the number
     */
    public int getCount() {
        return count;
    }

    /**
     * Features of each vector.
     *
     * @return the number
     */
    public int getDim() {
        return dim;
    }

    /**
     * The vectors as 8-bit integers, to be kept in a file.
     *
     * @return a view that cannot be written; null of vectors in f32
     */
    public ByteBuffer getCodes() {
        return codes == null ? null : codes.asReadOnlyBuffer();
    }

    /**
     * What each vector's integers are multiplied with.
     *
     * @return a view that cannot be written; null of vectors in f32
     */
    public FloatBuffer getScales() {
        return scales == null ? null : scales.asReadOnlyBuffer();
    }

    /**
     * The vectors with the largest scores, with the threads of {@link Context#shared}.
     *
     * @param query as many floats as a vector has
     * @param k how many are wanted, at least 1
     * @return {@code k}, or all if they are fewer; the best first, of equal scores the one with the smaller index
     */
    public List<Hit> topk(float[] query, int k) {
        if (query.length != dim) {
            throw new IllegalArgumentException("query: there are " + query.length + " floats, a vector has " + dim);
        }
        return topkEach(query, k, null, null).get(0);
    }

    /**
     * The same for several queries; faster than one call for each. Up to eight are compared as vectors come from memory, more are a
     * matrix product, which changes the last bits of scores. A query or a score that is NaN or infinite is
     * {@link Status#NON_FINITE}, unless the context's limits allow it.
     *
     * @param queries one after the other
     * @param k how many are wanted of each, at least 1
     * @param context whose threads and limits it has, null for {@link Context#shared}
     * @param progress hears how far it is, or null
     * @return a list for each query
     */
    public List<List<Hit>> topkEach(float[] queries, int k, Context context, Progress progress) {
        int queryCount = rows("queries", queries.length, dim);
        Fields.count("k", k);
        Context place = context == null ? Context.shared() : context;
        long pointer = place.enter();
        int[] found;
        try {
            found = Native.topk(pointer, queries, values, codes, scales, count, dim, k, Callbacks.of(progress));
        } finally {
            place.exit();
        }
        int each = Math.min(k, count);
        List<List<Hit>> all = new ArrayList<>(queryCount);
        for (int from = 0, query = 0; query < queryCount; query++) {
            List<Hit> hits = new ArrayList<>(each);
            for (int end = from + 2 * each; from < end; from += 2) {
                hits.add(new Hit(found[from], Float.intBitsToFloat(found[from + 1])));
            }
            all.add(Collections.unmodifiableList(hits));
        }
        return all;
    }

    private static int rows(String name, int length, int dim) {
        if (dim < 1) {
            throw new IllegalArgumentException("dim is " + dim);
        }
        if (length % dim != 0) {
            throw new IllegalArgumentException(name + ": " + length + " values are not whole rows of " + dim);
        }
        return length / dim;
    }

    private static FloatBuffer direct(String name, FloatBuffer buffer) {
        if (!Objects.requireNonNull(buffer, name).isDirect() || buffer.order() != ByteOrder.nativeOrder()) {
            throw new IllegalArgumentException(name + ": a direct buffer in the machine's byte order is needed"
                    + " (ByteBuffer.allocateDirect, ByteOrder.nativeOrder), or an array");
        }
        return buffer.slice();
    }

    private static FloatBuffer floats(String name, int count) {
        if (count > Integer.MAX_VALUE / 4) {
            throw new IllegalArgumentException(name + ": " + count + " are more than a buffer can hold");
        }
        return ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer();
    }
}
