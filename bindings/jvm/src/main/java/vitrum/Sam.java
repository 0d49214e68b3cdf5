package vitrum;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * A SAM or SAM 2 model: masks from clicks, boxes and words. Immutable: several threads may use one at the same time.
 */
public final class Sam extends Handle {
    /** How to load a model. */
    public static final class Options {
        private Context context;
        private MemoryMap map = MemoryMap.NONE;
        private int imageSize;
        private boolean lenient;
        private Weights weights = Weights.OF_FILES;
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
         * Side of the model's square input. A smaller one is faster and shows less detail.
         *
         * @param side in pixels; 0, the default, for that of the checkpoint
         * @return this
         */
        public Options imageSize(int side) {
            this.imageSize = Fields.count("imageSize", side);
            return this;
        }

        /**
         * Whether a model is loaded of which something is not understood. {@link Sam#getWarnings} says what.
         *
         * @param lenient false by default: it is {@link Status#UNSUPPORTED}
         * @return this
         */
        public Options lenient(boolean lenient) {
            this.lenient = lenient;
            return this;
        }

        /**
         * What the weights of the image encoder are kept as.
         *
         * @param weights {@link Weights#OF_FILES} by default
         * @return this
         */
        public Options weights(Weights weights) {
            this.weights = Objects.requireNonNull(weights, "weights");
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
            return new int[] {map.ordinal(), imageSize, lenient ? 1 : 0, weights.ordinal()};
        }
    }

    /** How prompts are answered. */
    public static final class PredictOptions {
        private boolean multimask = true;
        private int maxHoleArea;
        private int maxSprinkleArea;
        private Progress progress;

        /** The defaults. */
        public PredictOptions() {}

        /**
         * Whether there are three masks for each prompt, for prompts that may mean a part, the whole object or more.
         *
         * @param multimask true by default
         * @return this
         */
        public PredictOptions multimask(boolean multimask) {
            this.multimask = multimask;
            return this;
        }

        /**
         * Holes of at most this area are filled.
         *
         * @param area in values of the low-resolution mask; 0, the default, leaves them
         * @return this
         */
        public PredictOptions maxHoleArea(int area) {
            maxHoleArea = Fields.count("maxHoleArea", area);
            return this;
        }

        /**
         * Islands of at most this area are removed, after holes were filled.
         *
         * @param area in values of the low-resolution mask; 0, the default, leaves them
         * @return this
         */
        public PredictOptions maxSprinkleArea(int area) {
            maxSprinkleArea = Fields.count("maxSprinkleArea", area);
            return this;
        }

        /**
         * Hears how far it is.
         *
         * @param progress null for nobody
         * @return this
         */
        public PredictOptions progress(Progress progress) {
            this.progress = progress;
            return this;
        }
    }

    private Sam(long pointer) {
        super(Native.SAM, pointer);
    }

    /**
     * Loads a model.
     *
     * @param path a directory in Hugging Face's layout, or a file of weights
     * @return the model
     */
    public static Sam load(String path) {
        return load(path, new Options());
    }

    /**
     * Loads a model.
     *
     * @param path a directory in Hugging Face's layout, or a file of weights
     * @param options how
     * @return the model
     */
    public static Sam load(String path, Options options) {
        return load(Text.of("path", path), null, options);
    }

    /**
     * Loads a model from memory.
     *
     * @param files its files
     * @param options how
     * @return the model
     */
    public static Sam load(ModelFiles files, Options options) {
        return load(null, Objects.requireNonNull(files, "files"), options);
    }

    private static Sam load(byte[] path, ModelFiles files, Options options) {
        Context context = options.context == null ? Context.shared() : options.context;
        long pointer = context.enter();
        try {
            return new Sam(Native.samLoad(pointer, path, files == null ? null : files.names(),
                    files == null ? null : files.contents(), options.numbers(), Callbacks.of(options.progress)));
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
            return Clip.warnings(Native.SAM, pointer);
        } finally {
            exit();
        }
    }

    /**
     * Side of the model's square input.
     *
     * @return in pixels
     */
    public int getImageSize() {
        long pointer = enter();
        try {
            return Native.samImageSize(pointer);
        } finally {
            exit();
        }
    }

    /**
     * Side of the square low-resolution masks.
     *
     * @return in values
     */
    public int getMaskSide() {
        long pointer = enter();
        try {
            return Native.samMaskSide(pointer);
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
            return Native.memoryBytes(Native.SAM, pointer);
        } finally {
            exit();
        }
    }

    /**
     * Runs the image encoder: the slow part, once for a picture.
     *
     * @param picture any size
     * @return what is asked for masks
     */
    public Embedding encode(Picture picture) {
        return encode(picture, null);
    }

    /**
     * Runs the image encoder: the slow part, once for a picture.
     *
     * @param picture any size
     * @param progress hears how far it is, or null
     * @return what is asked for masks
     */
    public Embedding encode(Picture picture, Progress progress) {
        long pointer = enter();
        try {
            return new Embedding(Native.samEncode(pointer, Objects.requireNonNull(picture, "picture"),
                    Callbacks.of(progress)));
        } finally {
            exit();
        }
    }

