// SAM: masks from clicks, boxes and masks. Include vitrum.hpp.
#ifndef VITRUM_SAM_HPP
#define VITRUM_SAM_HPP

#include <algorithm>
#include <array>
#include <utility>

#include "base.hpp"
#include "clip.hpp"

namespace vitrum {

// A closed outline along the edges of pixels; see vitrum_polygon.
struct polygon {
    // x and y of each corner.
    std::vector<std::array<std::uint32_t, 2>> corners;
    // Which part of the mask it belongs to: the outer outline of a part comes first, then its holes.
    std::uint32_t part;
    bool is_hole;
};

namespace detail {

// The polygons of `call(corners, capacity, needed, polygons, capacity, needed, vitrum_error *)`.
template <class Call> std::vector<polygon> collect_polygons(Call call) {
    std::size_t corner_count = 0, polygon_count = 0;
    check([&](vitrum_error *report) {
        return call(nullptr, 0, &corner_count, nullptr, 0, &polygon_count, report);
    });
    std::vector<std::uint32_t> corners(corner_count);
    std::vector<vitrum_polygon> found(polygon_count);
    check([&](vitrum_error *report) {
        return call(corners.data(), corners.size(), &corner_count, found.data(), found.size(), &polygon_count,
                    report);
    });
    std::vector<polygon> polygons;
    polygons.reserve(found.size());
    for (const vitrum_polygon &it : found) {
        polygon outline = {{}, it.part, it.is_hole != 0};
        outline.corners.reserve(it.count);
        for (std::size_t i = it.first; i < it.first + it.count; i++) {
            outline.corners.push_back({corners[2 * i], corners[2 * i + 1]});
        }
        polygons.push_back(std::move(outline));
    }
    return polygons;
}

} // namespace detail

// The polygons of a mask in run lengths, down the columns; corners that are left out are at most `tolerance` pixels from
// the outline.
inline std::vector<polygon> polygons_of(const std::vector<std::uint32_t> &runs, std::uint32_t width,
                                        std::uint32_t height, float tolerance = 0) {
    return detail::collect_polygons([&](std::uint32_t *corners, std::size_t corner_capacity,
                                        std::size_t *corners_needed, vitrum_polygon *polygons,
                                        std::size_t polygon_capacity, std::size_t *polygons_needed,
                                        vitrum_error *report) {
        return vitrum_rle_polygons(runs.data(), runs.size(), width, height, tolerance, corners, corner_capacity,
                                   corners_needed, polygons, polygon_capacity, polygons_needed, report);
    });
}

// All that is said about one object. Nothing at all means the most prominent one.
class sam_prompt {
public:
    // A click on it.
    sam_prompt &foreground(float x, float y) { return point(x, y, point_label::foreground); }

    // A click on what it is not.
    sam_prompt &background(float x, float y) { return point(x, y, point_label::background); }

    // A click with any label.
    sam_prompt &point(float x, float y, point_label label) {
        points_.push_back(vitrum_point{x, y, to_c(label)});
        return *this;
    }

    // A box around it.
    sam_prompt &box(float left, float top, float right, float bottom) {
        box_ = {left, top, right, bottom};
        return *this;
    }

    // What sam_prediction::low_res gave for it earlier.
    sam_prompt &mask(std::vector<float> low_res) {
        mask_ = std::move(low_res);
        return *this;
    }

    // The C struct, which points into this object.
    vitrum_sam_prompt get() const {
        vitrum_sam_prompt prompt;
        vitrum_sam_prompt_init(&prompt, sizeof prompt);
        prompt.points = points_.data();
        prompt.point_count = points_.size();
        prompt.has_box = !box_.empty();
        std::copy(box_.begin(), box_.end(), prompt.bounding_box);
        prompt.mask = mask_.data();
        prompt.mask_size = mask_.size();
        return prompt;
    }

private:
    std::vector<vitrum_point> points_;
    std::vector<float> box_, mask_;
};

// A picture as a SAM model sees it.
class sam_embedding {
public:
    // The size of the picture.
    std::uint32_t width() const noexcept { return vitrum_sam_embedding_width(get()); }
    std::uint32_t height() const noexcept { return vitrum_sam_embedding_height(get()); }

