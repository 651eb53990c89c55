// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/settings.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "ucx/context.h"
#include "ucx/library.h"

namespace ddict::ucx {
namespace {

/// What UCX looks at while it is loaded, and only under its own name.
constexpr std::array<std::string_view, 10> read_at_load{
    "CONFIG_DIR",      "DEBUG_SIGNO",   "ERROR_SIGNALS", "HANDLE_ERRORS", "LOG_FILE",
    "LOG_FILE_ROTATE", "LOG_FILE_SIZE", "MODULE_DIR",    "MODULES",       "VFS_ENABLE"};

bool is_read_at_load(std::string_view option) {
    // MEM_*: the hooks into the program's memory.
    return option.starts_with("MEM_") ||
           std::find(read_at_load.begin(), read_at_load.end(), option) != read_at_load.end();
}

}  // namespace

Result<Settings> Settings::read() {
    ucp_config_t* config = nullptr;
    const Result<void> read =
        call_ucx("reading UCX's configuration", [&] { return ucp_config_read(nullptr, nullptr, &config); });
    if (!read) return read.error();
    Settings settings(config, os::environment_of_this_process());
    for (const os::UcxVariable& variable : os::own_ucx_variables(settings.environment_)) {
        if (const Result<void> taken = settings.take(variable); !taken) return taken.error();
    }
    return settings;
}

/// UCX has a prefix for such variables, too (ucp_config_read), but its options of transports and those of the
/// whole library know nothing of it.
Result<void> Settings::take(const os::UcxVariable& variable) {
    const std::string text = variable.name + "=" + variable.value;
    if (is_read_at_load(variable.option))
        return Error(Errc::invalid_argument,
                     text + ": UCX reads this option while it is loaded, and only as UCX_" + variable.option);
    if (const ucs_status_t status = modify(variable.option, variable.value); status != UCS_OK)
        return Error(Errc::invalid_argument, text + ": UCX " + ucp_get_version_string() +
                                                 " does not take it and says '" + ucs_status_string(status) +
                                                 "'");
    return {};
}

/// Before 1.17 UCX knows the options of a transport without the transport's name, then with it. What they do
/// not know some versions refuse, and others keep without a word.
ucs_status_t Settings::modify(const std::string& option, const std::string& value) {
    constexpr std::string_view transport = "TCP_";
    const ucs_status_t status = ucp_config_modify(config_.get(), option.c_str(), value.c_str());
    if (!option.starts_with(transport)) return status;
    const std::string without = option.substr(transport.size());
    const ucs_status_t other = ucp_config_modify(config_.get(), without.c_str(), value.c_str());
    return other == UCS_OK ? UCS_OK : status;
}

void Settings::set(const std::string& option, const std::string& value) {
    if (const ucs_status_t status = modify(option, value); status != UCS_OK)
        refused_.push_back("UCX_" + option + "=" + value + ": UCX says '" + ucs_status_string(status) + "'");
}

bool Settings::set_by_variable(std::string_view option) const {
    return os::ucx_variable(environment_, option).has_value();
}

std::string Settings::value(std::string_view option) const {
    // UCX prints long values cut.
    if (const auto variable = os::ucx_variable(environment_, option)) return variable->value;
    const std::string line = "\nUCX_" + std::string(option) + "=";
    const std::string text = "\n" + printed([this](std::FILE* stream) {
                                 ucp_config_print(config_.get(), stream, nullptr, UCS_CONFIG_PRINT_CONFIG);
                             });
    const std::size_t at = text.find(line);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + line.size();
    return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace ddict::ucx
