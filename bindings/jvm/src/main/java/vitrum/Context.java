package vitrum;

/**
 * Threads, an instruction set and scratch memory that is kept for reuse. Models keep what they need of it: it may be closed before
 * them. Several threads may use one context and its models at the same time.
 */
public final class Context extends Handle {
    private static Context shared;

    /** How to make a context. */
    public static final class Options {
        int threads;
        Isa isa = Isa.BEST;
        boolean amx;
        Limits limits;

        /** The defaults. */
        public Options() {}

        /**
         * How many threads work on a call, with the calling one.
         *
         * @param threads 0, the default, for one for each core that the process may use
         * @return this
         */
        public Options threads(int threads) {
            this.threads = Fields.count("threads", threads);
            return this;
        }

        /**
         * The instruction set.
         *
         * @param isa {@link Isa#BEST} by default
         * @return this
         */
        public Options isa(Isa isa) {
            this.isa = java.util.Objects.requireNonNull(isa, "isa");
            return this;
        }

        /**
         * Whether weights in bf16 and int8 are multiplied with AMX where the CPU has it: a request for the whole process.
         *
         * @param amx false by default
         * @return this
         */
        public Options amx(boolean amx) {
            this.amx = amx;
            return this;
        }

        /**
         * What the context, and what is made with it, may be asked for.
         *
         * @param limits null for the defaults
         * @return this
         */
        public Options limits(Limits limits) {
            this.limits = limits;
            return this;
        }
    }

    /** Whether a context uses AMX. */
    public enum Amx {
        /** It was not asked for. */
        NOT_ASKED,
        /** The CPU or the operating system has none. */
        ABSENT,
        /** The operating system does not permit it. */
        REFUSED,
        /** It is used, for weights in bf16 and int8. */
        USED
    }

    /** A context with the defaults. */
    public Context() {
        this(new Options());
    }

    /**
     * A context.
     *
     * @param options how to make it
     */
    public Context(Options options) {
        super(Native.CONTEXT, Native.contextNew(options.threads, options.isa.ordinal(), options.amx,
                options.limits == null ? null : options.limits.values));
    }

    /**
     * The context of models that are loaded without one; made when it is needed first, and again if it was closed.
     *
     * @return the context
     */
    public static synchronized Context shared() {
        if (shared == null || shared.isClosed()) {
            shared = new Context();
        }
        return shared;
    }

    /**
     * The version of the library.
     *
     * @return such as "0.1.0"
     */
    public static String libraryVersion() {
        return Text.of(Native.version());
    }

    /**
     * How many threads work on one call.
     *
     * @return the number, with the calling thread
     */
    public int getThreads() {
        long pointer = enter();
        try {
            return Native.contextThreads(pointer);
        } finally {
            exit();
        }
    }

    /**
     * The instruction set in use.
     *
     * @return never {@link Isa#BEST}
     */
    public Isa getIsa() {
        long pointer = enter();
        try {
            return Isa.values()[Native.contextIsa(pointer)];
        } finally {
            exit();
        }
    }

    /**
     * Whether it uses AMX.
     *
     * @return what became of the request
     */
    public Amx getAmx() {
        long pointer = enter();
        try {
            return Amx.values()[Native.contextAmx(pointer)];
        } finally {
            exit();
        }
    }

    /** Frees the scratch memory that is kept for reuse: for {@code onTrimMemory}, for instance. */
    public void trim() {
        long pointer = enter();
        try {
            Native.contextTrim(pointer);
        } finally {
            exit();
        }
    }
}
