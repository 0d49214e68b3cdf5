package vitrum;

import java.util.Objects;

/**
 * Objects followed through a video with a SAM 2 model. Only one call may use a tracker at a time, but several that only read it may
 * run together. A call that fails or is stopped leaves it as it was.
 *
 * <p>Frames are numbered from 0, and {@link #CURRENT} is the one pushed last. The caller chooses the numbers of objects.
 */
public final class Tracker extends Handle {
    /** Stands for the number of the frame that was pushed last. */
    public static final long CURRENT = -1;

    private final int width;
    private final int height;
    private final Mask.Owner masks = new Mask.Owner() {
        @Override
        public long enterMask() {
            return enter();
        }

        @Override
        public void leave() {
            exit();
        }
    };

    private Tracker(long pointer) {
        super(Native.TRACKER, pointer);
        width = Native.trackerWidth(pointer);
        height = Native.trackerHeight(pointer);
    }

    /**
     * A tracker of a video whose frames have this size.
     *
     * @param sam a SAM 2
     * @param width in pixels
     * @param height in pixels
     */
    public Tracker(Sam sam, int width, int height) {
        this(sam, width, height, new TrackerOptions());
    }

    /**
     * A tracker of a video whose frames have this size.
     *
     * @param sam a SAM 2
     * @param width in pixels
     * @param height in pixels
     * @param options how it behaves
     */
    public Tracker(Sam sam, int width, int height, TrackerOptions options) {
        this(make(sam, width, height, options));
    }

    private static long make(Sam sam, int width, int height, TrackerOptions options) {
        long pointer = sam.enter();
        try {
            return Native.trackerNew(pointer, Fields.count("width", width), Fields.count("height", height), options.values);
        } finally {
            sam.exit();
        }
    }

    /**
     * An upper bound on the bytes that a tracker made with the same arguments holds, however long the video.
     *
     * @param sam a SAM 2
     * @param width in pixels
     * @param height in pixels
     * @param options how it behaves
     * @return bytes
     */
    public static long memoryLimit(Sam sam, int width, int height, TrackerOptions options) {
        long pointer = sam.enter();
        try {
            return Native.trackerMemoryLimit(pointer, Fields.count("width", width), Fields.count("height", height),
                    options.values);
        } finally {
            sam.exit();
        }
    }

    /**
     * Restores what {@link #save} wrote. The bytes need not be trusted.
     *
     * @param sam the model, or one from the same weights with the same input size
     * @param bytes of a tracker
     * @return the tracker
     */
    public static Tracker load(Sam sam, byte[] bytes) {
        long pointer = sam.enter();
        try {
            return new Tracker(Native.trackerLoad(pointer, Objects.requireNonNull(bytes, "bytes")));
        } finally {
            sam.exit();
        }
    }

    /**
     * The tracker for a file.
     *
     * @return its bytes
     */
    public byte[] save() {
        long pointer = enter();
        try {
            return Native.trackerSave(pointer);
        } finally {
            exit();
        }
    }

    /**
     * The width of the frames.
     *
     * @return in pixels
     */
    public int getWidth() {
        return width;
    }

    /**
     * The height of the frames.
     *
     * @return in pixels
     */
    public int getHeight() {
        return height;
    }

    /**
     * How much memory it occupies now.
     *
     * @return bytes
     */
    public long getMemoryBytes() {
        long pointer = enter();
        try {
            return Native.memoryBytes(Native.TRACKER, pointer);
        } finally {
            exit();
        }
    }

    /**
     * Takes the next frame of the video, and makes it the current one.
     *
     * @param picture of the tracker's size
     * @return its number: 0, and then 1 more than that of the current frame
     */
    public long push(Picture picture) {
        return push(CURRENT, picture, null);
    }

    /**
     * Takes a frame of a video that can be read in any order.
     *
     * @param frame its number; {@link #CURRENT} for the next one
     * @param picture of the tracker's size
     * @param progress hears how far it is, or null
     * @return its number
     */
    public long push(long frame, Picture picture, Progress progress) {
        long pointer = enter();
        try {
            return Native.trackerPush(pointer, frame, Objects.requireNonNull(picture, "picture"), Callbacks.of(progress));
        } finally {
            exit();
        }
    }

    /**
     * The number of the current frame.
     *
     * @return -1 before the first
     */
    public long getFrame() {
        long pointer = enter();
        try {
            return Native.trackerFrame(pointer);
        } finally {
            exit();
        }
    }

    /**
     * The frames that are held.
     *
     * @return their numbers, in the order in which they were pushed
     */
    public long[] heldFrames() {
        long pointer = enter();
        try {
            return Native.trackerHeldFrames(pointer);
        } finally {
            exit();
        }
    }

    /**
     * Prompts an object on the current frame: the first prompt with a new number adds the object.
     *
     * @param object its number
     * @param prompt clicks, or a box and clicks, which replace those of earlier prompts on the frame
     */
    public void addPoints(int object, Prompt prompt) {
        addPoints(object, CURRENT, prompt, false, null);
    }

