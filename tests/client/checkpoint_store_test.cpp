// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints in a store of the program's own.
#include <ddict/checkpoint_store.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <ddict/dictionary.h>

#include "tests/client/shared_dictionary.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

using Ids = std::vector<std::uint32_t>;
using Content = std::vector<std::byte>;

/// In this process's memory; fails when it is told to.
class MemoryStore final : public CheckpointStore {
  public:
    Result<std::unique_ptr<Object>> create(const std::string& name) override {
        const std::lock_guard lock(mutex_);
        if (objects_.contains(name)) return Error(Errc::busy, name);
        return std::unique_ptr<Object>(std::make_unique<Writer>(*this, name));
    }
    Result<std::uint64_t> size(const std::string& name) override {
        const std::lock_guard lock(mutex_);
        if (const Result<void> good = use(); !good) return good.error();
        const auto found = objects_.find(name);
        if (found == objects_.end()) return Error(Errc::not_found, name);
        return std::uint64_t{found->second.size()};
    }
    Result<void> read(const std::string& name, std::uint64_t offset, std::span<std::byte> into) override {
        const std::lock_guard lock(mutex_);
        if (const Result<void> good = use(); !good) return good;
        const Content& content = objects_.at(name);
        EXPECT_LE(offset + into.size(), content.size()) << "never asked for more than there is";
        std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
        return {};
    }
    Result<std::vector<std::string>> list(const std::string& prefix) override {
        const std::lock_guard lock(mutex_);
        if (const Result<void> good = use(); !good) return good.error();
        std::vector<std::string> names;
        for (const auto& [name, content] : objects_)
            if (name.starts_with(prefix)) names.push_back(name);
        return names;
    }
    Result<void> remove(const std::string& name) override {
        const std::lock_guard lock(mutex_);
        objects_.erase(name);
        removed_.push_back(name);
        return {};
    }

    std::vector<std::string> names() { return list("").value(); }
    Content& object(const std::string& name) { return objects_.at(name); }
    const std::vector<std::string>& removed() const { return removed_; }
    /// After so many more uses: each fails.
    void fail_after(int uses) {
        const std::lock_guard lock(mutex_);
        uses_left_ = uses;
    }

  private:
    class Writer final : public Object {
      public:
        Writer(MemoryStore& store, std::string name) : store_(store), name_(std::move(name)) {}
        Result<void> write(std::span<const std::byte> bytes) override {
            const std::lock_guard lock(store_.mutex_);
            if (const Result<void> good = store_.use(); !good) return good;
            content_.insert(content_.end(), bytes.begin(), bytes.end());
            return {};
        }
        Result<void> commit() override {
            const std::lock_guard lock(store_.mutex_);
            if (const Result<void> good = store_.use(); !good) return good;
            store_.objects_[name_] = std::move(content_);
            return {};
        }

      private:
        MemoryStore& store_;
        const std::string name_;
        Content content_;
    };

    Result<void> use() {
        if (uses_left_ < 0 || uses_left_-- > 0) return {};
        uses_left_ = 0;
        return Error(Errc::system, "the store is away");
    }

    std::mutex mutex_;
    std::map<std::string, Content> objects_;
    std::vector<std::string> removed_;
    int uses_left_ = -1;
};

class CheckpointStoreTest : public testing::Test {
  protected:
    CheckpointStoreTest() {
        CreateOptions options;
        options.managers_per_node = 2;
        options.total_mem = 64 << 20;
        options.name = "steps";
        options.working_set = 2;
        dict_.emplace(Dictionary::create(options));
        dict_->set_checkpoint_store(store_);
    }
    ~CheckpointStoreTest() override { static_cast<void>(dict_->try_destroy()); }
    void fill(const std::string& value) {
        for (int i = 0; i < 500; ++i)
            dict_->put("key " + std::to_string(i), value);
        dict_->put("large", std::string(5 << 20, 'l'));
        dict_->bput("all", "b");
    }
    void expect(const std::string& value) {
        EXPECT_EQ(dict_->size(), 502U);
        for (int i = 0; i < 500; ++i)
            ASSERT_EQ(dict_->get("key " + std::to_string(i)), value) << i;
        EXPECT_EQ(dict_->get("large"), std::string(5 << 20, 'l'));
        EXPECT_EQ(dict_->bget("all"), "b");
    }

    const std::shared_ptr<MemoryStore> store_ = std::make_shared<MemoryStore>();
    std::optional<Dictionary> dict_;
};

