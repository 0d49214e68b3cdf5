package vitrum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Exact search against a sort of all products. */
class VectorsTest {
    private static final int DIM = 37;
    private static final int COUNT = 500;

    private final Random random = new Random(7);

    /** Whole numbers: their products are exact in f32, and many are equal. */
    private float[] whole(int rows, int most) {
        float[] values = new float[rows * DIM];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextInt(2 * most + 1) - most;
        }
        return values;
    }

    private static FloatBuffer direct(float... values) {
        FloatBuffer buffer = ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.nativeOrder()).asFloatBuffer();
        buffer.put(values).flip();
        return buffer;
    }

    private static double product(float[] query, float[] values, int row) {
        double sum = 0;
        for (int i = 0; i < DIM; i++) {
            sum += (double) query[i] * values[row * DIM + i];
        }
        return sum;
    }

    /** All rows, the best first, of equal ones the earlier first. */
    private static int[] sorted(float[] query, float[] values) {
        return IntStream.range(0, values.length / DIM).boxed()
                .sorted(Comparator.comparingDouble((Integer row) -> -product(query, values, row)).thenComparing(row -> row))
                .mapToInt(Integer::intValue).toArray();
    }

    private static void same(float[] query, float[] values, int k, List<Hit> found) {
        int[] expected = sorted(query, values);
        assertEquals(Math.min(k, expected.length), found.size());
        for (int i = 0; i < found.size(); i++) {
            assertEquals(expected[i], found.get(i).getIndex(), "hit " + i);
            assertEquals((float) product(query, values, expected[i]), found.get(i).getScore());
        }
    }

    @Test
    void theBestOfFloatsAreFound() {
        float[] values = whole(COUNT, 3);
        float[] queries = whole(20, 3);
        // From an array, and from the middle of a direct buffer.
        FloatBuffer more = direct(new float[values.length + 5]);
        more.position(3);
        more.put(values);
        more.flip().position(3);
        for (Vectors vectors : new Vectors[] {Vectors.of(values, DIM), Vectors.of(more, DIM)}) {
            assertEquals(COUNT, vectors.getCount());
            assertEquals(DIM, vectors.getDim());
            float[] one = Arrays.copyOf(queries, DIM);
            same(one, values, 50, vectors.topk(one, 50));
            same(one, values, 600, vectors.topk(one, 600));
            for (int count : new int[] {5, 20}) {
                List<List<Hit>> all = vectors.topkEach(Arrays.copyOf(queries, count * DIM), 50, null, null);
                assertEquals(count, all.size());
                for (int i = 0; i < count; i++) {
                    same(Arrays.copyOfRange(queries, i * DIM, (i + 1) * DIM), values, 50, all.get(i));
                }
            }
        }
        float[] one = Arrays.copyOf(queries, DIM);
        int[] best = sorted(one, values);
        assertTrue(IntStream.range(1, 50).anyMatch(i -> product(one, values, best[i]) == product(one, values, best[i - 1])));
    }

    @Test
    void theBestOfIntegersAreFound() {
        float[] values = new float[COUNT * DIM];
        for (int i = 0; i < values.length / 2; i++) {
            // Every vector is there twice.
            values[i] = values[values.length / 2 + i] = (float) random.nextGaussian();
        }
        float[] query = new float[DIM];
        for (int i = 0; i < DIM; i++) {
            query[i] = (float) random.nextGaussian();
        }
        Vectors floats = Vectors.of(values, DIM);
        assertNull(floats.getCodes());
        assertNull(floats.getScales());
        Vectors made = floats.quantize();
        float[] rounded = new float[values.length];
        for (int row = 0; row < COUNT; row++) {
            float most = 0;
            for (int i = 0; i < DIM; i++) {
                most = Math.max(most, Math.abs(values[row * DIM + i]));
            }
            float scale = made.getScales().get(row);
            assertEquals(most / 127, scale, 1e-6f * scale);
            for (int i = row * DIM; i < (row + 1) * DIM; i++) {
                rounded[i] = scale * made.getCodes().get(i);
                assertEquals(values[i], rounded[i], 0.501f * scale);
            }
        }
        // As they come from a file.
        ByteBuffer codes = ByteBuffer.allocateDirect(values.length);
        codes.put(made.getCodes()).flip();
        FloatBuffer scales = direct(new float[COUNT]);
        scales.put(made.getScales()).flip();
        int[] expected = sorted(query, rounded);
        for (Vectors vectors : new Vectors[] {made, Vectors.of(codes, scales, DIM)}) {
            List<Hit> found = vectors.topk(query, 600);
            assertEquals(COUNT, found.size());
            for (int i = 0; i < COUNT; i++) {
                Hit hit = found.get(i);
                // The query has 16 bits.
                assertEquals(product(query, rounded, expected[i]), hit.getScore(), 2e-3);
                assertEquals(product(query, rounded, hit.getIndex()), hit.getScore(), 2e-3);
                if (i % 2 == 1) {
                    assertEquals(found.get(i - 1).getIndex() + COUNT / 2, hit.getIndex());
                    assertEquals(found.get(i - 1).getScore(), hit.getScore());
                }
            }
        }
        assertThrows(IllegalStateException.class, made::quantize);
    }

    @Test
    void badCallsAreNamed() {
        Vectors vectors = Vectors.of(whole(3, 3), DIM);
        float[] query = whole(1, 3);
        Demo.refuses(Status.INVALID_ARGUMENT, "k is 0", () -> vectors.topk(query, 0));
        Demo.refuses(Status.INVALID_ARGUMENT, "quer", () -> vectors.topkEach(new float[0], 1, null, null));
        float[] broken = whole(3, 3);
        broken[2 * DIM] = Float.NaN;
        Demo.refuses(Status.NON_FINITE, "vector 2", () -> Vectors.of(broken, DIM).quantize());
        Demo.refuses(Status.NON_FINITE, "vector 2", () -> Vectors.of(broken, DIM).topk(query, 1));
        Demo.refuses(Status.CANCELLED, "", () -> vectors.topkEach(query, 1, null, fraction -> false));
        try (Context context = new Context(new Context.Options().threads(1))) {
            same(query, whole(0, 3), 3, Vectors.of(new float[0], DIM).topkEach(query, 3, context, null).get(0));
            context.close();
            assertThrows(IllegalStateException.class, () -> vectors.topkEach(query, 1, context, null));
        }
        assertEquals(0, Vectors.of(new float[0], DIM).quantize().topk(query, 3).size());
        for (Runnable call : List.<Runnable>of(
                () -> vectors.topk(new float[DIM - 1], 1), () -> vectors.topk(query, -1), () -> Vectors.of(new float[5], 3),
                () -> Vectors.of(new float[5], 0), () -> Vectors.of(FloatBuffer.allocate(DIM), DIM),
                () -> Vectors.of(ByteBuffer.allocateDirect(8).order(otherOrder()).asFloatBuffer(), 2),
                () -> Vectors.of(ByteBuffer.allocate(4), direct(1), 4),
                () -> Vectors.of(ByteBuffer.allocateDirect(8), direct(1), 4))) {
            assertThrows(IllegalArgumentException.class, call::run);
        }
    }

    private static ByteOrder otherOrder() {
        return ByteOrder.nativeOrder() == ByteOrder.BIG_ENDIAN ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
    }
}
