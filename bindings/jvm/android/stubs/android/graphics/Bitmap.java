package android.graphics;

import java.nio.Buffer;

/** Signatures of Android's class, to compile and test without an SDK; a test extends it. */
public class Bitmap {
    public enum Config { ALPHA_8, RGB_565, ARGB_4444, ARGB_8888, RGBA_F16, HARDWARE, RGBA_1010102 }

    public Config getConfig() {
        throw new UnsupportedOperationException();
    }

    public Bitmap copy(Config config, boolean isMutable) {
        throw new UnsupportedOperationException();
    }

    public void recycle() {}

    public int getRowBytes() {
        throw new UnsupportedOperationException();
    }

    public int getWidth() {
        throw new UnsupportedOperationException();
    }

    public int getHeight() {
        throw new UnsupportedOperationException();
    }

    public void copyPixelsToBuffer(Buffer dst) {
        throw new UnsupportedOperationException();
    }
}
