package vitrum;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/**
 * The native part: C functions in {@code bindings/jvm/native} that call the C interface. Pointers come from {@link Handle#enter};
 * texts are UTF-8 with a NUL after each; buffers are direct, and used whole.
 */
final class Native {
    static final int CONTEXT = 0;
    static final int CLIP = 1;
    static final int SAM = 2;
    static final int EMBEDDING = 3;
    static final int PREDICTION = 4;
    static final int TRACKER = 5;

    /** The version that these classes are of. */
    static final String VERSION = "0.1.0";

    static {
        NativeLibrary.load();
        String version = Text.of(version());
        if (!version.equals(VERSION)) {
            throw new UnsatisfiedLinkError("the native library is of version " + version + ", the classes are of " + VERSION);
        }
    }

    private Native() {}

    static native byte[] version();

    static native void free(int kind, long pointer);

    static native byte[] warnings(int kind, long pointer);

    static native long memoryBytes(int kind, long pointer);

    static native long address(ByteBuffer direct);

    static native void limitsDefaults(double[] values);

    static native void everythingDefaults(long sam, double[] values);

    static native void trackerDefaults(double[] values);

    static native long contextNew(int threads, int isa, boolean amx, double[] limits);

    static native int contextThreads(long context);

    static native int contextIsa(long context);

    static native int contextAmx(long context);

    static native void contextTrim(long context);

    static native long clipLoad(long context, byte[] path, byte[] names, ByteBuffer[] contents, int[] options,
            byte[] vocabulary, Callbacks callbacks);

    static native int clipEmbedDim(long clip);

    static native boolean clipIndependent(long clip);

    static native float[] clipEncodeImage(long clip, Picture[] pictures, boolean normalize, Callbacks callbacks);

    static native float[] clipEncodeText(long clip, byte[] texts, int count, boolean normalize, Callbacks callbacks);

    static native float[] clipClassify(long clip, Picture picture, byte[] labels, int count, byte[] template,
            Callbacks callbacks);

    static native float[] clipSimilarity(long clip, float[] images, int imageCount, float[] texts, int textCount);

    static native int[] clipTokenize(long clip, byte[] text);

    // Vectors are `values`, or `codes` and `scales`; of a hit comes its index, then the bits of its score.

    static native int[] topk(long context, float[] queries, FloatBuffer values, ByteBuffer codes, FloatBuffer scales, int count,
            int dim, int k, Callbacks callbacks);

    static native void quantizeVectors(FloatBuffer values, int count, int dim, ByteBuffer codes, FloatBuffer scales);

    static native long samLoad(long context, byte[] path, byte[] names, ByteBuffer[] contents, int[] options,
            Callbacks callbacks);

    static native int samImageSize(long sam);

    static native int samMaskSide(long sam);

    static native long samEncode(long sam, Picture picture, Callbacks callbacks);

    static native int embeddingWidth(long embedding);

    static native int embeddingHeight(long embedding);

    static native float[] embeddingValues(long embedding);

    static native byte[] embeddingSave(long embedding);

    static native int embeddingIsOf(long embedding, Picture picture);

    static native long embeddingLoad(long sam, byte[] bytes);

    static native long predictionNew(long sam);

    static native void samPredict(long sam, long embedding, Prompt[] prompts, boolean multimask, int maxHoleArea,
            int maxSprinkleArea, long prediction, Callbacks callbacks);

    static native int predictionPrompts(long prediction);

    static native int predictionMasks(long prediction);

    static native float[] predictionScores(long prediction);

    static native float predictionStability(long prediction, long prompt, long mask, float threshold, float offset);

    // Of masks, `kind` is PREDICTION with prompt and mask, or TRACKER with object and frame.

    static native double[] maskStats(int kind, long pointer, long first, long second, float threshold);

    static native byte[] maskPixels(int kind, long pointer, long first, long second, float threshold);

    static native void maskPixelsInto(int kind, long pointer, long first, long second, float threshold, ByteBuffer pixels);

    static native int[] maskRle(int kind, long pointer, long first, long second, float threshold);

    static native int[][] maskPolygons(int kind, long pointer, long first, long second, float threshold, float tolerance);

    static native float[] maskLogits(int kind, long pointer, long first, long second, boolean lowRes);

    static native int[][] rlePolygons(int[] counts, int width, int height, float tolerance);

    static native long samEverything(long sam, Picture picture, double[] options, double[][] grids, Callbacks callbacks);

    static native void samGround(long sam, long clip, Picture picture, byte[] texts, int textCount, byte[] others,
            int otherCount, byte[] template, int top, double minProbability, double[] candidates, double[][] grids,
            Callbacks callbacks);

    static native long trackerNew(long sam, int width, int height, double[] options);

    static native long trackerMemoryLimit(long sam, int width, int height, double[] options);

    static native long trackerLoad(long sam, byte[] bytes);

    static native byte[] trackerSave(long tracker);

    static native int trackerWidth(long tracker);

    static native int trackerHeight(long tracker);

    static native long trackerPush(long tracker, long frame, Picture picture, Callbacks callbacks);

    static native long trackerFrame(long tracker);

    static native long[] trackerHeldFrames(long tracker);

    static native void trackerAddPoints(long tracker, long frame, int object, Prompt prompt, boolean keepEarlier,
            Callbacks callbacks);

    static native void trackerAddMask(long tracker, long frame, int object, byte[] pixels, int width, int height,
            Callbacks callbacks);

    static native void trackerClearPrompts(long tracker, long frame, int object);

    static native void trackerRemoveObject(long tracker, int object);

    static native void trackerReset(long tracker);

    static native int[] trackerObjects(long tracker);

    static native void trackerStep(long tracker, Callbacks callbacks);

    static native void trackerStepAt(long tracker, long frame, boolean backward, Callbacks callbacks);

    static native void trackerPropagate(long tracker, boolean backward, long start, long maxFrames, Callbacks callbacks);

    static native boolean trackerHasMask(long tracker, int object, long frame);
}
