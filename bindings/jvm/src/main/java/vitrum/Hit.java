package vitrum;

/** A vector that {@link Vectors#topk} found. */
public final class Hit {
    private final int index;
    private final float score;

    Hit(int index, float score) {
        this.index = index;
        this.score = score;
    }

    /**
     * Which vector it is.
     *
     * @return its number, counted from 0
     */
    public int getIndex() {
        return index;
    }

    /**
     * Its dot product with the query.
     *
     * @return of embeddings of length 1, their cosine
     */
    public float getScore() {
        return score;
    }

    @Override
    public String toString() {
        return index + ": " + score;
    }
}
