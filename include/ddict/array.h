// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Arrays of several dimensions: values that carry their shape and their element type.
//
//     ddict::Array<double> grid({rows, columns});       // zeros, row by row
//     grid(2, 3) = 1.5;
//     dict.put("grid", grid);
//     auto back = dict.get<ddict::Array<double>>("grid");           // back.extent(0) == rows
//
//     std::vector<float> mine(6);
//     dict.put("mine", ddict::ArrayView<const float>(mine.data(), {2, 3}));   // memory of your own
//
// Row-major (C order): the last index is the one that moves fastest. At most 8 dimensions; none is a single
// element. Array keeps its header and its elements in one piece of memory, so it is put and got without a
// copy, and getting into an array that has held as much before does not allocate. ArrayView is put and got
// with one copy.
//
// Shapes that make no sense (more than 8 extents, a product that overflows) are invalid_argument when they
// are the caller's and wrong_type when they come out of a value; nothing is ever allocated for them.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ddict/codec.h>
#include <ddict/frozen_value.h>

namespace ddict {

inline constexpr std::size_t array_rank_max = 8;

/// The extents of an array, checked: their product, and that of their bytes, is a size that memory can have.
class Shape {
  public:
    /// No dimension: one element.
    Shape() = default;
    /// Errors: invalid_argument.
    static Result<Shape> of(std::span<const std::uint64_t> extents, std::size_t element_bytes);

    std::size_t rank() const { return rank_; }
    /// Requires dimension < rank().
    std::uint64_t extent(std::size_t dimension) const { return extents_[dimension]; }
    std::span<const std::uint64_t> extents() const { return {extents_, rank_}; }
    /// The number of elements.
    std::uint64_t size() const { return size_; }
    /// "2 x 3"; "one element" for no dimension.
    std::string text() const;
    bool operator==(const Shape&) const = default;

    /// Where an element is, in elements from the first. Requires an index for each dimension, each below its
    /// extent.
    template <std::convertible_to<std::uint64_t>... Index>
    std::size_t offset(Index... index) const {
        std::size_t at = 0;
        std::size_t dimension = 0;
        ((at = at * extents_[dimension++] + static_cast<std::size_t>(index)), ...);
        return at;
    }
    /// The same, checked. Throws std::out_of_range.
    template <std::convertible_to<std::uint64_t>... Index>
    std::size_t checked_offset(Index... index) const {
        std::size_t dimension = 0;
        bool inside = sizeof...(Index) == rank_;
        ((inside = inside && static_cast<std::uint64_t>(index) < extents_[dimension++]), ...);
        if (!inside) throw_out_of_range();
        return offset(index...);
    }

  private:
    static constexpr std::uint64_t bytes_max = std::uint64_t{1} << 62;
    [[noreturn]] void throw_out_of_range() const;
    std::size_t rank_ = 0;
    std::uint64_t extents_[array_rank_max] = {};
    std::uint64_t size_ = 1;
};

namespace detail {

/// What precedes the elements of an array in its value: rank, bytes of an element, extents; to a multiple
/// of 16.
struct ArrayHeader {
    static constexpr std::size_t bytes_max = aligned(8 + 8 * array_rank_max);
    static constexpr std::size_t bytes(std::size_t rank) { return aligned(8 + 8 * rank); }

    /// Requires out.size() >= bytes(shape.rank()).
    static void write(std::span<std::byte> out, const Shape& shape, std::size_t element_bytes);
    /// The shape of a stored array whose value is all of `in`. Errors: wrong_type.
    static Result<Shape> read(std::span<const std::byte> in, std::size_t element_bytes);
};

/// Memory that is owned; what is in it at first is not specified.
class OwnedBytes {
  public:
    OwnedBytes() noexcept = default;
    explicit OwnedBytes(std::size_t bytes) : data_(new std::byte[bytes]) {}
    OwnedBytes(OwnedBytes&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    OwnedBytes& operator=(OwnedBytes other) noexcept {
        std::swap(data_, other.data_);
        return *this;
    }
    ~OwnedBytes() { delete[] data_; }
    std::byte* get() const noexcept { return data_; }

  private:
    std::byte* data_ = nullptr;
};

template <class T>
concept ArrayElement = Element<std::remove_const_t<T>> && alignof(T) <= value_alignment;

}  // namespace detail

/// An array in memory of somebody else, which must outlive the view. Copying it copies no element. T may be
/// const. Threads: as the memory.
template <class T>
requires detail::ArrayElement<T>
class ArrayView {
  public:
    using Value = std::remove_const_t<T>;

