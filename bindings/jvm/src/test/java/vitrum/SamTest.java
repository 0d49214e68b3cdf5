package vitrum;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** SAM against the command. */
class SamTest {
    private static final Prompt APPLE = Prompt.click(120, 126);

    @TempDir
    Path scratch;

    private final Sam sam = Demo.sam();

    private static List<Map<String, Object>> command(String... args) throws Exception {
        List<String> all = new ArrayList<>(Arrays.asList("segment", Demo.path(Demo.GARDEN)));
        all.addAll(Arrays.asList(args));
        return Demo.json(all.toArray(new String[0]));
    }

    private void compare(Embedding embedding, Prompt prompt, boolean multimask, String... args) throws Exception {
        List<Map<String, Object>> expected = command(args);
        Sam.PredictOptions options = new Sam.PredictOptions().multimask(multimask);
        try (Prediction prediction = sam.predict(embedding, Collections.singletonList(prompt), options)) {
            assertEquals(1, prediction.getPromptCount());
            assertEquals(expected.size(), prediction.getMaskCount());
            for (int i = 0; i < expected.size(); i++) {
                Mask mask = prediction.mask(0, i);
                Demo.same(Demo.mask(expected.get(i)), mask.pixels(), String.join(" ", args));
                assertEquals((double) expected.get(i).get("predicted_iou"), mask.getScore(), 1e-4);
                assertArrayEquals(Demo.numbers(expected.get(i).get("bbox")), Demo.sides(mask.getBox()));
            }
        }
    }

    @Test
    void clicksAndBoxesGiveTheCommandsMasks() throws Exception {
        try (Embedding embedding = sam.encode(Demo.picture(Demo.GARDEN))) {
            assertEquals(512, embedding.getWidth());
            assertEquals(384, embedding.getHeight());
            compare(embedding, APPLE, true, "--point", "120,126", "--multimask");
            compare(embedding, APPLE, false, "--point", "120,126");
            compare(embedding, Prompt.click(416, 320).notPoint(300, 340), false, "--point", "416,320", "--neg", "300,340");
            compare(embedding, Prompt.within(30, 295, 100, 365), false, "--box", "30,295,100,365");
        }
    }

    @Test
    void whatIsAskedOfAMaskAgrees() throws Exception {
        try (Embedding embedding = sam.encode(Demo.picture(Demo.GARDEN));
                Prediction prediction = sam.predict(embedding, APPLE)) {
            assertEquals(3, prediction.getMaskCount());
            assertEquals(3, prediction.scores().length);
            Mask best = prediction.best();
            for (int i = 0; i < 3; i++) {
                Mask mask = prediction.mask(0, i);
                assertEquals(prediction.scores()[i], mask.getScore());
                assertTrue(mask.getScore() <= best.getScore());
                byte[] pixels = mask.pixels();
                float[] logits = mask.logits();
                int area = 0;
                for (int k = 0; k < pixels.length; k++) {
                    area += pixels[k];
                    assertEquals(logits[k] > 0, pixels[k] == 1);
                }
                assertEquals(area, mask.getArea());
                Rle rle = mask.rle();
                assertEquals(area, rle.getArea());
                assertArrayEquals(pixels, rle.pixels());
                assertEquals(rle, Rle.fromCoco(rle.toCoco(), 512, 384));
                assertTrue(mask.getStability() > 0 && mask.getStability() <= 1);
                assertEquals(mask.getStability(), mask.stability(1));
                assertTrue(mask.stability(0.1f) > mask.stability(3));
                assertTrue(mask.at(1).getArea() < mask.getArea());
                assertTrue(Float.isNaN(mask.getObjectScore()));
                assertEquals(area, area(mask.polygons(0)));
                assertEquals(area, area(rle.polygons(0)));
                assertTrue(mask.polygons(2).get(0).corners().length < mask.polygons(0).get(0).corners().length);
            }
            ByteBuffer buffer = ByteBuffer.allocateDirect(3 + 512 * 384 + 5);
            buffer.position(3);
            best.pixels(buffer);
            assertEquals(3 + 512 * 384, buffer.position());
            byte[] pixels = best.pixels();
            for (int i = 0; i < pixels.length; i++) {
                assertEquals(pixels[i], buffer.get(3 + i));
            }
            assertEquals(0, buffer.get(3 + pixels.length));
        }
    }

