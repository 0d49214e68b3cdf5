package vitrum;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * A CLIP or SigLIP model: pictures and texts in one space. Immutable: several threads may use one at the same time.
 */
public final class Clip extends Handle {
    /** How to load a model. */
    public static final class Options {
        private Context context;
        private MemoryMap map = MemoryMap.NONE;
        private boolean lenient;
        private Activation activation = Activation.OF_FILES;
        private Weights weights = Weights.OF_FILES;
        private byte[] vocabulary;
        private Progress progress;

        /** The defaults. */
        public Options() {}

        /**
         * Whose threads and limits the model has.
         *
         * @param context null for {@link Context#shared}
         * @return this
         */
        public Options context(Context context) {
            this.context = context;
            return this;
        }

        /**
         * How files are read; not for {@link ModelFiles}.
         *
         * @param map {@link MemoryMap#NONE} by default
         * @return this
         */
        public Options map(MemoryMap map) {
            this.map = Objects.requireNonNull(map, "map");
            return this;
        }

        /**
         * Whether a model is loaded of which something is not understood. {@link Clip#getWarnings} says what.
         *
         * @param lenient false by default: it is {@link Status#UNSUPPORTED}
         * @return this
         */
        public Options lenient(boolean lenient) {
            this.lenient = lenient;
            return this;
        }

        /**
         * Another activation than the files name.
         *
         * @param activation {@link Activation#OF_FILES} by default
         * @return this
         */
        public Options activation(Activation activation) {
            this.activation = Objects.requireNonNull(activation, "activation");
            return this;
        }

        /**
         * What the weights of the towers are kept as.
         *
         * @param weights {@link Weights#OF_FILES} by default
         * @return this
         */
        public Options weights(Weights weights) {
            this.weights = Objects.requireNonNull(weights, "weights");
            return this;
        }

        /**
         * OpenAI's list of merges, gzipped or not, for weights in OpenCLIP's naming without a tokenizer beside them.
         *
         * @param vocabulary null for none
         * @return this
         */
        public Options vocabulary(byte[] vocabulary) {
            this.vocabulary = vocabulary;
            return this;
        }

        /**
         * Hears how far loading is.
         *
         * @param progress null for nobody
         * @return this
         */
        public Options progress(Progress progress) {
            this.progress = progress;
            return this;
        }

        private int[] numbers() {
            return new int[] {map.ordinal(), lenient ? 1 : 0, activation.ordinal(), weights.ordinal()};
        }
    }

    private Clip(long pointer) {
        super(Native.CLIP, pointer);
    }

    /**
     * Loads a model.
     *
     * @param path a directory in Hugging Face's layout, or a file of weights
     * @return the model
     */
    public static Clip load(String path) {
        return load(path, new Options());
    }

    /**
     * Loads a model.
     *
     * @param path a directory in Hugging Face's layout, or a file of weights
     * @param options how
     * @return the model
     */
    public static Clip load(String path, Options options) {
        return load(Text.of("path", path), null, options);
    }

    /**
     * Loads a model from memory.
     *
     * @param files its files
     * @param options how
     * @return the model
     */
    public static Clip load(ModelFiles files, Options options) {
        return load(null, Objects.requireNonNull(files, "files"), options);
    }

    private static Clip load(byte[] path, ModelFiles files, Options options) {
        Context context = options.context == null ? Context.shared() : options.context;
        long pointer = context.enter();
        try {
            return new Clip(Native.clipLoad(pointer, path, files == null ? null : files.names(),
                    files == null ? null : files.contents(), options.numbers(), options.vocabulary,
                    Callbacks.of(options.progress)));
        } finally {
            context.exit();
        }
    }

    /**
     * What was assumed when it was loaded, and which parts of its files are not used.
     *
     * @return sentences; none if there is nothing to say
     */
    public List<String> getWarnings() {
        long pointer = enter();
        try {
            return warnings(Native.CLIP, pointer);
        } finally {
            exit();
        }
    }

    static List<String> warnings(int kind, long pointer) {
        String text = Text.of(Native.warnings(kind, pointer));
        return text.isEmpty() ? Collections.<String>emptyList() : Arrays.asList(text.split("\n"));
    }

    /**
     * How long an embedding is.
     *
     * @return number of floats
     */
    public int getEmbedDim() {
        long pointer = enter();
        try {
            return Native.clipEmbedDim(pointer);
        } finally {
            exit();
        }
    }

