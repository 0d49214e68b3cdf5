// The C++ wrapper of SAM: what it returns, and what it throws, also through callbacks: sam_use SAM CLIP
#include <cstdio>

#include "vitrum.hpp"

namespace {

const std::uint32_t width = 40, height = 33;
int failures = 0;

void check(bool condition, const char *what) {
    if (!condition) {
        std::fprintf(stderr, "not so: %s\n", what);
        failures++;
    }
}

template <class Call> void check_throws(vitrum::status code, Call call, const char *what) {
    try {
        call();
        check(false, what);
    } catch (const vitrum::error &error) {
        check(error.code() == code, what);
    }
}

std::vector<std::uint8_t> pixels() {
    std::vector<std::uint8_t> rgb(3 * width * height);
    for (std::size_t i = 0; i < rgb.size(); i++) {
        rgb[i] = std::uint8_t(i * 7 + i / 64 * 31);
    }
    return rgb;
}

void check_prompts(const vitrum::sam &sam, const vitrum::sam_embedding &embedding, const vitrum::image &picture) {
    const auto click = vitrum::sam_prompt().foreground(12, 9).background(30, 30).box(2, 3, 35, 31);
    const vitrum::sam_prediction prediction = sam.predict(embedding, click);
    const std::size_t best = prediction.best();
    check(prediction.prompts() == 1 && prediction.masks_per_prompt() == 3 && best < 3, "three masks");

    const std::vector<std::uint8_t> mask = prediction.mask(0, best);
    const std::vector<float> logits = prediction.logits(0, best);
    std::size_t area = 0, different = 0;
    for (std::size_t i = 0; i < mask.size(); i++) {
        area += mask[i];
        different += (mask[i] != 0) != (logits[i] > 0);
    }
    check(mask.size() == width * height && different == 0, "a mask is its logits above 0");
    check(prediction.stats(0, best).area == area, "its area is counted");
    std::size_t run_area = 0;
    const std::vector<std::uint32_t> runs = prediction.rle(0, best);
    for (std::size_t i = 1; i < runs.size(); i += 2) {
        run_area += runs[i];
    }
    check(run_area == area, "its runs are as long");
    const std::vector<vitrum::polygon> polygons = prediction.polygons(0, best);
    std::int64_t twice = 0;
    for (const vitrum::polygon &polygon : polygons) {
        for (std::size_t i = 0; i < polygon.corners.size(); i++) {
            const auto a = polygon.corners[i], b = polygon.corners[(i + 1) % polygon.corners.size()];
            twice += std::int64_t(a[0]) * b[1] - std::int64_t(b[0]) * a[1];
        }
    }
    check(std::size_t(twice) == 2 * area, "its polygons enclose as much");
    check(vitrum::polygons_of(runs, width, height).size() == polygons.size(), "as do those of the runs");

    check(prediction.stability(0, best) == prediction.stats(0, best).stability_score, "the stability of the statistics");
    const std::vector<float> low_res = prediction.low_res(0, best);
    check(low_res.size() == sam.mask_side() * sam.mask_side(), "a square of logits");
    const auto refined = vitrum::sam_prompt(click).mask(low_res);
    vitrum::sam_predict_options options;
    options.multimask = 0;
    check(sam.predict(embedding, refined, options).masks_per_prompt() == 1, "one mask");
    check_throws(vitrum::status::invalid_argument,
                 [&] { sam.predict(embedding, vitrum::sam_prompt().mask({1, 2, 3})); }, "a mask of the wrong size");
    check_throws(vitrum::status::invalid_argument, [&] { prediction.best(1); }, "no such prompt");

    const auto restored = sam.restore(embedding.save());
    check(restored.width() == width && restored.height() == height, "the size is kept");
    check(sam.predict(restored, click).scores() == prediction.scores(), "a restored embedding gives the same");
    check(restored.is_of(picture) == vitrum::picture_match::same, "and knows its picture");
    const std::vector<std::uint8_t> black(width * height);
    check(restored.is_of(vitrum::image(black.data(), width, height, vitrum::pixel_format::gray8)) == vitrum::picture_match::other,
          "from another one");
    check_throws(vitrum::status::format, [&] { sam.restore(std::vector<std::uint8_t>(100)); }, "no embedding");
}

void check_everything(const vitrum::sam &sam, const vitrum::image &image) {
    vitrum::sam_everything_options options;
    options.points_per_side = 3;
    options.pred_iou_thresh = 0;
    options.stability_score_thresh = 0;
    const std::vector<vitrum::sam_record> records = sam.everything(image, options);
    check(!records.empty(), "something is found");
    for (const vitrum::sam_record &record : records) {
        std::size_t area = 0;
        for (const std::uint8_t inside : record.mask()) {
            area += inside;
        }
        check(area == record.area, "a record's mask has its area");
    }
    check_throws(vitrum::status::cancelled,
                 [&] { sam.everything(image, [](const vitrum::sam_record &) { return false; }, options); },
                 "stopped by a record");
    try {
        sam.everything(image, [](const vitrum::sam_record &) -> bool { throw 7; }, options);
        check(false, "an exception passes through");
    } catch (int thrown) {
        check(thrown == 7, "an exception passes through");
    }
}

void check_words(const vitrum::sam &sam, const vitrum::clip &clip, const vitrum::image &image) {
    vitrum::sam_text_prompt prompt;
    prompt.texts = {"a cat", "two dogs"};
    prompt.others = {"the sea"};
    prompt.top = 2;
    prompt.candidates.points_per_side = 3;
    prompt.candidates.pred_iou_thresh = 0;
    prompt.candidates.stability_score_thresh = 0;
    const std::vector<vitrum::sam_match> matches = sam.ground(clip, image, prompt);
    check(!matches.empty() && matches.size() <= 4, "at most two masks for each text");
    check(matches.front().text == 0 && matches.back().text == 1, "text by text");
    prompt.texts.clear();
    check_throws(vitrum::status::invalid_argument, [&] { sam.ground(clip, image, prompt); }, "no texts");
    prompt.texts = {"a cat"};
    check_throws(vitrum::status::cancelled, [&] { sam.ground(clip, image, prompt, [](float) { return false; }); },
                 "stopped by progress");
}

// Every other call that takes a callback: it ends at 1, or where it is stopped, or with what the callback throws.
void check_progress(const vitrum::sam &sam, const vitrum::sam_embedding &embedding, const vitrum::clip &clip,
                    const vitrum::image &image) {
    const auto prompt = vitrum::sam_prompt().foreground(20, 20);
    const auto each = [&](const vitrum::progress &report) {
        return std::vector<std::function<void()>>{
            [&] { sam.predict(embedding, prompt, vitrum::sam_predict_options(), report); },
            [&] { clip.encode_images({image, image}, vitrum::clip_encode_options(), report); },
            [&] { clip.encode_texts({std::string("a cat")}, vitrum::clip_encode_options(), report); },
            [&] { clip.classify(image, std::vector<std::string>{"cat"}, vitrum::clip_classify_options(), report); },
        };
    };
    float last = 0;
    const vitrum::progress keep = [&](float fraction) {
        check(fraction >= last, "never back");
        last = fraction;
        return true;
    };
    for (const auto &call : each(keep)) {
        last = 0;
        call();
        check(last == 1, "progress reaches its end");
    }
    const vitrum::progress stop = [](float) { return false; };
    for (const auto &call : each(stop)) {
        check_throws(vitrum::status::cancelled, call, "stopped");
    }
    const vitrum::progress thrower = [](float) -> bool { throw 7; };
    for (const auto &call : each(thrower)) {
        try {
            call();
            check(false, "an exception passes through");
        } catch (int thrown) {
            check(thrown == 7, "an exception passes through");
        }
    }
}

} // namespace

