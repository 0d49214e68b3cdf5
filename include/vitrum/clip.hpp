// CLIP: pictures and texts in one space. Include vitrum.hpp.
#ifndef VITRUM_CLIP_HPP
#define VITRUM_CLIP_HPP

#include "base.hpp"

namespace vitrum {

// How to load a CLIP model; see vitrum_clip_options.
struct clip_options {
    bool mmap = false;
    bool lenient = false;
    activation_kind activation = activation_kind::of_files;
    // OpenAI's list of merges, for weights that have no tokenizer beside them.
    std::vector<std::uint8_t> vocabulary;
    weight_format weights = weight_format::of_files;
    // mmap = 2 of the struct: nobody may change the files as long as the model lives.
    bool in_place = false;
};

// How pictures and texts are embedded; see vitrum_clip_encode_options.
struct clip_encode_options : vitrum_clip_encode_options {
    clip_encode_options() : vitrum_clip_encode_options() {
        vitrum_clip_encode_options_init(this, sizeof(vitrum_clip_encode_options));
    }
};

// How a picture is compared with labels; see vitrum_clip_classify_options.
struct clip_classify_options {
    // {} stands for the label.
    std::string label_template = "a photo of a {}";
};

// A CLIP model. May outlive its context.
class clip {
public:
    // Loads a model directory, a safetensors file or a PyTorch checkpoint.
    static clip load(const context &on, const std::string &path, const clip_options &options = clip_options(),
                     const progress &watcher = progress()) {
        detail::progress_call call(watcher);
        const vitrum_clip_options c_options = call.within(c_options_of(options));
        vitrum_clip *handle = nullptr;
        call.guard.check([&](vitrum_error *report) {
            return vitrum_clip_load(on.get(), detail::c_str(path), &c_options, &handle, report);
        });
        return clip(handle);
    }

    // Loads a model from files in memory, which are not needed afterwards.
    static clip load_memory(const context &on, const std::vector<vitrum_file> &files,
                            const clip_options &options = clip_options(), const progress &watcher = progress()) {
        detail::progress_call call(watcher);
        const vitrum_clip_options c_options = call.within(c_options_of(options));
        vitrum_clip *handle = nullptr;
        call.guard.check([&](vitrum_error *report) {
            return vitrum_clip_load_memory(on.get(), files.data(), files.size(), &c_options, &handle, report);
        });
        return clip(handle);
    }

    // What was assumed while loading, and what of the files is not used: a line each.
    std::string warnings() const {
        return detail::text([&](char *out, std::size_t capacity, std::size_t *needed, vitrum_error *report) {
            return vitrum_clip_warnings(get(), out, capacity, needed, report);
        });
    }

    // Values of an embedding.
    std::size_t embed_dim() const noexcept { return vitrum_clip_embed_dim(get()); }

    // Whether a probability says of its label alone whether it fits the picture, as with a SigLIP.
    bool has_independent_probabilities() const noexcept {
        return vitrum_clip_has_independent_probabilities(get()) != 0;
    }

    // Bytes that the model occupies.
    std::size_t memory_bytes() const noexcept { return vitrum_clip_memory_bytes(get()); }

    // Embeddings of pictures, one after the other.
    std::vector<float> encode_images(const std::vector<image> &images,
                                     const clip_encode_options &options = clip_encode_options(),
                                     const progress &watcher = progress()) const {
        detail::progress_call call(watcher);
        const auto c_options = call.within<vitrum_clip_encode_options>(options);
        return detail::collect<float>(call.guard, [&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_clip_encode_image(get(), images.data(), images.size(), &c_options, out, capacity,
                                            needed, report);
        });
    }

    // Embeddings of texts, one after the other.
    std::vector<float> encode_texts(const std::vector<std::string> &texts,
                                    const clip_encode_options &options = clip_encode_options(),
                                    const progress &watcher = progress()) const {
        const std::vector<const char *> pointers = detail::c_strs(texts);
        detail::progress_call call(watcher);
        const auto c_options = call.within<vitrum_clip_encode_options>(options);
        return detail::collect<float>(call.guard, [&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_clip_encode_text(get(), pointers.data(), pointers.size(), &c_options, out, capacity,
                                           needed, report);
        });
    }

    // The probability of each label; they sum to 1, unless has_independent_probabilities().
    std::vector<float> classify(const image &picture, const std::vector<std::string> &labels,
                                const clip_classify_options &options = clip_classify_options(),
                                const progress &watcher = progress()) const {
        const std::vector<const char *> pointers = detail::c_strs(labels);
        detail::progress_call call(watcher);
        vitrum_clip_classify_options c_options;
        vitrum_clip_classify_options_init(&c_options, sizeof c_options);
        c_options.label_template = detail::c_str(options.label_template);
        c_options = call.within(c_options);
        return detail::collect<float>(call.guard, [&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_clip_classify(get(), &picture, pointers.data(), pointers.size(), &c_options, out,
                                        capacity, needed, report);
        });
    }

#ifdef VITRUM_HAS_SPAN
    // The same for views.
    std::vector<float> encode_texts(std::span<const std::string_view> texts,
                                    const clip_encode_options &options = clip_encode_options(),
                                    const progress &watcher = progress()) const {
        return encode_texts(detail::strings(texts), options, watcher);
    }

    std::vector<float> classify(const image &picture, std::span<const std::string_view> labels,
                                const clip_classify_options &options = clip_classify_options(),
                                const progress &watcher = progress()) const {
        return classify(picture, detail::strings(labels), options, watcher);
    }
#endif

    // Scaled cosines of embeddings of pictures (rows) and texts (columns).
    std::vector<float> similarity(const std::vector<float> &images, const std::vector<float> &texts) const {
        const std::size_t dim = embed_dim();
        if (images.size() % dim != 0 || texts.size() % dim != 0) {
            detail::fail(status::invalid_argument, "not whole embeddings of this model");
        }
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_clip_similarity(get(), images.data(), images.size() / dim, texts.data(),
                                          texts.size() / dim, out, capacity, needed, report);
        });
    }

    // The token ids of a text, with the start and end tokens.
    std::vector<std::uint32_t> tokenize(const std::string &text) const {
        return detail::collect<std::uint32_t>([&](std::uint32_t *out, std::size_t capacity,
                                                  std::size_t *needed, vitrum_error *report) {
            return vitrum_clip_tokenize(get(), detail::c_str(text), out, capacity, needed, report);
        });
    }

    // The handle, which stays this object's.
    const vitrum_clip *get() const noexcept { return handle_.get(); }

private:
    static vitrum_clip_options c_options_of(const clip_options &options) {
        vitrum_clip_options c_options;
        vitrum_clip_options_init(&c_options, sizeof c_options);
        c_options.mmap = options.in_place ? 2 : options.mmap;
        c_options.lenient = options.lenient;
        c_options.activation = to_c(options.activation);
        c_options.vocabulary = options.vocabulary.data();
        c_options.vocabulary_size = options.vocabulary.size();
        c_options.weights = to_c(options.weights);
        return c_options;
    }

    explicit clip(vitrum_clip *handle) : handle_(handle) {}

    std::unique_ptr<vitrum_clip, detail::deleter> handle_;
};

} // namespace vitrum

#endif // VITRUM_CLIP_HPP
