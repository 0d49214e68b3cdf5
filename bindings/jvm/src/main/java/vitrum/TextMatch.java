package vitrum;

/** A mask that answers a text of {@link Sam#ground}. */
public final class TextMatch {
    private final int text;
    private final float probability;
    private final MaskRecord record;

    TextMatch(int text, float probability, MaskRecord record) {
        this.text = text;
        this.probability = probability;
        this.record = record;
    }

    /**
     * Which text it answers.
     *
     * @return its number, counted from 0
     */
    public int getText() {
        return text;
    }

    /**
     * How probable the text is for this mask.
     *
     * @return from 0 to 1
     */
    public float getProbability() {
        return probability;
    }

    /**
     * The mask.
     *
     * @return with its box and scores
     */
    public MaskRecord getRecord() {
        return record;
    }
}
