package vitrum;

/** How the files of weights are read. */
public enum MemoryMap {
    /** By ordinary file operations, into memory of the model's own. */
    NONE,
    /** Through a memory map while loading; if another process truncates the file meanwhile, the system ends this one. */
    READ,
    /**
     * What {@code vitrum quantize --pack} has packed for this CPU is used in place, in the map. Nobody may write to the files or
     * truncate them as long as the model lives.
     */
    IN_PLACE
}
