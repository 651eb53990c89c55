// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/plain_line_editor.h"

#include <utility>

#include "tools/standard_streams.h"

namespace ddict::tools {

std::optional<std::string> PlainLineEditor::read() {
    constexpr std::size_t piece = 4096;
    if (!prompt_.empty()) {
        print(prompt_);
        finish_output();
    }
    for (;;) {
        if (const std::size_t end = buffer_.find('\n'); end != buffer_.npos) {
            std::string line = buffer_.substr(0, end);
            buffer_.erase(0, end + 1);
            return line;
        }
        if (has_ended_) {
            if (!prompt_.empty()) print("\n");
            return buffer_.empty() ? std::nullopt : std::optional(std::exchange(buffer_, {}));
        }
        const std::size_t before = buffer_.size();
        buffer_.resize(before + piece);
        const std::size_t got = read_input_some(buffer_.data() + before, piece);
        buffer_.resize(before + got);
        has_ended_ = got == 0;
    }
}

}  // namespace ddict::tools
