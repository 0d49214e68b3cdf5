package vitrum;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** CLIP against the command. */
class ClipTest {
    private static final String OCTOPUS = "octopus-3d.png";

    @TempDir
    Path scratch;

    private final Clip clip = Demo.clip();

    /** The command's probabilities, in the order of the labels. */
    @SuppressWarnings("unchecked")
    private static float[] expected(String picture, String... labels) throws IOException, InterruptedException {
        Map<String, Object> line =
                Demo.json("classify", Demo.path(picture), "--labels", String.join(",", labels)).get(0);
        float[] all = new float[labels.length];
        for (Object it : (List<Object>) line.get("labels")) {
            Map<String, Object> entry = (Map<String, Object>) it;
            all[Arrays.asList(labels).indexOf((String) entry.get("label"))] = ((Double) entry.get("probability")).floatValue();
        }
        return all;
    }

    @Test
    void classifyGivesTheCommandsProbabilities() throws Exception {
        String[] labels = {"strawberry", "octopus", "bicycle", "dog"};
        for (String name : new String[] {"strawberry-3d.png", OCTOPUS, "bicycle-3d.png", "chelsea.jpg"}) {
            // JPEG's decoders differ in some pixels' last bit.
            assertArrayEquals(expected(name, labels), clip.classify(Demo.picture(name), labels),
                    name.endsWith("jpg") ? 1e-2f : 1e-5f, name);
        }
        float[] sentence = clip.classify(Demo.picture(OCTOPUS), Arrays.asList(labels), "a {} in the sea", null);
        assertEquals(1, sentence[0] + sentence[1] + sentence[2] + sentence[3], 1e-5);
        assertNotEquals(clip.classify(Demo.picture(OCTOPUS), labels)[1], sentence[1]);
        assertFalse(clip.hasIndependentProbabilities());
    }

    /** JNI's own strings have another encoding for what is beyond the basic plane. */
    @Test
    void textsAreUtf8() throws Exception {
        String[] labels = {"🐙 octopus", "𝒹ℴℊ", "Катя", "e\u0301clair", "👩‍🚀"};
        assertArrayEquals(expected(OCTOPUS, labels), clip.classify(Demo.picture(OCTOPUS), labels), 1e-5f);
        Demo.vitrum("embed", "--text", "🐙 octopus", "--output", scratch.resolve("text.npy").toString());
        assertArrayEquals(Demo.npy(scratch.resolve("text.npy")), clip.embed("🐙 octopus"), 1e-5f);
        // Names of files, and the sentences of errors, too.
        Path named = Files.createDirectory(scratch.resolve("🐙-Катя"));
        for (String file : new String[] {"config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"}) {
            Files.copy(Demo.DEMO.resolve("clip-nano").resolve(file), named.resolve(file));
        }
        try (Clip it = Clip.load(named.toString())) {
            assertEquals(clip.getEmbedDim(), it.getEmbedDim());
        }
        Demo.refuses(Status.NOT_FOUND, "🦕/нигде", () -> Clip.load("/🦕/нигде"));
    }

    @Test
    void embeddingsAreTheCommands() throws Exception {
        Picture picture = Demo.picture(OCTOPUS);
        Demo.vitrum("embed", "--image", Demo.path(OCTOPUS), "--output", scratch.resolve("image.npy").toString());
        float[] image = clip.embed(picture);
        assertEquals(clip.getEmbedDim(), image.length);
        assertArrayEquals(Demo.npy(scratch.resolve("image.npy")), image, 1e-5f);
        float[] texts = clip.embedTexts(Arrays.asList("an octopus", "a house"), true, null);
        float[] logits = clip.similarity(image, texts);
        assertEquals(2, logits.length);
        double octopus = 1 / (1 + Math.exp(logits[1] - logits[0]));
        assertTrue(octopus > 0.9, Arrays.toString(logits));
        // Two pictures at once, not normalised.
        float[] two = clip.embedPictures(Arrays.asList(picture, Demo.picture("bicycle-3d.png")), false, null);
        double length = 0;
        for (int i = 0; i < image.length; i++) {
            length += two[i] * two[i];
        }
        length = Math.sqrt(length);
        assertTrue(Math.abs(length - 1) > 1e-3);
        for (int i = 0; i < image.length; i++) {
            assertEquals(image[i], two[i] / length, 1e-5);
        }
        assertArrayEquals(clip.tokenize("an octopus"), clip.tokenize("An  OCTOPUS "));
        assertTrue(clip.tokenize("an octopus").length >= 4);
    }

