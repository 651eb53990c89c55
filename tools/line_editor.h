// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ddict::tools {

/// What a word that is being written can become: each in place of all of `replaced`, the end of the line
/// before the cursor.
struct Completions {
    std::string replaced{};
    std::vector<std::string> all{};    ///< as they are written, quotes and all
    std::vector<std::string> shown{};  ///< as they are listed
};

/// Reads lines from the standard input; where that is a terminal, and ddict is built with libedit, with
/// editing, history and completion.
class LineEditor {
  public:
    using Complete = std::function<Completions(const std::string& before_cursor)>;

    virtual ~LineEditor() = default;
    /// Without its end; nothing when there are no more. After an interrupt it is empty.
    virtual std::optional<std::string> read() = 0;
    /// To be found again, also by a later one that reads the same file.
    virtual void remember(const std::string& line) = 0;

    /// `history`: a file that may be missing; empty: none.
    static std::unique_ptr<LineEditor> make(const std::string& prompt, const std::string& history,
                                            Complete complete);
};

}  // namespace ddict::tools
