// Vitrum for C++11 and later: handles that free themselves, exceptions, vectors. Header-only, over vitrum.h.
//
// Handles are movable, not copyable. A const handle may be used by several threads at the same time.
#ifndef VITRUM_HPP
#define VITRUM_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "vitrum.h"

namespace vitrum {

// What every function here throws when it fails.
class error : public std::runtime_error {
public:
    error(vitrum_status status, const std::string &message) : std::runtime_error(message), code_(status) {}

    // One of VITRUM_E_*.
    vitrum_status code() const noexcept { return code_; }

private:
    vitrum_status code_;
};

namespace detail {

// Runs `call(vitrum_error *)` and throws what it reports.
template <class Call> void check(Call call) {
    vitrum_error report;
    vitrum_error_init(&report, sizeof report);
    const vitrum_status status = call(&report);
    if (status != VITRUM_OK) {
        throw error(status, report.message);
    }
}

// Runs `call(buffer, capacity, size_t *needed, vitrum_error *)` twice: for the size, and for the values.
template <class T, class Call> std::vector<T> collect(Call call) {
    std::size_t needed = 0;
    check([&](vitrum_error *report) { return call(nullptr, 0, &needed, report); });
    std::vector<T> values(needed);
    check([&](vitrum_error *report) { return call(values.data(), values.size(), &needed, report); });
    return values;
}

// A C string cannot hold a NUL: rather than cutting the text there, say so.
inline const char *c_str(const std::string &text) {
    if (text.find('\0') != std::string::npos) {
        throw error(VITRUM_E_INVALID_ARGUMENT, "a text with a NUL in it");
    }
    return text.c_str();
}

inline std::vector<const char *> c_strs(const std::vector<std::string> &texts) {
    std::vector<const char *> pointers;
    pointers.reserve(texts.size());
    for (const std::string &text : texts) {
        pointers.push_back(c_str(text));
    }
    return pointers;
}

struct deleter {
    void operator()(vitrum_context *context) const noexcept { vitrum_context_free(context); }
    void operator()(vitrum_clip *clip) const noexcept { vitrum_clip_free(clip); }
};

} // namespace detail

// A picture in memory that stays the caller's. Nothing is copied: the pixels must outlive the calls it is used in.
struct image : vitrum_image {
    // Rows that follow each other without a gap.
    image(const std::uint8_t *pixels, std::uint32_t columns, std::uint32_t rows, vitrum_pixel_format layout)
        : image(pixels, columns, rows, layout, std::size_t(columns) * bytes_of(layout)) {}

    // Rows that begin `stride` bytes apart.
    image(const std::uint8_t *pixels, std::uint32_t columns, std::uint32_t rows, vitrum_pixel_format layout,
          std::size_t stride)
        : vitrum_image() {
        vitrum_image_init(this, sizeof(vitrum_image));
        format = layout;
        data = pixels;
        width = columns;
        height = rows;
        row_stride = stride;
    }

private:
    static std::size_t bytes_of(vitrum_pixel_format layout) {
        switch (layout) {
        case VITRUM_PIXEL_GRAY8: return 1;
        case VITRUM_PIXEL_RGBA8:
        case VITRUM_PIXEL_BGRA8: return 4;
        default: return 3;
        }
    }
};
static_assert(sizeof(image) == sizeof(vitrum_image), "a vector of images is an array of vitrum_image");

// How to make a context; see vitrum_context_options.
struct context_options {
    std::uint32_t threads = 0;
    vitrum_isa isa = VITRUM_ISA_BEST;
    vitrum_parallel_for parallel_for = nullptr;
    void *parallel_for_user = nullptr;
};

// Threads and an instruction set.
class context {
public:
    explicit context(const context_options &options = context_options()) {
        vitrum_context_options c_options;
        vitrum_context_options_init(&c_options, sizeof c_options);
        c_options.threads = options.threads;
        c_options.isa = options.isa;
        c_options.parallel_for = options.parallel_for;
        c_options.parallel_for_user = options.parallel_for_user;
        vitrum_context *handle = nullptr;
        detail::check([&](vitrum_error *report) { return vitrum_context_new(&c_options, &handle, report); });
        handle_.reset(handle);
    }

    std::uint32_t threads() const noexcept { return vitrum_context_threads(get()); }
    vitrum_isa isa() const noexcept { return vitrum_context_isa(get()); }

    // Frees scratch memory that is kept for reuse.
    void trim() const noexcept { vitrum_context_trim(get()); }

    // The handle, which stays this object's.
    const vitrum_context *get() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<vitrum_context, detail::deleter> handle_;
};

// A CLIP model. May outlive its context.
class clip {
public:
    // Loads a model directory or a safetensors file.
    static clip load(const context &on, const std::string &path, bool mmap = false) {
        vitrum_clip_options options;
        vitrum_clip_options_init(&options, sizeof options);
        options.mmap = mmap;
        vitrum_clip *handle = nullptr;
        detail::check([&](vitrum_error *report) {
            return vitrum_clip_load(on.get(), detail::c_str(path), &options, &handle, report);
        });
        return clip(handle);
    }

    // Loads a model from files in memory, which are not needed afterwards.
    static clip load_memory(const context &on, const std::vector<vitrum_file> &files) {
        vitrum_clip *handle = nullptr;
        detail::check([&](vitrum_error *report) {
            return vitrum_clip_load_memory(on.get(), files.data(), files.size(), nullptr, &handle, report);
        });
        return clip(handle);
    }

    // Values of an embedding.
    std::size_t embed_dim() const noexcept { return vitrum_clip_embed_dim(get()); }

    // Bytes that the model occupies.
    std::size_t memory_bytes() const noexcept { return vitrum_clip_memory_bytes(get()); }

    // Embeddings of pictures, one after the other.
    std::vector<float> encode_images(const std::vector<image> &images, bool normalize = true) const {
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_clip_encode_image(get(), images.data(), images.size(), normalize, out, capacity,
                                            needed, report);
        });
    }

    // Embeddings of texts, one after the other.
    std::vector<float> encode_texts(const std::vector<std::string> &texts, bool normalize = true) const {
        const std::vector<const char *> pointers = detail::c_strs(texts);
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_clip_encode_text(get(), pointers.data(), pointers.size(), normalize, out, capacity,
                                           needed, report);
        });
    }

    // The probability of each label, which takes the place of {} in the template.
    std::vector<float> classify(const image &picture, const std::vector<std::string> &labels,
                                const std::string &label_template = "a photo of a {}") const {
        const std::vector<const char *> pointers = detail::c_strs(labels);
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_clip_classify(get(), &picture, pointers.data(), pointers.size(),
                                        detail::c_str(label_template), out, capacity, needed, report);
        });
    }

    // Scaled cosines of embeddings of pictures (rows) and texts (columns).
    std::vector<float> similarity(const std::vector<float> &images, const std::vector<float> &texts) const {
        const std::size_t dim = embed_dim();
        if (images.size() % dim != 0 || texts.size() % dim != 0) {
            throw error(VITRUM_E_INVALID_ARGUMENT, "not whole embeddings of this model");
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
    explicit clip(vitrum_clip *handle) : handle_(handle) {}

    std::unique_ptr<vitrum_clip, detail::deleter> handle_;
};

// The version of the library that is linked.
inline std::string version() { return vitrum_version_string(); }

} // namespace vitrum

#endif // VITRUM_HPP
