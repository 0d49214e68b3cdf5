package vitrum.android;

import android.graphics.Bitmap;
import android.graphics.ImageFormat;
import android.media.Image;
import java.nio.ByteBuffer;
import vitrum.Picture;

/** Pictures of Android's classes. */
public final class AndroidPictures {
    private AndroidPictures() {}

    /**
     * A copy of a bitmap.
     *
     * @param bitmap of {@code ARGB_8888}; one of another kind, such as {@code HARDWARE}, is copied to that first, with the time and
     *     the memory that takes. Its transparency is dropped, not blended; Android keeps colours multiplied by it.
     * @return the picture
     */
    public static Picture of(Bitmap bitmap) {
        if (bitmap.getConfig() != Bitmap.Config.ARGB_8888) {
            Bitmap copy = bitmap.copy(Bitmap.Config.ARGB_8888, false);
            if (copy == null) {
                throw new IllegalArgumentException("a bitmap of " + bitmap.getConfig() + " cannot be copied to ARGB_8888");
            }
            try {
                return of(copy);
            } finally {
                copy.recycle();
            }
        }
        int stride = bitmap.getRowBytes();
        ByteBuffer pixels = ByteBuffer.allocateDirect(stride * bitmap.getHeight());
        bitmap.copyPixelsToBuffer(pixels);
        pixels.rewind();
        // The name of the kind is that of a number; in memory its bytes are red, green, blue, alpha.
        return Picture.of(pixels, Picture.Format.RGBA, bitmap.getWidth(), bitmap.getHeight(), stride);
    }

    /**
     * A frame of a camera or a decoder. Its luma is not copied, and its colours only if they are not pairs of U and V: the picture is
     * good as long as the image is not closed. The whole image is taken, without its crop rectangle, and not turned as the sensor
     * is.
     *
     * @param image of {@code YUV_420_888}
     * @param yuv what its numbers mean: {@link Picture.Yuv#BT601_FULL} for cameras, unless they say something else
     * @return the picture
     */
    public static Picture of(Image image, Picture.Yuv yuv) {
        if (image.getFormat() != ImageFormat.YUV_420_888) {
            throw new IllegalArgumentException("an image of format " + image.getFormat() + ", not YUV_420_888");
        }
        Image.Plane[] planes = image.getPlanes();
        Image.Plane luma = planes[0];
        Image.Plane u = planes[1];
        Image.Plane v = planes[2];
        // Android promises these.
        if (luma.getPixelStride() != 1 || u.getRowStride() != v.getRowStride() || u.getPixelStride() != v.getPixelStride()) {
            throw new IllegalArgumentException("planes that YUV_420_888 does not have");
        }
        return Picture.yuv420(luma.getBuffer(), luma.getRowStride(), u.getBuffer(), v.getBuffer(), u.getRowStride(),
                u.getPixelStride(), image.getWidth(), image.getHeight(), yuv);
    }
}
