// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/named_dictionary.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

constexpr std::array<std::string_view, 2> options{"--job", "--name"};

}  // namespace

bool names_dictionary(const Arguments& arguments) {
    if (!arguments.has("--job") && !arguments.has("--name")) return false;
    if (arguments.has("--handle") || arguments.has("--handle-file"))
        throw UsageError("a handle is of one dictionary: leave out --job and --name, or the handle");
    return true;
}

void become_within_dictionary(const Arguments& arguments) {
    std::error_code error;
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
    const std::string launch = self.parent_path() / "ddict-launch";
    std::vector<std::string> words{"ddict-launch", "exec"};
    for (const std::string_view option : options) {
        if (const auto value = arguments.value(option)) words.push_back(std::string(option) + "=" + *value);
    }
    words.insert(words.end(), {"--", self.string()});
    const std::vector<std::string> rest = arguments.words_without(options);
    words.insert(words.end(), rest.begin(), rest.end());
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    pointers.push_back(nullptr);
    ::execv(launch.c_str(), pointers.data());
    throw std::runtime_error("cannot run " + launch +
                             ", which knows dictionaries by name: " + std::strerror(errno));
}

}  // namespace ddict::tools
