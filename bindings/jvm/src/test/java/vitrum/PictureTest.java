package vitrum;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import vitrum.awt.AwtPictures;

/** Pixels of every layout give the same, and of the wrong size are refused before the library sees them. */
class PictureTest {
    private final Clip clip = Demo.clip();
    private int[] argb;
    private int width;
    private int height;
    private float[] expected;

    @BeforeEach
    void read() throws IOException {
        BufferedImage image = Demo.image("octopus-3d.png");
        width = image.getWidth();
        height = image.getHeight();
        argb = image.getRGB(0, 0, width, height, null, 0, width);
        expected = clip.embed(Picture.argb(argb, width, height));
    }

    /** The pixels with these channels, of which 3 is alpha, and rows {@code gap} bytes apart, {@code before} bytes into it. */
    private byte[] channels(int gap, int before, int... order) {
        int stride = width * order.length + gap;
        byte[] bytes = new byte[before + stride * height];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                for (int c = 0; c < order.length; c++) {
                    bytes[before + y * stride + x * order.length + c] =
                            (byte) (argb[y * width + x] >> (order[c] == 3 ? 24 : 16 - 8 * order[c]));
                }
            }
        }
        return bytes;
    }

    private static ByteBuffer direct(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length);
        buffer.put(bytes).flip();
        return buffer;
    }

    @Test
    void everyOrderOfChannels() {
        assertArrayEquals(expected, clip.embed(Picture.of(channels(0, 0, 0, 1, 2), Picture.Format.RGB, width, height)));
        assertArrayEquals(expected, clip.embed(Picture.of(channels(0, 0, 2, 1, 0), Picture.Format.BGR, width, height)));
        assertArrayEquals(expected, clip.embed(Picture.of(channels(0, 0, 0, 1, 2, 3), Picture.Format.RGBA, width, height)));
        assertArrayEquals(expected, clip.embed(Picture.of(channels(0, 0, 2, 1, 0, 3), Picture.Format.BGRA, width, height)));
    }

    @Test
    void directBuffersFromTheirPosition() {
        ByteBuffer buffer = direct(channels(7, 13, 0, 1, 2));
        buffer.position(13);
        Picture picture = Picture.of(buffer, Picture.Format.RGB, width, height, width * 3 + 7);
        assertArrayEquals(expected, clip.embed(picture));
        assertArrayEquals(expected, clip.embed(Picture.of(buffer.asReadOnlyBuffer(), Picture.Format.RGB, width, height,
                width * 3 + 7)));
        assertEquals(13, buffer.position());
        // It is not copied: what is written later is seen.
        for (int i = 13; i < buffer.limit(); i++) {
            buffer.put(i, (byte) 0);
        }
        assertArrayEquals(clip.embed(Picture.argb(new int[width * height], width, height)), clip.embed(picture));
    }

    @Test
    void greyIsNotBrightened() {
        BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
        byte[] gray = new byte[width * height];
        int[] same = new int[width * height];
        for (int i = 0; i < gray.length; i++) {
            int value = argb[i] >> 8 & 255;
            gray[i] = (byte) value;
            same[i] = value * 0x10101;
        }
        image.getRaster().setDataElements(0, 0, width, height, gray);
        float[] grey = clip.embed(Picture.argb(same, width, height));
        assertArrayEquals(grey, clip.embed(Picture.of(gray, Picture.Format.GRAY, width, height)));
        assertArrayEquals(grey, clip.embed(AwtPictures.of(image)));
    }

    /** The same luma and chroma in every arrangement, with odd sides, and the formula of BT.601 in full range. */
    @Test
    void yuvOfEveryArrangement() {
        int w = 63;
        int h = 41;
        int cw = 32;
        int ch = 21;
        byte[] luma = new byte[w * h];
        byte[] u = new byte[cw * ch];
        byte[] v = new byte[cw * ch];
        int[] rgb = new int[w * h];
        for (int i = 0; i < luma.length; i++) {
            int x = i % w;
            int y = i / w;
            int c = y / 2 * cw + x / 2;
            luma[i] = (byte) (60 + (x * 3 + y * 2) % 120);
            u[c] = (byte) (128 + x / 4);
            v[c] = (byte) (128 - y / 4);
            double dy = luma[i] & 255;
            double du = (u[c] & 255) - 128;
            double dv = (v[c] & 255) - 128;
            rgb[i] = (int) Math.round(dy + 1.402 * dv) << 16
                    | (int) Math.round(dy - 0.344136 * du - 0.714136 * dv) << 8
                    | (int) Math.round(dy + 1.772 * du);
        }
        byte[] uv = new byte[2 * cw * ch];
        byte[] vu = new byte[2 * cw * ch];
        for (int i = 0; i < u.length; i++) {
            uv[2 * i] = vu[2 * i + 1] = u[i];
            uv[2 * i + 1] = vu[2 * i] = v[i];
        }
        Picture.Yuv yuv = Picture.Yuv.BT601_FULL;
        float[] nv12 = clip.embed(Picture.nv12(direct(luma), w, direct(uv), 2 * cw, w, h, yuv));
        assertArrayEquals(nv12, clip.embed(Picture.nv21(direct(luma), w, direct(vu), 2 * cw, w, h, yuv)));
        assertArrayEquals(nv12, clip.embed(Picture.yuv420(direct(luma), w, direct(u), direct(v), cw, 1, w, h, yuv)));
        // As Android gives it: views of one memory, of which the last lacks the byte that belongs to the other.
        for (byte[] pairs : new byte[][] {uv, vu}) {
            ByteBuffer all = direct(pairs);
            all.limit(all.capacity() - 1);
            ByteBuffer first = all.slice();
            all.limit(all.capacity());
            all.position(1);
            ByteBuffer second = all.slice();
            ByteBuffer us = pairs == uv ? first : second;
            ByteBuffer vs = pairs == uv ? second : first;
            assertArrayEquals(nv12, clip.embed(Picture.yuv420(direct(luma), w, us, vs, 2 * cw, 2, w, h, yuv)));
        }
        float[] converted = clip.embed(Picture.argb(rgb, w, h));
        for (int i = 0; i < converted.length; i++) {
            assertEquals(converted[i], nv12[i], 2e-2);
        }
        float[] limited = clip.embed(Picture.nv12(direct(luma), w, direct(uv), 2 * cw, w, h, Picture.Yuv.BT709));
        assertTrue(Math.abs(limited[0] - nv12[0]) > 1e-6);
    }

    @Test
    void wrongSizesAreRefused() {
        byte[] rgb = channels(0, 0, 0, 1, 2);
        ByteBuffer buffer = direct(rgb);
        Class<IllegalArgumentException> refused = IllegalArgumentException.class;
        assertThrows(refused, () -> Picture.of(rgb, Picture.Format.RGBA, width, height));
        assertThrows(refused, () -> Picture.of(rgb, Picture.Format.RGB, width, -height));
        assertThrows(refused, () -> Picture.of(rgb, Picture.Format.RGB, 0, 0));
        assertThrows(refused, () -> Picture.argb(argb, width, height - 1));
        assertThrows(refused, () -> Picture.of(ByteBuffer.wrap(rgb), Picture.Format.RGB, width, height));
        assertThrows(refused, () -> Picture.of(buffer, Picture.Format.RGB, width, height + 1));
        assertThrows(refused, () -> Picture.of(buffer, Picture.Format.RGB, width, height, width * 3 - 1));
        assertThrows(refused, () -> Picture.of(buffer, Picture.Format.RGB, width, height, width * 3 + 1));
        assertThrows(refused, () -> Picture.of(buffer, Picture.Format.RGB, width, height, Long.MAX_VALUE));
        assertThrows(refused, () -> Picture.of(buffer, Picture.Format.RGB, Integer.MAX_VALUE, Integer.MAX_VALUE));
        assertThrows(refused, () -> Picture.nv12(buffer, width, direct(new byte[10]), width, width, height, Picture.Yuv.BT601));
        assertThrows(refused,
                () -> Picture.yuv420(buffer, width, buffer, direct(new byte[10]), width, 2, width, height, Picture.Yuv.BT601));
        assertThrows(refused,
                () -> Picture.yuv420(buffer, width, buffer, buffer, width, 0, width, height, Picture.Yuv.BT601));
        assertThrows(NullPointerException.class, () -> Picture.of((ByteBuffer) null, Picture.Format.RGB, 1, 1));
        assertThrows(NullPointerException.class, () -> Picture.of(buffer, null, 1, 1));
        assertThrows(NullPointerException.class, () -> Picture.nv12(buffer, 2, buffer, 2, 2, 2, null));
        Demo.refuses(Status.IMAGE, "", () -> clip.embed(Picture.of(direct(new byte[40000]), Picture.Format.GRAY, 40000, 1)));
    }
}
