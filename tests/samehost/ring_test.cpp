// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "samehost/ring.h"
#include "tests/base/seed.h"

namespace ddict::samehost {
namespace {

class RingTest : public testing::Test {
  protected:
    struct Memory {
        RingControl control{};
        alignas(cache_line_bytes) std::array<std::byte, ring_bytes> data{};
    };
    std::unique_ptr<Memory> memory = std::make_unique<Memory>();
    RingWriter writer{memory->data.data(), memory->control};
    RingReader reader{memory->data.data(), memory->control};

    std::vector<std::byte> content(std::size_t bytes, std::uint64_t number) const {
        std::vector<std::byte> made(bytes);
        for (std::size_t i = 0; i < bytes; ++i)
            made[i] = static_cast<std::byte>(number * 31 + i * 7);
        return made;
    }
    bool write(Bytes bytes) { return writer.write(RecordKind::message, bytes.size(), bytes); }
    void set_word(std::size_t at, std::uint64_t word) {
        std::memcpy(memory->data.data() + at, &word, sizeof word);
    }
};

TEST_F(RingTest, RecordsOfAllSizesComeInOrder) {
    std::mt19937_64 random(test_seed());
    std::uint64_t written = 0;
    std::vector<std::size_t> sizes;
    for (std::uint64_t read = 0; read < 20'000;) {
        const std::size_t wanted = random() % 8 == 0 ? random() % (record_content_max + 1) : random() % 200;
        while (random() % 4 != 0 && write(content(wanted, written))) {
            sizes.push_back(wanted);
            ++written;
        }
        while (random() % 4 != 0 && read < written) {
            const auto record = reader.next();
            ASSERT_TRUE(record) << "record " << read << " of " << written;
            ASSERT_EQ(record->kind, RecordKind::message);
            const auto expected = content(sizes[read], read);
            ASSERT_EQ(record->header_bytes, expected.size());
            ASSERT_TRUE(
                std::equal(record->content.begin(), record->content.end(), expected.begin(), expected.end()));
            reader.advance();
            reader.publish();
            ++read;
        }
        if (read == written) {
            EXPECT_FALSE(reader.next());
            reader.publish_all();
        }
    }
    EXPECT_FALSE(reader.is_broken());
}

TEST_F(RingTest, TakesAnyRecordWhenItIsEmptyWhereverItBegins) {
    for (std::size_t begin = 0; begin < ring_bytes; begin += cache_line_bytes) {
        ASSERT_TRUE(write(content(record_content_max, begin))) << begin;
        ASSERT_TRUE(reader.next());
        reader.advance();
        reader.publish_all();
        ASSERT_TRUE(write(content(1, 0)));
        ASSERT_TRUE(reader.next());
        reader.advance();
        reader.publish_all();
    }
}

TEST_F(RingTest, IsFullUntilTheReaderSaysThatItHasRead) {
    int count = 0;
    while (write(content(1000, 0)))
        ++count;
    EXPECT_GE(count, 28);
    EXPECT_FALSE(writer.ask_for_space(1000));
    ASSERT_TRUE(reader.next());
    reader.advance();
    EXPECT_TRUE(reader.publish()) << "the writer waits";
    EXPECT_FALSE(reader.publish()) << "it has been told";
    EXPECT_TRUE(writer.ask_for_space(1000));
    EXPECT_TRUE(write(content(1000, 1)));
}

TEST_F(RingTest, SaysHowMuchCanBeWritten) {
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 20'000; ++i) {
        const std::size_t space = writer.space();
        if (space != 0) {
            ASSERT_LE(space, record_content_max);
            ASSERT_TRUE(write(content(random() % 8 == 0 ? space : random() % (space + 1), 0))) << space;
        }
        const std::size_t wanted = random() % (record_content_max + 1);
        if (writer.ask_for_space(wanted)) {
            ASSERT_GE(writer.space(), wanted) << "a writer would wait, and not sleep";
        }
        while (random() % 3 == 0 && reader.next())
            reader.advance();
        if (random() % 2 == 0) reader.publish_all();
    }
}

TEST_F(RingTest, TheBellRingsOnceForAReaderThatDoesNotPoll) {
    EXPECT_TRUE(write(content(10, 0)));
    EXPECT_TRUE(writer.must_ring()) << "nobody polls at the beginning";
    EXPECT_FALSE(writer.must_ring());
    reader.poll_from_now_on();
    EXPECT_FALSE(writer.must_ring());
    EXPECT_FALSE(reader.stop_polling()) << "a record is there";
    EXPECT_FALSE(writer.must_ring());
    ASSERT_TRUE(reader.next());
    reader.advance();
    EXPECT_TRUE(reader.stop_polling());
    EXPECT_TRUE(write(content(10, 0)));
    EXPECT_TRUE(writer.must_ring());
}

TEST_F(RingTest, WordsThatCannotBeAreRefused) {
    const auto word = [](std::uint64_t content, std::uint64_t kind, std::uint64_t header) {
        return content | kind << 32 | header << 40;
    };
    const std::vector<std::uint64_t> wrong{
        word(1, 0, 0),                                                 // no kind
        word(1, static_cast<std::uint64_t>(last_record_kind) + 1, 0),  // an unknown one
        word(1, 0xff, 0),                                              //
        word(record_content_max + 1, 2, 0),                            // too large
        word(0xffff'ffff, 2, 0),                                       //
        word(10, 2, 11),                                               // a header longer than all
        word(1, static_cast<std::uint64_t>(RecordKind::skip), 0),      // a skip with content
        ~std::uint64_t{0},
    };
    for (const std::uint64_t bad : wrong) {
        RingReader fresh(memory->data.data(), memory->control);
        set_word(0, bad);
        EXPECT_FALSE(fresh.next()) << std::hex << bad;
        EXPECT_TRUE(fresh.is_broken()) << std::hex << bad;
        EXPECT_FALSE(fresh.next());
    }
}

TEST_F(RingTest, ARecordDoesNotReachBeyondTheEnd) {
    for (int i = 0; i < 26; ++i) {
        ASSERT_TRUE(write(content(1000, 0)) && reader.next());
        reader.advance();
    }
    for (std::size_t at = 0; at < ring_bytes; at += cache_line_bytes)
        set_word(at, (ring_bytes - at) | std::uint64_t{2} << 32);
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.is_broken());
}

TEST_F(RingTest, SkipsDoNotGoRoundForEver) {
    for (std::size_t at = 0; at < ring_bytes; at += cache_line_bytes)
        set_word(at, static_cast<std::uint64_t>(RecordKind::skip) << 32);
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.is_broken());
}

