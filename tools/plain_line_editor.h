// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "tools/line_editor.h"

namespace ddict::tools {

/// The terminal's own editing, or none.
class PlainLineEditor final : public LineEditor {
  public:
    explicit PlainLineEditor(std::string prompt) : prompt_(std::move(prompt)) {}
    std::optional<std::string> read() override;
    void remember(const std::string&) override {}

  private:
    std::string prompt_;  // empty: none
    std::string buffer_;
    bool has_ended_ = false;
};

}  // namespace ddict::tools
