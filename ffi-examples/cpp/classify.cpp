// Which label fits a picture best? classify MODEL IMAGE.ppm LABEL...
#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <numeric>

#include "vitrum.hpp"

namespace {

struct picture {
    std::uint32_t width = 0, height = 0;
    std::vector<std::uint8_t> rgb;
};

// Reads a binary PPM: "P6", width, height, 255, and RGB rows.
picture read_ppm(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    unsigned maximum = 0;
    picture result;
    file >> magic >> result.width >> result.height >> maximum;
    file.get();
    if (!file || magic != "P6" || maximum != 255 || result.width > 32768 || result.height > 32768) {
        throw std::runtime_error(path + ": not a binary 8-bit PPM");
    }
    result.rgb.resize(std::size_t(3) * result.width * result.height);
    file.read(reinterpret_cast<char *>(result.rgb.data()), std::streamsize(result.rgb.size()));
    if (!file) {
        throw std::runtime_error(path + ": too short");
    }
    return result;
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 4) {
        std::cerr << "usage: classify MODEL IMAGE.ppm LABEL...\n";
        return 2;
    }
    try {
        const std::string path = argv[2];
        const std::vector<std::string> labels(argv + 3, argv + argc);
        const picture photo = read_ppm(path);
        const vitrum::image image(photo.rgb.data(), photo.width, photo.height, VITRUM_PIXEL_RGB8);

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
        std::cerr << "classify: " << error.what() << " (" << vitrum_status_string(error.code()) << ")\n";
        return 1;
    } catch (const std::exception &error) {
        std::cerr << "classify: " << error.what() << '\n';
        return 1;
    }
}