    /** Of all outlines, less that of all holes. */
    private static int area(List<Polygon> polygons) {
        long twice = 0;
        for (Polygon polygon : polygons) {
            int[] corners = polygon.corners();
            long own = 0;
            for (int i = 0; i < corners.length; i += 2) {
                int next = (i + 2) % corners.length;
                own += (long) corners[i] * corners[next + 1] - (long) corners[next] * corners[i + 1];
            }
            // On the screen, where y runs down, clockwise is positive.
            assertEquals(polygon.isHole(), own < 0);
            assertTrue(polygon.getPart() >= 0);
            twice += own;
        }
        return (int) (twice / 2);
    }

    @Test
    void severalPromptsAndEarlierMasks() throws Exception {
        try (Embedding embedding = sam.encode(Demo.picture(Demo.GARDEN));
                Prediction first = sam.predict(embedding, APPLE)) {
            float[] lowRes = first.best().lowRes();
            assertEquals(sam.getMaskSide() * sam.getMaskSide(), lowRes.length);
            List<Prompt> prompts = Arrays.asList(
                    Prompt.click(120, 126).mask(lowRes), Prompt.within(30, 295, 100, 365), new Prompt(), new Prompt().padding());
            Sam.PredictOptions one = new Sam.PredictOptions().multimask(false);
            try (Prediction all = sam.predict(embedding, prompts, one);
                    Prediction alone = sam.predict(embedding, prompts.subList(1, 2), one)) {
                assertEquals(4, all.getPromptCount());
                assertTrue(Demo.iou(first.best().pixels(), all.best(0).pixels()) > 0.9);
                Demo.same(alone.best().rle(), all.best(1).pixels(), "alone");
                // Memory is used again: earlier masks are gone, and say so.
                Mask old = all.best(1);
                sam.predict(embedding, Collections.singletonList(APPLE), new Sam.PredictOptions(), all);
                assertEquals(1, all.getPromptCount());
                Demo.same(first.best().rle(), all.best().pixels(), "again");
                assertThrows(IllegalStateException.class, old::pixels);
            }
            // Islands and holes go.
            try (Prediction cleaned = sam.predict(embedding, Collections.singletonList(APPLE),
                    new Sam.PredictOptions().maxHoleArea(1 << 16).maxSprinkleArea(1 << 14))) {
                assertEquals(0, cleaned.best().polygons(0).stream().filter(Polygon::isHole).count());
            }
        }
    }

    @Test
    void embeddingsGoToOtherProgramsAndBack() throws Exception {
        Picture garden = Demo.picture(Demo.GARDEN);
        Path file = scratch.resolve("embedding");
        Map<String, Object> there = command("--point", "120,126", "--save-embedding", file.toString()).get(0);
        try (Embedding own = sam.encode(garden); Embedding restored = sam.loadEmbedding(Files.readAllBytes(file))) {
            assertEquals(true, restored.isOf(garden));
            assertEquals(false, restored.isOf(Demo.picture("octopus-3d.png")));
            assertArrayEquals(own.values(), restored.values(), 1e-3f);
            assertTrue(own.getMemoryBytes() > 4L * own.values().length);
            try (Prediction prediction = sam.predict(restored, Collections.singletonList(APPLE),
                    new Sam.PredictOptions().multimask(false))) {
                Demo.same(Demo.mask(there), prediction.best().pixels(), "restored");
            }
            Files.write(file, own.save());
        }
        Map<String, Object> again = command("--point", "120,126", "--embedding", file.toString()).get(0);
        Demo.same(Demo.mask(there), Demo.mask(again).pixels(), "restored there");
        byte[] bytes = Files.readAllBytes(file);
        Demo.refuses(Status.INVALID_ARGUMENT, "model", () -> Demo.sam2().loadEmbedding(bytes));
        bytes[bytes.length / 2] ^= 1;
        Demo.refuses(Status.FORMAT, "", () -> sam.loadEmbedding(bytes));
        Demo.refuses(Status.FORMAT, "", () -> sam.loadEmbedding(new byte[1]));
    }

