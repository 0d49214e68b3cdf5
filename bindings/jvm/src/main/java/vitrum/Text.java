package vitrum;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;
import java.nio.charset.CodingErrorAction;
import java.util.Collection;
import java.util.Collections;
import java.util.Objects;

/** Strings as the C interface has them: UTF-8 (JNI's own functions write another encoding) that ends with NUL. */
final class Text {
    private static final Charset UTF_8 = Charset.forName("UTF-8");

    private Text() {}

    static String of(byte[] utf8) {
        return new String(utf8, UTF_8);
    }

    /** {@code text} with its NUL; null stays null. */
    static byte[] orNull(String name, String text) {
        return text == null ? null : joined(name, Collections.singletonList(text));
    }

    static byte[] of(String name, String text) {
        return joined(name, Collections.singletonList(Objects.requireNonNull(text, name)));
    }

    /** All texts, one after the other, each with its NUL. */
    static byte[] joined(String name, Collection<String> texts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        int index = 0;
        for (String text : texts) {
            String which = texts.size() == 1 ? name : name + "[" + index + "]";
            if (Objects.requireNonNull(text, which).indexOf('\0') >= 0) {
                throw new VitrumException(Status.INVALID_ARGUMENT.code, which + ": a NUL would end the text");
            }
            ByteBuffer bytes = encode(which, text);
            all.write(bytes.array(), bytes.arrayOffset(), bytes.remaining());
            all.write(0);
            index++;
        }
        return all.toByteArray();
    }

    private static ByteBuffer encode(String name, String text) {
        try {
            return UTF_8.newEncoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
                    .encode(CharBuffer.wrap(text));
        } catch (CharacterCodingException e) {
            throw new VitrumException(Status.UTF8.code, name + ": half of a surrogate pair is no character");
        }
    }
}
