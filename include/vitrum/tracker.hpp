// SAM 2 on video: objects are pointed at on any frame and followed through the others. Include vitrum.hpp.
#ifndef VITRUM_TRACKER_HPP
#define VITRUM_TRACKER_HPP

#include "base.hpp"
#include "sam.hpp"

namespace vitrum {

// How a tracker behaves; see vitrum_tracker_options.
struct tracker_options : vitrum_tracker_options {
    tracker_options() : vitrum_tracker_options() {
        vitrum_tracker_options_init(this, sizeof(vitrum_tracker_options));
    }
};

// How a prompt is taken; see vitrum_tracker_prompt_options.
struct tracker_prompt_options : vitrum_tracker_prompt_options {
    tracker_prompt_options() : vitrum_tracker_prompt_options() {
        vitrum_tracker_prompt_options_init(this, sizeof(vitrum_tracker_prompt_options));
    }
};

// Through which frames objects are followed; see vitrum_tracker_propagate_options.
struct tracker_propagate_options {
    track_direction direction = track_direction::forward;
    // The first frame; -1 for the earliest one that has prompts.
    std::int64_t start = -1;
    // How many frames are tracked after the first; -1 for all.
    std::int64_t max_frames = -1;
};

// The most bytes that a tracker made of the same arguments will ever hold.
inline std::size_t tracker_memory_limit(const sam &model, std::uint32_t width, std::uint32_t height,
                                        const tracker_options &options = tracker_options()) {
    std::size_t limit = 0;
    detail::check([&](vitrum_error *report) {
        return vitrum_tracker_memory_limit(model.get(), width, height, &options, &limit, report);
    });
    return limit;
}

// Objects followed through one video. For one thread at a time. May outlive its model.
//
// Where a frame is asked for, VITRUM_FRAME_CURRENT is the one pushed last.
class tracker {
public:
    // For a video whose frames have this size in pixels.
    tracker(const sam &model, std::uint32_t width, std::uint32_t height,
            const tracker_options &options = tracker_options()) {
        vitrum_tracker *handle = nullptr;
        detail::check([&](vitrum_error *report) {
            return vitrum_tracker_new(model.get(), width, height, &options, &handle, report);
        });
        handle_.reset(handle);
    }

    // The tracker that was saved as `bytes`.
    static tracker load(const sam &model, const std::vector<std::uint8_t> &bytes) {
        vitrum_tracker *handle = nullptr;
        detail::check([&](vitrum_error *report) {
            return vitrum_tracker_load(model.get(), bytes.data(), bytes.size(), &handle, report);
        });
        return tracker(handle);
    }

    // Bytes to keep, for load.
    std::vector<std::uint8_t> save() const {
        return detail::collect<std::uint8_t>([&](std::uint8_t *out, std::size_t capacity, std::size_t *needed,
                                                 vitrum_error *report) {
            return vitrum_tracker_save(get(), out, capacity, needed, report);
        });
    }

    std::uint32_t width() const noexcept { return vitrum_tracker_width(get()); }
    std::uint32_t height() const noexcept { return vitrum_tracker_height(get()); }

    // Bytes that the tracker occupies now.
    std::size_t memory_bytes() const noexcept { return vitrum_tracker_memory_bytes(get()); }

    // Takes the next frame of the video and returns its number.
    std::int64_t push_frame(const image &picture, const progress &report = progress()) {
        detail::progress_call call(report);
        std::int64_t frame = 0;
        call.guard.check([&](vitrum_error *failure) {
            return vitrum_tracker_push_frame(get(), &picture, call.function(), &call, &frame, failure);
        });
        return frame;
    }

    // Takes any frame of the video.
    void push_frame_at(std::int64_t frame, const image &picture, const progress &report = progress()) {
        detail::progress_call call(report);
        call.guard.check([&](vitrum_error *failure) {
            return vitrum_tracker_push_frame_at(get(), frame, &picture, call.function(), &call, failure);
        });
    }

    // The frame pushed last, -1 before the first.
    std::int64_t frame() const noexcept { return vitrum_tracker_frame(get()); }

    // The frames that are held, in the order in which they were pushed.
    std::vector<std::int64_t> held_frames() const {
        return detail::collect<std::int64_t>([&](std::int64_t *out, std::size_t capacity, std::size_t *needed,
                                                 vitrum_error *report) {
            return vitrum_tracker_held_frames(get(), out, capacity, needed, report);
        });
    }

