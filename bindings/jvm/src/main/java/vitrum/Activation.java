package vitrum;

/** An activation of CLIP's towers. */
public enum Activation {
    /** The one that the model's files name. */
    OF_FILES,
    /** GELU, as most of OpenCLIP's models have it. */
    GELU,
    /** {@code x * sigmoid(1.702 x)}, as OpenAI's models have it: for their weights without their configuration. */
    QUICK_GELU
}