    @Test
    void modelsComeFromMemory() throws Exception {
        float[] expected = clip.embed(Demo.picture(OCTOPUS));
        ModelFiles copies = new ModelFiles();
        ModelFiles maps = new ModelFiles();
        for (String name : new String[] {"config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"}) {
            Path file = Demo.DEMO.resolve("clip-nano").resolve(name);
            copies.add(name, Files.readAllBytes(file));
            try (FileChannel channel = FileChannel.open(file)) {
                maps.add(name, channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()));
            }
        }
        for (ModelFiles files : new ModelFiles[] {copies, maps}) {
            try (Clip it = Clip.load(files, new Clip.Options())) {
                assertArrayEquals(expected, it.embed(Demo.picture(OCTOPUS)));
            }
        }
        Demo.refuses(Status.INVALID_ARGUMENT, "none given", () -> Clip.load(new ModelFiles(), new Clip.Options()));
        Demo.refuses(Status.INVALID_ARGUMENT, "", () -> Clip.load(maps, new Clip.Options().map(MemoryMap.READ)));
        ByteBuffer cut = ByteBuffer.wrap(Files.readAllBytes(Demo.DEMO.resolve("clip-nano/model.safetensors")), 0, 5000);
        Demo.refuses(Status.FORMAT, "", () -> Clip.load(new ModelFiles().add("model.safetensors", cut), new Clip.Options()));
    }

    @Test
    void optionsReachTheLibrary() throws Exception {
        String path = Demo.DEMO.resolve("clip-nano").toString();
        List<Float> seen = Collections.synchronizedList(new ArrayList<>());
        try (Context context = new Context(new Context.Options().threads(1).isa(Isa.PORTABLE));
                Clip it = Clip.load(path, new Clip.Options().context(context).weights(Weights.INT8).map(MemoryMap.READ)
                        .progress(seen::add))) {
            assertEquals(1, context.getThreads());
            assertEquals(Isa.PORTABLE, context.getIsa());
            assertEquals(Context.Amx.NOT_ASKED, context.getAmx());
            assertTrue(it.getMemoryBytes() < clip.getMemoryBytes());
            assertEquals(1f, seen.get(seen.size() - 1));
            context.trim();
            context.close(); // The model keeps what it needs of it.
            float[] close = it.classify(Demo.picture(OCTOPUS), "octopus", "house");
            assertTrue(close[0] > 0.9, Arrays.toString(close));
        }
        try (Clip other = Clip.load(path, new Clip.Options().activation(Activation.GELU).lenient(true))) {
            Clip quick = Clip.load(path, new Clip.Options().activation(Activation.QUICK_GELU));
            assertNotEquals(other.embed("a house")[0], quick.embed("a house")[0]);
            quick.close();
        }
        try (Clip of = Clip.load(path, new Clip.Options().weights(Weights.F16))) {
            assertEquals(Collections.emptyList(), of.getWarnings());
        }
        assertTrue(Context.shared().getThreads() >= 1);
        assertNotEquals(Isa.BEST, Context.shared().getIsa());
    }

    @Test
    void limitsBound() throws Exception {
        String path = Demo.DEMO.resolve("clip-nano").toString();
        try (Context context = new Context(new Context.Options().limits(new Limits().pixels(1000)));
                Clip it = Clip.load(path, new Clip.Options().context(context))) {
            Demo.refuses(Status.LIMIT, "pixels", () -> it.embed(Demo.picture(OCTOPUS)));
        }
        try (Context context = new Context(new Context.Options().limits(new Limits().weightsBytes(1000)))) {
            Demo.refuses(Status.LIMIT, "", () -> Clip.load(path, new Clip.Options().context(context)));
        }
        // In the order of the C struct.
        assertArrayEquals(new double[] {0, 1L << 28, 16384, 1024, 2048, 16L << 30, 2L << 30, 512L << 20}, new Limits().values);
        double[] raised = new Limits().allowNonFinite(true).pixels(1).points(2).objects(3).imageSize(4).weightsBytes(5)
                .scratchBytes(6).idleScratchBytes(7).values;
        assertArrayEquals(new double[] {1, 1, 2, 3, 4, 5, 6, 7}, raised);
    }
}
