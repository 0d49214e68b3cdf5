package vitrum;

import java.io.File;
import java.io.InputStream;

/**
 * Loads the native part: from where the property {@code vitrum.library.path} says, else from the jar, else from where the runtime
 * looks for libraries. On Android the package manager has put it there.
 */
final class NativeLibrary {
    private static final String NAME = "vitrum_jni";

    private NativeLibrary() {}

    static void load() {
        String path = System.getProperty("vitrum.library.path");
        if (path != null) {
            File file = new File(path);
            if (file.isDirectory()) {
                file = new File(file, System.mapLibraryName(NAME));
            }
            System.load(file.getAbsolutePath());
            return;
        }
        String resource = "native/" + platform() + "/" + System.mapLibraryName(NAME);
        InputStream inJar = isAndroid() ? null : NativeLibrary.class.getResourceAsStream(resource);
        if (inJar != null) {
            Extracted.load(inJar, System.mapLibraryName(NAME));
            return;
        }
        try {
            System.loadLibrary(NAME);
        } catch (UnsatisfiedLinkError e) {
            UnsatisfiedLinkError all = new UnsatisfiedLinkError("this jar has no vitrum/" + resource
                    + ", -Dvitrum.library.path does not say where the library is, and " + e.getMessage());
            all.initCause(e);
            throw all;
        }
    }

    private static boolean isAndroid() {
        return "The Android Project".equals(System.getProperty("java.vendor"));
    }

    /** Names of the libraries' directories: of an operating system and its kind of CPU. */
    static String platform() {
        String os = System.getProperty("os.name", "").toLowerCase(java.util.Locale.ROOT);
        String arch = System.getProperty("os.arch", "");
        return (os.startsWith("windows") ? "windows" : os.startsWith("mac") ? "macos" : os) + "-"
                + (arch.equals("amd64") ? "x86_64" : arch.equals("arm64") ? "aarch64" : arch);
    }
}
