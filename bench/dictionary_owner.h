// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The process that creates the dictionary to be measured and destroys it again. It sleeps while others work.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ddict/dictionary.h>

#include "bench/team.h"

namespace ddict::bench {

struct OwnerOptions {
    bool attach = false;  ///< to the dictionary of the environment, instead of creating one
    std::uint32_t managers = 1;
    std::uint64_t total_bytes = 0;
    std::uint32_t working_set = 0;  ///< 0: 1
};

class DictionaryOwner final : public Role {
  public:
    explicit DictionaryOwner(const OwnerOptions& options) : options_(options) {}

    void prepare(const Phase&) override {}
    std::string run(const Phase& phase, Tally& tally) override;

  private:
    OwnerOptions options_;
    std::optional<Dictionary> dictionary_;
};

/// What the owner's Task::describe tells, as JSON in its text.
std::string describe(const std::vector<ManagerStats>& managers);
std::vector<ManagerStats> parse_description(const std::string& text);

}  // namespace ddict::bench
