// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Reads what fortran_languages has written, and writes for it to read; and knows how large the structures of
// C are.
//
//   languages_partner structures | values
#include <ddict/array.h>
#include <ddict/ddict.h>
#include <ddict/dictionary.h>

#include <complex>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

void check(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "languages_partner: wrong: %s\n", what);
    std::exit(EXIT_FAILURE);
}

template <typename T>
void check_array(ddict::Dictionary& dict, const char* key, const std::vector<std::uint64_t>& shape) {
    const auto array = dict.get<ddict::Array<T>>(key);
    const auto extents = array.shape().extents();
    check(std::equal(extents.begin(), extents.end(), shape.begin(), shape.end()), key);
    // Row by row, the first index of Fortran moves fastest.
    std::size_t at = 0;
    const std::size_t planes = shape.size() == 3 ? shape[0] : 1;
    const std::size_t rows = shape[shape.size() - 2];
    for (std::size_t k = 1; k <= planes; ++k)
        for (std::size_t j = 1; j <= rows; ++j)
            for (std::size_t i = 1; i <= shape.back(); ++i) {
                const std::size_t wanted = shape.size() == 3 ? 100 * i + 10 * j + k : 10 * i + j;
                check(array.data()[at++] == static_cast<T>(wanted), key);
            }
}

void read(ddict::Dictionary& dict) {
    check(dict.get("fortran text") == "Dragon, with a blank ", "text");
    check(dict.get<std::int32_t>("fortran int32") == -7, "int32");
    check(dict.get<std::int64_t>("fortran int64") == std::int64_t{1} << 40, "int64");
    check(dict.get<float>("fortran real32") == 1.5F, "real32");
    check(dict.get<double>("fortran real64") == -0.1, "real64");
    const auto row = dict.get<ddict::Array<std::int32_t>>("fortran int32 1");
    check(row.shape().rank() == 1 && row.shape().size() == 4 && row.data()[3] == 40, "int32 1");
    check_array<std::int64_t>(dict, "fortran int64 2", {3, 2});
    check_array<float>(dict, "fortran real32 2", {3, 2});
    check_array<double>(dict, "fortran real64 3", {4, 3, 2});
    check(dict.get<std::complex<float>>("fortran complex64") == std::complex<float>(1.5F, -2.0F),
          "complex64");
    const auto waves = dict.get<ddict::Array<std::complex<double>>>("fortran complex128 2");
    check(waves.shape().size() == 6 && waves.data()[5] == std::complex<double>(2, 3), "complex128 2");
    check(dict.get<bool>("fortran bool"), "bool");
    const auto flags = dict.get<ddict::Array<bool>>("fortran bool 1");
    check(flags.shape().size() == 3 && flags.data()[0] && !flags.data()[1] && flags.data()[2], "bool 1");
    const auto seven = dict.get<ddict::Array<std::int32_t>>("fortran int32 7");
    check(seven.shape().rank() == 7 && seven.shape().extents()[0] == 4 && seven.data()[47] == 48, "int32 7");
    check(dict.get<int>(17) == 1 && dict.get<int>(18) == 2 && dict.get<int>(2.5) == 3,
          "keys that are numbers");
}

void write(ddict::Dictionary& dict) {
    dict.put("cpp text", "Dragon");
    dict.put("cpp integer", std::int16_t{12});
    dict.put("cpp real", 0.25);
    dict.put("cpp vector", std::vector<std::int64_t>{1, 2, 3});
    ddict::Array<double> field({3, 2});
    ddict::Array<double> cube({4, 3, 2});
    for (std::size_t j = 0; j < 3; ++j)
        for (std::size_t i = 0; i < 2; ++i) {
            field.data()[2 * j + i] = static_cast<double>(10 * (i + 1) + j + 1);
            for (std::size_t k = 0; k < 4; ++k)
                cube.data()[6 * k + 2 * j + i] = static_cast<double>(100 * (i + 1) + 10 * (j + 1) + k + 1);
        }
    dict.put("cpp field", field);
    dict.put("cpp cube", cube);
    dict.put("cpp complex", std::complex<double>(0.5, 2));
    ddict::Array<std::complex<float>> waves({3, 2});
    for (int j = 0; j < 3; ++j)
        for (int i = 0; i < 2; ++i)
            waves.data()[2 * j + i] =
                std::complex<float>(static_cast<float>(i + 1), static_cast<float>(j + 1));
    dict.put("cpp waves", waves);
    dict.put("cpp flag", true);
    ddict::Array<bool> flags({3});
    flags.data()[0] = flags.data()[2] = true;
    flags.data()[1] = false;
    dict.put("cpp flags", flags);
    ddict::Array<std::int64_t> five({1, 2, 3, 4, 5});
    for (int i = 0; i < 120; ++i)
        five.data()[i] = i;
    dict.put("cpp five", five);
    dict.put("cpp key", 1);
    dict.put(19, 2);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "structures") == 0) {
        std::printf("%zu %zu %zu %zu %zu %zu\n", sizeof(ddict_slice), sizeof(ddict_key), sizeof(ddict_value),
                    sizeof(ddict_array), sizeof(ddict_attach_options), sizeof(ddict_error));
        return EXIT_SUCCESS;
    }
    auto dict = ddict::Dictionary::attach();
    read(dict);
    write(dict);
}
