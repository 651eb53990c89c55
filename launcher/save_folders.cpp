// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/save_folders.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include "launcher/launch_loop.h"

namespace ddict::launcher {
namespace {

Error about(const std::string& folder, const Error& error) {
    return Error(error.code, "cannot save to " + folder + ": " + reason(error) +
                                 (error.code == Errc::busy
                                      ? "; wait until it has ended, or choose another folder or --name"
                                      : ""))
        .set_operation(Operation::launch);
}

}  // namespace

Result<SaveFolders> SaveFolders::take(const Options& options, const os::Environment& environment) {
    SaveFolders taken;
    for (const std::string& folder : {options.verb == Verb::run ? options.save : "",
                                      options.persist.read_only ? "" : options.persist.path}) {
        if (folder.empty()) continue;
        if (const Result<void> ready = prepare_save_folder(folder); !ready) return ready.error();
        const auto is_same = [&](const auto& other) {
            std::error_code unknown;
            return std::filesystem::equivalent(folder, other.first, unknown);
        };
        if (std::any_of(taken.folders_.begin(), taken.folders_.end(), is_same)) continue;
        Result<SaveFolder> one = SaveFolder::take(folder, options.name, environment);
        if (!one) return about(folder, one.error());
        taken.folders_.emplace_back(folder, *std::move(one));
    }
    return taken;
}

Result<void> SaveFolders::check() const {
    for (const auto& [folder, one] : folders_) {
        if (const Result<void> own = one.check(); !own) return about(folder, own.error());
    }
    return {};
}

std::vector<int> SaveFolders::fds() const {
    std::vector<int> fds;
    for (const auto& [folder, one] : folders_)
        fds.push_back(one.fd());
    return fds;
}

std::vector<std::string> SaveFolders::take_notices() {
    std::vector<std::string> notices;
    for (auto& [folder, one] : folders_) {
        if (const std::optional<std::string> taken = one.take_notice())
            notices.push_back(*taken +
                              ", which the locks of its file system did not prevent: saves mix, and where "
                              "older ones are removed, those of the other go as well");
    }
    return notices;
}

}  // namespace ddict::launcher
