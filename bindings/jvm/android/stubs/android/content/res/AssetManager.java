package android.content.res;

import java.io.IOException;
import java.io.InputStream;

/** Signatures of Android's class, to compile and test without an SDK; a test extends it. */
public class AssetManager {
    public String[] list(String path) throws IOException {
        throw new UnsupportedOperationException();
    }

    public InputStream open(String fileName) throws IOException {
        throw new UnsupportedOperationException();
    }

    public AssetFileDescriptor openFd(String fileName) throws IOException {
        throw new UnsupportedOperationException();
    }
}
