// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/library.h"

#include <dlfcn.h>
#include <signal.h>
#include <ucs/config/global_opts.h>
#include <ucs/debug/debug.h>
#include <ucs/debug/log_def.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <string>
#include <string_view>

#include "os/ucx_variables.h"
#include "ucx/status.h"

namespace ddict::ucx {
namespace {

/// An option of the whole library; empty if there is none of that name.
std::string option_value(const char* option) {
    std::array<char, 256> text{};
    return ucs_global_opts_get_value(option, text.data(), text.size()) == UCS_OK ? text.data() : "";
}

/// Where the shared library (or program) that holds an address begins; null if none does.
const void* home_of(const void* address) {
    Dl_info info{};
    return ::dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

/// With SA_SIGINFO those of faults, without it that of UCX_DEBUG_SIGNO.
void restore_signals() {
    const bool faults_wanted =
        std::getenv("UCX_HANDLE_ERRORS") != nullptr || std::getenv("UCX_ERROR_SIGNALS") != nullptr;
    const bool debug_wanted = std::getenv("UCX_DEBUG_SIGNO") != nullptr;
    const void* ucs = home_of(reinterpret_cast<const void*>(&ucs_debug_disable_signal));
    if (ucs == nullptr) return;
    for (int number = 1; number <= SIGRTMAX; ++number) {
        struct sigaction action {};
        if (::sigaction(number, nullptr, &action) != 0) continue;
        const bool of_fault = (action.sa_flags & SA_SIGINFO) != 0;
        if (of_fault ? faults_wanted : debug_wanted) continue;
        if (!of_fault && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) continue;
        const void* handler = of_fault ? reinterpret_cast<const void*>(action.sa_sigaction)
                                       : reinterpret_cast<const void*>(action.sa_handler);
        if (home_of(handler) == ucs) ucs_debug_disable_signal(number);
    }
}

/// A line in one write, so that those of several threads do not mix.
ucs_log_func_rc_t log_to_standard_error(const char* file, unsigned line, const char*, ucs_log_level_t level,
                                        const ucs_log_component_config_t*, const char* format,
                                        std::va_list arguments) {
    std::array<char, 1024> text;
    const char* slash = std::strrchr(file, '/');
    const char* name = level < UCS_LOG_LEVEL_LAST ? ucs_log_level_names[level] : "PRINT";
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const int begun = std::snprintf(
        text.data(), text.size(), "[%lld.%06ld] [%d] UCX %s %s:%u  ", static_cast<long long>(now.tv_sec),
        now.tv_nsec / 1000, static_cast<int>(::getpid()), name, slash != nullptr ? slash + 1 : file, line);
    std::size_t used = std::min(static_cast<std::size_t>(std::max(begun, 0)), text.size() - 2);
    const int more = std::vsnprintf(text.data() + used, text.size() - 1 - used, format, arguments);
    used = std::min(used + static_cast<std::size_t>(std::max(more, 0)), text.size() - 2);
    text[used++] = '\n';
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), used);
    return UCS_LOG_FUNC_RC_STOP;
}

/// The environment is read when UCX is loaded, so the options themselves are set. UCX has its log file open
/// by then, and the option would come too late: a handler of ours goes before UCX's.
void restrain_log() {
    if (std::getenv("UCX_LOG_FILE") == nullptr) ucs_log_push_handler(&log_to_standard_error);
    const auto level = os::ucx_variable(os::environment_of_this_process(), "LOG_LEVEL");
    if (level && ucs_global_opts_set_value("LOG_LEVEL", level->value.c_str()) != UCS_OK) {
        // Settings::read() says so, to a caller.
        ucs_global_opts_set_value("LOG_LEVEL", "FATAL");
    }
    if (!level && option_value("LOG_LEVEL") == "WARN") ucs_global_opts_set_value("LOG_LEVEL", "FATAL");
}

/// The first error that UCX logs in this thread, while one is looked for.
thread_local std::string* first_logged = nullptr;

ucs_log_func_rc_t keep_first(const char*, unsigned, const char*, ucs_log_level_t level,
                             const ucs_log_component_config_t*, const char* format, std::va_list arguments) {
    if (first_logged == nullptr) return UCS_LOG_FUNC_RC_CONTINUE;
    std::array<char, 256> text{};
    if (level <= UCS_LOG_LEVEL_ERROR && first_logged->empty() &&
        std::vsnprintf(text.data(), text.size(), format, arguments) > 0)
        *first_logged = text.data();
    return UCS_LOG_FUNC_RC_STOP;
}

// Also where the library is only loaded and never used. The libraries that it needs have been set up by then.
[[maybe_unused]] const bool restrained_at_load = [] {
    restrain_library();
    return true;
}();

}  // namespace

void restrain_library() {
    [[maybe_unused]] static const bool done = [] {
        restore_signals();
        restrain_log();
        return true;
    }();
}

Result<void> call_ucx(std::string_view doing, const std::function<ucs_status_t()>& call) {
    ucs_status_t status = call();
    if (status == UCS_OK) return {};
    std::string logged;
    if (status == UCS_ERR_INVALID_PARAM) {
        static std::mutex one_at_a_time;
        const std::lock_guard<std::mutex> lock(one_at_a_time);
        const std::string level = option_value("LOG_LEVEL");
        ucs_global_opts_set_value("LOG_LEVEL", "ERROR");
        ucs_log_push_handler(&keep_first);
        first_logged = &logged;
        status = call();
        first_logged = nullptr;
        ucs_log_pop_handler();
        ucs_global_opts_set_value("LOG_LEVEL", level.c_str());
        if (status == UCS_OK) return {};
    }
    const std::string what(doing);
    if (logged.empty()) return to_error(status, what);
    return Error(Errc::system, what + ": UCX refuses a setting (DDICT_UCX_*, UCX_*): " + logged);
}

SignalsBlocked::SignalsBlocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace ddict::ucx