    // Says by clicks, or by a box and clicks, where an object is.
    void add_points(std::uint32_t object, const sam_prompt &prompt, std::int64_t frame = VITRUM_FRAME_CURRENT,
                    const tracker_prompt_options &options = tracker_prompt_options(), const progress &report = progress()) {
        detail::progress_call call(report);
        const vitrum_sam_prompt c_prompt = prompt.get();
        call.guard.check([&](vitrum_error *failure) {
            return vitrum_tracker_add_points(get(), frame, object, &c_prompt, &options, call.function(), &call,
                                             failure);
        });
    }

    // Says by a mask in the size of the frames where an object is: not 0 for its pixels.
    void add_mask(std::uint32_t object, const std::vector<std::uint8_t> &mask,
                  std::int64_t frame = VITRUM_FRAME_CURRENT, const progress &report = progress()) {
        if (mask.size() != std::size_t(width()) * height()) {
            detail::fail(status::invalid_argument, "a mask of another size than the frames");
        }
        detail::progress_call call(report);
        call.guard.check([&](vitrum_error *failure) {
            return vitrum_tracker_add_mask(get(), frame, object, mask.data(), width(), height(), call.function(),
                                           &call, failure);
        });
    }

    // Takes back what was said about an object on a frame.
    void clear_prompts(std::uint32_t object, std::int64_t frame = VITRUM_FRAME_CURRENT) {
        detail::check([&](vitrum_error *report) {
            return vitrum_tracker_clear_prompts(get(), frame, object, report);
        });
    }

    // Forgets an object.
    void remove_object(std::uint32_t object) {
        detail::check([&](vitrum_error *report) { return vitrum_tracker_remove_object(get(), object, report); });
    }

    // Forgets all objects.
    void reset() {
        detail::check([&](vitrum_error *report) { return vitrum_tracker_reset(get(), report); });
    }

    // The objects, in the order in which they came.
    std::vector<std::uint32_t> objects() const {
        return detail::collect<std::uint32_t>([&](std::uint32_t *out, std::size_t capacity, std::size_t *needed,
                                                  vitrum_error *report) {
            return vitrum_tracker_objects(get(), out, capacity, needed, report);
        });
    }

    // Follows all objects on the current frame.
    void step(const progress &report = progress()) {
        detail::progress_call call(report);
        call.guard.check([&](vitrum_error *failure) {
            return vitrum_tracker_step(get(), call.function(), &call, failure);
        });
    }

    // Follows all objects on a frame that is held, coming from either side.
    void step_at(std::int64_t frame, track_direction direction, const progress &report = progress()) {
        detail::progress_call call(report);
        call.guard.check([&](vitrum_error *failure) {
            return vitrum_tracker_step_at(get(), frame, to_c(direction), call.function(), &call, failure);
        });
    }

    // Follows all objects through a video. `read` sets its second argument to the frame and answers true, or false where
    // the video ends; the pixels must not change before it is called again. `tracked` answers whether to go on after a
    // frame, whose masks it can read from this tracker; it must not change it.
    void propagate(const std::function<bool(std::int64_t, image &)> &read,
                   const std::function<bool(std::int64_t)> &tracked,
                   const tracker_propagate_options &options = tracker_propagate_options(),
                   const progress &report = progress()) {
        struct callbacks {
            const std::function<bool(std::int64_t, image &)> &read;
            const std::function<bool(std::int64_t)> &tracked;
            const progress &report;
            detail::callback_guard guard;

            static std::int32_t on_read(void *self, std::int64_t frame, vitrum_image *into) {
                callbacks &it = *static_cast<callbacks *>(self);
                bool is_there = false;
                const std::int32_t stopped = it.guard.run([&] {
                    image picture(nullptr, 0, 0, pixel_format::rgb8);
                    is_there = it.read(frame, picture);
                    *into = picture;
                    return true;
                });
                return stopped ? -1 : is_there ? VITRUM_READ_OK : VITRUM_READ_END;
            }
            static std::int32_t on_frame(void *self, const vitrum_tracker *, std::int64_t frame) {
                callbacks &it = *static_cast<callbacks *>(self);
                return it.guard.run([&] { return it.tracked(frame); });
            }
            static std::int32_t on_progress(void *self, float fraction) {
                callbacks &it = *static_cast<callbacks *>(self);
                return it.guard.run([&] { return it.report(fraction); });
            }
        } user = {read, tracked, report, detail::callback_guard()};
        vitrum_tracker_propagate_options c_options;
        vitrum_tracker_propagate_options_init(&c_options, sizeof c_options);
        c_options.direction = to_c(options.direction);
        c_options.start = options.start;
        c_options.max_frames = options.max_frames;
        user.guard.check([&](vitrum_error *failure) {
            return vitrum_tracker_propagate(get(), &c_options, callbacks::on_read,
                                            callbacks::on_frame, report ? callbacks::on_progress : nullptr, &user,
                                            failure);
        });
    }

