package vitrum;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** SAM 2 through a video, against the command. */
class TrackerTest {
    private final Sam sam = Demo.sam2();

    @Test
    void itFollowsAsTheCommandDoesAlsoWhenItIsSavedOnTheWay() throws Exception {
        List<Picture> frames = Demo.frames();
        List<Map<String, Object>> lines =
                Demo.json("track", Demo.DEMO.resolve("clips/tree.gif").toString(), "--point", "36,150");
        assertEquals(lines.size(), frames.size());
        byte[] saved;
        try (Tracker tracker = new Tracker(sam, 256, 256)) {
            assertEquals(-1, tracker.getFrame());
            for (int i = 0; i < 12; i++) {
                assertEquals(i, tracker.push(frames.get(i)));
                if (i == 0) {
                    tracker.addPoints(1, Prompt.click(36, 150));
                }
                tracker.step();
                compare(lines, tracker, i);
            }
            assertArrayEquals(new long[] {11}, tracker.heldFrames());
            assertFalse(tracker.hasMask(1, 3));
            Demo.refuses(Status.INVALID_ARGUMENT, "", () -> tracker.mask(1, 3).getArea());
            saved = tracker.save();
        }
        try (Tracker restored = Tracker.load(sam, saved)) {
            List<Long> seen = new ArrayList<>();
            restored.propagate(new PropagateOptions().start(12),
                    frame -> frame < frames.size() ? frames.get((int) frame) : null,
                    frame -> {
                        compare(lines, restored, frame);
                        return seen.add(frame);
                    });
            assertEquals(frames.size() - 12, seen.size());
            assertEquals(12L, seen.get(0));
        }
        saved[saved.length / 2] ^= 1;
        Demo.refuses(Status.FORMAT, "", () -> Tracker.load(sam, saved));
    }

    private static void compare(List<Map<String, Object>> lines, Tracker tracker, long frame) {
        assertTrue(tracker.hasMask(1, frame));
        Mask mask = tracker.mask(1, frame);
        Demo.same(Demo.mask(lines.get((int) frame)), mask.pixels(), "frame " + frame);
        assertEquals(mask.getArea(), mask.rle().getArea());
    }

    @Test
    void objectsComeAndGo() throws Exception {
        List<Picture> frames = Demo.frames();
        TrackerOptions options = new TrackerOptions().maxObjects(2).heldFrames(4).bothDirections(true);
        try (Tracker tracker = new Tracker(sam, 256, 256, options)) {
            assertEquals(256, tracker.getWidth());
            assertEquals(256, tracker.getHeight());
            assertTrue(Tracker.memoryLimit(sam, 256, 256, options) > tracker.getMemoryBytes());
            for (int i = 0; i < 4; i++) {
                assertEquals(10 + i, tracker.push(10 + i, frames.get(i), null));
            }
            assertArrayEquals(new long[] {10, 11, 12, 13}, tracker.heldFrames());
            byte[] upper = new byte[256 * 256];
            Arrays.fill(upper, 0, 5000, (byte) 1);
            tracker.addMask(-7, 12, upper, null);
            tracker.addPoints(3, 12, Prompt.click(36, 150), false, null);
            tracker.addPoints(3, 12, new Prompt().notPoint(200, 20), true, null);
            assertArrayEquals(new int[] {-7, 3}, tracker.objects());
            Demo.refuses(Status.LIMIT, "", () -> tracker.addPoints(4, 12, Prompt.click(1, 1), false, null));
            tracker.stepAt(13, false, null);
            tracker.stepAt(11, true, null);
            for (long frame : new long[] {11, 13}) {
                Mask mask = tracker.mask(3, frame);
                assertTrue(mask.getArea() > 500, "frame " + frame + ": " + mask.getArea());
                assertTrue(mask.getObjectScore() > 0);
                assertTrue(mask.getScore() > 0.3);
                assertTrue(Float.isNaN(mask.getStability()));
                assertThrows(UnsupportedOperationException.class, () -> mask.stability(1));
                assertEquals(256 * 256, mask.logits().length);
                assertEquals(sam.getMaskSide() * sam.getMaskSide(), mask.lowRes().length);
                assertTrue(mask.polygons(0).size() >= 1);
                Box box = mask.getBox();
                assertTrue(box.getLeft() <= 40 && box.getLeft() + box.getWidth() > 30, box.toString());
            }
            assertEquals(tracker.mask(3).getArea(), tracker.mask(3, 13).getArea());
            tracker.clearPrompts(-7, 12);
            Demo.refuses(Status.INVALID_ARGUMENT, "", tracker::step);
            tracker.removeObject(-7);
            assertArrayEquals(new int[] {3}, tracker.objects());
            Demo.refuses(Status.INVALID_ARGUMENT, "", () -> tracker.removeObject(-7));
            tracker.reset();
            assertArrayEquals(new int[0], tracker.objects());
            assertThrows(IllegalArgumentException.class, () -> tracker.addMask(1, 12, new byte[7], null));
            Demo.refuses(Status.IMAGE, "", () -> tracker.push(Picture.argb(new int[100], 10, 10)));
        }
        Demo.refuses(Status.UNSUPPORTED, "", () -> new Tracker(Demo.sam(), 64, 64));
    }

    @Test
    void optionsHaveTheOrderOfTheStruct() {
        assertArrayEquals(new double[] {16, 8, 1, 0, 8, 0, 0, 0, 1, 0, 0, 1}, new TrackerOptions().values);
        double[] changed = new TrackerOptions().maxObjects(1).maxPromptedFrames(2).heldFrames(3).numFrames(1L << 40)
                .fillHoleArea(5).bothDirections(true).nonOverlapOutput(true).nonOverlapMemory(true)
                .binarizeClickedMasks(false).correctionsAreConditioning(true).clearMemoryAroundInput(true)
                .dynamicMultimaskViaStability(false).values;
        assertArrayEquals(new double[] {1, 2, 3, 1L << 40, 5, 1, 1, 1, 0, 1, 1, 0}, changed);
        assertThrows(IllegalArgumentException.class, () -> new TrackerOptions().heldFrames(-1));
        assertThrows(IllegalArgumentException.class, () -> new TrackerOptions().numFrames(Long.MAX_VALUE));
    }

    @Test
    void backwardFromTheLastPrompt() throws Exception {
        List<Picture> frames = Demo.frames();
        List<Long> seen = new ArrayList<>();
        List<Float> progress = java.util.Collections.synchronizedList(new ArrayList<>());
        try (Tracker tracker = new Tracker(sam, 256, 256, new TrackerOptions().bothDirections(true).numFrames(28))) {
            tracker.push(5, frames.get(5), null);
            tracker.addPoints(1, Prompt.click(36, 150));
            tracker.propagate(new PropagateOptions().backward(true).maxFrames(3).progress(progress::add),
                    frame -> frames.get((int) frame), seen::add);
        }
        assertEquals(Arrays.asList(5L, 4L, 3L, 2L), seen);
        assertEquals(1f, progress.get(progress.size() - 1));
    }
}
