// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The type numbers of what programs in Python store beside the types of <ddict/value_type.h>. Other programs
// can read such values as bytes; docs/values.md has what they are.
#pragma once

#include <cstdint>

namespace ddict {

inline constexpr std::uint16_t type_none = 0x0700;           ///< None: no bytes
inline constexpr std::uint16_t type_large_integer = 0x0701;  ///< two's complement, as long as it must be
inline constexpr std::uint16_t type_datetime = 0x0702;       ///< text of ISO 8601
inline constexpr std::uint16_t type_numpy_array = 0x0703;  ///< a record: element type, order, shape, elements
inline constexpr std::uint16_t type_pickle = 0x0704;       ///< a record: a pickle of Python, and its buffers

}  // namespace ddict
