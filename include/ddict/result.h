// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A value or the Error that explains its absence. The member names are those of C++23's std::expected<T,
// Error>, which will replace it.
#pragma once

#include <utility>
#include <variant>

#include <ddict/error.h>

namespace ddict {

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(const Error& error) : state_(std::in_place_index<1>, error) {}

    bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// Requires has_value().
    T& operator*() & noexcept { return *std::get_if<0>(&state_); }
    const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
    T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    T* operator->() noexcept { return std::get_if<0>(&state_); }
    const T* operator->() const noexcept { return std::get_if<0>(&state_); }

    /// The value, or throws Exception.
    T& value() & {
        check();
        return **this;
    }
    const T& value() const& {
        check();
        return **this;
    }
    T&& value() && {
        check();
        return std::move(**this);
    }

    template <class U>
    T value_or(U&& other) && {
        return has_value() ? std::move(**this) : static_cast<T>(std::forward<U>(other));
    }

    /// Requires !has_value().
    const Error& error() const noexcept { return *std::get_if<1>(&state_); }
    Error& error() noexcept { return *std::get_if<1>(&state_); }

  private:
    void check() const {
        if (!has_value()) throw Exception(error());
    }

    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() noexcept : failed_(false) {}
    Result(const Error& error) noexcept : error_(error), failed_(true) {}

    bool has_value() const noexcept { return !failed_; }
    explicit operator bool() const noexcept { return !failed_; }
    void value() const {
        if (failed_) throw Exception(error_);
    }
    const Error& error() const noexcept { return error_; }
    Error& error() noexcept { return error_; }

  private:
    Error error_;
    bool failed_;
};

}  // namespace ddict