TEST_F(CheckpointStoreTest, TakesStepsAndGivesThemBack) {
    for (const char* value : {"0", "1", "2"}) {
        fill(value);
        EXPECT_EQ(dict_->persist().pairs, 502U);
        dict_->checkpoint();
    }
    EXPECT_EQ(dict_->persisted_ids(), (Ids{0, 1, 2}));
    EXPECT_EQ(store_->names(), (std::vector<std::string>{
                                   "steps/000001/commit", "steps/000001/manager-000000.ddict",
                                   "steps/000001/manager-000001.ddict", "steps/000002/commit",
                                   "steps/000002/manager-000000.ddict", "steps/000002/manager-000001.ddict",
                                   "steps/000003/commit", "steps/000003/manager-000000.ddict",
                                   "steps/000003/manager-000001.ddict"}));
    dict_->restore(1);
    expect("1");
    EXPECT_EQ(dict_->persist({.keep = 2}).generation, 4U);
    EXPECT_EQ(dict_->persisted_ids(), (Ids{1, 2}));
    EXPECT_TRUE(store_->removed().front().ends_with("/commit")) << "what makes it one goes first";
    dict_->clear();
    dict_->load("steps/000004");
    expect("1");
    EXPECT_EQ(Checkpoints::list(*store_, "")->size(), 2U);
    EXPECT_EQ(Checkpoints::find(*store_, "steps")->generation, 4U);
    EXPECT_TRUE(Checkpoints::verify(*store_, "steps"));
    EXPECT_TRUE(Checkpoints::remove(*store_, "steps/000004"));
    EXPECT_EQ(dict_->persisted_ids(), Ids{2});
    EXPECT_EQ(code_of(dict_->try_restore(1)), Errc::not_found);
}

/// The same files as in the file system: what one has written the other reads.
TEST_F(CheckpointStoreTest, HasTheFormatOfFiles) {
    fill("x");
    dict_->save("");
    const TemporaryFolder folder;
    const auto to = folder.path() / "steps/000001";
    std::filesystem::create_directories(to);
    for (const std::string& name : store_->names()) {
        const Content& content = store_->object(name);
        std::ofstream(folder.path() / name, std::ios::binary)
            .write(reinterpret_cast<const char*>(content.data()),
                   static_cast<std::streamsize>(content.size()));
    }
    EXPECT_TRUE(Checkpoints::verify(folder.path().string()));
    dict_->clear();
    dict_->set_checkpoint_store(nullptr);
    dict_->load(folder.path().string());
    expect("x");
}

/// Whenever it fails: the earlier one is there, the new one is not, and nothing of it is left.
TEST_F(CheckpointStoreTest, OneThatFailsHasWhatItHadBefore) {
    fill("before");
    dict_->save("");
    const auto names = store_->names();
    fill("after");
    int failures = 0;
    for (int uses = 0;; ++uses) {
        store_->fail_after(uses);
        const Result<CheckpointInfo> saved = dict_->try_save("");
        store_->fail_after(-1);
        if (saved) break;
        ++failures;
        EXPECT_EQ(saved.error().code, Errc::system);
        EXPECT_STREQ(saved.error().detail.data(), "the store is away");
        dict_->clear();
        dict_->load("steps");
        expect("before");
        fill("after");
    }
    EXPECT_GE(failures, 8);
    for (const std::string& name : names)
        EXPECT_TRUE(std::ranges::count(store_->names(), name)) << name;
    EXPECT_EQ(store_->names().size(), 6U) << "the next save has removed what was left";
}

TEST_F(CheckpointStoreTest, DamageIsFoundBeforeAnythingIsChanged) {
    fill("x");
    dict_->save("");
    fill("y");
    for (const std::string& name : store_->names()) {
        Content& content = store_->object(name);
        for (const std::size_t at : {std::size_t{20}, content.size() / 2, content.size() - 1}) {
            content[at] ^= std::byte{4};
            EXPECT_EQ(code_of(dict_->try_load("steps")), Errc::protocol) << name << " at " << at;
            content[at] ^= std::byte{4};
        }
        content.push_back(std::byte{0});
        EXPECT_EQ(code_of(dict_->try_load("steps")), Errc::protocol) << name << " is longer";
        content.pop_back();
    }
    expect("y");
    static_cast<void>(store_->remove("steps/000001/manager-000001.ddict"));
    EXPECT_EQ(code_of(dict_->try_load("steps")), Errc::protocol);
    static_cast<void>(store_->remove("steps/000001/commit"));
    EXPECT_EQ(code_of(dict_->try_load("steps")), Errc::not_found);
    store_->fail_after(0);
    EXPECT_EQ(code_of(dict_->try_load("steps")), Errc::system) << "not to be found out is not absent";
    EXPECT_EQ(code_of(dict_->try_persisted_ids()), Errc::system);
    store_->fail_after(-1);
    expect("y");
}

}  // namespace
}  // namespace ddict
