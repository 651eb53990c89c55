// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What ddict top shows, without a terminal.
#include "tools/top_page.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/tools/samples.h"

namespace ddict::tools {
namespace {

/// Managers that do a thousand puts, two thousand gets and five hundred others a second, while three thousand
/// keys are read from their memory.
Activity busy(std::uint32_t managers, const std::vector<std::uint32_t>& lost = {}) {
    ActivityLog log("weather");
    for (int second = 0; second < 3; ++second) {
        Sample sample = sample_at(second, managers, 100'000 + 1000 * static_cast<std::uint64_t>(second));
        for (const std::uint32_t manager : lost) {
            if (second > 0) sample.managers[manager] = gone(manager);
        }
        log.add(sample);
    }
    return log.activity();
}

std::vector<std::string> texts(const Page& page) {
    std::vector<std::string> all;
    for (const Line& line : page.lines)
        all.push_back(plain_text(line));
    return all;
}

/// The lines that tell of managers.
std::vector<Line> rows(const Page& page) {
    return {page.lines.begin() + 5,
            page.lines.begin() + 5 + static_cast<std::ptrdiff_t>(page.managers_shown)};
}

void expect_fits(const Page& page, const PageOptions& options) {
    if (options.height > 0) {
        EXPECT_EQ(page.lines.size(), options.height);
    }
    for (const Line& line : page.lines)
        EXPECT_EQ(columns_of(line), options.width) << plain_text(line);
}

TEST(TopPage, OneManagerAt80Columns) {
    const PageOptions options{.width = 80, .height = 24, .utf8 = false};
    const Page page = page_of(busy(1), options);
    expect_fits(page, options);
    const std::vector<std::string> lines = texts(page);
    EXPECT_EQ(lines[0], "ddict top  weather  1 manager on 1 node  all alive");
    EXPECT_EQ(lines[1], "memory ########-------  50%  512M of 1.0G   keys 102k   clients 12   waiting 3");
    EXPECT_EQ(lines[2].substr(0, 13), "ops/s  6500  ");
    EXPECT_EQ(lines[2].substr(78), "##") << "two intervals, both at the highest";
    EXPECT_EQ(lines[4], " MGR NODE       KEYS POOL          PUT/s GET/s LOC/s OTH/s   p50   p99 SESS WAIT");
    EXPECT_EQ(lines[5], "   0 node0      102k ####----  50%  1000  2000  3000   500 1.0us 4.0us   12    3");
    EXPECT_EQ(lines[7], "OPERATION          REQ/s    TOTAL   p50   p99   max");
    EXPECT_EQ(lines[8], "get                 2000     204k 1.0us 4.0us  30us");
    EXPECT_EQ(lines[9], "put                 1000     102k 2.0us 9.0us  50us");
    EXPECT_EQ(lines[10], "fetch_add            500    51.0k 1.5us 5.0us  20us");
    EXPECT_EQ(lines[23], "q quit  s sort: manager  (LOC: reads of shared memory, by no message)");
}

TEST(TopPage, WiderPagesTellMore) {
    const PageOptions options{.width = 120, .height = 24};
    const Page page = page_of(busy(2), options);
    expect_fits(page, options);
    const std::string heading = texts(page)[4];
    for (const char* title : {"FREE", "LARGEST", "OPS/s", "REJ"})
        EXPECT_NE(heading.find(title), std::string::npos) << title;
    EXPECT_NE(texts(page)[5].find(" 512M    100M  6500  1000 "), std::string::npos) << texts(page)[5];
}

TEST(TopPage, SixtyFourManagersAreScrolledThrough) {
    for (const std::size_t width : {80u, 120u}) {
        PageOptions options{.width = width, .height = 24};
        const Activity activity = busy(64);
        std::vector<std::string> seen;
        for (;;) {
            const Page page = page_of(activity, options);
            expect_fits(page, options);
            ASSERT_GE(page.managers_shown, 10u);
            for (const Line& row : rows(page))
                seen.push_back(plain_text(row).substr(0, 4));
            const std::string foot = texts(page).back();
            EXPECT_NE(foot.find(std::to_string(page.first + 1) + "-" +
                                std::to_string(page.first + page.managers_shown) + " of 64"),
                      std::string::npos)
                << foot;
            if (page.first < options.first) break;
            options.first += page.managers_shown;
        }
        std::sort(seen.begin(), seen.end());
        seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
        EXPECT_EQ(seen.size(), 64u);
    }
    EXPECT_EQ(texts(page_of(busy(64), {}))[0], "ddict top  weather  64 managers on 32 nodes  all alive");
}

TEST(TopPage, WithoutAHeightEverythingIsThere) {
    const Page page = page_of(busy(64), {.keys = false});
    EXPECT_EQ(page.managers_shown, 64u);
    EXPECT_EQ(page.lines.size(), 5u + 64 + 1 + 1 + 3);
    EXPECT_EQ(texts(page).back().substr(0, 9), "fetch_add");
}

TEST(TopPage, LostManagersComeFirstAndInAlarm) {
    const PageOptions options{.width = 80, .height = 24};
    const Page page = page_of(busy(64, {17, 40}), options);
    expect_fits(page, options);
    EXPECT_EQ(texts(page)[0], "ddict top  weather  64 managers on 32 nodes  2 LOST");
    EXPECT_EQ(page.lines[0][3].tint, Tint::alarm);
    const std::vector<Line> all = rows(page);
    EXPECT_EQ(plain_text(all[0]),
              "  17 node8     LOST for 1 s: manager_lost: process 7 of this host has ended");
    EXPECT_EQ(plain_text(all[1]).substr(0, 27), "  40 node20    LOST for 1 s");
    EXPECT_EQ(all[0][0].tint, Tint::alarm);
    EXPECT_EQ(plain_text(all[2]).substr(0, 10), "   0 node0");
    for (const Span& span : all[2])
        EXPECT_NE(span.tint, Tint::alarm);
}

TEST(TopPage, WhatMayLiveIsNotLost) {
    ActivityLog log("weather");
    Sample sample = sample_at(0, 4, 1000);
    sample.managers[1] = gone(1);
    sample.managers[2] = stopped(2);
    sample.managers[3] = stopped(3);
    sample.managers[3].lost->code = Errc::manager_lost;
    sample.managers[3].lost->set_state(ManagerState::unreachable);
    log.add(sample);
    const std::vector<std::string> lines = texts(page_of(log.activity(), {}));
    EXPECT_EQ(lines[0], "ddict top  weather  4 managers on 1 node  1 LOST  2 SILENT");
    EXPECT_EQ(lines[5], "   1           LOST for 0 s: manager_lost: process 7 of this host has ended");
    EXPECT_EQ(lines[6], "   2           SILENT for 0 s: timeout: the manager did not answer in time");
    EXPECT_EQ(lines[7].substr(0, 43), "   3           SILENT for 0 s: manager_lost");
}

TEST(TopPage, WhenAllAreLostThatIsShown) {
    const PageOptions options{.width = 80, .height = 24};
    const Page page = page_of(busy(2, {0, 1}), options);
    expect_fits(page, options);
    EXPECT_NE(texts(page)[0].find("2 LOST"), std::string::npos);
    EXPECT_EQ(texts(page)[2], "ops/s  -");
}

TEST(TopPage, TheOrderIsTheUsers) {
    Activity activity = busy(3);
    activity.managers[1].stats->used_bytes = activity.managers[1].stats->pool_bytes;
    activity.managers[2].gets = 1e6;
    const auto order = [&](Order by) {
        std::string ids;
        for (const Line& row : rows(page_of(activity, {.order = by})))
            ids += plain_text(row)[3];
        return ids;
    };
    EXPECT_EQ(order(Order::manager), "012");
    EXPECT_EQ(order(Order::operations), "201");
    EXPECT_EQ(order(Order::memory), "102");
}

TEST(TopPage, AFullPoolIsAlarming) {
    Activity activity = busy(1);
    const auto tint_of_pool = [&](std::uint64_t percent) {
        activity.managers[0].stats->used_bytes = activity.managers[0].stats->pool_bytes * percent / 100;
        const Line row = rows(page_of(activity, {.utf8 = false}))[0];
        for (const Span& span : row) {
            if (span.text.find('#') != std::string::npos) return span.tint;
        }
        return Tint::plain;
    };
    EXPECT_EQ(tint_of_pool(50), Tint::good);
    EXPECT_EQ(tint_of_pool(80), Tint::warning);
    EXPECT_EQ(tint_of_pool(95), Tint::alarm);
}

TEST(TopPage, FrozenAndTroubledDictionariesSaySo) {
    Activity activity = busy(2);
    activity.managers[0].stats->frozen = true;
    activity.managers[0].stats->rejected_messages = 5;
    activity.managers[1].stats->refused_puts = 7;
    const PageOptions options{.width = 100};
    EXPECT_NE(texts(page_of(activity, options))[0].find("1 FROZEN  refused puts 7  rejected 5"),
              std::string::npos);
    activity.managers[1].stats->frozen = true;
    EXPECT_NE(texts(page_of(activity, options))[0].find("  FROZEN"), std::string::npos);
}

TEST(TopPage, FitsIntoAnyTerminal) {
    for (const std::uint32_t managers : {1u, 3u, 64u}) {
        const Activity activity =
            busy(managers, managers > 2 ? std::vector<std::uint32_t>{2} : std::vector<std::uint32_t>{});
        for (std::size_t width = 1; width <= 250; width += 13) {
            for (std::size_t height = 1; height <= 80; height += 3) {
                for (const bool utf8 : {false, true}) {
                    const PageOptions options{.width = width, .height = height, .first = 50, .utf8 = utf8};
                    expect_fits(page_of(activity, options), options);
                }
            }
        }
    }
}

TEST(TopPage, OfTextsFromElsewhereNothingReachesTheTerminalUnchanged) {
    Activity activity = busy(1);
    activity.dictionary = "evil\x1b[2J";
    activity.managers[0].node = "e\x1b\n\x7f";
    for (const std::string& line : texts(page_of(activity, {.width = 100}))) {
        for (const char c : line)
            EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f) << line;
    }
}

TEST(TopPage, BlocksAreAsWideAsMarks) {
    EXPECT_EQ(columns_of("█▌··"), 4u);
    const Activity activity = busy(1);
    const Page blocks = page_of(activity, {.utf8 = true});
    EXPECT_NE(plain_text(blocks.lines[1]).find("█"), std::string::npos);
    const Page marks = page_of(activity, {.utf8 = false});
    for (const Line& line : marks.lines) {
        for (const char c : plain_text(line))
            EXPECT_LT(static_cast<unsigned char>(c), 0x80) << plain_text(line);
    }
}

}  // namespace
}  // namespace ddict::tools
