package vitrum;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/** What {@link Sam#ground} looks for, in words. */
public final class TextPrompt {
    final List<String> texts;
    List<String> others = Collections.emptyList();
    String template;
    int top = 1;
    double minProbability;
    EverythingOptions candidates;
    Progress progress;

    /**
     * Looks for texts.
     *
     * @param texts with their articles: "a red apple"
     */
    public TextPrompt(String... texts) {
        this(Arrays.asList(texts));
    }

    /**
     * Looks for texts.
     *
     * @param texts with their articles: "a red apple"
     */
    public TextPrompt(List<String> texts) {
        this.texts = Objects.requireNonNull(texts, "texts");
    }

    /**
     * Texts for other things in the picture, with which the texts compete; without them, they compete with words for the background.
     *
     * @param others none by default
     * @return this
     */
    public TextPrompt others(String... others) {
        this.others = Arrays.asList(others);
        return this;
    }

    /**
     * A sentence with {@code {}} in the text's place.
     *
     * @param template null, the default, for "a photo of {}"
     * @return this
     */
    public TextPrompt template(String template) {
        this.template = template;
        return this;
    }

    /**
     * How many masks each text gets at most.
     *
     * @param masks 1 by default
     * @return this
     */
    public TextPrompt top(int masks) {
        top = Fields.count("top", masks);
        return this;
    }

    /**
     * Masks of a lower probability are dropped.
     *
     * @param probability 0 by default
     * @return this
     */
    public TextPrompt minProbability(double probability) {
        minProbability = probability;
        return this;
    }

    /**
     * How masks are found before they are compared with the texts. Their progress is not called.
     *
     * @param options null, the default, for those of the model
     * @return this
     */
    public TextPrompt candidates(EverythingOptions options) {
        candidates = options;
        return this;
    }

    /**
     * Hears how far it is.
     *
     * @param progress null for nobody
     * @return this
     */
    public TextPrompt progress(Progress progress) {
        this.progress = progress;
        return this;
    }
}
