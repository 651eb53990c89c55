// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/record.h>

#include <algorithm>
#include <utility>

namespace ddict {

Writer& Writer::field_bytes(std::uint16_t type, std::span<const std::byte> bytes) {
    out_.resize(detail::aligned(out_.size()));
    detail::append_number(out_, std::uint64_t{type});
    detail::append_number(out_, std::uint64_t{bytes.size()});
    detail::append_bytes(out_, bytes);
    return *this;
}

std::vector<std::byte> Writer::take() {
    return std::exchange(out_, {});
}

Reader::Field Reader::next_field() {
    if (good_ && rest_.size() < detail::field_header_bytes)
        fail(Error(Errc::wrong_type, rest_.empty() ? "a field is missing" : "a field that is cut off"));
    if (!good_) return {};
    Field field;
    field.type = detail::number_at<std::uint16_t>(rest_, 0);
    const auto length = detail::number_at<std::uint64_t>(rest_, 8);
    if (length > rest_.size() - detail::field_header_bytes) {
        fail(Error(Errc::wrong_type, "a field that reaches beyond the end of the record"));
        return {};
    }
    field.bytes = rest_.subspan(detail::field_header_bytes, length);
    const std::size_t whole = detail::aligned(detail::field_header_bytes + length);
    rest_ = rest_.subspan(std::min(whole, rest_.size()));
    return field;
}

}  // namespace ddict
