// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Stored values of any type and with any bytes, read as any C++ type that has a codec. What is read can be
// stored, and is then read as the same.
#include <ddict/array.h>
#include <ddict/codec.h>
#include <ddict/record.h>

#include <algorithm>
#include <complex>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

using namespace ddict;

namespace {

struct Particle {
    std::string name;
    double mass = 0;
    std::vector<float> where;
    bool operator==(const Particle&) const = default;
};
enum class Colour : std::uint16_t { red, green };

}  // namespace

template <>
struct ddict::Codec<Particle> {
    static constexpr std::uint16_t type = user_type(7);
    static std::vector<std::byte> encode(const Particle& particle) {
        return Writer().field(particle.name).field(particle.mass).field(particle.where).take();
    }
    static Result<Particle> decode(std::span<const std::byte> bytes) {
        Particle particle;
        Reader in(bytes);
        in.field(particle.name).field(particle.mass).field(particle.where);
        return in.finish(std::move(particle));
    }
};

namespace {

using Bytes = std::span<const std::byte>;

std::vector<std::byte> copy_of(Bytes bytes) {
    return {bytes.begin(), bytes.end()};
}

template <class T>
std::vector<std::byte> encoded(const T& value) {
    return detail::with_bytes(value, copy_of);
}

template <class T>
inline constexpr bool has_no_order = false;
template <class K, class V>
inline constexpr bool has_no_order<std::unordered_map<K, V>> = true;

template <class T>
void require_same(const T& a, const T& b) {
    if constexpr (has_no_order<T>) {
        fuzz::require(a == b);
    } else {
        fuzz::require(encoded(a) == encoded(b));  // what is no number equals nothing, but has its bytes
    }
}

template <class T>
std::optional<T> decoded(Bytes bytes, std::uint16_t type) {
    detail::SinkFor<T> sink;
    const Result<std::span<std::byte>> buffer = sink.prepare(bytes.size(), type);
    if (buffer) {
        fuzz::require(buffer->size() == bytes.size());
        std::copy(bytes.begin(), bytes.end(), buffer->begin());
    }
    Result<T> value = buffer ? std::move(sink).take() : Result<T>(buffer.error());
    if (value.has_value()) return *std::move(value);
    fuzz::require(value.error().code == Errc::wrong_type);
    return std::nullopt;
}

/// Into an object that has held something else already.
template <class T>
void read_into(T& value, Bytes bytes, std::uint16_t type, const T& expected) {
    detail::SinkInto<T> sink(value);
    const Result<std::span<std::byte>> buffer = sink.prepare(bytes.size(), type);
    fuzz::require(buffer.has_value() && buffer->size() == bytes.size());
    std::copy(bytes.begin(), bytes.end(), buffer->begin());
    fuzz::require(sink.finish().has_value());
    require_same(value, expected);
}

template <class T>
void read(Bytes bytes, std::uint16_t type) {
    const std::optional<T> value = decoded<T>(bytes, type);
    if (!value) return;
    const std::vector<std::byte> stored = encoded(*value);
    const std::optional<T> again = decoded<T>(stored, Codec<T>::type);
    fuzz::require(again.has_value());
    require_same(*again, *value);
    if constexpr (HasBuffer<T>) {
        T other{};
        read_into(other, bytes, type, *value);
        read_into(other, bytes, type, *value);
    }
}

/// Where it lies: a view of an array says the same as an array of its own.
template <class T>
void look_at_array(Bytes bytes) {
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    const std::size_t whole = (bytes.size() + 15) / 16 * 16 + 16;
    const std::unique_ptr<std::byte, Free> memory(static_cast<std::byte*>(std::aligned_alloc(16, whole)));
    fuzz::require(memory != nullptr);
    std::copy(bytes.begin(), bytes.end(), memory.get());
    const Bytes stored(memory.get(), bytes.size());
    const Result<ArrayView<const T>> view = array_in<T>(stored);
    const std::optional<Array<T>> array = decoded<Array<T>>(stored, Codec<Array<T>>::type);
    if (view) fuzz::require(array.has_value());
    if (!view) return;
    fuzz::require(view->shape() == array->shape() && view->size() == array->size());
    const Bytes elements = std::as_bytes(view->elements());
    fuzz::require(elements.data() >= stored.data() && elements.size() <= stored.size());
    fuzz::require(elements.data() + elements.size() == stored.data() + stored.size());
}

template <class... T>
void read_one_of(std::size_t which, Bytes bytes, std::optional<std::uint16_t> type) {
    std::size_t at = 0;
    ((at++ == which ? read<T>(bytes, type.value_or(Codec<T>::type)) : void()), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    constexpr std::size_t types = 34;
    const std::size_t which = input.below(types + 2);
    // Mostly of the type that is asked for: others are refused at once, but for numbers.
    std::optional<std::uint16_t> type;
    if (input.below(4) == 0) type = input.take<std::uint16_t>();
    const Bytes bytes = input.take_raw(size);
    if (type) fuzz::require(!type_in_words(*type).empty());
    if (which == types) {
        look_at_array<double>(bytes);
    } else if (which == types + 1) {
        look_at_array<bool>(bytes);
    } else {
        read_one_of<
            bool, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
            std::int64_t, std::uint64_t, float, double, std::complex<float>, std::complex<double>, std::byte,
            Colour, std::string, std::vector<std::byte>, std::vector<std::int32_t>, std::vector<double>,
            std::vector<bool>, std::vector<std::string>, std::vector<std::vector<std::int16_t>>,
            std::array<std::int32_t, 3>, std::array<bool, 5>, Array<double>, Array<bool>,
            std::vector<Array<float>>, std::pair<std::string, std::int32_t>,
            std::tuple<std::int8_t, std::vector<std::string>, bool>, std::map<std::string, std::int64_t>,
            std::map<std::int32_t, std::vector<std::string>>, std::unordered_map<std::string, std::int32_t>,
            Particle, std::vector<std::map<std::string, std::vector<std::pair<std::int32_t, Particle>>>>>(
            which, bytes, type);
    }
    return 0;
}
