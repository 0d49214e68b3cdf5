package vitrum.android;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import vitrum.ModelFiles;

/** Models among an application's assets. */
public final class AssetModels {
    private AssetModels() {}

    /**
     * The files of a model. Weights are mapped, not copied, if the package holds them uncompressed ({@code noCompress
     * "safetensors"} in the build file); otherwise they are unpacked into memory.
     *
     * @param assets the application's
     * @param directory where the model's files are, and nothing that no model has
     * @return to load a model from
     * @throws IOException if one cannot be read, or there are none
     */
    public static ModelFiles files(AssetManager assets, String directory) throws IOException {
        String[] names = assets.list(directory);
        if (names == null || names.length == 0) {
            throw new IOException("there are no assets in " + directory);
        }
        ModelFiles files = new ModelFiles();
        for (String name : names) {
            String path = directory + "/" + name;
            if (name.endsWith(".safetensors") && addMapped(files, name, assets, path)) {
                continue;
            }
            try (InputStream in = assets.open(path)) {
                files.add(name, all(in));
            }
        }
        return files;
    }

    /** False if the package compresses it. */
    private static boolean addMapped(ModelFiles files, String name, AssetManager assets, String path) throws IOException {
        AssetFileDescriptor found;
        try {
            found = assets.openFd(path);
        } catch (IOException compressed) {
            return false;
        }
        try (AssetFileDescriptor it = found; FileInputStream in = new FileInputStream(it.getFileDescriptor())) {
            files.add(name, in.getChannel().map(FileChannel.MapMode.READ_ONLY, it.getStartOffset(), it.getLength()));
            return true;
        }
    }

    private static byte[] all(InputStream in) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        byte[] block = new byte[1 << 16];
        for (int size; (size = in.read(block)) >= 0; ) {
            all.write(block, 0, size);
        }
        return all.toByteArray();
    }
}
