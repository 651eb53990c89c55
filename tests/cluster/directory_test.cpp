// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "cluster/directory.h"

#include <gtest/gtest.h>

#include <random>

#include "base/hash.h"
#include "base/hex.h"
#include "base/limits.h"
#include "cluster/handle.h"
#include "cluster/live_directory.h"

namespace ddict {
namespace {

DirectoryEntry entry(std::uint32_t manager) {
    DirectoryEntry e;
    e.shard = ShardId{manager};
    e.node = "node" + std::to_string(manager);
    e.process = {.host_key = 77, .pid = 1234, .pid_namespace = 0, .start_time = 99};
    e.pool_bytes = std::uint64_t{1} << 33;
    e.address.assign(215, static_cast<std::byte>(manager + 1));
    return e;
}

bool same(const DirectoryEntry& a, const DirectoryEntry& b) {
    return a.shard == b.shard && a.node == b.node && a.process.host_key == b.process.host_key &&
           a.process.pid == b.process.pid && a.process.start_time == b.process.start_time &&
           a.pool_bytes == b.pool_bytes && a.address == b.address;
}

Handle handle() {
    Handle h;
    h.dictionary_id = 0xfeedfacecafebeef;
    h.secret.fill(std::byte{0x5a});
    h.ucx_version = 1 << 16 | 13;
    h.managers = 8;
    h.nodes = 4;
    h.name = "mine";
    h.persist = {.path = "/scratch/my runs", .count = 3, .read_only = true};
    h.seeds = {entry(0), entry(3), entry(7)};
    h.shared_addresses = {"10.9.9.1", "fd00::1"};
    return h;
}

/// The text of a handle with other contents, and a checksum that fits them.
std::string with_checksum(std::string text) {
    const std::uint32_t sum = XXH32(text.data(), text.size(), 0);
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", sum);
    return text + "." + digits;
}

TEST(DirectoryEntry, RoundTrip) {
    std::vector<std::byte> packed;
    pack(entry(5), packed);
    pack(entry(6), packed);
    Unpacker in(packed);
    EXPECT_TRUE(same(unpack_directory_entry(in), entry(5)));
    EXPECT_TRUE(same(unpack_directory_entry(in), entry(6)));
    EXPECT_TRUE(in.good() && in.at_end());
    for (std::size_t size = 0; size < packed.size() / 2; ++size) {
        const std::vector<std::byte> cut(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
        Unpacker short_in(cut);
        unpack_directory_entry(short_in);
        EXPECT_FALSE(short_in.good()) << size;
    }
}

TEST(DirectoryEntry, KeepsItsStateAndReason) {
    DirectoryEntry lost = entry(5);
    lost.epoch = Epoch{7};
    lost.state = ServingState::lost;
    lost.is_restartable = true;
    lost.reason = "was killed";
    std::vector<std::byte> packed;
    pack(lost, packed);
    Unpacker in(packed);
    const DirectoryEntry seen = unpack_directory_entry(in);
    EXPECT_TRUE(in.good() && in.at_end());
    EXPECT_EQ(seen.epoch, Epoch{7});
    EXPECT_EQ(seen.state, ServingState::lost);
    EXPECT_TRUE(seen.is_restartable);
    EXPECT_EQ(seen.reason, "was killed");
    EXPECT_EQ(seen.why_lost().code, Errc::manager_lost);
    EXPECT_NE(seen.why_lost().message().find("it was killed"), std::string::npos);
    for (const std::size_t at : {std::size_t{8}, std::size_t{10}}) {  // state, restartable
        std::vector<std::byte> bad = packed;
        bad[at] = std::byte{3};
        Unpacker in_bad(bad);
        unpack_directory_entry(in_bad);
        EXPECT_FALSE(in_bad.good()) << at;
    }
}

class FixedDirectory final : public DirectoryView {
  public:
    std::uint32_t manager_count() const override { return 3; }
    Result<DirectoryEntry> entry(ShardId shard) const override {
        DirectoryEntry e = ddict::entry(number_of(shard));
        e.epoch = epoch;
        return e;
    }
    Epoch epoch = first_epoch;
};

TEST(LiveDirectory, ANewerEntryReplacesAnOlderOne) {
    FixedDirectory below;
    LiveDirectory directory(below);
    DirectoryEntry moved = entry(1);
    moved.node = "elsewhere";
    EXPECT_FALSE(directory.replace(moved)) << "of the same epoch";
    moved.epoch = Epoch{3};
    EXPECT_TRUE(directory.replace(moved));
    EXPECT_EQ(directory.entry(ShardId{1})->node, "elsewhere");
    EXPECT_EQ(directory.entry(ShardId{0})->node, "node0");
    moved.epoch = Epoch{2};
    EXPECT_FALSE(directory.replace(moved));
    below.epoch = Epoch{4};
    EXPECT_EQ(directory.entry(ShardId{1})->node, "node1") << "what lies below is newer now";
    moved.shard = ShardId{3};
    moved.epoch = Epoch{9};
    EXPECT_FALSE(directory.replace(moved)) << "there is no such shard";
}

TEST(Handle, RoundTrip) {
    const Result<Handle> parsed = Handle::parse(handle().serialize() + "\n");
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->dictionary_id, handle().dictionary_id);
    EXPECT_EQ(parsed->secret, handle().secret);
    EXPECT_EQ(parsed->ucx_version, handle().ucx_version);
    EXPECT_EQ(parsed->managers, 8u);
    EXPECT_EQ(parsed->nodes, 4u);
    EXPECT_EQ(parsed->name, "mine");
    EXPECT_EQ(parsed->persist, handle().persist);
    ASSERT_EQ(parsed->seeds.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i)
        EXPECT_TRUE(same(parsed->seeds[i], handle().seeds[i]));
    EXPECT_EQ(parsed->shared_addresses, handle().shared_addresses);
    Handle of_one_network = handle();
    of_one_network.shared_addresses.clear();
    EXPECT_TRUE(Handle::parse(of_one_network.serialize())->shared_addresses.empty());
}

TEST(Handle, OfTenThousandManagersIsAsShortAsOfEight) {
    Handle large = handle();
    large.managers = 10'000;
    large.nodes = 1'250;
    EXPECT_LE(large.serialize().size(), handle().serialize().size() + 16);
    EXPECT_EQ(Handle::parse(large.serialize())->managers, 10'000u);
    static_assert(limits::managers_max >= 10'000 && limits::sessions_max >= 100'000);
}

TEST(Handle, IsOneWordForTheShell) {
    EXPECT_EQ(handle().serialize().find_first_not_of(
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."),
              std::string::npos);
}

TEST(Handle, TruncatedAnywhereIsABadHandle) {
    const std::string text = handle().serialize();
    for (std::size_t size = 0; size < text.size(); ++size) {
        const Result<Handle> parsed = Handle::parse(text.substr(0, size));
        ASSERT_FALSE(parsed) << size;
        EXPECT_EQ(parsed.error().code, Errc::bad_handle) << size;
        EXPECT_EQ(parsed.error().operation, Operation::attach);
    }
}

TEST(Handle, AFlippedBitIsNoticed) {
    const std::string text = handle().serialize();
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string changed = text;
            changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
            const Result<Handle> parsed = Handle::parse(changed);
            ASSERT_FALSE(parsed) << at << " " << bit;
            EXPECT_TRUE(parsed.error().code == Errc::bad_handle || at == 5) << at << " " << bit;
        }
    }
}

TEST(Handle, GarbageIsABadHandle) {
    std::random_device device;
    const char* chosen = std::getenv("DDICT_TEST_SEED");
    const auto seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 0) : device();
    SCOPED_TRACE("DDICT_TEST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    for (int i = 0; i < 2000; ++i) {
        std::string contents(random() % 400, '\0');
        for (char& c : contents)
            c = static_cast<char>(random());
        for (const std::string& text :
             {contents, "ddict3." + contents, with_checksum("ddict3." + contents)}) {
            const Result<Handle> parsed = Handle::parse(text);
            ASSERT_FALSE(parsed);
            EXPECT_EQ(parsed.error().code, Errc::bad_handle);
        }
    }
}

TEST(Handle, ContentsThatMakeNoSenseAreABadHandle) {
    const auto expect_bad = [](void (*spoil)(Handle&)) {
        Handle h = handle();
        spoil(h);
        const Result<Handle> parsed = Handle::parse(h.serialize());
        ASSERT_FALSE(parsed);
        EXPECT_EQ(parsed.error().code, Errc::bad_handle);
    };
    expect_bad([](Handle& h) { h.managers = 0; });
    expect_bad([](Handle& h) { h.managers = limits::managers_max + 1; });
    expect_bad([](Handle& h) { h.seeds.clear(); });
    expect_bad([](Handle& h) { h.seeds[0].shard = ShardId{h.managers}; });
    expect_bad([](Handle& h) { h.seeds[0].address.clear(); });
    expect_bad([](Handle& h) { h.seeds[0].address.resize(limits::handle_bytes_max); });
}

/// A count that the text cannot hold must not cost memory or time.
TEST(Handle, AnAbsurdCountOfSeedsIsABadHandle) {
    // The count of seeds follows 8 + 16 + 4 + 4 + 4 bytes and the name with its length: bytes 44 to 47. In
    // base64url that is within the characters 58 to 64.
    const std::string text = handle().serialize();
    const std::string payload = text.substr(0, text.rfind('.'));
    unsigned bad = 0;
    for (std::size_t at = 7 + 58; at < 7 + 65; ++at) {
        std::string changed = payload;
        changed[at] = '_';
        const Result<Handle> parsed = Handle::parse(with_checksum(changed));
        if (!parsed) {
            EXPECT_EQ(parsed.error().code, Errc::bad_handle);
            ++bad;
        }
    }
    EXPECT_GT(bad, 4u);
}

TEST(Handle, OfAnotherVersionSaysSo) {
    for (const char* text : {"ddict1.AAAA.00000000", "ddict17.x"}) {
        const Result<Handle> parsed = Handle::parse(text);
        ASSERT_FALSE(parsed);
        EXPECT_EQ(parsed.error().code, Errc::incompatible) << text;
        EXPECT_NE(parsed.error().message().find("format"), std::string::npos);
    }
    for (const char* text : {"ddict", "ddict.", "ddictx.AAAA", "ddict99999999999999999999.A", "dict1.A"})
        EXPECT_EQ(Handle::parse(text).error().code, Errc::bad_handle) << text;
}

TEST(Handle, HexIsSixteenDigits) {
    EXPECT_EQ(hex(0), "0000000000000000");
    EXPECT_EQ(hex(0xfeedfacecafebeef), "feedfacecafebeef");
}

}  // namespace
}  // namespace ddict