    /**
     * How much memory the model occupies.
     *
     * @return bytes
     */
    public long getMemoryBytes() {
        long pointer = enter();
        try {
            return Native.memoryBytes(Native.CLIP, pointer);
        } finally {
            exit();
        }
    }

    /**
     * Whether a probability says of its label alone whether it fits the picture, as with a SigLIP; with a CLIP, those of a picture
     * sum to 1.
     *
     * @return true with a SigLIP
     */
    public boolean hasIndependentProbabilities() {
        long pointer = enter();
        try {
            return Native.clipIndependent(pointer);
        } finally {
            exit();
        }
    }

    /**
     * How well each label describes a picture, in the sentence "a photo of a {}".
     *
     * @param picture any size
     * @param labels one or more
     * @return a probability for each label, in their order
     */
    public float[] classify(Picture picture, String... labels) {
        return classify(picture, Arrays.asList(labels), null, null);
    }

    /**
     * How well each label describes a picture.
     *
     * @param picture any size
     * @param labels one or more
     * @param template a sentence with {@code {}} in the label's place; null for "a photo of a {}"
     * @param progress hears how far it is, or null
     * @return a probability for each label, in their order
     */
    public float[] classify(Picture picture, List<String> labels, String template, Progress progress) {
        byte[] all = Text.joined("labels", labels);
        byte[] sentence = Text.orNull("template", template);
        long pointer = enter();
        try {
            return Native.clipClassify(pointer, Objects.requireNonNull(picture, "picture"), all, labels.size(), sentence,
                    Callbacks.of(progress));
        } finally {
            exit();
        }
    }

    /**
     * The embedding of a picture, of length 1.
     *
     * @param picture any size
     * @return {@link #getEmbedDim} floats
     */
    public float[] embed(Picture picture) {
        return embedPictures(Collections.singletonList(picture), true, null);
    }

    /**
     * The embedding of a text, of length 1.
     *
     * @param text what is longer than the model's context is cut
     * @return {@link #getEmbedDim} floats
     */
    public float[] embed(String text) {
        return embedTexts(Collections.singletonList(text), true, null);
    }

    /**
     * The embeddings of pictures; faster than one call for each.
     *
     * @param pictures any sizes
     * @param normalize whether they get length 1
     * @param progress hears how far it is, or null
     * @return one after the other
     */
    public float[] embedPictures(List<Picture> pictures, boolean normalize, Progress progress) {
        Picture[] array = pictures.toArray(new Picture[0]);
        for (Picture picture : array) {
            Objects.requireNonNull(picture, "pictures");
        }
        long pointer = enter();
        try {
            return Native.clipEncodeImage(pointer, array, normalize, Callbacks.of(progress));
        } finally {
            exit();
        }
    }

    /**
     * The embeddings of texts; faster than one call for each.
     *
     * @param texts what is longer than the model's context is cut
     * @param normalize whether they get length 1
     * @param progress hears how far it is, or null
     * @return one after the other
     */
    public float[] embedTexts(List<String> texts, boolean normalize, Progress progress) {
        byte[] all = Text.joined("texts", texts);
        long pointer = enter();
        try {
            return Native.clipEncodeText(pointer, all, texts.size(), normalize, Callbacks.of(progress));
        } finally {
            exit();
        }
    }

    /**
     * Compares embeddings: for each picture and text the cosine, multiplied by the scale that the model has learnt, plus a
     * SigLIP's bias. A softmax over the texts of a picture gives probabilities; with {@link #hasIndependentProbabilities}, a
     * sigmoid.
     *
     * @param pictures embeddings, one after the other
     * @param texts embeddings, one after the other
     * @return logits of the first picture with all texts, of the second one, and so on
     */
    public float[] similarity(float[] pictures, float[] texts) {
        int dim = getEmbedDim();
        if (pictures.length % dim != 0 || texts.length % dim != 0) {
            throw new IllegalArgumentException("an embedding has " + dim + " floats; there are "
                    + pictures.length + " of pictures and " + texts.length + " of texts");
        }
        long pointer = enter();
        try {
            return Native.clipSimilarity(pointer, pictures, pictures.length / dim, texts, texts.length / dim);
        } finally {
            exit();
        }
    }

    /**
     * The token ids of a text, with the start and end tokens.
     *
     * @param text any text
     * @return at most as many as the model's context holds
     */
    public int[] tokenize(String text) {
        byte[] bytes = Text.of("text", text);
        long pointer = enter();
        try {
            return Native.clipTokenize(pointer, bytes);
        } finally {
            exit();
        }
    }
}
