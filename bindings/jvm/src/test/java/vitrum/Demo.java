package vitrum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import org.junit.jupiter.api.function.Executable;
import org.w3c.dom.NamedNodeMap;
import org.w3c.dom.Node;
import vitrum.awt.AwtPictures;

/** The demo's models and pictures, and what the command says of them. */
final class Demo {
    static final String GARDEN = "garden-scene-3d.png";
    static final Path ROOT = Path.of(environment("VITRUM_ROOT"));
    static final Path DEMO = ROOT.resolve("demo");

    private Demo() {}

    static String environment(String name) {
        String value = System.getenv(name);
        if (value == null) {
            throw new IllegalStateException(name + " is needed: run bindings/jvm/check");
        }
        return value;
    }

    /** The model; shared, as a test must not close it. */
    static synchronized Clip clip() {
        return clip == null ? clip = Clip.load(DEMO.resolve("clip-nano").toString()) : clip;
    }

    static synchronized Sam sam() {
        return sam == null ? sam = Sam.load(DEMO.resolve("sam-nano").toString()) : sam;
    }

    static synchronized Sam sam2() {
        return sam2 == null ? sam2 = Sam.load(DEMO.resolve("sam2-nano").toString()) : sam2;
    }

    private static Clip clip;
    private static Sam sam;
    private static Sam sam2;

    static String path(String picture) {
        return DEMO.resolve("images").resolve(picture).toString();
    }

    static BufferedImage image(String name) throws IOException {
        return ImageIO.read(new File(path(name)));
    }

    static Picture picture(String name) throws IOException {
        return AwtPictures.read(new File(path(name)));
    }

    /** The frames of the demo's clip, each drawn over the one before. */
    static List<Picture> frames() throws IOException {
        ImageReader reader = ImageIO.getImageReadersByFormatName("gif").next();
        reader.setInput(ImageIO.createImageInputStream(DEMO.resolve("clips/tree.gif").toFile()));
        BufferedImage canvas = new BufferedImage(256, 256, BufferedImage.TYPE_INT_RGB);
        List<Picture> frames = new ArrayList<>();
        for (int i = 0; i < reader.getNumImages(true); i++) {
            Node metadata = reader.getImageMetadata(i).getAsTree("javax_imageio_gif_image_1.0");
            NamedNodeMap place = metadata.getFirstChild().getAttributes();
            int left = Integer.parseInt(place.getNamedItem("imageLeftPosition").getNodeValue());
            int top = Integer.parseInt(place.getNamedItem("imageTopPosition").getNodeValue());
            Graphics2D graphics = canvas.createGraphics();
            graphics.drawImage(reader.read(i), left, top, null);
            graphics.dispose();
            frames.add(AwtPictures.of(canvas));
        }
        return frames;
    }

    static String vitrum(String... args) throws IOException, InterruptedException {
        List<String> line = new ArrayList<>();
        line.add(environment("VITRUM_COMMAND"));
        line.addAll(Arrays.asList(args));
        Path notes = Files.createTempFile("notes", null);
        try {
            Process process = new ProcessBuilder(line).redirectError(notes.toFile()).start();
            process.getOutputStream().close();
            String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertEquals(0, process.waitFor(), String.join(" ", line) + "\n" + Files.readString(notes));
            return text;
        } finally {
            Files.delete(notes);
        }
    }

    /** The command's JSON objects, one a line. */
    @SuppressWarnings("unchecked")
    static List<Map<String, Object>> json(String... args) throws IOException, InterruptedException {
        List<String> all = new ArrayList<>(Arrays.asList(args));
        all.add("--json");
        List<Map<String, Object>> objects = new ArrayList<>();
        for (String line : vitrum(all.toArray(new String[0])).split("\n")) {
            objects.add((Map<String, Object>) Json.parse(line));
        }
        return objects;
    }

    /** The mask in the command's JSON. */
    @SuppressWarnings("unchecked")
    static Rle mask(Map<String, Object> object) {
        Map<String, Object> segmentation = (Map<String, Object>) object.get("segmentation");
        List<Double> size = (List<Double>) segmentation.get("size");
        return Rle.fromCoco((String) segmentation.get("counts"), size.get(1).intValue(), size.get(0).intValue());
    }

    /** Numbers of an array of the command's JSON. */
    @SuppressWarnings("unchecked")
    static double[] numbers(Object array) {
        return ((List<Double>) array).stream().mapToDouble(Double::doubleValue).toArray();
    }

    static double[] sides(Box box) {
        return new double[] {box.getLeft(), box.getTop(), box.getWidth(), box.getHeight()};
    }

    /** The floats of a file in NumPy's format. */
    static float[] npy(Path file) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int header = 10 + bytes.getShort(8);
        assertTrue(new String(bytes.array(), 0, header, StandardCharsets.ISO_8859_1).contains("'<f4'"));
        float[] values = new float[(bytes.limit() - header) / 4];
        bytes.position(header);
        bytes.asFloatBuffer().get(values);
        return values;
    }

    /** Intersection over union. */
    static double iou(byte[] a, byte[] b) {
        assertEquals(a.length, b.length);
        int both = 0;
        int either = 0;
        for (int i = 0; i < a.length; i++) {
            both += a[i] & b[i];
            either += a[i] | b[i];
        }
        return either == 0 ? 1 : (double) both / either;
    }

    static void same(Rle expected, byte[] pixels, String what) {
        double iou = iou(expected.pixels(), pixels);
        assertTrue(iou >= 0.999, what + ": IoU " + iou);
    }

    /** Fails unless it fails with this status, and a message in which the pattern occurs. */
    static void refuses(Status status, String pattern, Executable call) {
        VitrumException e = assertThrows(VitrumException.class, call);
        assertEquals(status, e.getStatus(), e.getMessage());
        assertEquals(status.code, e.getCode());
        assertTrue(Pattern.compile(pattern).matcher(e.getMessage()).find(), e.getMessage());
    }
}
