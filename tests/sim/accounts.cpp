// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/accounts.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace ddict::sim {
namespace {

Account open_account = Account::none;
std::array<Balance, 3> balances;

/// Stands before each allocation.
struct alignas(std::max_align_t) Note {
    std::uint64_t bytes;
    Account account;
};

void* allocate(std::size_t bytes) {
    auto* note = static_cast<Note*>(std::malloc(sizeof(Note) + bytes));
    if (note == nullptr) throw std::bad_alloc();
    *note = {.bytes = bytes, .account = open_account};
    Balance& balance = balances[static_cast<std::size_t>(open_account)];
    balance.bytes += static_cast<std::int64_t>(bytes);
    ++balance.blocks;
    return note + 1;
}

void release(void* memory) noexcept {
    if (memory == nullptr) return;
    Note* note = static_cast<Note*>(memory) - 1;
    Balance& balance = balances[static_cast<std::size_t>(note->account)];
    balance.bytes -= static_cast<std::int64_t>(note->bytes);
    --balance.blocks;
    std::free(note);
}

}  // namespace

Balance balance_of(Account account) noexcept {
    return balances[static_cast<std::size_t>(account)];
}

OnAccount::OnAccount(Account account) noexcept : before_(open_account) {
    open_account = account;
}

OnAccount::~OnAccount() {
    open_account = before_;
}

}  // namespace ddict::sim

void* operator new(std::size_t bytes) {
    return ddict::sim::allocate(bytes);
}
void* operator new[](std::size_t bytes) {
    return ddict::sim::allocate(bytes);
}
void operator delete(void* memory) noexcept {
    ddict::sim::release(memory);
}
void operator delete[](void* memory) noexcept {
    ddict::sim::release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    ddict::sim::release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    ddict::sim::release(memory);
}