    // Bytes that the embedding occupies.
    std::size_t memory_bytes() const noexcept { return vitrum_sam_embedding_memory_bytes(get()); }

    // The image encoder's output: tokens of a square grid, row by row.
    std::vector<float> values() const {
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_sam_embedding_values(get(), out, capacity, needed, report);
        });
    }

    // Whether this is the embedding of `picture`, pixel by pixel.
    picture_match is_of(const image &picture) const {
        vitrum_picture_match answer = VITRUM_PICTURE_UNKNOWN;
        detail::check([&](vitrum_error *report) {
            return vitrum_sam_embedding_is_of(get(), &picture, &answer, report);
        });
        return picture_match(answer);
    }

    // Bytes to keep, for sam::restore.
    std::vector<std::uint8_t> save() const {
        return detail::collect<std::uint8_t>([&](std::uint8_t *out, std::size_t capacity, std::size_t *needed,
                                                 vitrum_error *report) {
            return vitrum_sam_embedding_save(get(), out, capacity, needed, report);
        });
    }

    // The handle, which stays this object's.
    const vitrum_sam_embedding *get() const noexcept { return handle_.get(); }

private:
    friend class sam;
    explicit sam_embedding(vitrum_sam_embedding *handle) : handle_(handle) {}

    std::unique_ptr<vitrum_sam_embedding, detail::deleter> handle_;
};

// The answers to prompts, and memory that the next call reuses. For one thread at a time.
class sam_prediction {
public:
    std::size_t prompts() const noexcept { return vitrum_sam_prediction_prompts(get()); }
    std::size_t masks_per_prompt() const noexcept { return vitrum_sam_prediction_masks(get()); }

    // The predicted quality of every mask, prompt after prompt.
    std::vector<float> scores() const {
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_sam_prediction_scores(get(), out, capacity, needed, report);
        });
    }

    // The mask of `prompt` with the highest score.
    std::size_t best(std::size_t prompt = 0) const {
        const std::vector<float> all = scores();
        const std::size_t masks = masks_per_prompt();
        if (prompt >= prompts()) {
            detail::fail(status::invalid_argument, "no such prompt");
        }
        const auto first = all.begin() + std::ptrdiff_t(prompt * masks);
        return std::size_t(std::max_element(first, first + std::ptrdiff_t(masks)) - first);
    }

    // 1 where the object is and 0 elsewhere, row after row, in the size of the picture.
    std::vector<std::uint8_t> mask(std::size_t prompt, std::size_t index, float threshold = 0) const {
        return detail::collect<std::uint8_t>([&](std::uint8_t *out, std::size_t capacity, std::size_t *needed,
                                                 vitrum_error *report) {
            return vitrum_sam_prediction_mask(get(), prompt, index, threshold, out, capacity, needed, report);
        });
    }

    // The mask as run lengths, down the columns, as COCO stores masks.
    std::vector<std::uint32_t> rle(std::size_t prompt, std::size_t index, float threshold = 0) const {
        return detail::collect<std::uint32_t>([&](std::uint32_t *out, std::size_t capacity, std::size_t *needed,
                                                  vitrum_error *report) {
            return vitrum_sam_prediction_rle(get(), prompt, index, threshold, out, capacity, needed, report);
        });
    }

    // The mask as polygons; corners that are left out are at most `tolerance` pixels from the outline.
    std::vector<polygon> polygons(std::size_t prompt, std::size_t index, float tolerance = 0,
                                  float threshold = 0) const {
        return detail::collect_polygons([&](std::uint32_t *corners, std::size_t corner_capacity,
                                            std::size_t *corners_needed, vitrum_polygon *found,
                                            std::size_t polygon_capacity, std::size_t *polygons_needed,
                                            vitrum_error *report) {
            return vitrum_sam_prediction_polygons(get(), prompt, index, threshold, tolerance, corners, corner_capacity,
                                                  corners_needed, found, polygon_capacity, polygons_needed, report);
        });
    }

    // How little a mask depends on its threshold; see vitrum_sam_prediction_stability.
    float stability(std::size_t prompt, std::size_t index, float threshold = 0, float offset = 1) const {
        float stability = 0;
        detail::check([&](vitrum_error *report) {
            return vitrum_sam_prediction_stability(get(), prompt, index, threshold, offset, &stability, report);
        });
        return stability;
    }

    // Area, box and scores of a mask.
    vitrum_sam_mask_stats stats(std::size_t prompt, std::size_t index, float threshold = 0) const {
        vitrum_sam_mask_stats stats;
        vitrum_sam_mask_stats_init(&stats, sizeof stats);
        detail::check([&](vitrum_error *report) {
            return vitrum_sam_prediction_stats(get(), prompt, index, threshold, &stats, report);
        });
        return stats;
    }

    // Logits in the size of the picture.
    std::vector<float> logits(std::size_t prompt, std::size_t index) const {
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_sam_prediction_logits(get(), prompt, index, out, capacity, needed, report);
        });
    }

    // Logits as the model predicts them, for sam_prompt::mask.
    std::vector<float> low_res(std::size_t prompt, std::size_t index) const {
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_sam_prediction_low_res(get(), prompt, index, out, capacity, needed, report);
        });
    }

    // The handle, which stays this object's.
    vitrum_sam_prediction *get() noexcept { return handle_.get(); }
    const vitrum_sam_prediction *get() const noexcept { return handle_.get(); }

