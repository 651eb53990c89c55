// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What node launchers tell of managers that have moved, and what becomes of the handle by it.
#include "launcher/moved_managers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "cluster/handle.h"
#include "launcher/node/node_identity.h"
#include "tests/base/seed.h"

namespace ddict::launcher {
namespace {

DirectoryEntry entry_of(std::uint32_t shard, std::uint32_t epoch, std::size_t address_bytes) {
    return {.shard = ShardId{shard},
            .epoch = Epoch{epoch},
            .is_restartable = true,
            .node = "n" + std::to_string(shard),
            .pool_bytes = 1 << 20,
            .address = std::vector<std::byte>(address_bytes, std::byte(epoch))};
}

std::string handle_of(const std::vector<DirectoryEntry>& seeds) {
    Handle handle;
    handle.dictionary_id = 7;
    handle.managers = 9;
    handle.nodes = 9;
    handle.name = "default";
    handle.seeds = seeds;
    return handle.serialize();
}

std::vector<Event> parts_of(const DirectoryEntry& entry) {
    const NodeIdentity node{.node = entry.node, .step = "7.0", .id = NodeId{number_of(entry.shard)}};
    std::vector<Event> parts;
    for (const std::string& line : format_moved(node.event(Event::Kind::moved), entry)) {
        EXPECT_LE(line.size(), event_line_bytes_max);
        parts.push_back(parse_event(std::string_view(line).substr(0, line.size() - 1)).value());
    }
    return parts;
}

/// The handle after all of these, one after the other.
std::string after(const std::vector<Event>& parts, std::string handle) {
    MovedManagers moved;
    for (const Event& part : parts)
        handle = moved.add(part, handle).value_or(handle);
    return handle;
}

const std::vector<DirectoryEntry> old_seeds{entry_of(0, 1, 100), entry_of(3, 1, 100), entry_of(6, 1, 100)};

TEST(MovedManagers, AreInTheHandleWithWhereTheyAreNow) {
    for (const std::size_t bytes : {1u, 299u, 300u, 301u, 5000u}) {
        const DirectoryEntry moved = entry_of(3, 3, bytes);
        EXPECT_EQ(after(parts_of(moved), handle_of(old_seeds)),
                  handle_of({old_seeds[0], moved, old_seeds[2]}))
            << bytes;
    }
}

TEST(MovedManagers, OfWhichTheHandleKnowsNothingOrSomethingNewerChangeNothing) {
    const std::string handle = handle_of(old_seeds);
    EXPECT_EQ(after(parts_of(entry_of(4, 3, 100)), handle), handle);
    EXPECT_EQ(after(parts_of(entry_of(3, 1, 120)), handle), handle);
    EXPECT_EQ(after(parts_of(entry_of(3, 3, 100'000)), handle), handle) << "the handle would be too long";
    EXPECT_EQ(after(parts_of(entry_of(3, 3, 0)), handle), handle) << "a handle tells where its seeds are";
}

TEST(MovedManagers, OfSeveralNodesMayBeToldOfAtOnce) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 50; ++round) {
        const std::vector<DirectoryEntry> moved{entry_of(0, 5, random() % 2000),
                                                entry_of(3, 7, random() % 2000),
                                                entry_of(6, 9, 1 + random() % 2000)};
        std::vector<std::vector<Event>> left;
        for (const DirectoryEntry& one : moved)
            left.push_back(parts_of(one));
        std::vector<Event> mixed;
        while (!left.empty()) {
            const auto from = left.begin() + static_cast<std::ptrdiff_t>(random() % left.size());
            mixed.push_back(from->front());
            from->erase(from->begin());
            if (from->empty()) left.erase(from);
        }
        EXPECT_EQ(after(mixed, handle_of(old_seeds)), handle_of(moved)) << round;
    }
}

/// What is lost of one does not become another, and the next one is whole.
TEST(MovedManagers, ThatAreToldOfInPartOrInAnotherOrderAreLeftOut) {
    std::mt19937_64 random(test_seed());
    const std::string handle = handle_of(old_seeds);
    const DirectoryEntry next = entry_of(3, 9, 700);
    for (int round = 0; round < 200; ++round) {
        std::vector<Event> parts = parts_of(entry_of(3, 5, 1500));
        const std::size_t at = random() % parts.size();
        switch (random() % 5) {
            case 0:
                parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at));
                break;
            case 1:
                parts[at].text = random() % 2 == 0 ? "*" : parts[at].text.substr(0, 8);
                break;
            case 2:
                parts[at].parts = static_cast<std::uint32_t>(random() % 3);
                break;
            case 3:
                parts[at].manager = ShardId{static_cast<std::uint32_t>(random() % 3)};
                break;
            case 4:
                std::reverse(parts.begin(), parts.end());
                break;
        }
        const std::string said = after(parts, handle);
        const auto read = Handle::parse(said).value();
        EXPECT_TRUE(said == handle || read.seeds[1].epoch == Epoch{5}) << round;
        for (const Event& part : parts_of(next))
            parts.push_back(part);
        EXPECT_EQ(Handle::parse(after(parts, handle)).value().seeds[1].epoch, next.epoch) << round;
    }
}

}  // namespace
}  // namespace ddict::launcher