    @Test
    void everythingIsTheCommands() throws Exception {
        Picture garden = Demo.picture(Demo.GARDEN);
        List<Map<String, Object>> expected = Demo.json("everything", Demo.path(Demo.GARDEN));
        List<MaskRecord> records = sam.everything(garden);
        assertEquals(expected.size(), records.size());
        for (int i = 0; i < records.size(); i++) {
            Map<String, Object> line = expected.get(i);
            MaskRecord record = records.get(i);
            Demo.same(Demo.mask(line), record.getRle().pixels(), "record " + i);
            assertEquals((double) line.get("predicted_iou"), record.getPredictedIou(), 1e-4);
            assertEquals((double) line.get("stability_score"), record.getStabilityScore(), 1e-3);
            assertArrayEquals(Demo.numbers(line.get("bbox")), Demo.sides(record.getBox()));
            assertArrayEquals(Demo.numbers(line.get("crop_box")), Demo.sides(record.getCropBox()));
            assertArrayEquals(Demo.numbers(((List<?>) line.get("point_coords")).get(0)), record.point());
            assertEquals(((Double) line.get("area")).intValue(), record.getArea());
        }
        // One by one, with points of the caller's, and the embedding that comes along.
        List<MaskRecord> few = new ArrayList<>();
        EverythingOptions options = sam.everythingDefaults().pointGrid(new double[] {120.5 / 512, 126.5 / 384, 0.1, 0.9});
        try (Embedding kept = sam.everything(garden, options, few::add); Embedding own = sam.encode(garden)) {
            assertTrue(few.size() >= 1 && few.size() <= 6);
            assertArrayEquals(own.values(), kept.values());
        }
    }

    @Test
    void optionsHaveTheOrderOfTheStruct() {
        double[] defaults = {32, 64, 0, 1, 0, 0.88, 0.95, 1, 0.7, 0.7, 512.0 / 1500, 0, 0};
        assertArrayEquals(defaults, new EverythingOptions().values, 1e-12);
        double[] changed = new EverythingOptions().pointsPerSide(1).pointsPerBatch(2).cropLayers(3)
                .cropPointsDownscaleFactor(4).minMaskRegionArea(5).predIouThreshold(6).stabilityScoreThreshold(7)
                .stabilityScoreOffset(8).boxNmsThreshold(9).cropNmsThreshold(10).cropOverlapRatio(11).useM2m(true)
                .singleMask(true).values;
        assertArrayEquals(new double[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 1}, changed);
        // Of the demo's own configuration.
        assertTrue(sam.everythingDefaults().values[5] < 0.88);
    }

    @Test
    void wordsFindTheCommandsMasks() throws Exception {
        List<Map<String, Object>> expected = command("--text", "a red apple", "--text", "a dog");
        List<TextMatch> found = sam.ground(Demo.clip(), Demo.picture(Demo.GARDEN), new TextPrompt("a red apple", "a dog"));
        assertEquals(2, expected.size());
        assertEquals(2, found.size());
        for (int i = 0; i < 2; i++) {
            assertEquals(i, found.get(i).getText());
            assertEquals((double) expected.get(i).get("probability"), found.get(i).getProbability(), 1e-4);
            Demo.same(Demo.mask(expected.get(i)), found.get(i).getRecord().getRle().pixels(), "text " + i);
        }
        List<TextMatch> more = sam.ground(Demo.clip(), Demo.picture(Demo.GARDEN), new TextPrompt("a red apple")
                .others("a tomato", "a dog").template("{}").top(3).minProbability(0.01)
                .candidates(sam.everythingDefaults().pointsPerSide(8)));
        assertTrue(more.size() >= 1 && more.size() <= 3);
        assertTrue(more.get(0).getProbability() >= more.get(more.size() - 1).getProbability());
        Demo.refuses(Status.INVALID_ARGUMENT, "", () ->
                sam.ground(Demo.clip(), Demo.picture(Demo.GARDEN), new TextPrompt()));
    }

    @Test
    void modelsSayWhatTheyAre() {
        assertTrue(sam.getImageSize() >= 64);
        assertTrue(sam.getMemoryBytes() > 1_000_000);
        assertEquals(Collections.emptyList(), sam.getWarnings());
        assertNotNull(Context.libraryVersion());
        int size = sam.getImageSize() / 2;
        try (Sam small = Sam.load(Demo.DEMO.resolve("sam-nano").toString(), new Sam.Options().imageSize(size))) {
            assertEquals(size, small.getImageSize());
            assertFalse(small.isClosed());
        }
    }

    @Test
    void cocosStringsAreReadStrictly() {
        Rle rle = new Rle(new int[] {0, 5, 40, 3, 100000 - 48}, 250, 400);
        assertEquals(rle, Rle.fromCoco(rle.toCoco(), 250, 400));
        assertEquals(8, rle.getArea());
        for (String bad : new String[] {"", "T]>9d;5\n", "5\u007f", "oooooooo", "5", "~"}) {
            assertThrows(IllegalArgumentException.class, () -> Rle.fromCoco(bad, 250, 400), bad);
        }
        assertThrows(IllegalArgumentException.class, () -> new Rle(new int[] {-1, 5}, 2, 2));
        assertThrows(IllegalArgumentException.class, () -> new Rle(new int[] {1, 2}, 2, 2));
    }
}
