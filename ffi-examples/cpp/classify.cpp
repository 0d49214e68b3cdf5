// Which label fits a picture best? classify MODEL IMAGE.ppm LABEL...
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <numeric>

#include "ppm.hpp"
#include "vitrum.hpp"

int main(int argc, char **argv) {
    if (argc < 4) {
        std::cerr << "usage: classify MODEL IMAGE.ppm LABEL...\n";
        return 2;
    }
    try {
        const std::string path = argv[2];
        const std::vector<std::string> labels(argv + 3, argv + argc);
        const picture photo = read_ppm(path);
        const vitrum::image image(photo.rgb.data(), photo.width, photo.height, vitrum::pixel_format::rgb8);

        const vitrum::context context;
        const vitrum::clip clip = vitrum::clip::load(context, argv[1]);
        const std::vector<float> probabilities = clip.classify(image, labels);

        std::vector<std::size_t> order(labels.size());
        std::iota(order.begin(), order.end(), std::size_t(0));
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return probabilities[a] > probabilities[b];
        });
        std::cout << std::fixed << std::setprecision(4);
        for (const std::size_t i : order) {
            std::cout << path << '\t' << probabilities[i] << '\t' << labels[i] << '\n';
        }
    } catch (const vitrum::error &error) {
        std::cerr << "classify: " << error.what() << " (" << vitrum::status_string(error.code()) << ")\n";
        return 1;
    } catch (const std::exception &error) {
        std::cerr << "classify: " << error.what() << '\n';
        return 1;
    }
}
