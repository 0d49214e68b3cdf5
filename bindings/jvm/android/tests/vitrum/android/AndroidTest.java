package vitrum.android;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import android.graphics.Bitmap;
import android.graphics.ImageFormat;
import android.media.Image;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import vitrum.Clip;
import vitrum.Picture;

/** The adaptors, with classes in the place of Android's that have their signatures and lay out memory as they do. */
class AndroidTest {
    private static final Path MODEL = Path.of(System.getenv("VITRUM_ROOT"), "demo/clip-nano");
    private static final int WIDTH = 62;
    private static final int HEIGHT = 40;

    private final Clip clip = Clip.load(MODEL.toString());

    /** Rows of a bitmap are apart, and its pixels are bytes of red, green, blue and alpha. */
    private static final class FakeBitmap extends Bitmap {
        private final Config config;
        private final List<FakeBitmap> copies = new ArrayList<>();
        private boolean recycled;

        FakeBitmap(Config config) {
            this.config = config;
        }

        @Override
        public Config getConfig() {
            return config;
        }

        @Override
        public Bitmap copy(Config wanted, boolean isMutable) {
            if (config == Config.ALPHA_8) {
                return null;
            }
            copies.add(new FakeBitmap(wanted));
            return copies.get(copies.size() - 1);
        }

        @Override
        public void recycle() {
            recycled = true;
        }

        @Override
        public int getRowBytes() {
            return 4 * WIDTH + 16;
        }

        @Override
        public int getWidth() {
            return WIDTH;
        }

        @Override
        public int getHeight() {
            return HEIGHT;
        }

        @Override
        public void copyPixelsToBuffer(Buffer to) {
            ByteBuffer bytes = (ByteBuffer) to;
            for (int i = 0; i < getRowBytes() * HEIGHT; i++) {
                int x = i % getRowBytes() / 4;
                int y = i / getRowBytes();
                bytes.put((byte) (x >= WIDTH ? 77 : i % 4 == 3 ? 255 : channel(x, y, i % 4)));
            }
        }
    }

    private static int channel(int x, int y, int channel) {
        return channel == 0 ? 4 * x : channel == 1 ? 6 * y : 128;
    }

    @Test
    void bitmaps() {
        int[] argb = new int[WIDTH * HEIGHT];
        for (int i = 0; i < argb.length; i++) {
            int x = i % WIDTH;
            int y = i / WIDTH;
            argb[i] = channel(x, y, 0) << 16 | channel(x, y, 1) << 8 | channel(x, y, 2);
        }
        float[] expected = clip.embed(Picture.argb(argb, WIDTH, HEIGHT));
        assertArrayEquals(expected, clip.embed(AndroidPictures.of(new FakeBitmap(Bitmap.Config.ARGB_8888))));
        FakeBitmap hardware = new FakeBitmap(Bitmap.Config.HARDWARE);
        assertArrayEquals(expected, clip.embed(AndroidPictures.of(hardware)));
        assertTrue(hardware.copies.get(0).recycled && !hardware.recycled);
        assertThrows(IllegalArgumentException.class, () -> AndroidPictures.of(new FakeBitmap(Bitmap.Config.ALPHA_8)));
    }

    /** Planes as cameras give them: U and V in one memory, or apart. */
    private static final class FakeImage extends Image {
        private final int format;
        private final Plane[] planes;

        FakeImage(int format, Plane... planes) {
            this.format = format;
            this.planes = planes;
        }

        @Override
        public int getFormat() {
            return format;
        }

        @Override
        public int getWidth() {
            return WIDTH;
        }

        @Override
        public int getHeight() {
            return HEIGHT;
        }

        @Override
        public Plane[] getPlanes() {
            return planes;
        }

        @Override
        public void close() {}

        static Plane plane(ByteBuffer buffer, int rowStride, int pixelStride) {
            return new Plane() {
                @Override
                public int getRowStride() {
                    return rowStride;
                }

                @Override
                public int getPixelStride() {
                    return pixelStride;
                }

                @Override
                public ByteBuffer getBuffer() {
                    return buffer;
                }
            };
        }
    }

