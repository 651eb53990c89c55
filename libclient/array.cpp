// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Shapes, and the header that an array's value begins with.
#include <ddict/array.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace ddict {

Result<Shape> Shape::of(std::span<const std::uint64_t> extents, std::size_t element_bytes) {
    if (extents.size() > array_rank_max) {
        return Error(Errc::invalid_argument, "an array has at most " + std::to_string(array_rank_max) +
                                                 " dimensions, not " + std::to_string(extents.size()));
    }
    Shape shape;
    shape.rank_ = extents.size();
    std::copy(extents.begin(), extents.end(), shape.extents_);
    // Also of those beside a zero: a stride that overflows is no stride.
    std::uint64_t bytes = element_bytes;
    for (const std::uint64_t extent : extents) {
        shape.size_ *= extent;
        if (extent == 0) continue;
        if (bytes > bytes_max / extent)
            return Error(Errc::invalid_argument, "an array larger than any memory: " + shape.text());
        bytes *= extent;
    }
    return shape;
}

std::string Shape::text() const {
    if (rank_ == 0) return "one element";
    std::string out = std::to_string(extents_[0]);
    for (std::size_t i = 1; i < rank_; ++i)
        out += " x " + std::to_string(extents_[i]);
    return out;
}

void Shape::throw_out_of_range() const {
    throw std::out_of_range("an index outside of an array of " + text());
}

namespace detail {

void ArrayHeader::write(std::span<std::byte> out, const Shape& shape, std::size_t element_bytes) {
    std::fill_n(out.begin(), bytes(shape.rank()), std::byte{0});
    const std::array<std::uint32_t, 2> head{static_cast<std::uint32_t>(shape.rank()),
                                            static_cast<std::uint32_t>(element_bytes)};
    std::memcpy(out.data(), head.data(), sizeof head);
    if (shape.rank() > 0)
        std::memcpy(out.data() + sizeof head, shape.extents().data(), shape.extents().size_bytes());
}

Result<Shape> ArrayHeader::read(std::span<const std::byte> in, std::size_t element_bytes) {
    const auto no_array = [](const std::string& why) { return Error(Errc::wrong_type, why); };
    if (in.size() < bytes(0)) return no_array("the value is too short for an array");
    const auto rank = number_at<std::uint32_t>(in, 0);
    if (rank > array_rank_max)
        return no_array("the value is an array of " + std::to_string(rank) + " dimensions");
    if (in.size() < bytes(rank)) return no_array("the value is too short for the shape of its array");
    if (const auto stored = number_at<std::uint32_t>(in, 4); stored != element_bytes) {
        return no_array("the array has elements of " + bytes_in_words(stored) + ", those asked for have " +
                        std::to_string(element_bytes));
    }
    std::array<std::uint64_t, array_rank_max> extents{};
    for (std::size_t i = 0; i < rank; ++i)
        extents[i] = number_at<std::uint64_t>(in, 8 + 8 * i);
    const Result<Shape> shape = Shape::of({extents.data(), rank}, element_bytes);
    if (!shape) return no_array("the stored shape is no shape: " + std::string(shape.error().detail.data()));
    if (shape->size() * element_bytes != in.size() - bytes(rank))
        return no_array("an array of " + shape->text() + " in " + bytes_in_words(in.size()));
    return shape;
}

}  // namespace detail
}  // namespace ddict