    /**
     * Prompts an object on a frame: the first prompt with a new number adds the object.
     *
     * @param object its number
     * @param frame one that is held
     * @param prompt clicks, or a box and clicks
     * @param keepEarlier whether the clicks are added to those of earlier prompts for the object on the frame
     * @param progress hears how far it is, or null
     */
    public void addPoints(int object, long frame, Prompt prompt, boolean keepEarlier, Progress progress) {
        Objects.requireNonNull(prompt, "prompt");
        long pointer = enter();
        try {
            Native.trackerAddPoints(pointer, frame, object, prompt, keepEarlier, Callbacks.of(progress));
        } finally {
            exit();
        }
    }

    /**
     * Prompts an object on a frame with a mask, which replaces earlier prompts of the object on it.
     *
     * @param object its number; a new one adds the object
     * @param frame one that is held
     * @param pixels not 0 where the object is, row after row, in the size of the frames; all 0 if it is not visible
     * @param progress hears how far it is, or null
     */
    public void addMask(int object, long frame, byte[] pixels, Progress progress) {
        if (pixels.length != (long) width * height) {
            throw new IllegalArgumentException(
                    "pixels: a mask of " + width + " x " + height + " has not " + pixels.length + " bytes");
        }
        long pointer = enter();
        try {
            Native.trackerAddMask(pointer, frame, object, pixels, width, height, Callbacks.of(progress));
        } finally {
            exit();
        }
    }

    /**
     * Removes an object's prompts on a frame. An object without any must be prompted anew or removed before the next step.
     *
     * @param object its number
     * @param frame which one
     */
    public void clearPrompts(int object, long frame) {
        long pointer = enter();
        try {
            Native.trackerClearPrompts(pointer, frame, object);
        } finally {
            exit();
        }
    }

    /**
     * Removes an object.
     *
     * @param object its number
     */
    public void removeObject(int object) {
        long pointer = enter();
        try {
            Native.trackerRemoveObject(pointer, object);
        } finally {
            exit();
        }
    }

    /** Removes all objects and their prompts. Frames stay held. */
    public void reset() {
        long pointer = enter();
        try {
            Native.trackerReset(pointer);
        } finally {
            exit();
        }
    }

    /**
     * The objects.
     *
     * @return their numbers, in the order in which they were added
     */
    public int[] objects() {
        long pointer = enter();
        try {
            return Native.trackerObjects(pointer);
        } finally {
            exit();
        }
    }

    /** Tracks all objects to the current frame, forward in time. */
    public void step() {
        step(null);
    }

    /**
     * Tracks all objects to the current frame, forward in time.
     *
     * @param progress hears how far it is, or null
     */
    public void step(Progress progress) {
        long pointer = enter();
        try {
            Native.trackerStep(pointer, Callbacks.of(progress));
        } finally {
            exit();
        }
    }

    /**
     * Tracks all objects to a frame.
     *
     * @param frame one that is held
     * @param backward whether from the frames after it
     * @param progress hears how far it is, or null
     */
    public void stepAt(long frame, boolean backward, Progress progress) {
        long pointer = enter();
        try {
            Native.trackerStepAt(pointer, frame, backward, Callbacks.of(progress));
        } finally {
            exit();
        }
    }

    /**
     * Follows all objects through a video. If the call fails or is stopped, the frames of which the listener heard remain tracked.
     *
     * @param options through which frames
     * @param reader reads those that are not held
     * @param listener hears of each frame that was tracked
     */
    public void propagate(PropagateOptions options, final FrameReader reader, final FrameListener listener) {
        Objects.requireNonNull(reader, "reader");
        Objects.requireNonNull(listener, "listener");
        Callbacks callbacks = new Callbacks(options.progress) {
            @Override
            Picture frame(long frame) {
                return reader.read(frame);
            }

            @Override
            boolean tracked(long frame) {
                return listener.onFrame(frame);
            }
        };
        long pointer = enter();
        try {
            Native.trackerPropagate(pointer, options.backward, options.start, options.maxFrames, callbacks);
        } finally {
            exit();
        }
    }

    /**
     * Whether there is a mask of an object on a frame.
     *
     * @param object its number
     * @param frame one that is held
     * @return false for unknown ones
     */
    public boolean hasMask(int object, long frame) {
        long pointer = enter();
        try {
            return Native.trackerHasMask(pointer, object, frame);
        } finally {
            exit();
        }
    }

    /**
     * An object's mask on the current frame.
     *
     * @param object its number
     * @return the mask, at a threshold of 0
     */
    public Mask mask(int object) {
        return mask(object, getFrame());
    }

    /**
     * An object's mask on a frame.
     *
     * @param object its number
     * @param frame one that is held
     * @return the mask, at a threshold of 0
     */
    public Mask mask(int object, long frame) {
        return new Mask(masks, Native.TRACKER, object, frame, width, height, 0);
    }
}