TEST_F(RingTest, NothingOutsideIsReadWhateverTheBytesAre) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 300; ++round) {
        for (std::size_t at = 0; at < ring_bytes; at += 8) {
            const bool plausible = random() % 2 == 0;
            set_word(at,
                     plausible ? (random() % 300) | (random() % 8) << 32 | (random() % 300) << 40 : random());
        }
        RingReader fresh(memory->data.data(), memory->control);
        for (int i = 0; i < 5000; ++i) {
            const auto record = fresh.next();
            if (!record) break;
            ASSERT_GE(record->content.data(), memory->data.data());
            ASSERT_LE(record->content.data() + record->content.size(), memory->data.data() + ring_bytes);
            ASSERT_LE(record->header_bytes, record->content.size());
            fresh.advance();
            fresh.publish();
        }
    }
}

TEST_F(RingTest, AReaderThatLiesMakesNoSpace) {
    int count = 0;
    while (write(content(1000, 0)))
        ++count;
    for (const std::uint64_t lie :
         {std::uint64_t{ring_bytes} * 5, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
        memory->control.read.store(lie);
        EXPECT_FALSE(write(content(1000, 0))) << lie;
    }
    memory->control.read.store(std::uint64_t{20} * 1024);
    EXPECT_TRUE(write(content(1000, 0)));
    memory->control.read.store(0);
    while (write(content(1000, 0)))
        ASSERT_LT(++count, 100) << "going back must not make space";
}

TEST_F(RingTest, TwoThreads) {
    constexpr std::uint64_t records = 200'000;
    std::mt19937_64 sizes_of_writer(test_seed());
    std::mt19937_64 sizes_of_reader(test_seed());
    const auto size = [](std::mt19937_64& random) {
        return random() % 64 == 0 ? random() % 9000 : random() % 150;
    };
    std::thread thread([&] {
        for (std::uint64_t i = 0; i < records; ++i) {
            const auto bytes = content(size(sizes_of_writer), i);
            while (!write(bytes))
                std::this_thread::yield();
        }
    });
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < records; ++i) {
        const auto expected = content(size(sizes_of_reader), i);
        std::optional<Record> record;
        while (!(record = reader.next())) {
            if (reader.is_broken()) break;
            reader.publish_all();
            std::this_thread::yield();
        }
        if (!record) break;
        if (!std::equal(record->content.begin(), record->content.end(), expected.begin(), expected.end()))
            ++wrong;
        reader.advance();
        reader.publish();
    }
    EXPECT_FALSE(reader.is_broken());
    EXPECT_EQ(wrong, 0U);
    thread.join();
}

}  // namespace
}  // namespace ddict::samehost