private:
    friend class sam;
    explicit sam_prediction(vitrum_sam_prediction *handle) : handle_(handle) {}

    std::unique_ptr<vitrum_sam_prediction, detail::deleter> handle_;
};

// A mask that was found; see vitrum_sam_record.
struct sam_record {
    std::uint32_t width, height, area;
    std::vector<std::uint32_t> counts;
    std::uint32_t bounding_box[4], crop_box[4];
    double point[2];
    float predicted_iou, stability_score;

    explicit sam_record(const vitrum_sam_record &record)
        : width(record.width), height(record.height), area(record.area),
          counts(record.counts, record.counts + record.count_size), bounding_box(), crop_box(),
          point(), predicted_iou(record.predicted_iou), stability_score(record.stability_score) {
        std::copy_n(record.bounding_box, 4, bounding_box);
        std::copy_n(record.crop_box, 4, crop_box);
        std::copy_n(record.point, 2, point);
    }

    // 1 where the object is and 0 elsewhere, row after row.
    std::vector<std::uint8_t> mask() const {
        std::vector<std::uint8_t> pixels(std::size_t(width) * height);
        std::size_t at = 0;
        for (std::size_t run = 0; run < counts.size(); run++) {
            for (const std::size_t end = at + counts[run]; at < end; at++) {
                pixels[at % height * width + at / height] = run % 2;
            }
        }
        return pixels;
    }
};

// How to look for everything; see vitrum_sam_everything_options.
struct sam_everything_options : vitrum_sam_everything_options {
    sam_everything_options() : vitrum_sam_everything_options() {
        vitrum_sam_everything_options_init(this, sizeof(vitrum_sam_everything_options));
    }
};

// What is looked for, in words; see vitrum_sam_text_prompt.
struct sam_text_prompt {
    std::vector<std::string> texts, others;
    std::string text_template = "a photo of {}";
    std::uint32_t top = 1;
    double min_probability = 0;
    sam_everything_options candidates;
};

// A mask that answers a text.
struct sam_match {
    std::size_t text;
    float probability;
    sam_record record;
};

// How prompts are answered; see vitrum_sam_predict_options.
struct sam_predict_options : vitrum_sam_predict_options {
    sam_predict_options() : vitrum_sam_predict_options() {
        vitrum_sam_predict_options_init(this, sizeof(vitrum_sam_predict_options));
    }
};

// How to load a SAM model; see vitrum_sam_options.
struct sam_options {
    bool mmap = false;
    std::uint32_t image_size = 0;
    bool lenient = false;
    weight_format weights = weight_format::of_files;
    // mmap = 2 of the struct: nobody may change the files as long as the model lives.
    bool in_place = false;
};

