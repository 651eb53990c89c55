// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/stream_rendezvous.h"

#include "base/limits.h"

namespace ddict::launcher {

Result<std::vector<std::string>> StreamRendezvous::exchange(std::string_view key, std::string_view mine,
                                                            const std::function<bool()>& cancelled) {
    const std::string what = "the exchange '" + std::string(key) + "'";
    if (mine.size() > limits::contribution_bytes_max)
        return Error(Errc::too_large, what + ": more than the launcher passes on")
            .set_operation(Operation::launch)
            .set_bytes(mine.size(), limits::contribution_bytes_max);
    inbox_.emplace(key, count_);
    for (const std::string& line : format_contribution(identity_.event(Event::Kind::part), key, mine))
        streams_.say(line);
    while (!trouble_ && !inbox_->is_complete()) {
        if (cancelled())
            return Error(Errc::timeout, what + " was cancelled while it waited for the other node launchers")
                .set_operation(Operation::launch);
        streams_.listen();
    }
    if (trouble_) return *trouble_;
    std::vector<std::string> all = inbox_->take_all();
    inbox_.reset();
    return all;
}

void StreamRendezvous::hear(std::string_view line) {
    if (trouble_) return;
    if (!inbox_)
        trouble_ = Error(Errc::protocol, "the launcher sent an answer to an exchange that is not under way")
                       .set_operation(Operation::launch);
    else if (const auto taken = inbox_->take(line); !taken)
        trouble_ = taken.error();
}

}  // namespace ddict::launcher
