// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// usage: python_partner put|check
// The other side of tests/python/test_languages.py: puts what Python reads, or reads what Python has put.
#include <ddict/dictionary.h>

#include <complex>
#include <cstdio>
#include <cstring>
#include <map>
#include <tuple>

#include "tests/python/partner.h"

namespace {

using ddict::Array;
using ddict::Dictionary;

int failures = 0;

template <class T>
void expect(const Dictionary& dict, const char* key, const T& value) {
    const ddict::Result<T> found = dict.try_get<T>(key);
    if (found.has_value() && *found == value) return;
    ++failures;
    std::fprintf(stderr, "%s: %s\n", key,
                 found.has_value() ? "another value" : found.error().message().c_str());
}

template <class K>
void expect_key(const Dictionary& dict, const K& key, int value) {
    const auto found = dict.try_get<int>(key);
    if (found.has_value() && *found == value) return;
    ++failures;
    std::fprintf(stderr, "%s: %s\n", ddict::AnyKey(key).in_words().c_str(),
                 found.has_value() ? "another value" : found.error().message().c_str());
}

template <class F>
void for_each_value(F f) {
    Array<float> grid({2, 3});
    for (std::size_t i = 0; i < 6; ++i)
        grid.data()[i] = static_cast<float>(i) / 2;
    Array<double> large({200, 50});
    for (std::size_t i = 0; i < large.size(); ++i)
        large.data()[i] = static_cast<double>(i);
    f("key text", std::string("D\xc3\xbc"));
    f("key int", -5);
    f("key large", std::uint64_t{1} << 63);
    f("key double", 0.1);
    f("key float", 1.5f);
    f("key bool", true);
    f("key complex", std::complex<double>(1, 2));
    f("key bytes", std::vector<std::byte>{std::byte{0}, std::byte{255}});
    f("key numbers", std::vector<std::int64_t>{1, -2, 3});
    f("key fractions", std::vector<double>{1.5, 2.5});
    f("key texts", std::vector<std::string>{"a", "", "bcd"});
    f("key nested", std::vector<std::vector<double>>{{1}, {2, 3}});
    f("key grid", grid);
    f("key large grid", large);
    f("key scalar array", Array<std::int32_t>());
    f("key pair", std::pair<std::string, std::int64_t>("x", 7));
    f("key tuple", std::tuple<std::int64_t, double, std::string>(1, 2.5, "z"));
    f("key map", std::map<std::string, std::int64_t>{{"a", 1}, {"b", 2}});
    f("key map of texts", std::map<std::int64_t, std::string>{{1, "x"}});
}

template <class F>
void for_each_key(F f) {
    f(std::string("text"));
    f(std::int64_t{-1});
    f(std::uint64_t{1} << 63);
    f(1.5);
    f(true);
    f(std::vector<std::byte>{std::byte{1}});
    f(std::pair<std::string, std::int64_t>("a", 1));
    f(std::tuple<std::int64_t, std::tuple<double, bool>>(1, {0.5, true}));
}

}  // namespace

int main(int argc, char** argv) {
    const bool puts = argc == 2 && std::strcmp(argv[1], "put") == 0;
    const Dictionary dict = Dictionary::attach();
    int number = 0;
    if (puts) {
        for_each_value([&](const char* key, const auto& value) { dict.put(key, value); });
        for_each_key([&](const auto& key) { dict.put(key, number++); });
        dict.put("structure", std::pair<std::string, std::int32_t>("x", 7));
        return partner_in_c(1);
    }
    for_each_value([&](const char* key, const auto& value) { expect(dict, key, value); });
    for_each_key([&](const auto& key) { expect_key(dict, key, number++); });
    return failures + partner_in_c(0);
}