// A SAM model. May outlive its context.
class sam {
public:
    // Loads a model directory or a safetensors file.
    static sam load(const context &on, const std::string &path, const sam_options &options = sam_options(),
                    const progress &watcher = progress()) {
        detail::progress_call call(watcher);
        const vitrum_sam_options c_options = call.within(c_options_of(options));
        vitrum_sam *handle = nullptr;
        call.guard.check([&](vitrum_error *report) {
            return vitrum_sam_load(on.get(), detail::c_str(path), &c_options, &handle, report);
        });
        return sam(handle);
    }

    // Loads a model from files in memory, which are not needed afterwards.
    static sam load_memory(const context &on, const std::vector<vitrum_file> &files,
                           const sam_options &options = sam_options(), const progress &watcher = progress()) {
        detail::progress_call call(watcher);
        const vitrum_sam_options c_options = call.within(c_options_of(options));
        vitrum_sam *handle = nullptr;
        call.guard.check([&](vitrum_error *report) {
            return vitrum_sam_load_memory(on.get(), files.data(), files.size(), &c_options, &handle, report);
        });
        return sam(handle);
    }

    // What was assumed while loading, and what of the files is not used: a line each.
    std::string warnings() const {
        return detail::text([&](char *out, std::size_t capacity, std::size_t *needed, vitrum_error *report) {
            return vitrum_sam_warnings(get(), out, capacity, needed, report);
        });
    }

    // Side of the model's input, and of its masks before they are brought to the size of the picture.
    std::size_t image_size() const noexcept { return vitrum_sam_image_size(get()); }
    std::size_t mask_side() const noexcept { return vitrum_sam_mask_side(get()); }

    // Bytes that the model occupies.
    std::size_t memory_bytes() const noexcept { return vitrum_sam_memory_bytes(get()); }

    // Encodes a picture; any number of prompts can then be answered.
    sam_embedding encode(const image &picture, const progress &report = progress()) const {
        detail::progress_call call(report);
        vitrum_sam_embedding *handle = nullptr;
        call.guard.check([&](vitrum_error *failure) {
            return vitrum_sam_encode(get(), &picture, call.function(), &call, &handle, failure);
        });
        return sam_embedding(handle);
    }

    // The embedding that was saved as `bytes`.
    sam_embedding restore(const std::vector<std::uint8_t> &bytes) const {
        vitrum_sam_embedding *handle = nullptr;
        detail::check([&](vitrum_error *report) {
            return vitrum_sam_embedding_load(get(), bytes.data(), bytes.size(), &handle, report);
        });
        return sam_embedding(handle);
    }

    // An empty prediction, to be used again and again.
    sam_prediction new_prediction() const {
        vitrum_sam_prediction *handle = nullptr;
        detail::check([&](vitrum_error *report) { return vitrum_sam_prediction_new(get(), &handle, report); });
        return sam_prediction(handle);
    }

    // Masks of each of `prompts`.
    void predict(const sam_embedding &embedding, const std::vector<sam_prompt> &prompts, sam_prediction &into,
                 const sam_predict_options &options = sam_predict_options(),
                 const progress &report = progress()) const {
        detail::progress_call call(report);
        const auto c_options = call.within<vitrum_sam_predict_options>(options);
        std::vector<vitrum_sam_prompt> c_prompts;
        c_prompts.reserve(prompts.size());
        for (const sam_prompt &prompt : prompts) {
            c_prompts.push_back(prompt.get());
        }
        call.guard.check([&](vitrum_error *failure) {
            return vitrum_sam_predict(get(), embedding.get(), c_prompts.data(), c_prompts.size(), &c_options,
                                      into.get(), failure);
        });
    }

    // Masks of one prompt.
    sam_prediction predict(const sam_embedding &embedding, const sam_prompt &prompt,
                           const sam_predict_options &options = sam_predict_options(),
                           const progress &report = progress()) const {
        sam_prediction prediction = new_prediction();
        predict(embedding, std::vector<sam_prompt>(1, prompt), prediction, options, report);
        return prediction;
    }

