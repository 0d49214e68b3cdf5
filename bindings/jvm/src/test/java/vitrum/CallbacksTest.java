package vitrum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** Progress, cancellation, masks and frames in Java, and what Java throws there. */
class CallbacksTest {
    /** What callbacks throw here, so that it cannot be mistaken for something else. */
    private static final class Thrown extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private final Sam sam = Demo.sam();

    @Test
    void fractionsRiseToOne() throws Exception {
        List<Float> seen = Collections.synchronizedList(new ArrayList<>());
        Set<String> threads = ConcurrentHashMap.newKeySet();
        Progress progress = fraction -> {
            threads.add(Thread.currentThread().getName());
            return seen.add(fraction);
        };
        EverythingOptions options = sam.everythingDefaults().progress(progress);
        List<MaskRecord> records = new ArrayList<>();
        String own = Thread.currentThread().getName();
        sam.everything(Demo.picture(Demo.GARDEN), options, record -> {
            assertEquals(own, Thread.currentThread().getName());
            return records.add(record);
        }).close();
        assertTrue(records.size() > 2);
        assertTrue(seen.size() > 5, seen.toString());
        for (int i = 1; i < seen.size(); i++) {
            assertTrue(seen.get(i) >= seen.get(i - 1), seen.toString());
        }
        assertEquals(1f, seen.get(seen.size() - 1));
        // Threads of the library are Java's only for the length of a callback.
        threads.remove(own);
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            assertFalse(threads.contains(thread.getName()), thread.getName());
        }
    }

    /** With several threads, some of which are none of Java's, everybody gets a turn some time. */
    @Test
    void callbacksRunOnThreadsOfTheLibraryToo() throws Exception {
        Set<String> threads = ConcurrentHashMap.newKeySet();
        try (Context context = new Context(new Context.Options().threads(4));
                Sam it = Sam.load(Demo.DEMO.resolve("sam-nano").toString(), new Sam.Options().context(context))) {
            Picture garden = Demo.picture(Demo.GARDEN);
            for (int i = 0; i < 50 && !threads.contains("vitrum"); i++) {
                it.everything(garden, it.everythingDefaults().pointsPerSide(8).progress(fraction ->
                        threads.add(Thread.currentThread().getName()) || true), record -> true).close();
            }
        }
        assertTrue(threads.contains("vitrum"), threads.toString());
    }

    @Test
    void anotherThreadStopsACall() throws Exception {
        Picture garden = Demo.picture(Demo.GARDEN);
        Cancellation cancellation = new Cancellation();
        AtomicInteger calls = new AtomicInteger();
        Progress progress = fraction -> {
            if (calls.incrementAndGet() == 3) {
                Thread other = new Thread(cancellation::cancel);
                other.start();
            }
            return cancellation.onProgress(fraction);
        };
        EverythingOptions options = sam.everythingDefaults().pointsPerSide(64).progress(progress);
        Demo.refuses(Status.CANCELLED, "", () -> sam.everything(garden, options, record -> true));
        assertTrue(cancellation.isCancelled());
        // What begins later stops at once, and other calls go on.
        Demo.refuses(Status.CANCELLED, "", () -> sam.encode(garden, cancellation));
        sam.encode(garden, new Cancellation()).close();
    }

    @Test
    void everyLongCallCanBeStopped() throws Exception {
        Progress stop = fraction -> false;
        Picture garden = Demo.picture(Demo.GARDEN);
        Clip clip = Demo.clip();
        String path = Demo.DEMO.resolve("clip-nano").toString();
        Demo.refuses(Status.CANCELLED, "", () -> Clip.load(path, new Clip.Options().progress(stop)));
        Demo.refuses(Status.CANCELLED, "",
                () -> Sam.load(Demo.DEMO.resolve("sam-nano").toString(), new Sam.Options().progress(stop)));
        Demo.refuses(Status.CANCELLED, "", () -> clip.classify(garden, List.of("a", "b"), null, stop));
        Demo.refuses(Status.CANCELLED, "", () -> clip.embedPictures(List.of(garden), true, stop));
        Demo.refuses(Status.CANCELLED, "", () -> clip.embedTexts(List.of("a"), true, stop));
        Demo.refuses(Status.CANCELLED, "", () -> sam.ground(clip, garden, new TextPrompt("a dog").progress(stop)));
        try (Embedding embedding = sam.encode(garden)) {
            Demo.refuses(Status.CANCELLED, "", () -> sam.predict(embedding, List.of(Prompt.click(1, 1)),
                    new Sam.PredictOptions().progress(stop)));
        }
        List<Picture> frames = Demo.frames();
        try (Tracker tracker = new Tracker(Demo.sam2(), 256, 256)) {
            Demo.refuses(Status.CANCELLED, "", () -> tracker.push(Tracker.CURRENT, frames.get(0), stop));
            Demo.refuses(Status.CANCELLED, "", () -> tracker.push(7, frames.get(0), stop));
            assertEquals(-1, tracker.getFrame());
            tracker.push(frames.get(0));
            Demo.refuses(Status.CANCELLED, "",
                    () -> tracker.addPoints(1, Tracker.CURRENT, Prompt.click(36, 150), false, stop));
            Demo.refuses(Status.CANCELLED, "", () -> tracker.addMask(1, 0, new byte[256 * 256], stop));
            assertEquals(0, tracker.objects().length);
            tracker.addPoints(1, Prompt.click(36, 150));
            tracker.push(frames.get(1));
            Demo.refuses(Status.CANCELLED, "", () -> tracker.step(stop));
            Demo.refuses(Status.CANCELLED, "", () -> tracker.stepAt(1, false, stop));
            assertFalse(tracker.hasMask(1, 1));
            Demo.refuses(Status.CANCELLED, "", () -> tracker.propagate(new PropagateOptions().start(1).progress(stop),
                    frame -> frames.get((int) frame), frame -> true));
            Demo.refuses(Status.CANCELLED, "", () -> tracker.propagate(new PropagateOptions().start(1),
                    frame -> frames.get((int) frame), frame -> false));
        }
        List<MaskRecord> two = new ArrayList<>();
        Demo.refuses(Status.CANCELLED, "", () -> sam.everything(garden, null, record -> two.add(record) && two.size() < 2));
        assertEquals(2, two.size());
    }

    @Test
    void whatCallbacksThrowTheCallThrows() throws Exception {
        Picture garden = Demo.picture(Demo.GARDEN);
        Thrown thrown = new Thrown();
        Progress throwing = fraction -> {
            throw thrown;
        };
        assertSame(thrown, assertThrows(Thrown.class, () -> sam.encode(garden, throwing)));
        assertSame(thrown, assertThrows(Thrown.class, () -> sam.everything(garden, null, record -> {
            throw thrown;
        })));
        assertSame(thrown, assertThrows(Thrown.class,
                () -> sam.everything(garden, sam.everythingDefaults().progress(throwing), record -> true)));
        Error error = new AssertionError("an error, too");
        assertSame(error, assertThrows(AssertionError.class, () -> sam.encode(garden, fraction -> {
            throw error;
        })));
        List<Picture> frames = Demo.frames();
        try (Tracker tracker = new Tracker(Demo.sam2(), 256, 256)) {
            tracker.push(frames.get(0));
            tracker.addPoints(1, Prompt.click(36, 150));
            assertSame(thrown, assertThrows(Thrown.class, () -> tracker.propagate(new PropagateOptions(), frame -> {
                throw thrown;
            }, frame -> true)));
            assertSame(thrown, assertThrows(Thrown.class, () -> tracker.propagate(new PropagateOptions(),
                    frame -> frames.get((int) frame), frame -> {
                        throw thrown;
                    })));
            // A frame of another size is the library's to refuse.
            Demo.refuses(Status.IMAGE, "", () -> tracker.propagate(new PropagateOptions(), frame -> garden, frame -> true));
            // Nothing was lost.
            List<Long> seen = new ArrayList<>();
            tracker.propagate(new PropagateOptions().maxFrames(2), frame -> frames.get((int) frame), seen::add);
            assertEquals(2, seen.get(seen.size() - 1));
        }
    }

    @Test
    void callbacksMayUseAndCloseWhatTheirCallUses() throws Exception {
        Picture garden = Demo.picture(Demo.GARDEN);
        Sam own = Sam.load(Demo.DEMO.resolve("sam-nano").toString());
        List<MaskRecord> records = new ArrayList<>();
        own.everything(garden, null, record -> {
            own.close();
            return records.add(record);
        }).close();
        assertTrue(own.isClosed());
        assertTrue(records.size() > 2);
        assertThrows(IllegalStateException.class, own::getImageSize);
    }
}
