package vitrum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The binding knows the C interface of include/vitrum.h, all of it. */
class HeaderTest {
    /** What Java has no use for, and why. */
    private static final Map<String, String> NOT_CALLED = Map.of(
            "vitrum_abi_version", "the library is linked in, with the classes' version checked",
            "vitrum_status_string", "an exception has the sentence of its call",
            "vitrum_allocator_set", "a virtual machine has no allocator for it");

    private static String read(String path) throws Exception {
        return Files.readString(Demo.ROOT.resolve(path));
    }

    @Test
    void everyFunctionIsCalled() throws Exception {
        String header = read("include/vitrum.h").replaceAll("(?s)/\\*.*?\\*/", "");
        TreeSet<String> declared = new TreeSet<>();
        Matcher declarations = Pattern.compile("^(?!typedef)[a-z].*?\\b(vitrum_\\w+)\\(", Pattern.MULTILINE).matcher(header);
        while (declarations.find()) {
            declared.add(declarations.group(1));
        }
        assertTrue(declared.size() > 80);
        StringBuilder sources = new StringBuilder();
        try (Stream<Path> files = Files.list(Demo.ROOT.resolve("bindings/jvm/native"))) {
            for (Path file : files.filter(path -> path.toString().endsWith(".c")).toList()) {
                sources.append(Files.readString(file));
            }
        }
        List<String> missing = new ArrayList<>();
        for (String name : declared) {
            boolean called = Pattern.compile("\\b" + name + "\\b").matcher(sources).find();
            assertTrue(!called || !NOT_CALLED.containsKey(name), name);
            if (!called && !NOT_CALLED.containsKey(name)) {
                missing.add(name);
            }
        }
        assertEquals(List.of(), missing);
    }

    @Test
    void everyConstantHasItsValue() throws Exception {
        Map<String, Integer> header = new TreeMap<>();
        Matcher defines = Pattern.compile("^#define VITRUM_(\\w+) (-?\\d+)$", Pattern.MULTILINE).matcher(read("include/vitrum.h"));
        while (defines.find()) {
            header.put(defines.group(1), Integer.parseInt(defines.group(2)));
        }
        Map<String, Integer> java = new TreeMap<>();
        for (Status status : Status.values()) {
            if (status != Status.UNKNOWN) {
                java.put("E_" + status, status.code);
            }
        }
        for (Isa isa : Isa.values()) {
            java.put("ISA_" + isa, isa.ordinal());
        }
        for (Context.Amx amx : Context.Amx.values()) {
            java.put("AMX_" + amx, amx.ordinal());
        }
        for (Weights weights : Weights.values()) {
            java.put("WEIGHTS_" + weights, weights.ordinal());
        }
        for (Activation activation : Activation.values()) {
            java.put("ACTIVATION_" + activation, activation.ordinal());
        }
        for (Picture.Format format : Picture.Format.values()) {
            java.put("PIXEL_" + format + "8", format.code);
        }
        java.put("PIXEL_NV12", 6);
        java.put("YUV_BT601", Picture.Yuv.BT601.matrix);
        java.put("YUV_BT709", Picture.Yuv.BT709.matrix);
        java.put("FRAME_CURRENT", (int) Tracker.CURRENT);
        java.put("LABEL_PADDING", -1);
        java.put("LABEL_BACKGROUND", 0);
        java.put("LABEL_FOREGROUND", 1);
        java.put("PICTURE_OTHER", 0);
        java.put("PICTURE_SAME", 1);
        java.put("PICTURE_UNKNOWN", -1);
        Map<String, Integer> expected = new TreeMap<>(header);
        // These stay in C: versions, what the native part translates, and the size of a buffer there.
        expected.keySet().removeIf(name -> name.startsWith("VERSION") || name.startsWith("DIRECTION") || name.startsWith("READ")
                || List.of("OK", "ABI_VERSION", "ERROR_MESSAGE_SIZE").contains(name));
        assertEquals(expected, java);
    }

    @Test
    void versionsAgree() throws Exception {
        assertTrue(read("include/vitrum.h").contains("#define VITRUM_VERSION \"" + Native.VERSION + "\""));
        assertTrue(read("bindings/jvm/pom.xml").contains("<artifactId>vitrum</artifactId>\n  <version>" + Native.VERSION));
        assertEquals(Native.VERSION, Context.libraryVersion());
    }
}
