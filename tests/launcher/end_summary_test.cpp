// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The words about a dictionary that is nearly full, or has ended.
#include "launcher/end_summary.h"

#include <gtest/gtest.h>

#include "launcher/events.h"

namespace ddict::launcher {
namespace {

EndSummary of(std::uint32_t manager, const std::string& node, std::uint64_t peak) {
    return end_summary_of(manager, node,
                          {.peak_bytes = peak << 20, .pool_bytes = 64 << 20, .pairs = 10, .requests = 100});
}

TEST(EndSummary, NamesTheFullestPoolAndAddsUpTheRest) {
    EndSummary all = of(0, "n1", 16);
    all.add(of(1, "n1", 48));
    all.add(of(2, "n2", 32));
    EXPECT_EQ(end_summary_text(all, {.managers = 3}),
              "the fullest pool was up to 75% full (48M of 64M, manager 1 on n1); 30 pairs at the end, 300 "
              "requests, no puts refused, nothing lost");
    all.local_reads = 70'000;
    EXPECT_NE(end_summary_text(all, {.managers = 3})
                  ->find("300 requests, 70000 reads from shared memory, no puts refused"),
              std::string::npos);
    all.local_reads = 0;
    all.refused_puts = 1;
    EXPECT_NE(end_summary_text(all, {.managers = 3, .has_lost_keys = true})
                  ->find("300 requests, 1 put refused, keys lost"),
              std::string::npos);
}

TEST(EndSummary, SaysWhatIsNotKnown) {
    const auto text = end_summary_text(of(0, "n1", 16), {.managers = 2, .unheard = 1});
    EXPECT_TRUE(text->ends_with(", 1 manager of 2 not heard any more: keys there may be lost")) << *text;
    EXPECT_EQ(what_was_lost({.managers = 4, .lost = 1, .unheard = 2, .has_lost_keys = true}),
              "1 manager of 4 lost, 2 managers of 4 not heard any more: keys there may be lost");
    EXPECT_EQ(what_was_lost({.managers = 4, .unheard = 1, .has_lost_keys = true}),
              "keys lost, 1 manager of 4 not heard any more: keys there may be lost");
    EXPECT_FALSE(end_summary_text({}, {.managers = 3}));
    EXPECT_EQ(end_summary_text({}, {.managers = 3, .unheard = 3}),
              "3 managers of 3 not heard any more: keys there may be lost");
    EXPECT_EQ(
        end_summary_text(of(0, "n1", 16), {.managers = 2, .lost = 1, .has_lost_keys = true}),
        "the fullest pool was up to 25% full (16M of 64M, manager 0 on n1); 10 pairs at the end, at least "
        "100 requests, at least 0 puts refused, 1 manager of 2 lost; 1 manager ended without a word");
    EndSummary killed = of(0, "n1", 16);
    killed.add({.is_partial = true});
    EXPECT_NE(end_summary_text(killed, {.managers = 1})->find("at least 100 requests"), std::string::npos);
}

TEST(EndSummary, AnEmptyPoolIsNoDivisionByZero) {
    EndSummary all;
    all.add(end_summary_of(0, "n1", {}));
    EXPECT_NE(end_summary_text(all, {.managers = 1})->find("its pool was up to 0% full (0 of 0"),
              std::string::npos);
}

TEST(EndSummary, TravelsAsAnEvent) {
    Event event;
    event.kind = Event::Kind::summary;
    event.node = "n2";
    event.summary = of(7, "n2", 32);
    event.summary.managers = 4;
    event.summary.refused_puts = 3;
    event.summary.local_reads = 5;
    event.summary.is_partial = true;
    std::string line = format_event(event);
    line.pop_back();
    const EndSummary back = parse_event(line)->summary;
    EXPECT_EQ(end_summary_text(back, {.managers = 4}), end_summary_text(event.summary, {.managers = 4}));
    EXPECT_EQ(back.managers, 4U);
    EXPECT_EQ(back.refused_puts, 3U);
    EXPECT_EQ(back.local_reads, 5U);
    EXPECT_TRUE(back.is_partial);

    event.kind = Event::Kind::fill;
    event.manager = ShardId{7};
    event.fill = {.percent = 95, .used_bytes = 61 << 20, .pool_bytes = 64 << 20};
    line = format_event(event);
    line.pop_back();
    const Event full = *parse_event(line);
    EXPECT_EQ(full.kind, Event::Kind::fill);
    EXPECT_EQ(number_of(full.manager), 7U);
    EXPECT_EQ(full.fill.percent, 95U);
    EXPECT_EQ(full.fill.used_bytes, event.fill.used_bytes);
    EXPECT_EQ(full.fill.pool_bytes, event.fill.pool_bytes);
}

}  // namespace
}  // namespace ddict::launcher
