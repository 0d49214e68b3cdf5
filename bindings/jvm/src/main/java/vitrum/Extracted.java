package vitrum;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** The library out of the jar: in a directory of its own, which only this user may enter, and which is gone once it is loaded. */
final class Extracted {
    private Extracted() {}

    static void load(InputStream library, String name) {
        try (InputStream in = library) {
            Path directory = Files.createTempDirectory("vitrum-");
            Path file = directory.resolve(name);
            try {
                Files.copy(in, file);
                System.load(file.toString());
            } catch (UnsatisfiedLinkError e) {
                UnsatisfiedLinkError where = new UnsatisfiedLinkError("the library of the jar does not load from " + file
                        + " (-Djava.io.tmpdir names another place, -Dvitrum.library.path an unpacked library): "
                        + e.getMessage());
                where.initCause(e);
                throw where;
            } finally {
                delete(file);
                delete(directory);
            }
        } catch (IOException e) {
            UnsatisfiedLinkError failed = new UnsatisfiedLinkError("the library cannot be taken out of the jar: " + e);
            failed.initCause(e);
            throw failed;
        }
    }

    /** Now, or at exit where a loaded library cannot be deleted (Windows tries again then, and may fail). */
    private static void delete(Path path) {
        try {
            Files.deleteIfExists(path);
        } catch (IOException e) {
            path.toFile().deleteOnExit();
        }
    }
}