    // Whether there is a mask of an object on a frame.
    bool has_mask(std::uint32_t object, std::int64_t frame = VITRUM_FRAME_CURRENT) const noexcept {
        return vitrum_tracker_has_mask(get(), object, frame) != 0;
    }

    // 1 where the object is and 0 elsewhere, row after row, in the size of the frames.
    std::vector<std::uint8_t> mask(std::uint32_t object, std::int64_t frame = VITRUM_FRAME_CURRENT,
                                   float threshold = 0) const {
        return detail::collect<std::uint8_t>([&](std::uint8_t *out, std::size_t capacity, std::size_t *needed,
                                                 vitrum_error *report) {
            return vitrum_tracker_mask(get(), object, frame, threshold, out, capacity, needed, report);
        });
    }

    // The mask as run lengths, down the columns, as COCO stores masks.
    std::vector<std::uint32_t> rle(std::uint32_t object, std::int64_t frame = VITRUM_FRAME_CURRENT,
                                   float threshold = 0) const {
        return detail::collect<std::uint32_t>([&](std::uint32_t *out, std::size_t capacity, std::size_t *needed,
                                                  vitrum_error *report) {
            return vitrum_tracker_rle(get(), object, frame, threshold, out, capacity, needed, report);
        });
    }

    // The mask as polygons; corners that are left out are at most `tolerance` pixels from the outline.
    std::vector<polygon> polygons(std::uint32_t object, std::int64_t frame = VITRUM_FRAME_CURRENT,
                                  float tolerance = 0, float threshold = 0) const {
        return detail::collect_polygons([&](std::uint32_t *corners, std::size_t corner_capacity,
                                            std::size_t *corners_needed, vitrum_polygon *found,
                                            std::size_t polygon_capacity, std::size_t *polygons_needed,
                                            vitrum_error *report) {
            return vitrum_tracker_polygons(get(), object, frame, threshold, tolerance, corners, corner_capacity,
                                           corners_needed, found, polygon_capacity, polygons_needed, report);
        });
    }

    // Area, box and scores of a mask.
    vitrum_tracker_stats mask_stats(std::uint32_t object, std::int64_t frame = VITRUM_FRAME_CURRENT,
                                    float threshold = 0) const {
        vitrum_tracker_stats stats;
        vitrum_tracker_stats_init(&stats, sizeof stats);
        detail::check([&](vitrum_error *report) {
            return vitrum_tracker_mask_stats(get(), object, frame, threshold, &stats, report);
        });
        return stats;
    }

    // Logits in the size of the frames.
    std::vector<float> logits(std::uint32_t object, std::int64_t frame = VITRUM_FRAME_CURRENT) const {
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_tracker_logits(get(), object, frame, out, capacity, needed, report);
        });
    }

    // Logits as the model predicts them: a square of sam::mask_side.
    std::vector<float> low_res(std::uint32_t object, std::int64_t frame = VITRUM_FRAME_CURRENT) const {
        return detail::collect<float>([&](float *out, std::size_t capacity, std::size_t *needed,
                                          vitrum_error *report) {
            return vitrum_tracker_low_res(get(), object, frame, out, capacity, needed, report);
        });
    }

    // The handle, which stays this object's.
    vitrum_tracker *get() noexcept { return handle_.get(); }
    const vitrum_tracker *get() const noexcept { return handle_.get(); }

private:
    explicit tracker(vitrum_tracker *handle) : handle_(handle) {}

    std::unique_ptr<vitrum_tracker, detail::deleter> handle_;
};

} // namespace vitrum

#endif // VITRUM_TRACKER_HPP
