package vitrum;

/**
 * The masks that {@link Sam#predict} found: for each prompt one, or three of a part, the whole object or more.
 */
public final class Prediction extends Handle {
    private int width;
    private int height;
    /** Which answer it holds: masks of an earlier one are gone. */
    private int generation;

    Prediction(long pointer) {
        super(Native.PREDICTION, pointer);
    }

    /** A call begins: masks of the earlier answer are gone, even if it fails. */
    synchronized void changes() {
        generation++;
    }

    /** A call succeeded. */
    synchronized void holds(Embedding embedding) {
        width = embedding.getWidth();
        height = embedding.getHeight();
    }

    private final class Answer implements Mask.Owner {
        private final int answer;

        Answer(int answer) {
            this.answer = answer;
        }

        @Override
        public long enterMask() {
            synchronized (Prediction.this) {
                if (answer != generation) {
                    throw new IllegalStateException("the prediction was used again: this mask is gone");
                }
                return enter();
            }
        }

        @Override
        public void leave() {
            exit();
        }
    }

    /**
     * How many prompts were answered.
     *
     * @return the number
     */
    public int getPromptCount() {
        long pointer = enter();
        try {
            return Native.predictionPrompts(pointer);
        } finally {
            exit();
        }
    }

    /**
     * How many masks there are for each prompt.
     *
     * @return 1 or 3
     */
    public int getMaskCount() {
        long pointer = enter();
        try {
            return Native.predictionMasks(pointer);
        } finally {
            exit();
        }
    }

    /**
     * The IoU (intersection over union) with the object that the model predicts, of every mask.
     *
     * @return prompt after prompt
     */
    public float[] scores() {
        long pointer = enter();
        try {
            return Native.predictionScores(pointer);
        } finally {
            exit();
        }
    }

    /**
     * The mask with the highest score of the first prompt.
     *
     * @return the mask
     */
    public Mask best() {
        return best(0);
    }

    /**
     * The mask with the highest score of a prompt.
     *
     * @param prompt counted from 0
     * @return the mask
     */
    public Mask best(int prompt) {
        float[] scores = scores();
        int count = getMaskCount();
        check("prompt", prompt, count == 0 ? 0 : scores.length / count);
        int best = 0;
        for (int i = 1; i < count; i++) {
            float score = scores[prompt * count + i];
            float highest = scores[prompt * count + best];
            // A score that is not a number is worse than all others.
            if (score > highest || Float.isNaN(highest) && !Float.isNaN(score)) {
                best = i;
            }
        }
        return mask(prompt, best);
    }

    /**
     * A mask.
     *
     * @param prompt counted from 0
     * @param mask counted from 0
     * @return the mask, at a threshold of 0
     */
    public synchronized Mask mask(int prompt, int mask) {
        check("prompt", prompt, getPromptCount());
        check("mask", mask, getMaskCount());
        return new Mask(new Answer(generation), Native.PREDICTION, prompt, mask, width, height, 0);
    }

    private static void check(String name, int index, int count) {
        if (index < 0 || index >= count) {
            throw new IndexOutOfBoundsException(name + " " + index + " of " + count);
        }
    }
}
