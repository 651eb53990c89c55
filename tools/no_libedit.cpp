// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// In place of libedit_line_editor.cpp where libedit is not there.
#include <unistd.h>

#include "tools/plain_line_editor.h"

namespace ddict::tools {

std::unique_ptr<LineEditor> LineEditor::make(const std::string& prompt, const std::string&, Complete) {
    return std::make_unique<PlainLineEditor>(::isatty(STDIN_FILENO) != 0 ? prompt : std::string());
}

}  // namespace ddict::tools
