package vitrum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Handles that are closed, twice, by two threads, in the middle of a call, or forgotten; and arguments that are nothing. */
class HandleTest {
    private final Sam sam = Demo.sam();

    @Test
    void whatIsClosedSaysSo() throws Exception {
        Picture garden = Demo.picture(Demo.GARDEN);
        Embedding embedding = sam.encode(garden);
        Prediction prediction = sam.predict(embedding, Prompt.click(120, 126));
        Mask mask = prediction.best();
        prediction.close();
        prediction.close();
        assertTrue(prediction.isClosed());
        IllegalStateException e = assertThrows(IllegalStateException.class, mask::pixels);
        assertTrue(e.getMessage().contains("Prediction"), e.getMessage());
        assertThrows(IllegalStateException.class, prediction::scores);
        assertThrows(IllegalStateException.class, () -> sam.predict(embedding, Collections.singletonList(Prompt.click(1, 1)),
                new Sam.PredictOptions(), prediction));
        embedding.close();
        assertEquals(512, embedding.getWidth());
        assertThrows(IllegalStateException.class, embedding::save);
        assertThrows(IllegalStateException.class, () -> sam.predict(embedding, Prompt.click(1, 1)));
        Context context = new Context();
        context.close();
        assertThrows(IllegalStateException.class, context::trim);
        assertThrows(IllegalStateException.class, () -> Sam.load("x", new Sam.Options().context(context)));
        // The shared one is made again.
        Context shared = Context.shared();
        shared.close();
        assertFalse(Context.shared().isClosed());
        assertTrue(shared != Context.shared());
        sam.encode(garden).close();
    }