    // Hands every mask of the picture to `found`, which answers whether to go on; returns the embedding of the
    // picture, for prompts.
    sam_embedding everything(const image &picture, const std::function<bool(const sam_record &)> &found,
                             const sam_everything_options &options = sam_everything_options(),
                             const progress &report = progress()) const {
        struct callbacks {
            const std::function<bool(const sam_record &)> &found;
            const progress &report;
            detail::callback_guard guard;

            static std::int32_t on_record(void *self, const vitrum_sam_record *record) {
                callbacks &it = *static_cast<callbacks *>(self);
                return it.guard.run([&] { return it.found(sam_record(*record)); });
            }
            static std::int32_t on_progress(void *self, float fraction) {
                callbacks &it = *static_cast<callbacks *>(self);
                return it.guard.run([&] { return it.report(fraction); });
            }
        } user = {found, report, detail::callback_guard()};
        vitrum_sam_embedding *handle = nullptr;
        user.guard.check([&](vitrum_error *failure) {
            return vitrum_sam_everything(get(), &picture, &options, callbacks::on_record,
                                         report ? callbacks::on_progress : nullptr, &user, &handle, failure);
        });
        return sam_embedding(handle);
    }

    // All masks of the picture.
    std::vector<sam_record> everything(const image &picture, const sam_everything_options &options =
                                                                 sam_everything_options()) const {
        std::vector<sam_record> records;
        everything(picture, [&](const sam_record &record) {
            records.push_back(record);
            return true;
        }, options);
        return records;
    }

    // The masks that answer texts, text by text, the best first.
    std::vector<sam_match> ground(const clip &judge, const image &picture, const sam_text_prompt &prompt,
                                  const progress &report = progress()) const {
        struct callbacks {
            std::vector<sam_match> matches;
            const progress &report;
            detail::callback_guard guard;

            static std::int32_t on_match(void *self, std::size_t text, float probability,
                                         const vitrum_sam_record *record) {
                callbacks &it = *static_cast<callbacks *>(self);
                return it.guard.run([&] {
                    it.matches.push_back({text, probability, sam_record(*record)});
                    return true;
                });
            }
            static std::int32_t on_progress(void *self, float fraction) {
                callbacks &it = *static_cast<callbacks *>(self);
                return it.guard.run([&] { return it.report(fraction); });
            }
        } user = {{}, report, detail::callback_guard()};
        const std::vector<const char *> texts = detail::c_strs(prompt.texts), others = detail::c_strs(prompt.others);
        vitrum_sam_text_prompt c_prompt;
        vitrum_sam_text_prompt_init(&c_prompt, sizeof c_prompt);
        c_prompt.top = prompt.top;
        c_prompt.min_probability = prompt.min_probability;
        c_prompt.texts = texts.data();
        c_prompt.text_count = texts.size();
        c_prompt.others = others.data();
        c_prompt.other_count = others.size();
        c_prompt.text_template = detail::c_str(prompt.text_template);
        c_prompt.candidates = &prompt.candidates;
        user.guard.check([&](vitrum_error *failure) {
            return vitrum_sam_ground(get(), judge.get(), &picture, &c_prompt, callbacks::on_match,
                                     report ? callbacks::on_progress : nullptr, &user, nullptr, failure);
        });
        return std::move(user.matches);
    }

    // The handle, which stays this object's.
    const vitrum_sam *get() const noexcept { return handle_.get(); }

private:
    explicit sam(vitrum_sam *handle) : handle_(handle) {}

    static vitrum_sam_options c_options_of(const sam_options &options) {
        vitrum_sam_options c_options;
        vitrum_sam_options_init(&c_options, sizeof c_options);
        c_options.mmap = options.in_place ? 2 : options.mmap;
        c_options.image_size = options.image_size;
        c_options.lenient = options.lenient;
        c_options.weights = to_c(options.weights);
        return c_options;
    }

    std::unique_ptr<vitrum_sam, detail::deleter> handle_;
};

} // namespace vitrum

#endif // VITRUM_SAM_HPP
