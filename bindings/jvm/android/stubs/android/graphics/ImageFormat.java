package android.graphics;

/** Signatures of Android's class, to compile and test without an SDK. */
public class ImageFormat {
    public static final int YUV_420_888 = 0x23;
}
