package vitrum;

import java.util.Objects;

/** An encoded picture, of which masks are asked. Immutable: several threads may use one at the same time. */
public final class Embedding extends Handle {
    private final int width;
    private final int height;

    Embedding(long pointer) {
        super(Native.EMBEDDING, pointer);
        width = Native.embeddingWidth(pointer);
        height = Native.embeddingHeight(pointer);
    }

    /**
     * The width of the picture.
     *
     * @return in pixels
     */
    public int getWidth() {
        return width;
    }

    /**
     * The height of the picture.
     *
     * @return in pixels
     */
    public int getHeight() {
        return height;
    }

    /**
     * How much memory it occupies.
     *
     * @return bytes
     */
    public long getMemoryBytes() {
        long pointer = enter();
        try {
            return Native.memoryBytes(Native.EMBEDDING, pointer);
        } finally {
            exit();
        }
    }

    /**
     * The output of the image encoder.
     *
     * @return a square grid of tokens, row by row, the channels of a token together
     */
    public float[] values() {
        long pointer = enter();
        try {
            return Native.embeddingValues(pointer);
        } finally {
            exit();
        }
    }

    /**
     * The embedding for a file: {@link Sam#loadEmbedding} restores it, as does every other program with this library.
     *
     * @return its bytes
     */
    public byte[] save() {
        long pointer = enter();
        try {
            return Native.embeddingSave(pointer);
        } finally {
            exit();
        }
    }

    /**
     * Whether it was made from exactly this picture.
     *
     * @param picture layout in memory and alpha do not matter
     * @return null if that is not known: if an early version of the library saved it
     */
    public Boolean isOf(Picture picture) {
        long pointer = enter();
        try {
            int match = Native.embeddingIsOf(pointer, Objects.requireNonNull(picture, "picture"));
            return match < 0 ? null : Boolean.valueOf(match == 1);
        } finally {
            exit();
        }
    }
}
