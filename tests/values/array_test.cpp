// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/array.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "tests/shm/chance.h"
#include "tests/values/codec_tools.h"

namespace ddict {
namespace {

using codec_test::decoded;
using codec_test::encoded;
using codec_test::expect_round_trip;

constexpr std::uint16_t array_of_int = type_array | element_type<int>();

template <class T>
Array<T> counting(std::initializer_list<std::uint64_t> extents) {
    Array<T> array(extents);
    std::iota(array.elements().begin(), array.elements().end(), T{});
    return array;
}

template <class Sink>
Result<void> receive(Sink& sink, const std::vector<std::byte>& bytes, std::uint16_t type) {
    const Result<std::span<std::byte>> buffer = sink.prepare(bytes.size(), type);
    if (!buffer) return buffer.error();
    std::copy(bytes.begin(), bytes.end(), buffer->begin());
    return sink.finish();
}

std::vector<std::byte> with(std::vector<std::byte> bytes, std::size_t offset, std::uint64_t number) {
    std::memcpy(bytes.data() + offset, &number, sizeof number);
    return bytes;
}

TEST(Array, HasAShapeAndElements) {
    Array<double> array({2, 3});
    EXPECT_EQ(array.rank(), 2u);
    EXPECT_EQ(array.extent(1), 3u);
    EXPECT_EQ(array.size(), 6u);
    for (const double element : array.elements())
        EXPECT_EQ(element, 0.0);
    array(1, 2) = 7;
    EXPECT_EQ(array.elements()[5], 7) << "row by row";
    EXPECT_EQ(array.at(1, 2), 7);
    EXPECT_THROW(array.at(2, 0), std::out_of_range);
    EXPECT_THROW(array.at(0), std::out_of_range);
    EXPECT_THROW(array.at(0, -1), std::out_of_range);
    EXPECT_EQ(array.shape().text(), "2 x 3");
    Array<int> one;
    EXPECT_EQ(one.size(), 1u);
    EXPECT_EQ(one(), 0);
}

TEST(Array, ComesBackWithItsShape) {
    expect_round_trip(Array<float>());
    expect_round_trip(counting<std::int64_t>({5}));
    expect_round_trip(counting<double>({2, 3}));
    expect_round_trip(counting<std::uint8_t>({2, 3, 4}));
    expect_round_trip(counting<int>({1, 2, 1, 2, 1, 2, 1, 2}));
    expect_round_trip(Array<double>({3, 0, 5}));
    expect_round_trip(Array<bool>({3}));
    expect_round_trip(std::vector<Array<int>>{counting<int>({2, 2}), Array<int>({0})});
    EXPECT_EQ(Codec<Array<double>>::type, 0x0333);
}

TEST(Array, IsCopiedAndMoved) {
    Array<int> a = counting<int>({2, 2});
    Array<int> b = a;
    b(0, 0) = 9;
    EXPECT_EQ(a(0, 0), 0);
    const int* memory = a.data();
    Array<int> c = std::move(a);
    EXPECT_EQ(c.data(), memory);
    a = b;
    EXPECT_EQ(a, b);
    a = counting<int>({3});
    EXPECT_EQ(encoded(a), encoded(counting<int>({3})));
    b = a;
    EXPECT_EQ(b, a);
    EXPECT_EQ(encoded(b), encoded(a)) << "though it has held more";
}

TEST(Array, ItsElementsAreAlignedInTheValue) {
    const auto bytes = encoded(counting<double>({2, 2}));
    const auto view = array_in<double>(bytes);
    ASSERT_TRUE(view) << view.error().message();
    EXPECT_EQ((*view)(1, 1), 3);
    EXPECT_EQ(view->extent(0), 2u);
    const std::byte* elements = reinterpret_cast<const std::byte*>(view->data());
    EXPECT_EQ((elements - bytes.data()) % 16, 0);
    std::vector<std::byte> shifted(bytes.size() + 1);
    std::copy(bytes.begin(), bytes.end(), shifted.begin() + 1);
    EXPECT_EQ(array_in<double>(std::span(shifted).subspan(1)).error().code, Errc::invalid_argument);
}

TEST(Array, IsReceivedIntoMemoryThatIsThere) {
    Array<int> array({4, 4});
    const int* memory = array.data();
    detail::SinkInto<Array<int>> sink(array);
    ASSERT_TRUE(receive(sink, encoded(counting<int>({2, 3})), array_of_int));
    EXPECT_EQ(array, counting<int>({2, 3}));
    EXPECT_EQ(array.data(), memory);
    detail::SinkInto<Array<int>> other(array);
    const auto wrong = receive(other, encoded(Array<float>({2})), type_array | element_type<float>());
    EXPECT_STREQ(wrong.error().detail.data(), "stored: array of float32, asked: array of int32");
    EXPECT_EQ(array, counting<int>({2, 3}));
}

TEST(ArrayView, IsStoredFromAndReceivedIntoTheCallersMemory) {
    std::vector<int> mine{1, 2, 3, 4, 5, 6};
    ArrayView<int> view(mine.data(), {3, 2});
    EXPECT_EQ(view(2, 1), 6);
    const auto bytes = encoded(view);
    EXPECT_EQ(bytes, encoded(Array<int>(ArrayView<const int>(view))));
    EXPECT_EQ(encoded(ArrayView<const int>(view)), bytes);
    std::fill(mine.begin(), mine.end(), 0);
    detail::SinkInto<ArrayView<int>> sink(view);
    ASSERT_TRUE(receive(sink, bytes, array_of_int));
    EXPECT_EQ(mine, (std::vector<int>{1, 2, 3, 4, 5, 6}));

    detail::SinkInto<ArrayView<int>> turned(view);
    const auto other_shape = receive(turned, encoded(Array<int>({2, 3})), array_of_int);
    ASSERT_FALSE(other_shape);
    EXPECT_STREQ(other_shape.error().detail.data(), "stored: array of 2 x 3, asked: array of 3 x 2");
    detail::SinkInto<ArrayView<int>> smaller(view);
    EXPECT_EQ(receive(smaller, encoded(Array<int>({2, 2})), array_of_int).error().code, Errc::wrong_type);
    EXPECT_EQ(mine[0], 1) << "nothing is written before the shape is known to be right";
}

TEST(Array, AbsurdShapesAreErrorsAndNoAllocations) {
    const std::uint64_t huge = std::uint64_t{1} << 32;
    EXPECT_THROW(Array<double>({huge, huge}), Exception);
    EXPECT_THROW(Array<double>({huge, huge, 0}), Exception) << "also when a zero makes it small";
    EXPECT_THROW(Array<double>({~std::uint64_t{0}}), Exception);
    EXPECT_THROW(Array<std::byte>({std::uint64_t{1} << 63}), Exception);
    EXPECT_THROW(Array<int>({1, 1, 1, 1, 1, 1, 1, 1, 1}), Exception) << "nine dimensions";
    const std::vector<std::uint64_t> nine(9, 1);
    EXPECT_EQ(Shape::of(nine, 4).error().code, Errc::invalid_argument);
    int memory = 0;
    EXPECT_THROW(ArrayView<int>(&memory, {huge, huge}), Exception);
    EXPECT_TRUE(Shape::of(std::span(nine).first(8), 4));
}

TEST(Array, ForeignBytesAreJudged) {
    const auto good = encoded(counting<int>({2, 3}));
    ASSERT_EQ(good.size(), 32u + 24);
    const auto read = [](const std::vector<std::byte>& bytes) {
        return decoded<Array<int>>(bytes, array_of_int);
    };
    ASSERT_TRUE(read(good));
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(read({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)})) << size;
    auto longer = good;
    longer.resize(good.size() + 4);
    EXPECT_FALSE(read(longer));
    EXPECT_FALSE(read(with(good, 0, 9 | std::uint64_t{4} << 32))) << "rank 9";
    EXPECT_FALSE(read(with(good, 0, 0xffffffff | std::uint64_t{4} << 32)));
    EXPECT_FALSE(read(with(good, 0, 2 | std::uint64_t{8} << 32))) << "elements of 8 bytes";
    // 2^62 * 3 * 4 bytes and the like overflow to something small.
    for (const std::uint64_t extent : {std::uint64_t{1} << 62, std::uint64_t{1} << 63, ~std::uint64_t{0}})
        EXPECT_EQ(read(with(good, 8, extent)).error().code, Errc::wrong_type);
    EXPECT_EQ(array_in<int>(with(good, 8, std::uint64_t{1} << 62)).error().code, Errc::wrong_type);
    EXPECT_EQ(decoded<Array<int>>(std::vector<std::byte>(64), type_bytes).error().code, Errc::wrong_type)
        << "plain bytes are read as an array only if they are one";
}

TEST(Array, AnArrayThatWasNoneIsAGoodOneAfterwards) {
    Array<int> array({4, 4});
    detail::SinkInto<Array<int>> sink(array);
    EXPECT_FALSE(receive(sink, std::vector<std::byte>(100), array_of_int));
    EXPECT_EQ(array, Array<int>());
    expect_round_trip(array);
}

TEST(Array, DamagedBytes) {
    shm::Chance chance;
    const auto good = encoded(counting<int>({2, 3, 4}));
    int refused = 0;
    for (int round = 0; round < 20'000; ++round) {
        auto bad = good;
        bad[chance.below(40)] = static_cast<std::byte>(chance.below(256));
        const auto array = decoded<Array<int>>(bad, array_of_int);
        if (!array) {
            ++refused;
            EXPECT_EQ(array.error().code, Errc::wrong_type);
        } else {
            EXPECT_EQ(array->elements().size(), 24u);
        }
    }
    EXPECT_GT(refused, 5'000);
}

static_assert(Encodable<ArrayView<const double>> && !Decodable<ArrayView<double>>);
static_assert(HasView<Array<double>> && HasBuffer<Array<double>>, "no copy");

}  // namespace
}  // namespace ddict
