// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Where a load gets its pairs from, in parts that can be read in any order and more than once: the extents of
// a checkpoint's files, or the pages of another dictionary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"
#include "libclient/attachment.h"
#include "libclient/manager_pages.h"
#include "persist/checkpoint.h"
#include "persist/file_reader.h"

namespace ddict::client {

class PairSource {
  public:
    struct Size {
        std::uint64_t pairs = 0;
        std::uint64_t bytes = 0;
    };
    virtual ~PairSource() = default;
    /// Finds the parts. Nothing else may be asked before.
    virtual Result<void> open() = 0;
    virtual std::size_t parts() const = 0;
    /// The records of one (persist/record.h), in the buffer. By any number of threads at once.
    virtual Result<Bytes> read(std::size_t part, persist::ExtentBuffer& buffer) const = 0;
    /// For those who are told how far it is.
    virtual Size size_of(std::size_t part) const = 0;
    virtual std::uint64_t bytes() const = 0;
    /// How many managers its pairs are of.
    virtual std::uint32_t managers() const = 0;
};

/// A saved checkpoint, which must outlive it.
class CheckpointSource final : public PairSource {
  public:
    explicit CheckpointSource(const persist::Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
    Result<void> open() override;
    std::size_t parts() const override { return extents_.size(); }
    Result<Bytes> read(std::size_t part, persist::ExtentBuffer& buffer) const override {
        return extents_[part].file->read(*extents_[part].extent, buffer);
    }
    Size size_of(std::size_t part) const override {
        return {.pairs = extents_[part].extent->pairs,
                .bytes = persist::aligned(extents_[part].extent->bytes)};
    }
    std::uint64_t bytes() const override { return checkpoint_.commit.bytes(); }
    std::uint32_t managers() const override { return checkpoint_.commit.managers; }

  private:
    struct Part {
        const persist::FileReader* file;
        const persist::Extent* extent;
    };
    const persist::Checkpoint& checkpoint_;
    const std::shared_ptr<persist::OpenFiles> open_files_ = std::make_shared<persist::OpenFiles>();
    std::vector<persist::FileReader> files_;
    std::vector<Part> extents_;
};

/// What is seen at a checkpoint of a dictionary that lives. A part is a range of hashes of one manager, of
/// some MiB, which is asked for a page at a time.
class LiveSource final : public PairSource {
  public:
    LiveSource(detail::Shared<Attachment> attachment, std::uint32_t checkpoint)
        : attachment_(std::move(attachment)), checkpoint_(checkpoint) {}
    Result<void> open() override;
    std::size_t parts() const override { return parts_.size(); }
    Result<Bytes> read(std::size_t part, persist::ExtentBuffer& buffer) const override;
    Size size_of(std::size_t part) const override { return {.pairs = 0, .bytes = parts_[part].bytes}; }
    std::uint64_t bytes() const override { return bytes_; }
    std::uint32_t managers() const override { return attachment_->manager_count(); }

  private:
    struct Part {
        std::uint32_t manager;
        std::uint64_t first;  // shard hashes
        std::uint64_t last;
        std::uint64_t bytes;
    };
    const detail::Shared<Attachment> attachment_;
    const std::uint32_t checkpoint_;
    std::vector<Part> parts_;
    std::vector<KeySet> broadcasts_;  // by manager
    std::uint64_t bytes_ = 0;
};

}  // namespace ddict::client