    @Test
    void twoThreadsMayCloseOne() throws Exception {
        Picture garden = Demo.picture("octopus-3d.png");
        ExecutorService threads = Executors.newFixedThreadPool(4);
        for (int round = 0; round < 25; round++) {
            Embedding embedding = sam.encode(garden);
            CountDownLatch start = new CountDownLatch(1);
            List<Future<?>> all = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                all.add(threads.submit(() -> {
                    start.await();
                    embedding.close();
                    return null;
                }));
                all.add(threads.submit((Callable<Object>) () -> {
                    start.await();
                    // Before it is closed, or not at all; never with memory that is gone.
                    for (int k = 0; k < 20; k++) {
                        try {
                            embedding.values();
                        } catch (IllegalStateException e) {
                            return null;
                        }
                    }
                    return null;
                }));
            }
            start.countDown();
            for (Future<?> one : all) {
                one.get();
            }
            assertTrue(embedding.isClosed());
        }
        threads.shutdown();
        assertTrue(threads.awaitTermination(10, TimeUnit.SECONDS));
    }

    @Test
    void severalThreadsUseOneModel() throws Exception {
        Picture garden = Demo.picture(Demo.GARDEN);
        float[] scores;
        try (Embedding embedding = sam.encode(garden); Prediction one = sam.predict(embedding, Prompt.click(120, 126))) {
            scores = one.scores();
        }
        ExecutorService threads = Executors.newFixedThreadPool(3);
        List<Future<float[]>> all = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            all.add(threads.submit(() -> {
                try (Embedding embedding = sam.encode(garden);
                        Prediction one = sam.predict(embedding, Prompt.click(120, 126))) {
                    return one.scores();
                }
            }));
        }
        for (Future<float[]> one : all) {
            assertEquals(scores[0], one.get()[0]);
        }
        threads.shutdown();
    }

    /** A tracker changes in a call: another call at the same time is refused, not undefined. */
    @Test
    void oneCallAtATimeChangesATracker() throws Exception {
        Picture frame = Demo.frames().get(0);
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try (Tracker tracker = new Tracker(Demo.sam2(), 256, 256)) {
            CountDownLatch inside = new CountDownLatch(1);
            CountDownLatch tried = new CountDownLatch(1);
            Future<?> pushing = thread.submit(() -> tracker.push(Tracker.CURRENT, frame, fraction -> {
                inside.countDown();
                try {
                    return tried.await(20, TimeUnit.SECONDS);
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            }));
            assertTrue(inside.await(20, TimeUnit.SECONDS));
            Demo.refuses(Status.INVALID_ARGUMENT, "", tracker::reset);
            tried.countDown();
            pushing.get();
            tracker.reset();
        } catch (ExecutionException e) {
            throw new AssertionError(e.getCause());
        }
        thread.shutdown();
    }

    @Test
    void whatIsForgottenIsFreed() throws Exception {
        Field field = Handle.class.getDeclaredField("OPEN");
        field.setAccessible(true);
        Set<?> open = (Set<?>) field.get(null);
        Picture octopus = Demo.picture("octopus-3d.png");
        int before = open.size();
        for (int i = 0; i < 20; i++) {
            sam.encode(octopus);
        }
        int after = open.size();
        assertTrue(after > before + 5, before + " and " + after);
        for (int i = 0; i < 200 && open.size() > before + 1; i++) {
            System.gc();
            Thread.sleep(10);
            sam.encode(octopus).close();
        }
        assertTrue(open.size() <= before + 1, before + ", " + after + " and " + open.size());
    }

    @Test
    void nothingIsNoArgument() throws Exception {
        Clip clip = Demo.clip();
        Class<NullPointerException> nothing = NullPointerException.class;
        Picture octopus = Demo.picture("octopus-3d.png");
        assertThrows(nothing, () -> Clip.load((String) null));
        assertThrows(nothing, () -> Clip.load((ModelFiles) null, new Clip.Options()));
        assertThrows(nothing, () -> Sam.load((String) null));
        assertThrows(nothing, () -> new ModelFiles().add(null, new byte[1]));
        assertThrows(nothing, () -> new ModelFiles().add("a", (byte[]) null));
        assertThrows(IllegalArgumentException.class, () -> new ModelFiles().add("a", new byte[1]).add("a", new byte[1]));
        assertThrows(nothing, () -> clip.classify(null, "a"));
        assertThrows(nothing, () -> clip.classify(octopus, "a", null));
        assertThrows(nothing, () -> clip.embed((String) null));
        assertThrows(nothing, () -> clip.embed((Picture) null));
        assertThrows(nothing, () -> clip.tokenize(null));
        assertThrows(nothing, () -> clip.similarity(null, new float[0]));
        assertThrows(nothing, () -> sam.encode(null));
        assertThrows(nothing, () -> sam.loadEmbedding(null));
        assertThrows(nothing, () -> sam.predict(null, Prompt.click(1, 1)));
        assertThrows(nothing, () -> sam.everything(octopus, null, null));
        assertThrows(nothing, () -> sam.ground(null, octopus, new TextPrompt("a")));
        assertThrows(nothing, () -> Rle.fromCoco(null, 1, 1));
        assertThrows(nothing, () -> new Tracker(null, 1, 1));
        assertThrows(nothing, () -> Tracker.load(Demo.sam2(), null));
        try (Embedding embedding = sam.encode(octopus)) {
            assertThrows(nothing, () -> sam.predict(embedding, (Prompt) null));
            assertThrows(nothing, () -> embedding.isOf(null));
        }
        try (Tracker tracker = new Tracker(Demo.sam2(), 256, 256)) {
            assertThrows(nothing, () -> tracker.push(null));
            assertThrows(nothing, () -> tracker.addPoints(1, null));
            assertThrows(nothing, () -> tracker.propagate(new PropagateOptions(), null, frame -> true));
        }
    }

    @Test
    void whatTheLibraryRefusesItNames() throws Exception {
        Clip clip = Demo.clip();
        Picture octopus = Demo.picture("octopus-3d.png");
        Demo.refuses(Status.INVALID_ARGUMENT, "", () -> clip.classify(octopus));
        Demo.refuses(Status.INVALID_ARGUMENT, "", () -> clip.classify(octopus, "a", ""));
        Demo.refuses(Status.INVALID_ARGUMENT, "\\{\\}",
                () -> clip.classify(octopus, Collections.singletonList("a"), "no place", null));
        Demo.refuses(Status.INVALID_ARGUMENT, "", () -> clip.embedPictures(Collections.emptyList(), true, null));
        Demo.refuses(Status.INVALID_ARGUMENT, "", () -> clip.similarity(new float[0], new float[0]));
        assertThrows(IllegalArgumentException.class, () -> clip.similarity(new float[1], new float[0]));
        // What would be another text in C.
        Demo.refuses(Status.INVALID_ARGUMENT, "labels\\[1\\].*NUL", () -> clip.classify(octopus, "a", "b\0c"));
        Demo.refuses(Status.UTF8, "text", () -> clip.embed("half \ud83d of a pair"));
        Demo.refuses(Status.INVALID_ARGUMENT, "NUL", () -> Clip.load("a\0b"));
        Demo.refuses(Status.NOT_FOUND, "nowhere", () -> Clip.load(Demo.DEMO.resolve("nowhere").toString()));
        Demo.refuses(Status.UNSUPPORTED, "", () -> Clip.load(Demo.DEMO.resolve("sam-nano").toString()));
        Demo.refuses(Status.UNSUPPORTED, "", () -> Sam.load(Demo.DEMO.resolve("clip-nano").toString()));
        Demo.refuses(Status.INVALID_ARGUMENT, "",
                () -> Sam.load(Demo.DEMO.resolve("sam-nano").toString(), new Sam.Options().imageSize(7)));
        Demo.refuses(Status.UNSUPPORTED, "", () -> new Context(new Context.Options().isa(Isa.NEON)));
        Demo.refuses(Status.INVALID_ARGUMENT, "", () -> new Context(new Context.Options().threads(5000)));
        assertThrows(IllegalArgumentException.class, () -> new Context.Options().threads(-1));
        try (Embedding embedding = sam.encode(octopus)) {
            Demo.refuses(Status.INVALID_ARGUMENT, "point 0", () -> sam.predict(embedding, Prompt.click(Double.NaN, 1)));
            Demo.refuses(Status.INVALID_ARGUMENT, "", () -> sam.predict(embedding, Prompt.within(9, 9, 1, 1)));
            Demo.refuses(Status.INVALID_ARGUMENT, "", () -> sam.predict(embedding, new Prompt().mask(new float[7])));
            Demo.refuses(Status.INVALID_ARGUMENT, "",
                    () -> sam.predict(embedding, Collections.emptyList(), new Sam.PredictOptions()));
            Demo.refuses(Status.INVALID_ARGUMENT, "model", () -> Demo.sam2().predict(embedding, Prompt.click(1, 1)));
            try (Prediction prediction = sam.predict(embedding, Prompt.click(1, 1))) {
                assertThrows(IndexOutOfBoundsException.class, () -> prediction.mask(1, 0));
                assertThrows(IndexOutOfBoundsException.class, () -> prediction.mask(0, 3));
                assertThrows(IndexOutOfBoundsException.class, () -> prediction.best(-1));
                Demo.refuses(Status.INVALID_ARGUMENT, "", () -> prediction.best().at(Float.NaN).pixels());
                assertThrows(IllegalArgumentException.class,
                        () -> prediction.best().pixels(java.nio.ByteBuffer.allocate(1 << 20)));
                assertThrows(IllegalArgumentException.class,
                        () -> prediction.best().pixels(java.nio.ByteBuffer.allocateDirect(1 << 20).asReadOnlyBuffer()));
                assertThrows(IllegalArgumentException.class,
                        () -> prediction.best().pixels(java.nio.ByteBuffer.allocateDirect(100)));
            }
        }
        Demo.refuses(Status.INVALID_ARGUMENT, "",
                () -> sam.everything(octopus, new EverythingOptions().pointsPerSide(0), record -> true));
    }
}