    /// Requires memory for the elements at `data`. Throws Exception(invalid_argument) for a shape that is
    /// none.
    ArrayView(T* data, std::initializer_list<std::uint64_t> extents)
        : ArrayView(data, std::span(extents.begin(), extents.size())) {}
    ArrayView(T* data, std::span<const std::uint64_t> extents)
        : ArrayView(data, Shape::of(extents, sizeof(T)).value()) {}
    ArrayView(T* data, const Shape& shape) : data_(data), shape_(shape) {}
    /// To const.
    operator ArrayView<const Value>() const requires(!std::is_const_v<T>) { return {data_, shape_}; }

    std::size_t rank() const { return shape_.rank(); }
    std::uint64_t extent(std::size_t dimension) const { return shape_.extent(dimension); }
    const Shape& shape() const { return shape_; }
    std::uint64_t size() const { return shape_.size(); }
    T* data() const { return data_; }
    /// All elements, in their order in memory.
    std::span<T> elements() const { return {data_, static_cast<std::size_t>(size())}; }
    T* begin() const { return data_; }
    T* end() const { return data_ + size(); }
    /// Requires an index for each dimension, each below its extent: view(i, j).
    template <std::convertible_to<std::uint64_t>... Index>
    T& operator()(Index... index) const {
        return data_[shape_.offset(index...)];
    }
    /// Throws std::out_of_range.
    template <std::convertible_to<std::uint64_t>... Index>
    T& at(Index... index) const {
        return data_[shape_.checked_offset(index...)];
    }

  private:
    T* data_;
    Shape shape_;
};

/// An array that owns its elements. Moving it moves no element, and leaves an array that may only be assigned
/// to or destroyed. Threads: as a std::vector.
template <class T>
requires detail::ArrayElement<T> && std::same_as<T, std::remove_const_t<T>>
class Array {
  public:
    /// One element, zero.
    Array() : Array(Shape()) {}
    /// Elements whose bytes are zero. Throws Exception(invalid_argument) for a shape that is none, and
    /// std::bad_alloc.
    explicit Array(std::initializer_list<std::uint64_t> extents)
        : Array(std::span(extents.begin(), extents.size())) {}
    explicit Array(std::span<const std::uint64_t> extents) : Array(Shape::of(extents, sizeof(T)).value()) {}
    explicit Array(const Shape& shape) {
        start(shape);
        std::memset(bytes_.get() + header_bytes(), 0, used_ - header_bytes());
    }
    /// A copy.
    explicit Array(ArrayView<const T> view) {
        start(view.shape());
        copy(view.elements());
    }
    Array(const Array& other) : Array(ArrayView<const T>(other)) {}
    Array& operator=(const Array& other) {
        if (this != &other) {
            start(other.shape_);
            copy(other.elements());
        }
        return *this;
    }
    Array(Array&& other) noexcept { *this = std::move(other); }
    Array& operator=(Array&& other) noexcept {
        bytes_ = std::move(other.bytes_);
        capacity_ = std::exchange(other.capacity_, 0);
        used_ = std::exchange(other.used_, 0);
        shape_ = other.shape_;
        return *this;
    }
    ~Array() = default;

