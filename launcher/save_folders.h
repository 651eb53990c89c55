// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <ddict/result.h>

#include "launcher/options.h"
#include "launcher/save_folder.h"

namespace ddict::launcher {

/// The folders of --save and --persist-path, which may be one: this ddict-launch has them under its
/// dictionary's name. For one thread.
class SaveFolders {
  public:
    /// Those that the options name; none is a good number too. Errors: those of prepare_save_folder() and
    /// SaveFolder::take(), with the folder.
    static Result<SaveFolders> take(const Options& options, const os::Environment& environment);

    /// Errors: busy, if another one has written there meanwhile; system.
    Result<void> check() const;
    /// To be polled for input: then another one has been found to have one of them.
    std::vector<int> fds() const;
    /// What is to be said about that, once.
    std::vector<std::string> take_notices();

  private:
    std::vector<std::pair<std::string, SaveFolder>> folders_;
};

}  // namespace ddict::launcher
