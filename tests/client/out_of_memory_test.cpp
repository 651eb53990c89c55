// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A client whose own memory does not suffice for a value: the call says so at once, the manager, which has
// done its part, is not blamed, and nothing is lost.
#include <ddict/dictionary.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tests/client/segments.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::size_t value_bytes = 40 << 20;

/// While it lives, this process gets `bytes` more of address space at the most.
class LittleMemory {
  public:
    explicit LittleMemory(std::uint64_t bytes) {
        EXPECT_EQ(::getrlimit(RLIMIT_AS, &before_), 0);
        std::uint64_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        EXPECT_GT(pages, 0u);
        const rlimit little{pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + bytes,
                            before_.rlim_max};
        EXPECT_EQ(::setrlimit(RLIMIT_AS, &little), 0);
    }
    ~LittleMemory() { ::setrlimit(RLIMIT_AS, &before_); }
    LittleMemory(const LittleMemory&) = delete;
    LittleMemory& operator=(const LittleMemory&) = delete;

  private:
    rlimit before_{};
};

template <class T>
Result<void> end_of(const Result<T>& result) {
    if (!result.has_value()) return result.error();
    return {};
}

struct Call {
    const char* name;
    Result<void> (*make)(const View& view, const std::string& key);
};

const Call calls[] = {
    {"get", [](const View& view, const std::string& key) { return end_of(view.try_get(key)); }},
    {"get_async",
     [](const View& view, const std::string& key) { return end_of(view.get_async(key).try_wait()); }},
    {"wait_for", [](const View& view, const std::string& key) { return end_of(view.try_wait_for(key)); }},
    {"pop", [](const View& view, const std::string& key) { return end_of(view.try_pop(key)); }},
    {"bget", [](const View& view, const std::string& key) { return end_of(view.try_bget(key)); }},
    {"multi_get",
     [](const View& view, const std::string& key) -> Result<void> {
         try {
             view.multi_get(std::vector{key});
         } catch (const Exception& thrown) {
             return thrown.error();
         }
         return {};
     }},
    {"items",
     [](const View& view, const std::string&) -> Result<void> {
         try {
             for (const auto& item : view.items())
                 static_cast<void>(item);
         } catch (const Exception& thrown) {
             return thrown.error();
         }
         return {};
     }},
    {"view_frozen",
     [](const View& view, const std::string& key) { return end_of(view.try_view_frozen(key)); }},
};

enum class Reads { by_message, from_memory };

/// The call, how it reads, and how many bytes it can have.
class ClientOutOfMemory : public ::testing::TestWithParam<std::tuple<Call, Reads, std::uint64_t>> {
  protected:
    static void SetUpTestSuite() {
        segments_before_ = segments();
        dict_ = std::make_unique<Dictionary>(Dictionary::create({.total_mem = 256 << 20}));
        by_message_ =
            std::make_unique<Dictionary>(Dictionary::attach(dict_->serialize(), {.local_reads = false}));
        dict_->put("big", std::string(value_bytes, 'x'));
    }
    static void TearDownTestSuite() {
        by_message_.reset();
        dict_->destroy();
        dict_.reset();
        EXPECT_EQ(segments(), segments_before_);
    }

    static inline std::unique_ptr<Dictionary> dict_;
    static inline std::unique_ptr<Dictionary> by_message_;
    static inline std::set<std::string> segments_before_;
};

TEST_P(ClientOutOfMemory, IsToldAtOnceAndNothingIsLost) {
    const auto& [call, reads, bytes] = GetParam();
    const Dictionary& dict = reads == Reads::by_message ? *by_message_ : *dict_;
    ASSERT_TRUE(dict.contains("big"));  // its manager is known, and its pool is mapped
    const auto start = steady_clock::now();
    Result<void> outcome;
    {
        const LittleMemory little(bytes);
        outcome = call.make(dict.within(30s), "big");
    }
    EXPECT_LT(steady_clock::now() - start, 10s);
    ASSERT_FALSE(outcome);
    const Error& error = outcome.error();
    if (std::string(call.name) == "view_frozen") {  // which needs no memory: it is not frozen
        EXPECT_NE(error.code, Errc::timeout) << error.message();
    } else {
        EXPECT_EQ(error.code, Errc::system) << error.message();
        EXPECT_NE(error.message().find("no memory is left to receive"), std::string::npos) << error.message();
        EXPECT_EQ(error.manager, 0u) << error.message();
        EXPECT_NE(error.message().find("big"), std::string::npos) << error.message();
        EXPECT_NE(error.manager_state, ManagerState::silent) << error.message();
    }
    EXPECT_FALSE(error.in_doubt) << error.message();
    EXPECT_EQ(dict_->get("big"), std::string(value_bytes, 'x'));
    EXPECT_EQ(dict.size(), 1u);
}

std::string name_of(const ::testing::TestParamInfo<ClientOutOfMemory::ParamType>& test) {
    const auto& [call, reads, bytes] = test.param;
    return std::string(call.name) + (reads == Reads::by_message ? "_by_message_" : "_from_memory_") +
           std::to_string(bytes);
}

INSTANTIATE_TEST_SUITE_P(Calls, ClientOutOfMemory,
                         ::testing::Combine(::testing::ValuesIn(calls),
                                            ::testing::Values(Reads::by_message, Reads::from_memory),
                                            ::testing::Values(0, 8 << 20)),
                         name_of);

}  // namespace
}  // namespace ddict