    std::size_t rank() const { return shape_.rank(); }
    std::uint64_t extent(std::size_t dimension) const { return shape_.extent(dimension); }
    const Shape& shape() const { return shape_; }
    std::uint64_t size() const { return shape_.size(); }
    T* data() { return reinterpret_cast<T*>(bytes_.get() + header_bytes()); }
    const T* data() const { return reinterpret_cast<const T*>(bytes_.get() + header_bytes()); }
    std::span<T> elements() { return {data(), static_cast<std::size_t>(size())}; }
    std::span<const T> elements() const { return {data(), static_cast<std::size_t>(size())}; }
    /// Of all elements, in their order in memory.
    T* begin() { return data(); }
    T* end() { return data() + size(); }
    const T* begin() const { return data(); }
    const T* end() const { return data() + size(); }
    template <std::convertible_to<std::uint64_t>... Index>
    T& operator()(Index... index) {
        return data()[shape_.offset(index...)];
    }
    template <std::convertible_to<std::uint64_t>... Index>
    const T& operator()(Index... index) const {
        return data()[shape_.offset(index...)];
    }
    /// Throws std::out_of_range.
    template <std::convertible_to<std::uint64_t>... Index>
    T& at(Index... index) {
        return data()[shape_.checked_offset(index...)];
    }
    template <std::convertible_to<std::uint64_t>... Index>
    const T& at(Index... index) const {
        return data()[shape_.checked_offset(index...)];
    }
    operator ArrayView<T>() { return {data(), shape_}; }
    operator ArrayView<const T>() const { return {data(), shape_}; }
    friend bool operator==(const Array& a, const Array& b) {
        bool equal = a.shape_ == b.shape_;
        for (std::uint64_t i = 0; equal && i < a.size(); ++i)
            equal = a.data()[i] == b.data()[i];
        return equal;
    }

  private:
    friend struct Codec<Array<T>>;
    std::size_t header_bytes() const { return detail::ArrayHeader::bytes(shape_.rank()); }
    /// The bytes of a whole value; what was in them is lost.
    std::span<std::byte> buffer(std::size_t bytes) {
        if (capacity_ < bytes) {
            bytes_ = detail::OwnedBytes(bytes);
            capacity_ = bytes;
        }
        used_ = bytes;
        return {bytes_.get(), used_};
    }
    void start(const Shape& shape) {
        const std::size_t header = detail::ArrayHeader::bytes(shape.rank());
        const std::span<std::byte> all = buffer(header + static_cast<std::size_t>(shape.size()) * sizeof(T));
        detail::ArrayHeader::write(all, shape, sizeof(T));
        shape_ = shape;
    }
    void copy(std::span<const T> elements) {
        detail::copy_bytes(std::as_bytes(elements), std::as_writable_bytes(this->elements()));
    }

