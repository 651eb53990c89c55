// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A process that reads a pool in which anything may stand, and changes between its steps: it ends, and looks
// at nothing outside of the pool. What was not damaged is right.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "shm/pool.h"
#include "shm/pool_walk.h"
#include "shm/reader.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/pool_damage.h"
#include "tests/shm/test_pool.h"

using namespace ddict;
using namespace ddict::shm;

namespace {

constexpr std::uint64_t keys = 3000;

std::string value_of_key(std::uint64_t number) {
    return std::string(number % 100 == 0 ? 3000 : number % 130, static_cast<char>('a' + number % 26));
}

/// A pool of several index segments, as its manager has left it.
class Image {
  public:
    Image() {
        Segment segment = Segment::create(name_, limits::pool_bytes_min).value();
        Pool::format(segment, test_identity()).value();
        memory_ = {segment.data(), segment.size()};
        pool_ = Pool::attach(std::move(segment)).value();
        for (std::uint64_t number = 0; number < keys; ++number)
            put(*pool_, numbered_key(number, 12), value_of_key(number)).value();
        whole_.assign(memory_.begin(), memory_.end());
    }
    ~Image() { Segment::remove(name_); }

    MutableBytes memory() { return memory_; }
    void reset() {
        std::memcpy(memory_.data(), whole_.data(), whole_.size());
        is_whole_ = true;
    }
    bool is_whole() const { return is_whole_; }
    void damage(fuzz::Input& input) {
        fuzz::PoolDamage(input, memory_).change_one();
        is_whole_ = false;
    }
    void freeze() { pool_->set_frozen(true); }
    Result<std::shared_ptr<const PoolReader>> open() const {
        const PoolIdentity identity = test_identity();
        return PoolReader::open(Segment::open(name_, Access::read_only).value(),
                                {.dictionary_id = identity.dictionary_id,
                                 .secret = identity.secret,
                                 .manager = identity.manager});
    }

  private:
    const std::string name_ = test_segment_name();
    MutableBytes memory_;
    std::unique_ptr<Pool> pool_;
    std::vector<std::byte> whole_;
    bool is_whole_ = true;
};

/// The pool changes while it is asked for a buffer.
class Sink final : public ValueSink, public PieceSink {
  public:
    Sink(fuzz::Input& input, Image& image) : input_(input), image_(image) {}

    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t) override {
        fuzz::require(bytes <= image_.memory().size());
        value_.assign(bytes, std::byte{0});
        disturb();
        return std::span(value_);
    }
    Result<void> begin(const Pair& pair, std::uint64_t bytes) override {
        fuzz::require(bytes <= image_.memory().size() && pair.key.size() <= limits::key_bytes_max);
        expected_ = bytes;
        value_.clear();
        disturb();
        return {};
    }
    Result<void> piece(Bytes bytes) override {
        value_.insert(value_.end(), bytes.begin(), bytes.end());
        fuzz::require(value_.size() <= expected_);
        disturb();
        return {};
    }
    Result<void> end(bool is_true) override {
        fuzz::require(!is_true || value_.size() == expected_);
        return {};
    }
    void let_it_be(bool be) { disturbs_ = !be; }
    const std::vector<std::byte>& value() const { return value_; }

  private:
    void disturb() {
        if (disturbs_ && !input_.is_empty() && input_.below(4) == 0) image_.damage(input_);
    }
    fuzz::Input& input_;
    Image& image_;
    bool disturbs_ = true;
    std::uint64_t expected_ = 0;
    std::vector<std::byte> value_;
};

/// All of it can be read.
void look_at(Bytes bytes) {
    unsigned sum = 0;
    for (const std::byte byte : bytes)
        sum += static_cast<unsigned>(byte);
    fuzz::require(sum <= 255 * bytes.size());
}

class Reading {
  public:
    Reading(fuzz::Input& input, Image& image, std::shared_ptr<const PoolReader> reader)
        : input_(input), image_(image), reader_(std::move(reader)), sink_(input, image) {}

    void read_one() {
        const std::uint64_t number = input_.take<std::uint16_t>() % (keys + 50);
        const std::string key = numbered_key(number, 12);
        const std::uint64_t hash = hash_of(bytes_of(key));
        const bool is_there = number < keys;
        sink_.let_it_be(input_.flip());
        Result<void> outcome;
        const Read got = reader_->get(bytes_of(key), hash, sink_, outcome);
        fuzz::require(outcome.has_value());
        const bool is_whole = image_.is_whole();
        if (is_whole) fuzz::require(got == (is_there ? Read::value : Read::absent));
        if (is_whole && is_there) fuzz::require(text_of(sink_.value()) == value_of_key(number));
        ValueInfo info;
        const Read contained = reader_->contains(bytes_of(key), hash, &info);
        if (is_whole) fuzz::require(contained == got);
        reader_->prefetch(hash);
        if (const Result<FrozenView> view = reader_->view(bytes_of(key), hash)) {
            const Result<Bytes> bytes = view->bytes();
            if (bytes) look_at(*bytes);
        }
    }

    void walk() {
        sink_.let_it_be(input_.flip());
        PoolWalk walk(reader_);
        std::uint64_t found = 0;
        std::uint64_t cursor = 0;
        for (;;) {
            const Result<bool> more = walk.next();
            if (!more.has_value() || !*more) {
                fuzz::require(!image_.is_whole() || (more.has_value() && found == keys));
                return;
            }
            for (const PoolWalk::Found& pair : walk.pairs()) {
                ++found;
                look_at(pair.pair.key.bytes());
                fuzz::require(pair.pair.key.size() <= limits::key_bytes_max);
                if (pair.value_is_here) {
                    look_at(pair.pair.value);
                } else {
                    Result<void> outcome;
                    static_cast<void>(walk.read(pair, sink_, outcome));
                }
            }
            fuzz::require(walk.cursor() > cursor || walk.cursor() == 0);
            cursor = walk.cursor();
        }
    }

  private:
    fuzz::Input& input_;
    Image& image_;
    std::shared_ptr<const PoolReader> reader_;
    Sink sink_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Image image;
    image.reset();
    fuzz::Input input(data, size);
    if (input.flip()) image.freeze();
    std::shared_ptr<const PoolReader> reader;
    const auto open = [&] {
        if (auto opened = image.open(); opened) reader = *std::move(opened);
    };
    if (input.flip()) open();
    for (std::size_t changes = input.below(12); changes > 0; --changes)
        image.damage(input);
    if (!reader) open();
    if (!reader) return 0;
    Reading reading(input, image, reader);
    // A walk over a pool that does not come to rest tries a thousand times, and yields in between.
    const bool walks = input.below(16) == 0;
    for (std::size_t reads = 1 + input.below(16); reads > 0; --reads)
        reading.read_one();
    if (walks) reading.walk();
    return 0;
}
