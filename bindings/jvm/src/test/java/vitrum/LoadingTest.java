package vitrum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The jar in virtual machines of its own: how the library is found, what is left behind, and the documentation's programs. */
class LoadingTest {
    private static final Path JAVA = Path.of(System.getProperty("java.home"), "bin", "java");

    @TempDir
    Path scratch;

    private Path jar;
    private Path temporary;

    @BeforeEach
    void prepare() throws Exception {
        jar = Path.of(Demo.environment("VITRUM_JAR"));
        temporary = Files.createDirectory(scratch.resolve("tmp"));
        Files.writeString(scratch.resolve("Version.java"),
                "public class Version { public static void main(String[] args) {"
                        + " System.out.println(vitrum.Context.libraryVersion()); } }");
    }

    /** What the program prints, both streams. */
    private String java(int expected, Path jar, String... args) throws Exception {
        List<String> line = new ArrayList<>(Arrays.asList(JAVA.toString(), "-Xcheck:jni", "-cp", jar.toString(),
                "-Djava.io.tmpdir=" + temporary));
        line.addAll(Arrays.asList(args));
        Process process = new ProcessBuilder(line).directory(scratch.toFile()).redirectErrorStream(true).start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(expected, process.waitFor(), text);
        return text;
    }

    private List<Path> left() throws Exception {
        try (Stream<Path> all = Files.list(temporary)) {
            return all.filter(path -> path.getFileName().toString().startsWith("vitrum")).toList();
        }
    }

    @Test
    void itComesOutOfTheJarAndLeavesNothing() throws Exception {
        assertEquals("0.1.0", java(0, jar, "Version.java").strip());
        assertEquals(List.of(), left());
    }

    @Test
    void whereTheLibraryLiesCanBeSaid() throws Exception {
        Path library;
        try (Stream<Path> all = Files.walk(Path.of(Demo.environment("VITRUM_OUT"), "resources"))) {
            library = all.filter(path -> path.getFileName().toString().equals(System.mapLibraryName("vitrum_jni")))
                    .findFirst().orElseThrow();
        }
        assertEquals("0.1.0", java(0, jar, "-Dvitrum.library.path=" + library, "Version.java").strip());
        assertEquals("0.1.0", java(0, jar, "-Dvitrum.library.path=" + library.getParent(), "Version.java").strip());
        String missing = java(1, jar, "-Dvitrum.library.path=" + scratch.resolve("nowhere"), "Version.java");
        assertTrue(missing.contains("UnsatisfiedLinkError") && missing.contains("nowhere"), missing);
        // A jar for other machines: the classes alone, and the library where the runtime looks.
        Path classes = Path.of(Demo.environment("VITRUM_OUT"), "maven", "classes");
        Path bare = Files.createDirectory(scratch.resolve("bare"));
        try (Stream<Path> all = Files.walk(classes)) {
            for (Path file : all.filter(path -> path.toString().endsWith(".class")).toList()) {
                Path copy = bare.resolve(classes.relativize(file));
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
        assertEquals("0.1.0", java(0, bare, "-Djava.library.path=" + library.getParent(), "Version.java").strip());
        String none = java(1, bare, "-Djava.library.path=" + bare, "Version.java");
        assertTrue(none.contains("vitrum/native/" + NativeLibrary.platform()) && none.contains("vitrum.library.path"), none);
        // One that is no library is told with what can be done, and does not stay either.
        Path damaged = bare.resolve("vitrum/native").resolve(NativeLibrary.platform());
        Files.createDirectories(damaged);
        Files.write(damaged.resolve(System.mapLibraryName("vitrum_jni")), new byte[100]);
        String broken = java(1, bare, "Version.java");
        assertTrue(broken.contains("does not load") && broken.contains("java.io.tmpdir"), broken);
        assertEquals(List.of(), left());
    }

    /** The programs of docs/start/jvm.md, with the demo's models in the place of paths. */
    @Test
    void theProgramsOfTheDocumentationRun() throws Exception {
        String page = Files.readString(Demo.ROOT.resolve("docs/start/jvm.md"));
        Matcher programs = Pattern.compile("^```java\n(.*?)^```$", Pattern.DOTALL | Pattern.MULTILINE).matcher(page);
        int count = 0;
        while (programs.find()) {
            String program = programs.group(1)
                    .replace("path/to/clip", Demo.DEMO.resolve("clip-nano").toString())
                    .replace("path/to/sam2", Demo.DEMO.resolve("sam2-nano").toString())
                    .replace("path/to/sam", Demo.DEMO.resolve("sam-nano").toString())
                    .replace("photo.jpg", Demo.path("octopus-3d.png"));
            List<String> imports = new ArrayList<>();
            List<String> body = new ArrayList<>();
            for (String each : program.split("\n")) {
                (each.startsWith("import ") ? imports : body).add(each);
            }
            String name = "Program" + count;
            Files.writeString(scratch.resolve(name + ".java"), "import vitrum.*; import vitrum.awt.*; import java.io.*;"
                    + " import java.util.*;\n" + String.join("\n", imports) + "\npublic class " + name
                    + " { public static void main(String[] args) throws Exception {\n" + String.join("\n", body) + "\n} }");
            String printed = java(0, jar, name + ".java");
            assertTrue(printed.matches("(?s).*\\d.*"), program + printed);
            if (count++ == 0) {
                Matcher numbers = Pattern.compile("\\d\\.\\d+(E-\\d+)?").matcher(printed);
                assertTrue(numbers.find() && Float.parseFloat(numbers.group()) > 0.9, printed);
            }
        }
        assertTrue(count >= 3, count + " programs");
        assertTrue(new File(jar.toString()).length() > 1_000_000);
    }
}
