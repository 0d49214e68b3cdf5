package vitrum;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * A picture in memory, 8 bits a channel. Of a direct {@link ByteBuffer} nothing is copied: its bytes are read, from its position on,
 * during each call that the picture is given to, and must not change meanwhile. Arrays are copied.
 *
 * <p>The order of bytes is that of a file or a canvas: Android's {@code Bitmap.copyPixelsToBuffer} with {@code ARGB_8888} gives
 * {@link Format#RGBA}, and {@code int}s with alpha in their highest bits are what {@link #argb} takes.
 */
public final class Picture {
    /** The channels of a pixel, byte by byte. */
    public enum Format {
        /** Red, green, blue. */
        RGB(1, 3),
        /** Blue, green, red. */
        BGR(2, 3),
        /** Red, green, blue, alpha; alpha is ignored. */
        RGBA(3, 4),
        /** Blue, green, red, alpha; alpha is ignored. */
        BGRA(4, 4),
        /** One grey channel. */
        GRAY(5, 1);

        final int code;
        final int bytes;

        Format(int code, int bytes) {
            this.code = code;
            this.bytes = bytes;
        }
    }

    /** Weights of the colours in luma, and its range. */
    public enum Yuv {
        /** ITU-R BT.601, luma 16 to 235: what cameras give, unless they say something else. */
        BT601(0, 0),
        /** ITU-R BT.601, luma 0 to 255: JPEG's, and that of Android's cameras. */
        BT601_FULL(0, 1),
        /** ITU-R BT.709, luma 16 to 235: video of 720 lines and more. */
        BT709(1, 0),
        /** ITU-R BT.709, luma 0 to 255. */
        BT709_FULL(1, 1);

        final int matrix;
        final int fullRange;

        Yuv(int matrix, int fullRange) {
            this.matrix = matrix;
            this.fullRange = fullRange;
        }
    }

    private static final int NV12 = 6;

    // The native part reads these three: whole direct buffers, and format, width, height, row stride, chroma stride, matrix, range.
    private final ByteBuffer pixels;
    private final ByteBuffer chroma;
    private final long[] layout;

    private Picture(ByteBuffer pixels, ByteBuffer chroma, long... layout) {
        this.pixels = pixels;
        this.chroma = chroma;
        this.layout = layout;
    }

    /**
     * A picture without gaps between its rows.
     *
     * @param pixels a direct buffer
     * @param format the channels
     * @param width in pixels
     * @param height in pixels
     * @return the picture, which reads the buffer when it is used
     */
    public static Picture of(ByteBuffer pixels, Format format, int width, int height) {
        return of(pixels, format, width, height, (long) width * format.bytes);
    }

    /**
     * A picture whose rows are {@code rowStride} bytes apart.
     *
     * @param pixels a direct buffer
     * @param format the channels
     * @param width in pixels
     * @param height in pixels
     * @param rowStride bytes from one row to the next
     * @return the picture, which reads the buffer when it is used
     */
    public static Picture of(ByteBuffer pixels, Format format, int width, int height, long rowStride) {
        Objects.requireNonNull(format, "format");
        ByteBuffer rows = rows("pixels", pixels, height, rowStride, (long) width * format.bytes, 0);
        return new Picture(rows, null, format.code, width, height, rowStride, 0, 0, 0);
    }

    /**
     * A copy of a picture without gaps between its rows.
     *
     * @param pixels as many bytes as the picture has
     * @param format the channels
     * @param width in pixels
     * @param height in pixels
     * @return the picture
     */
    public static Picture of(byte[] pixels, Format format, int width, int height) {
        size(width, height);
        if (pixels.length != (long) width * height * format.bytes) {
            throw new IllegalArgumentException(
                    "pixels: " + width + " x " + height + " of " + format + " are not " + pixels.length + " bytes");
        }
        ByteBuffer copy = ByteBuffer.allocateDirect(pixels.length);
        copy.put(pixels).flip();
        return of(copy, format, width, height);
    }

    /**
     * A copy of a picture of packed numbers: alpha, which is ignored, in the highest 8 bits, then red, green and blue. So
     * {@code Bitmap.getPixels} and {@code BufferedImage.getRGB} give them.
     *
     * @param pixels as many numbers as the picture has pixels
     * @param width in pixels
     * @param height in pixels
     * @return the picture
     */
    public static Picture argb(int[] pixels, int width, int height) {
        size(width, height);
        if (pixels.length != (long) width * height) {
            throw new IllegalArgumentException(
                    "pixels: " + width + " x " + height + " are not " + pixels.length + " pixels");
        }
        if (pixels.length > Integer.MAX_VALUE / 4) {
            throw new IllegalArgumentException("pixels: " + pixels.length + " are more than a buffer can hold");
        }
        ByteBuffer copy = ByteBuffer.allocateDirect(4 * pixels.length).order(ByteOrder.LITTLE_ENDIAN);
        copy.asIntBuffer().put(pixels);
        return of(copy, Format.BGRA, width, height);
    }

    /**
     * What many cameras and video decoders give: luma, and pairs of U and V for every 2 x 2 pixels.
     *
     * @param luma a direct buffer
     * @param lumaStride bytes from one row of luma to the next
     * @param chroma a direct buffer
     * @param chromaStride bytes from one row of pairs to the next
     * @param width in pixels
     * @param height in pixels
     * @param yuv what the numbers mean
     * @return the picture, which reads the buffers when it is used
     */
    public static Picture nv12(ByteBuffer luma, long lumaStride, ByteBuffer chroma, long chromaStride, int width, int height,
            Yuv yuv) {
        return nv12(luma, lumaStride, chroma, chromaStride, width, height, yuv, 0);
    }

    /**
     * Luma, and pairs of V and U for every 2 x 2 pixels: the preview format of Android's old camera interface. The pairs are copied.
     *
     * @param luma a direct buffer
     * @param lumaStride bytes from one row of luma to the next
     * @param chroma a direct buffer
     * @param chromaStride bytes from one row of pairs to the next
     * @param width in pixels
     * @param height in pixels
     * @param yuv what the numbers mean
     * @return the picture, which reads the luma when it is used
     */
    public static Picture nv21(ByteBuffer luma, long lumaStride, ByteBuffer chroma, long chromaStride, int width, int height,
            Yuv yuv) {
        size(width, height);
        ByteBuffer pairs = rows("chroma", chroma, half(height), chromaStride, 2L * half(width), 0);
        ByteBuffer u = pairs.duplicate();
        u.position(1);
        return yuv420(luma, lumaStride, u, pairs, chromaStride, 2, width, height, yuv);
    }

    /**
     * Three planes, of which the second and the third have half the width and half the height: {@code YUV_420_888} of Android's
     * {@code Image}. Nothing is copied if U and V are pairs in memory, U first; otherwise they are made pairs.
     *
     * @param luma a direct buffer
     * @param lumaStride bytes from one row of luma to the next
     * @param u a direct buffer
     * @param v a direct buffer
     * @param chromaStride bytes from one row of U, or of V, to the next
     * @param pixelStride bytes from one U, or V, to the next
     * @param width in pixels
     * @param height in pixels
     * @param yuv what the numbers mean
     * @return the picture, which reads the luma when it is used, and U and V where they are not copied
     */
    public static Picture yuv420(ByteBuffer luma, long lumaStride, ByteBuffer u, ByteBuffer v, long chromaStride,
            int pixelStride, int width, int height, Yuv yuv) {
        size(width, height);
        if (pixelStride < 1) {
            throw new IllegalArgumentException("pixelStride is " + pixelStride);
        }
        int columns = half(width);
        int rows = half(height);
        long row = (long) (columns - 1) * pixelStride + 1;
        ByteBuffer us = rows("u", u, rows, chromaStride, row, 0);
        ByteBuffer vs = rows("v", v, rows, chromaStride, row, 0);
        if (pixelStride == 2 && Native.address(vs) == Native.address(us) + 1) {
            // The last V lies behind the end of the buffer with the Us, and in that with the Vs.
            return nv12(luma, lumaStride, us, chromaStride, width, height, yuv, 1);
        }
        ByteBuffer pairs = ByteBuffer.allocateDirect(2 * columns * rows);
        for (int y = 0; y < rows; y++) {
            int from = (int) (y * chromaStride);
            for (int x = 0; x < columns; x++) {
                pairs.put(us.get(from + x * pixelStride)).put(vs.get(from + x * pixelStride));
            }
        }
        pairs.flip();
        return nv12(luma, lumaStride, pairs, 2L * columns, width, height, yuv);
    }

    private static Picture nv12(ByteBuffer luma, long lumaStride, ByteBuffer chroma, long chromaStride, int width, int height,
            Yuv yuv, int behind) {
        Objects.requireNonNull(yuv, "yuv");
        size(width, height);
        ByteBuffer y = rows("luma", luma, height, lumaStride, width, 0);
        ByteBuffer pairs = rows("chroma", chroma, half(height), chromaStride, 2L * half(width), behind);
        return new Picture(y, pairs, NV12, width, height, lumaStride, chromaStride, yuv.matrix, yuv.fullRange);
    }

    /**
     * The width.
     *
     * @return in pixels
     */
    public int getWidth() {
        return (int) layout[1];
    }

    /**
     * The height.
     *
     * @return in pixels
     */
    public int getHeight() {
        return (int) layout[2];
    }

    private static int half(int length) {
        return length / 2 + length % 2;
    }

    private static void size(int width, int height) {
        if (width < 1 || height < 1) {
            throw new IllegalArgumentException("a picture of " + width + " x " + height + " has no pixels");
        }
    }

    /** What is left in {@code buffer}, which must hold the rows but for {@code behind} bytes. */
    private static ByteBuffer rows(String name, ByteBuffer buffer, int height, long stride, long row, int behind) {
        if (!Objects.requireNonNull(buffer, name).isDirect()) {
            throw new IllegalArgumentException(name + ": a direct buffer is needed (ByteBuffer.allocateDirect), or an array");
        }
        if (row < 1 || height < 1) {
            throw new IllegalArgumentException(name + ": there are no pixels");
        }
        // Not more than a buffer can hold: so that the product cannot wrap around.
        if (stride < row - behind || stride > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(name + ": a row has " + row + " bytes, and the next begins after " + stride);
        }
        long needed = (height - 1) * stride + row - behind;
        if (buffer.remaining() < needed) {
            throw new IllegalArgumentException(name + ": " + needed + " bytes are needed, there are " + buffer.remaining());
        }
        return buffer.slice();
    }
}
