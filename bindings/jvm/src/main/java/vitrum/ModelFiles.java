package vitrum;

import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The files of a model in memory, as a model's directory holds them: weights, whose names end in {@code .safetensors}, and beside
 * them {@code config.json}, {@code preprocessor_config.json}, {@code tokenizer.json} and so on. They are needed only while a model is
 * loaded.
 */
public final class ModelFiles {
    final Map<String, ByteBuffer> files = new LinkedHashMap<>();

    /** No files. */
    public ModelFiles() {}

    /**
     * Adds a file.
     *
     * @param name without directories
     * @param contents what is left in the buffer; of a direct one, such as a mapped file, nothing is copied
     * @return this
     */
    public ModelFiles add(String name, ByteBuffer contents) {
        ByteBuffer rest = Objects.requireNonNull(contents, "contents").slice();
        if (!rest.isDirect()) {
            ByteBuffer copy = ByteBuffer.allocateDirect(rest.remaining());
            copy.put(rest).flip();
            rest = copy;
        }
        if (files.put(Objects.requireNonNull(name, "name"), rest) != null) {
            throw new IllegalArgumentException(name + " is given twice");
        }
        return this;
    }

    /**
     * Adds a copy of a file.
     *
     * @param name without directories
     * @param contents its bytes
     * @return this
     */
    public ModelFiles add(String name, byte[] contents) {
        return add(name, ByteBuffer.wrap(contents));
    }

    byte[] names() {
        return Text.joined("name", files.keySet());
    }

    ByteBuffer[] contents() {
        return files.values().toArray(new ByteBuffer[0]);
    }
}