    @Test
    void cameraImages() {
        int row = 64;
        ByteBuffer luma = ByteBuffer.allocateDirect(row * HEIGHT);
        ByteBuffer pairs = ByteBuffer.allocateDirect(row * HEIGHT / 2);
        ByteBuffer us = ByteBuffer.allocateDirect(row / 2 * HEIGHT / 2);
        ByteBuffer vs = ByteBuffer.allocateDirect(row / 2 * HEIGHT / 2);
        for (int i = 0; i < luma.capacity(); i++) {
            luma.put(i, (byte) (i * 7 % 200 + 20));
        }
        for (int i = 0; i < us.capacity(); i++) {
            us.put(i, (byte) (100 + i % 50));
            vs.put(i, (byte) (150 - i % 60));
            pairs.put(2 * i, us.get(i)).put(2 * i + 1, vs.get(i));
        }
        Picture.Yuv yuv = Picture.Yuv.BT601_FULL;
        float[] expected = clip.embed(Picture.nv12(luma, row, pairs, row, WIDTH, HEIGHT, yuv));
        Image.Plane y = FakeImage.plane(luma, row, 1);
        ByteBuffer u = pairs.duplicate();
        u.limit(pairs.capacity() - 1);
        ByteBuffer v = pairs.duplicate();
        v.position(1);
        assertArrayEquals(expected, clip.embed(AndroidPictures.of(new FakeImage(ImageFormat.YUV_420_888, y,
                FakeImage.plane(u.slice(), row, 2), FakeImage.plane(v.slice(), row, 2)), yuv)));
        assertArrayEquals(expected, clip.embed(AndroidPictures.of(new FakeImage(ImageFormat.YUV_420_888, y,
                FakeImage.plane(us, row / 2, 1), FakeImage.plane(vs, row / 2, 1)), yuv)));
        assertThrows(IllegalArgumentException.class, () -> AndroidPictures.of(new FakeImage(0x100, y, y, y), yuv));
        assertThrows(IllegalArgumentException.class, () -> AndroidPictures.of(new FakeImage(ImageFormat.YUV_420_888, y,
                FakeImage.plane(us, row / 2, 1), FakeImage.plane(vs, row, 1)), yuv));
    }

    /** A model's files inside of a larger file, as a package has them uncompressed. */
    private static final class FakeAssets extends AssetManager {
        private final Path directory;
        private final Path archive;
        private final boolean compressed;
        private int mapped;

        FakeAssets(Path directory, Path scratch, boolean compressed) {
            this.directory = directory;
            this.archive = scratch.resolve("archive" + compressed);
            this.compressed = compressed;
        }

        @Override
        public String[] list(String path) throws IOException {
            assertEquals("models/clip", path);
            return directory == null ? new String[0]
                    : new String[] {"config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"};
        }

        @Override
        public InputStream open(String path) throws IOException {
            return Files.newInputStream(directory.resolve(Path.of(path).getFileName()));
        }

        @Override
        public AssetFileDescriptor openFd(String path) throws IOException {
            if (compressed) {
                throw new IOException("This file can not be opened as a file descriptor; it is probably compressed");
            }
            mapped++;
            byte[] contents = Files.readAllBytes(directory.resolve(Path.of(path).getFileName()));
            Files.write(archive, new byte[1234]);
            Files.write(archive, contents, StandardOpenOption.APPEND);
            Files.write(archive, new byte[99], StandardOpenOption.APPEND);
            FileInputStream in = new FileInputStream(archive.toFile());
            return new AssetFileDescriptor() {
                @Override
                public FileDescriptor getFileDescriptor() {
                    try {
                        return in.getFD();
                    } catch (IOException e) {
                        throw new IllegalStateException(e);
                    }
                }

                @Override
                public long getStartOffset() {
                    return 1234;
                }

                @Override
                public long getLength() {
                    return contents.length;
                }

                @Override
                public void close() throws IOException {
                    in.close();
                }
            };
        }
    }

    @Test
    void modelsAmongAssets(@TempDir Path scratch) throws Exception {
        float[] expected = clip.embed("an octopus");
        for (boolean compressed : new boolean[] {false, true}) {
            FakeAssets assets = new FakeAssets(MODEL, scratch, compressed);
            try (Clip it = Clip.load(AssetModels.files(assets, "models/clip"), new Clip.Options())) {
                assertArrayEquals(expected, it.embed("an octopus"));
            }
            assertEquals(compressed ? 0 : 1, assets.mapped);
        }
        assertThrows(IOException.class, () -> AssetModels.files(new FakeAssets(null, scratch, true), "models/clip"));
    }
}
