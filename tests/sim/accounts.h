// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who has allocated what. A program that links accounts.cpp has each of its allocations noted for the account
// that is open at the moment, and taken off that account again when it is freed, whenever that is. One
// thread.
#pragma once

#include <cstdint>

namespace ddict::sim {

enum class Account : std::uint64_t { none, managers, clients };

struct Balance {
    std::int64_t bytes = 0;  // as asked for, without what the allocator adds
    std::int64_t blocks = 0;
};
Balance balance_of(Account account) noexcept;

/// While one lives, allocations go to this account.
class OnAccount {
  public:
    explicit OnAccount(Account account) noexcept;
    ~OnAccount();
    OnAccount(const OnAccount&) = delete;
    OnAccount& operator=(const OnAccount&) = delete;

  private:
    Account before_;
};

}  // namespace ddict::sim
