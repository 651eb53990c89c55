// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Owners of what PMIx allocates: values, and arrays of directives.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pmix.h>

namespace ddict::pmix {

/// A value that PMIx has returned to its caller.
struct ValueRelease {
    void operator()(pmix_value_t* value) const noexcept { PMIX_VALUE_RELEASE(value); }
};
using ValuePtr = std::unique_ptr<pmix_value_t, ValueRelease>;

/// A value made of bytes, which it copies.
class BytesValue {
  public:
    explicit BytesValue(std::string_view bytes) {
        pmix_byte_object_t object{const_cast<char*>(bytes.data()), bytes.size()};
        PMIX_VALUE_CONSTRUCT(&value_);
        PMIX_VALUE_LOAD(&value_, &object, PMIX_BYTE_OBJECT);
    }
    ~BytesValue() { PMIX_VALUE_DESTRUCT(&value_); }
    BytesValue(const BytesValue&) = delete;
    BytesValue& operator=(const BytesValue&) = delete;

    pmix_value_t* get() noexcept { return &value_; }

  private:
    pmix_value_t value_;
};

/// The bytes of a value, in place; none if it is of another type.
inline std::optional<std::string_view> bytes_in(const pmix_value_t& value) noexcept {
    if (value.type != PMIX_BYTE_OBJECT) return std::nullopt;
    return std::string_view(value.data.bo.bytes, value.data.bo.size);
}

/// Directives and attributes for a call.
class Infos {
  public:
    Infos() = default;
    ~Infos() {
        for (pmix_info_t& info : infos_)
            PMIX_INFO_DESTRUCT(&info);
    }
    Infos(const Infos&) = delete;
    Infos& operator=(const Infos&) = delete;

    Infos& add(const char* key, bool value) { return load(key, &value, PMIX_BOOL); }
    Infos& add(const char* key, std::uint32_t value) { return load(key, &value, PMIX_UINT32); }
    Infos& add(const char* key, const std::string& value) { return load(key, value.c_str(), PMIX_STRING); }
    /// Any other type; PMIx copies what data points to.
    Infos& load(const char* key, const void* data, pmix_data_type_t type) {
        pmix_info_t& info = infos_.emplace_back();
        PMIX_INFO_CONSTRUCT(&info);
        PMIX_INFO_LOAD(&info, key, data, type);
        return *this;
    }

    pmix_info_t* data() noexcept { return infos_.data(); }
    std::size_t size() const noexcept { return infos_.size(); }

  private:
    std::vector<pmix_info_t>
        infos_;  // moved bytewise when it grows: a pmix_info_t has no pointers into itself
};

}  // namespace ddict::pmix