void check_search(const vitrum::context &context) {
    std::vector<float> rows;
    for (int i = 0; i < 30; i++) {
        rows.push_back(float(i % 7));
        rows.push_back(float(i % 3));
    }
    const std::vector<float> queries = {1, 0, 0, 1};
    const std::vector<vitrum::hit> hits = vitrum::topk(context, queries, vitrum::vectors(rows, 2), 3);
    check(hits.size() == 6 && hits[0].index == 6 && hits[1].index == 13 && hits[3].index == 2, "the best rows");
    check(hits[0].score == 6 && hits[3].score == 2, "their scores");
    const vitrum::quantized_vectors rounded(rows, 2);
    const std::vector<vitrum::hit> near = vitrum::topk(context, queries, rounded.view(), 99);
    check(near.size() == 60 && near[0].score > 5.9F && near[0].score < 6.1F, "all rows, rounded");
    const auto wrong = [&] { vitrum::topk(context, queries, vitrum::vectors(rows, 7), 1); };
    check_throws(vitrum::status::invalid_argument, wrong, "rows of another length");
    const auto stopped = [&] {
        vitrum::topk(context, queries, vitrum::vectors(rows, 2), 1, [](float) { return false; });
    };
    check_throws(vitrum::status::cancelled, stopped, "a search stopped");
}

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: sam_use SAM CLIP\n");
        return 2;
    }
    vitrum::context_options threads;
    threads.threads = 2;
    threads.isa = vitrum::instruction_set::portable;
    const vitrum::context context(threads);
    check_throws(
        vitrum::status::cancelled,
        [&] { vitrum::sam::load(context, argv[1], vitrum::sam_options(), [](float) { return false; }); },
        "a load stopped");
    float loaded = 0;
    const vitrum::sam sam = vitrum::sam::load(context, argv[1], vitrum::sam_options(), [&](float fraction) {
        loaded = fraction;
        return true;
    });
    check(loaded == 1, "loading reaches its end");
    const std::vector<std::uint8_t> rgb = pixels();
    const vitrum::image image(rgb.data(), width, height, vitrum::pixel_format::rgb8);

    check(sam.warnings().empty(), "nothing to warn of");

    float last = 0;
    const vitrum::sam_embedding embedding = sam.encode(image, [&](float fraction) {
        last = fraction;
        return true;
    });
    check(last == 1, "progress reaches its end");
    check_throws(vitrum::status::cancelled, [&] { sam.encode(image, [](float) { return false; }); }, "stopped");
    check_prompts(sam, embedding, image);
    check_everything(sam, image);
    const vitrum::clip clip = vitrum::clip::load(context, argv[2]);
    check_search(context);
    check(!clip.has_independent_probabilities(), "a CLIP's probabilities sum to 1");
    check_words(sam, clip, image);
    check_progress(sam, embedding, clip, image);
    check_throws(vitrum::status::not_found, [&] { vitrum::sam::load(context, "no/such/model"); }, "no model");
    threads.limits.image_size = 8;
    check_throws(vitrum::status::limit, [&] { vitrum::sam::load(vitrum::context(threads), argv[1]); }, "a limit");
    std::printf("sam_use: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
