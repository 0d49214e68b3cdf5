package vitrum;

import java.lang.ref.PhantomReference;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;

/**
 * What owns memory of the library. {@link #close} frees it; a call that runs meanwhile, in another thread or because a callback
 * closed it, ends first.
 *
 * <p>What is forgotten is freed some time after it was collected. Do not wait for that: the collector does not see how large it
 * is.
 */
public abstract class Handle implements AutoCloseable {
    private static final ReferenceQueue<Handle> COLLECTED = new ReferenceQueue<>();
    private static final Set<Forgotten> OPEN = Collections.synchronizedSet(new HashSet<Forgotten>());

    /** What is left of a handle that was collected: enough to free it. */
    private static final class Forgotten extends PhantomReference<Handle> {
        final Owner owner;

        Forgotten(Handle handle, Owner owner) {
            super(handle, COLLECTED);
            this.owner = owner;
        }
    }

    /** The pointer, and how many calls use it: the library must not be called with a pointer that is being freed. */
    private static final class Owner {
        private final int kind;
        private final long pointer;
        private int calls;
        private boolean closed;
        private boolean freed;

        Owner(int kind, long pointer) {
            this.kind = kind;
            this.pointer = pointer;
        }

        synchronized boolean isClosed() {
            return closed;
        }

        synchronized long enter() {
            if (closed) {
                throw new IllegalStateException("it is closed");
            }
            calls++;
            return pointer;
        }

        void exit() {
            synchronized (this) {
                calls--;
            }
            free();
        }

        void close() {
            synchronized (this) {
                closed = true;
            }
            free();
        }

        private void free() {
            synchronized (this) {
                if (!closed || calls > 0 || freed) {
                    return;
                }
                freed = true;
            }
            Native.free(kind, pointer);
        }
    }

    private final Owner owner;
    private final Forgotten forgotten;

    /** Takes over {@code pointer}, which {@link Native#free} frees as {@code kind}. */
    Handle(int kind, long pointer) {
        owner = new Owner(kind, pointer);
        forgotten = new Forgotten(this, owner);
        OPEN.add(forgotten);
        for (Reference<?> it; (it = COLLECTED.poll()) != null; ) {
            OPEN.remove(it);
            ((Forgotten) it).owner.close();
        }
    }

    /** The pointer, for a call that ends with {@link #exit}. */
    final long enter() {
        try {
            return owner.enter();
        } catch (IllegalStateException e) {
            throw new IllegalStateException(getClass().getSimpleName() + " is closed");
        }
    }

    final void exit() {
        owner.exit();
    }

    /**
     * Whether it was closed.
     *
     * @return true after {@link #close}
     */
    public final boolean isClosed() {
        return owner.isClosed();
    }

    /** Frees it, at the end of the calls that use it. A second time changes nothing. */
    @Override
    public void close() {
        OPEN.remove(forgotten);
        forgotten.clear();
        owner.close();
    }
}
