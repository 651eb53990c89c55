// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The port through which the node launchers of one dictionary meet while they come up. PMIx implements it
// under a resource manager; a rendezvous of one needs nobody.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

namespace ddict {

class Rendezvous {
  public:
    virtual ~Rendezvous() = default;

    /// This process's place among the node launchers: 0 <= index() < count().
    virtual std::uint32_t index() const = 0;
    virtual std::uint32_t count() const = 0;

    /// Collective: gives `mine` to all and returns everyone's, by index. `key` names this exchange and is
    /// used once in the life of the rendezvous. Returns an error at once when `cancelled` says so (asked
    /// about every 10 ms).
    virtual Result<std::vector<std::string>> exchange(std::string_view key, std::string_view mine,
                                                      const std::function<bool()>& cancelled) = 0;
    /// Collective, and the last call: the peers are no longer needed, and their deaths no longer matter.
    virtual Result<void> leave() = 0;
};

/// A rendezvous of one.
class LoneRendezvous final : public Rendezvous {
  public:
    std::uint32_t index() const override { return 0; }
    std::uint32_t count() const override { return 1; }
    Result<std::vector<std::string>> exchange(std::string_view, std::string_view mine,
                                              const std::function<bool()>&) override {
        return std::vector<std::string>{std::string(mine)};
    }
    Result<void> leave() override { return {}; }
};

}  // namespace ddict
