// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// UCX's configuration while it is being made. What counts, the first of these that says something:
//
// 1. DDICT_UCX_* in the environment;
// 2. UCX_* in the environment, or UCX's configuration file, which UCX reads itself;
// 3. what ddict chooses, with set();
// 4. UCX's own default.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ddict/result.h>
#include <ucp/api/ucp.h>

#include "os/ucx_variables.h"

namespace ddict::ucx {

class Settings {
  public:
    /// Errors: invalid_argument if UCX does not take one of DDICT_UCX_*, which it names; system.
    static Result<Settings> read();

    ucp_config_t* config() const { return config_.get(); }
    const os::Environment& environment() const { return environment_; }

    bool set_by_variable(std::string_view option) const;
    /// Whether it is the user's, the configuration file's or UCX's own; empty if there is no such option.
    std::string value(std::string_view option) const;

    /// One that is good to have: where this version of UCX does not take it, that is remembered.
    void set(const std::string& option, const std::string& value);
    /// What was not taken, for people: "UCX_TCP_MAX_POLL=1: UCX says '...'".
    std::vector<std::string> refused() && { return std::move(refused_); }

  private:
    struct Deleter {
        void operator()(ucp_config_t* config) const noexcept { ucp_config_release(config); }
    };

    Settings(ucp_config_t* config, os::Environment environment)
        : config_(config), environment_(std::move(environment)) {}
    Result<void> take(const os::UcxVariable& variable);
    ucs_status_t modify(const std::string& option, const std::string& value);

    std::unique_ptr<ucp_config_t, Deleter> config_;
    os::Environment environment_;
    std::vector<std::string> refused_;
};

}  // namespace ddict::ucx
