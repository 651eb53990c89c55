// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A value or the Error that explains its absence. The member names are those of C++23's std::expected<T,
// Error>, which will replace it.
#pragma once

#include <concepts>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <ddict/error.h>

namespace ddict {

namespace detail {

/// The Error of a Result, or none; a pointer. A thread keeps the memory of a few errors to use it again, so
/// that a missing key allocates nothing, save the first one. After a move from one that holds an error, it
/// holds another, which says so: what has failed never looks as if it had succeeded.
class ErrorBox {
  public:
    ErrorBox() noexcept = default;
    /// Throws std::bad_alloc.
    explicit ErrorBox(const Error& error) : error_(make(error)) {}
    ErrorBox(const ErrorBox& other) : error_(other.error_ == nullptr ? nullptr : make(*other.error_)) {}
    ErrorBox(ErrorBox&& other) noexcept : error_(other.error_) {
        if (error_ != nullptr) [[unlikely]]
            other.error_ = moved_away();
    }
    ErrorBox& operator=(ErrorBox other) noexcept {
        std::swap(error_, other.error_);
        return *this;
    }
    ~ErrorBox() {
        if (error_ != nullptr) [[unlikely]]
            release(error_);
    }
    /// As after a move from one that held an error.
    static ErrorBox after_move() noexcept {
        ErrorBox box;
        box.error_ = moved_away();
        return box;
    }
    bool empty() const noexcept { return error_ == nullptr; }
    /// Requires that there is one.
    Error& operator*() const noexcept { return *error_; }

  private:
    static Error* make(const Error& error);
    static Error* moved_away() noexcept;
    static void release(Error* error) noexcept;
    Error* error_ = nullptr;
};

/// What says yes or no by itself: a Result of it is no condition, which would be true for "no".
template <class T>
inline constexpr bool is_yes_or_no = std::is_same_v<T, bool>;
template <class T>
inline constexpr bool is_yes_or_no<std::optional<T>> = true;

}  // namespace detail

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : value_(std::move(value)), has_value_(true) {}
    Result(const Error& error) : error_(error), has_value_(false) {}
    Result(const Result& other) requires std::copy_constructible<T> : has_value_(other.has_value_) {
        construct(other);
    }
    /// The other has still a value, or still fails.
    Result(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) : has_value_(other.has_value_) {
        construct(std::move(other));
    }
    Result& operator=(Result other) noexcept(std::is_nothrow_move_constructible_v<T>) {
        end();
        has_value_ = false;
        if (!other.has_value_) {
            ::new (&error_) detail::ErrorBox(std::move(other.error_));
        } else if constexpr (std::is_nothrow_move_constructible_v<T>) {
            construct_value(std::move(other.value_));
        } else {
            try {
                construct_value(std::move(other.value_));
            } catch (...) {
                ::new (&error_) detail::ErrorBox(detail::ErrorBox::after_move());
                throw;
            }
        }
        return *this;
    }
    ~Result() { end(); }

    bool has_value() const noexcept { return has_value_; }
    explicit operator bool() const noexcept requires(!detail::is_yes_or_no<T>) { return has_value_; }
    explicit operator bool() const requires detail::is_yes_or_no<T>  // has_value(), or the value?
    = delete;

    /// Requires has_value().
    T& operator*() & noexcept { return value_; }
    const T& operator*() const& noexcept { return value_; }
    T&& operator*() && noexcept { return std::move(value_); }
    T* operator->() noexcept { return &value_; }
    const T* operator->() const noexcept { return &value_; }

    /// The value, or throws Exception.
    T& value() & {
        check();
        return value_;
    }
    const T& value() const& {
        check();
        return value_;
    }
    T&& value() && {
        check();
        return std::move(value_);
    }

    template <class U>
    T value_or(U&& other) && {
        return has_value_ ? std::move(value_) : static_cast<T>(std::forward<U>(other));
    }

    /// Requires !has_value().
    const Error& error() const noexcept { return *error_; }
    Error& error() noexcept { return *error_; }

  private:
    void check() const {
        if (!has_value_) throw Exception(error());
    }
    template <class U>
    void construct_value(U&& value) {
        ::new (static_cast<void*>(&value_)) T(std::forward<U>(value));
        has_value_ = true;
    }
    template <class Other>
    void construct(Other&& other) {
        if (has_value_) {
            ::new (static_cast<void*>(&value_)) T(std::forward<Other>(other).value_);
        } else {
            ::new (&error_) detail::ErrorBox(std::forward<Other>(other).error_);
        }
    }
    void end() noexcept {
        if (has_value_) {
            value_.~T();
        } else {
            error_.~ErrorBox();
        }
    }

    union {
        T value_;
        detail::ErrorBox error_;
    };
    bool has_value_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() noexcept = default;
    Result(const Error& error) : error_(error) {}

    bool has_value() const noexcept { return error_.empty(); }
    explicit operator bool() const noexcept { return error_.empty(); }
    void value() const {
        if (!error_.empty()) throw Exception(*error_);
    }
    /// Requires !has_value().
    const Error& error() const noexcept { return *error_; }
    Error& error() noexcept { return *error_; }

  private:
    detail::ErrorBox error_;
};

// The error costs a result no more than two pointers.
static_assert(sizeof(Result<void>) <= 2 * sizeof(void*) && sizeof(Result<char>) <= 1 + 2 * sizeof(void*) &&
              sizeof(Result<double>) <= sizeof(double) + 2 * sizeof(void*));

}  // namespace ddict