    /**
     * Restores what {@link Embedding#save} wrote, here or in any other program with this library. The bytes need not be trusted;
     * {@link Embedding#isOf} tells whether they are of the picture at hand.
     *
     * @param bytes of this model, or of one from the same weights with the same input size
     * @return the embedding
     */
    public Embedding loadEmbedding(byte[] bytes) {
        long pointer = enter();
        try {
            return new Embedding(Native.embeddingLoad(pointer, Objects.requireNonNull(bytes, "bytes")));
        } finally {
            exit();
        }
    }

    /**
     * The masks that a prompt asks for.
     *
     * @param embedding the encoded picture
     * @param prompt clicks, a box, an earlier mask
     * @return three masks; {@link Prediction#best} has the highest score
     */
    public Prediction predict(Embedding embedding, Prompt prompt) {
        return predict(embedding, Collections.singletonList(prompt), new PredictOptions());
    }

    /**
     * The masks of several objects, independently of each other; faster than one call for each.
     *
     * @param embedding the encoded picture
     * @param prompts one for each object
     * @param options how they are answered
     * @return the masks
     */
    public Prediction predict(Embedding embedding, List<Prompt> prompts, PredictOptions options) {
        Prediction prediction;
        long pointer = enter();
        try {
            prediction = new Prediction(Native.predictionNew(pointer));
        } finally {
            exit();
        }
        boolean done = false;
        try {
            predict(embedding, prompts, options, prediction);
            done = true;
            return prediction;
        } finally {
            if (!done) {
                prediction.close();
            }
        }
    }

    /**
     * The same into the memory of an earlier prediction, whose masks are gone: a second click allocates nothing large.
     *
     * @param embedding the encoded picture
     * @param prompts one for each object
     * @param options how they are answered
     * @param prediction receives the masks
     */
    public void predict(Embedding embedding, List<Prompt> prompts, PredictOptions options, Prediction prediction) {
        Prompt[] array = prompts.toArray(new Prompt[0]);
        for (Prompt prompt : array) {
            Objects.requireNonNull(prompt, "prompts");
        }
        long pointer = enter();
        try {
            long from = embedding.enter();
            try {
                long to = prediction.enter();
                try {
                    prediction.changes();
                    Native.samPredict(pointer, from, array, options.multimask, options.maxHoleArea,
                            options.maxSprinkleArea, to, Callbacks.of(options.progress));
                    prediction.holds(embedding);
                } finally {
                    prediction.exit();
                }
            } finally {
                embedding.exit();
            }
        } finally {
            exit();
        }
    }

    /**
     * How {@link #everything} finds masks by default: a SAM 2 has other thresholds than a SAM, and a model's files may have their
     * own.
     *
     * @return to change and to use
     */
    public EverythingOptions everythingDefaults() {
        long pointer = enter();
        try {
            return new EverythingOptions(pointer);
        } finally {
            exit();
        }
    }

    /**
     * Segments everything in a picture.
     *
     * @param picture any size
     * @return all masks
     */
    public List<MaskRecord> everything(Picture picture) {
        final List<MaskRecord> records = new ArrayList<>();
        everything(picture, null, new MaskRecord.Listener() {
            @Override
            public boolean onRecord(MaskRecord record) {
                return records.add(record);
            }
        }).close();
        return records;
    }

    /**
     * Segments everything in a picture. If the call ends early, the masks that the listener got by then are final.
     *
     * @param picture any size
     * @param options null for {@link #everythingDefaults}
     * @param listener receives the masks
     * @return the embedding of the picture, for prompts
     */
    public Embedding everything(Picture picture, EverythingOptions options, final MaskRecord.Listener listener) {
        Objects.requireNonNull(listener, "listener");
        Callbacks callbacks = new Callbacks(options == null ? null : options.progress) {
            @Override
            boolean mask(int text, float probability, int[] counts, double[] numbers) {
                return listener.onRecord(new MaskRecord(counts, numbers));
            }
        };
        long pointer = enter();
        try {
            return new Embedding(Native.samEverything(pointer, Objects.requireNonNull(picture, "picture"),
                    options == null ? null : options.values, options == null ? null : options.grids(), callbacks));
        } finally {
            exit();
        }
    }

    /**
     * Finds what texts describe: segments everything, and compares each mask with the texts.
     *
     * @param clip compares pictures and texts
     * @param picture any size
     * @param prompt the texts
     * @return the best masks of each text, text by text, the best first
     */
    public List<TextMatch> ground(Clip clip, Picture picture, TextPrompt prompt) {
        final List<TextMatch> matches = new ArrayList<>();
        Callbacks callbacks = new Callbacks(prompt.progress) {
            @Override
            boolean mask(int text, float probability, int[] counts, double[] numbers) {
                return matches.add(new TextMatch(text, probability, new MaskRecord(counts, numbers)));
            }
        };
        byte[] texts = Text.joined("texts", prompt.texts);
        byte[] others = Text.joined("others", prompt.others);
        byte[] template = Text.orNull("template", prompt.template);
        EverythingOptions candidates = prompt.candidates;
        long pointer = enter();
        try {
            long clipPointer = clip.enter();
            try {
                Native.samGround(pointer, clipPointer, Objects.requireNonNull(picture, "picture"), texts,
                        prompt.texts.size(), others, prompt.others.size(), template, prompt.top, prompt.minProbability,
                        candidates == null ? null : candidates.values, candidates == null ? null : candidates.grids(),
                        callbacks);
            } finally {
                clip.exit();
            }
        } finally {
            exit();
        }
        return matches;
    }
}
