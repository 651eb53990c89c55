// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/session_log.h"

namespace ddict::manager {

void SessionLog::add(const std::string& line, Time now) {
    tick(now);
    if (left_out_ == 0 && now - since_ >= interval) {
        since_ = now;
        lines_ = 0;
    }
    if (lines_ >= lines_max || !say_(line)) {
        ++left_out_;
    } else {
        ++lines_;
    }
}

Time SessionLog::tick(Time now) {
    if (left_out_ == 0) return Time::max();
    if (now - since_ < interval) return since_ + interval;
    since_ = now;
    lines_ = 0;
    if (!say_(std::to_string(left_out_) + " more like this")) return now + interval;
    left_out_ = 0;
    return Time::max();
}

}  // namespace ddict::manager
