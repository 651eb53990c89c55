// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/reason.h"

namespace ddict::samehost {

std::vector<std::byte> pack_reason(const Error& why) {
    std::vector<std::byte> packed;
    Packer(packed).put(why.code).put(why.manager_state).put_text(why.detail.data());
    return packed;
}

std::optional<Error> unpack_reason(Bytes packed) {
    Unpacker in(packed);
    const auto code = in.take<std::underlying_type_t<Errc>>();
    const auto state = in.take<std::uint8_t>();
    const Bytes text = in.take_bytes();
    const bool is_sound = in.good() && in.at_end() && code != 0 && code <= errc_last &&
                          state <= static_cast<std::uint8_t>(ManagerState::ended) &&
                          text.size() < sizeof(Error::detail);
    if (!is_sound) return std::nullopt;
    return Error(Errc{code}, text_of(text)).set_state(ManagerState{state});
}

}  // namespace ddict::samehost
