// Pictures for the examples, which would bring no codec along.
#ifndef PPM_HPP
#define PPM_HPP

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

struct picture {
    std::uint32_t width = 0, height = 0;
    std::vector<std::uint8_t> rgb;
};

// Reads a binary PPM: "P6", width, height, 255, and RGB rows.
inline picture read_ppm(const std::string &path) {
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

// Writes grey values as a binary PGM.
inline void write_pgm(const std::string &path, const std::vector<std::uint8_t> &gray, std::uint32_t width,
                      std::uint32_t height) {
    std::ofstream file(path, std::ios::binary);
    file << "P5\n" << width << ' ' << height << "\n255\n";
    file.write(reinterpret_cast<const char *>(gray.data()), std::streamsize(gray.size()));
    if (!file.flush()) {
        throw std::runtime_error(path + ": cannot be written");
    }
}

#endif // PPM_HPP