    // Header and elements, as they are stored. new gives 16 bytes of alignment, and the header is a multiple.
    static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= detail::value_alignment);
    detail::OwnedBytes bytes_;
    std::size_t capacity_ = 0;
    std::size_t used_ = 0;
    Shape shape_;
};

template <class T>
struct Codec<Array<T>> {
    static constexpr std::uint16_t type = detail::type_of_elements<T>(type_array, type_structure_array);
    static std::span<const std::byte> view(const Array<T>& array) {
        return {array.bytes_.get(), array.used_};
    }
    static Result<std::span<std::byte>> buffer(Array<T>& array, std::uint64_t bytes) {
        if (bytes < detail::ArrayHeader::bytes(0))
            return Error(Errc::wrong_type, "the value is too short for an array");
        return array.buffer(bytes);
    }
    /// Whether what was received is an array. One that is not leaves an array of one element, zero.
    static Result<void> check(Array<T>& array) {
        const Result<Shape> shape = detail::ArrayHeader::read({array.bytes_.get(), array.used_}, sizeof(T));
        if (!shape) {
            array = Array<T>();
            return shape.error();
        }
        array.shape_ = *shape;
        detail::make_bools_good(array.elements());
        return {};
    }
};

template <class T>
inline constexpr std::string_view detail::name_of_structure<Array<T>> = detail::name_of_structure<T>;
template <class T>
inline constexpr bool detail::has_unsteady_bytes<Array<T>> = detail::has_unsteady_bytes<T>;
template <class T>
inline constexpr bool detail::has_unsteady_bytes<ArrayView<T>> =
    detail::has_unsteady_bytes<std::remove_const_t<T>>;

/// The array in the bytes of a stored value, in place: for values that are read without a copy. The bytes
/// must outlive the view. Errors, which name no key: wrong_type (no array, or of elements of another size, or
/// a bool that is neither 0 nor 1), invalid_argument (the bytes are not aligned as the elements need it).
template <class T>
requires detail::ArrayElement<T> Result<ArrayView<const T>> array_in(std::span<const std::byte> bytes) {
    const Result<Shape> shape = detail::ArrayHeader::read(bytes, sizeof(T));
    if (!shape) return shape.error();
    const std::byte* elements = bytes.data() + detail::ArrayHeader::bytes(shape->rank());
    if (reinterpret_cast<std::uintptr_t>(elements) % alignof(T) != 0)
        return Error(Errc::invalid_argument, "the bytes of the array are not aligned");
    const std::span<const std::byte> data = bytes.subspan(detail::ArrayHeader::bytes(shape->rank()));
    if (const Result<void> good = detail::check_bools<T>(data); !good) return good.error();
    return ArrayView<const T>(reinterpret_cast<const T*>(elements), *shape);
}

/// The array that is a value of a frozen dictionary, where it lies. The value must outlive the view. Errors:
/// wrong_type, and those of FrozenValue::try_bytes().
template <class T>
requires detail::ArrayElement<T> Result<ArrayView<const T>> array_in(const FrozenValue& value) {
    if (const Result<void> fits =
            detail::check_type(value.value_type(), Codec<Array<T>>::type, detail::name_of_structure<T>);
        !fits)
        return value.name_error(fits.error());
    const Result<std::span<const std::byte>> bytes = value.try_bytes();
    if (!bytes) return bytes.error();
    Result<ArrayView<const T>> array = array_in<T>(*bytes);
    if (!array) array.error() = value.name_error(array.error());
    return array;
}

/// To put from memory of the caller's; get_into() reads into it.
template <class T>
struct Codec<ArrayView<T>> {
    using Value = std::remove_const_t<T>;
    static constexpr std::uint16_t type = detail::type_of_elements<Value>(type_array, type_structure_array);
    static std::span<const std::byte> source(const ArrayView<T>& view) {
        return std::as_bytes(view.elements());
    }
    static std::vector<std::byte> encode(const ArrayView<T>& view) {
        const std::size_t header = detail::ArrayHeader::bytes(view.rank());
        const std::span<const std::byte> elements = std::as_bytes(view.elements());
        std::vector<std::byte> out;
        out.reserve(header + elements.size());
        out.resize(header);
        detail::ArrayHeader::write(out, view.shape(), sizeof(T));
        detail::append_bytes(out, elements);
        return out;
    }
};

namespace detail {

template <class T>
inline constexpr bool holds_address<ArrayView<T>> = true;

/// Receives an array of the view's shape, and copies it there when it has been judged.
template <class T>
requires(!std::is_const_v<T>) class SinkInto<ArrayView<T>> final : public ValueSink {
  public:
    explicit SinkInto(ArrayView<T>& view) : view_(view) {}
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        if (const Result<void> fits = check_type(value_type, Codec<ArrayView<T>>::type, name_of_structure<T>);
            !fits)
            return fits.error();
        const std::uint64_t expected = ArrayHeader::bytes(view_.rank()) + view_.size() * sizeof(T);
        if (bytes != expected) {
            return Error(Errc::wrong_type, "the stored array has another shape than " + view_.shape().text());
        }
        if (const Result<void> good = check_target(std::as_bytes(view_.elements())); !good)
            return good.error();
        received_.resize(bytes);
        return std::span(received_);
    }
    Result<void> finish() {
        const Result<Shape> shape = ArrayHeader::read(received_, sizeof(T));
        if (!shape) return shape.error();
        if (*shape != view_.shape()) {
            return Error(Errc::wrong_type,
                         "stored: array of " + shape->text() + ", asked: array of " + view_.shape().text());
        }
        copy_bytes(std::span(received_).subspan(ArrayHeader::bytes(shape->rank())),
                   std::as_writable_bytes(view_.elements()));
        make_bools_good(view_.elements());
        return {};
    }

  private:
    ArrayView<T>& view_;
    std::vector<std::byte> received_;
};

}  // namespace detail

}  // namespace ddict
