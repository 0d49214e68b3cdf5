// Uses the C++ wrapper of the tracker, and checks that exceptions come and go as they should: tracker_use MODEL
#include <cstdio>
#include <cstring>

#include "vitrum.hpp"

namespace {

const std::uint32_t width = 32, height = 28;
int failures = 0;

void check(bool condition, const char *what) {
    if (!condition) {
        std::fprintf(stderr, "not so: %s\n", what);
        failures++;
    }
}

template <class Call> void check_throws(vitrum::status expected, Call call, const char *what) {
    try {
        call();
        check(false, what);
    } catch (const vitrum::error &error) {
        check(error.code() == expected && std::strlen(error.what()) > 0, what);
    }
}

// Pixels of a frame, in which something moves.
std::vector<std::uint8_t> pixels(std::int64_t frame) {
    std::vector<std::uint8_t> gray(std::size_t(width) * height);
    for (std::size_t i = 0; i < gray.size(); i++) {
        gray[i] = std::uint8_t((i + std::size_t(frame)) * 37 + i / width * 11);
    }
    return gray;
}

vitrum::image view_of(const std::vector<std::uint8_t> &gray) {
    return vitrum::image(gray.data(), width, height, vitrum::pixel_format::gray8);
}

void check_stream(const vitrum::sam &sam) {
    vitrum::tracker_options options;
    options.held_frames = 2;
    vitrum::tracker tracker(sam, width, height, options);
    const std::vector<std::uint8_t> first = pixels(0), second = pixels(1);
    float last = 0;
    check(tracker.frame() == -1, "no frame yet");
    check_throws(vitrum::status::cancelled, [&] { tracker.push_frame(view_of(first), [](float) { return false; }); },
                 "stopped");
    check(tracker.push_frame(view_of(first), [&](float fraction) {
        last = fraction;
        return true;
    }) == 0, "the first frame");
    check(last > 0.5F, "progress is reported");
    tracker.add_points(1, vitrum::sam_prompt().foreground(12, 14));
    vitrum::tracker_prompt_options more;
    more.keep_earlier = 1;
    tracker.add_points(1, vitrum::sam_prompt().background(30, 2), 0, more);
    tracker.add_mask(2, std::vector<std::uint8_t>(first.size(), 1));
    check(tracker.objects() == std::vector<std::uint32_t>({1, 2}), "objects");
    tracker.step();
    check(tracker.push_frame(view_of(second)) == 1, "the second frame");
    tracker.step();
    check(tracker.held_frames() == std::vector<std::int64_t>({0, 1}), "held frames");

    const std::vector<std::uint8_t> mask = tracker.mask(1);
    const std::vector<float> logits = tracker.logits(1);
    check(mask.size() == first.size() && logits.size() == first.size(), "a value for each pixel");
    std::uint32_t area = 0;
    for (std::size_t i = 0; i < mask.size(); i++) {
        check(mask[i] == (logits[i] > 0), "the mask is where logits are above 0");
        area += mask[i];
    }
    check(tracker.mask_stats(1).area == area, "area");
    check(tracker.polygons(1).size() == vitrum::polygons_of(tracker.rle(1), width, height).size(), "polygons");
    check(tracker.low_res(1).size() == sam.mask_side() * sam.mask_side(), "low resolution");
    check(!tracker.rle(2, 0).empty() && tracker.has_mask(2, 0), "run lengths of an earlier frame");
    check(tracker.memory_bytes() <= vitrum::tracker_memory_limit(sam, width, height, options), "memory is limited");

    vitrum::tracker restored = vitrum::tracker::load(sam, tracker.save());
    for (vitrum::tracker *it : {&tracker, &restored}) {
        it->push_frame_at(9, view_of(first));
        it->step_at(9, vitrum::track_direction::forward);
    }
    check(tracker.low_res(1) == restored.low_res(1), "a restored tracker goes on in the same way");

    tracker.clear_prompts(1, 0);
    check_throws(vitrum::status::invalid_argument, [&] { tracker.step(); }, "an object without prompts");
    tracker.remove_object(1);
    tracker.step();
    tracker.reset();
    check(tracker.objects().empty(), "nothing is left");
    check_throws(vitrum::status::invalid_argument, [&] { tracker.mask(1); }, "no such object");
    check_throws(vitrum::status::invalid_argument, [&] { tracker.add_mask(1, {1, 2, 3}); }, "a mask of another size");
    check_throws(vitrum::status::format, [&] { vitrum::tracker::load(sam, {1, 2, 3}); }, "not a tracker");
}

// Luma without colour is a grey frame.
void check_nv12(const vitrum::sam &sam) {
    const std::vector<std::uint8_t> luma = pixels(0), chroma(luma.size() / 2, 128);
    vitrum::tracker tracker(sam, width, height), other(sam, width, height);
    tracker.push_frame(view_of(luma));
    other.push_frame(vitrum::image::nv12(luma.data(), width, chroma.data(), width, width, height, vitrum::luma_matrix::bt709, true));
    for (vitrum::tracker *it : {&tracker, &other}) {
        it->add_points(1, vitrum::sam_prompt().foreground(12, 14));
    }
    check(tracker.low_res(1) == other.low_res(1), "NV12 of a grey frame");
}

void check_propagation(const vitrum::sam &sam) {
    vitrum::tracker tracker(sam, width, height);
    std::vector<std::uint8_t> gray = pixels(0);
    tracker.push_frame(view_of(gray));
    tracker.add_points(1, vitrum::sam_prompt().box(4, 4, 20, 20));
    std::vector<std::int64_t> tracked;
    const auto read = [&](std::int64_t frame, vitrum::image &image) {
        gray = pixels(frame);
        image = view_of(gray);
        return frame < 3;
    };
    tracker.propagate(read, [&](std::int64_t frame) {
        check(tracker.has_mask(1, frame), "the mask is there");
        tracked.push_back(frame);
        return true;
    });
    check(tracked == std::vector<std::int64_t>({0, 1, 2}), "all frames");
    vitrum::tracker_propagate_options options;
    options.start = 1;
    check_throws(vitrum::status::cancelled, [&] { tracker.propagate(read, [](std::int64_t) { return false; }, options); },
                 "stopped after a frame");
    // What callbacks throw passes through.
    for (int thrower = 0; thrower < 2; thrower++) {
        bool passed = false;
        try {
            tracker.propagate(
                [&](std::int64_t frame, vitrum::image &image) {
                    if (thrower == 0) {
                        throw 7;
                    }
                    return read(frame, image);
                },
                [](std::int64_t) -> bool { throw 7; }, options);
        } catch (int) {
            passed = true;
        }
        check(passed, "an exception of a callback");
    }
    options.start = 2;
    options.direction = vitrum::track_direction::backward;
    options.max_frames = 1;
    tracker.propagate(read, [](std::int64_t) { return true; }, options);
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: tracker_use MODEL\n");
        return 2;
    }
    vitrum::context_options threads;
    threads.threads = 2;
    threads.isa = vitrum::instruction_set::portable;
    const vitrum::context context(threads);
    vitrum::sam_options small;
    small.image_size = 64;
    const vitrum::sam sam = vitrum::sam::load(context, argv[1], small);
    check_stream(sam);
    check_nv12(sam);
    check_propagation(sam);
    std::printf("tracker_use: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
