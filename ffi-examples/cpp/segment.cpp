// What is at a place in a picture? segment MODEL IMAGE.ppm X Y [MASK.pgm]
#include <algorithm>
#include <iomanip>
#include <iostream>

#include "ppm.hpp"
#include "vitrum.hpp"

namespace {

// Prints the masks of a prompt: number, score, stability, area, box.
void print_masks(const vitrum::sam_prediction &prediction) {
    std::cout << std::fixed << std::setprecision(4);
    for (std::size_t i = 0; i < prediction.masks_per_prompt(); i++) {
        const vitrum_sam_mask_stats stats = prediction.stats(0, i);
        const auto &box = stats.bounding_box;
        std::cout << i << '\t' << stats.score << '\t' << stats.stability_score << '\t' << stats.area << '\t' << box[0]
                  << ',' << box[1] << ',' << box[2] << ',' << box[3] << '\n';
    }
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 5) {
        std::cerr << "usage: segment MODEL IMAGE.ppm X Y [MASK.pgm]\n";
        return 2;
    }
    try {
        const picture photo = read_ppm(argv[2]);
        const vitrum::image image(photo.rgb.data(), photo.width, photo.height, vitrum::pixel_format::rgb8);

        const vitrum::context context;
        const vitrum::sam sam = vitrum::sam::load(context, argv[1]);
        // The picture once, then as many prompts as one likes.
        const vitrum::sam_embedding embedding = sam.encode(image);
        const auto prompt = vitrum::sam_prompt().foreground(std::stof(argv[3]), std::stof(argv[4]));
        const vitrum::sam_prediction prediction = sam.predict(embedding, prompt);

        print_masks(prediction);
        if (argc > 5) {
            std::vector<std::uint8_t> mask = prediction.mask(0, prediction.best());
            std::transform(mask.begin(), mask.end(), mask.begin(), [](std::uint8_t inside) { return inside * 255; });
            write_pgm(argv[5], mask, photo.width, photo.height);
        }
    } catch (const vitrum::error &error) {
        std::cerr << "segment: " << error.what() << " (" << vitrum::status_string(error.code()) << ")\n";
        return 1;
    } catch (const std::exception &error) {
        std::cerr << "segment: " << error.what() << '\n';
        return 1;
    }
}
