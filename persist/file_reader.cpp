// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/file_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <new>

#include "base/checksum.h"
#include "persist/compression.h"
#include "persist/file.h"

namespace ddict::persist {
namespace {

// Memory for an extent with a large value is given back before a smaller one is read.
constexpr std::size_t kept_bytes_max = std::size_t{16} << 20;
constexpr std::size_t large_page_bytes = std::size_t{2} << 20;
// What has been read is in the processor's cache when its checksum is made.
constexpr std::size_t read_bytes = std::size_t{256} << 10;

}  // namespace

MutableBytes ExtentBuffer::of(std::size_t bytes) {
    if (size_ < bytes || (size_ > kept_bytes_max && bytes <= kept_bytes_max)) {
        memory_.reset();
        size_ = (bytes + large_page_bytes - 1) / large_page_bytes * large_page_bytes;
        memory_.reset(static_cast<std::byte*>(std::aligned_alloc(large_page_bytes, size_)));
        if (memory_ == nullptr) {
            size_ = 0;
            throw std::bad_alloc();
        }
        ::madvise(memory_.get(), size_, MADV_HUGEPAGE);
    }
    return {memory_.get(), bytes};
}

Result<std::shared_ptr<const Input>> OpenFiles::open(const Place& file) {
    const auto is_it = [&](const Entry& entry) {
        return entry.path == file.path && entry.store == file.store;
    };
    {
        const std::lock_guard lock(mutex_);
        const auto found = std::find_if(recent_.begin(), recent_.end(), is_it);
        if (found != recent_.end()) return found->input;
    }
    // Unlocked: a file system may take its time. That two threads open one file does no harm.
    Result<std::shared_ptr<const Input>> input = open_input(file);
    if (!input) return input;
    const std::lock_guard lock(mutex_);
    if (recent_.size() == files_max) recent_.pop_front();
    recent_.push_back({file.path, file.store, *input});
    return input;
}

Result<FileReader> FileReader::open(const Place& folder, const Commit& commit, const CommittedFile& file,
                                    std::shared_ptr<OpenFiles> files) {
    Place place = folder.in(file.name);
    const auto input = files->open(place);
    if (!input) return input.error();
    FileReader reader(std::move(place), std::move(files), file);
    const Result<void> good = reader.read_all_but_extents(**input, commit);
    if (!good)
        return good.error().code == Errc::protocol || good.error().code == Errc::incompatible
                   ? about(good.error(), reader.place_.path)
                   : good.error();
    return reader;
}

Result<void> FileReader::read_all_but_extents(const Input& input, const Commit& commit) {
    const Result<std::uint64_t> bytes = input.size();
    if (!bytes) return bytes.error();
    if (*bytes != file_.bytes)
        return Error(Errc::protocol, "damaged: it has " + std::to_string(*bytes) + " bytes, and had " +
                                         std::to_string(file_.bytes) + " when it was saved");
    std::vector<std::byte> page(alignment);
    std::array<std::byte, sizeof(Footer)> last;
    if (*bytes < page.size() + last.size()) return Error(Errc::protocol, "damaged: it is too short");
    if (const Result<void> read = input.read(0, page); !read) return read;
    if (const Result<void> read = input.read(*bytes - last.size(), last); !read) return read;
    const Result<FileHeader> header = header_of(page);
    if (!header) return header.error();
    const Result<Footer> footer = footer_of(last, *bytes);
    if (!footer) return footer.error();
    if (header->save_id != commit.save_id || header->dictionary_id != commit.dictionary_id ||
        header->generation != commit.generation || header->managers != commit.managers ||
        header->manager != file_.manager)
        return Error(Errc::protocol, "it is a file of another checkpoint, or of another manager");
    if (footer->checksum != file_.checksum || footer->header_checksum != header->checksum ||
        footer->pairs != file_.pairs || footer->value_bytes != file_.value_bytes)
        return Error(Errc::protocol, "damaged: it is not as the commit file has it");
    std::vector<std::byte> table(footer->extents * sizeof(Extent));
    if (const Result<void> read = input.read(footer->table_offset, table); !read) return read;
    Result<std::vector<Extent>> extents = table_of(table, *footer);
    if (!extents) return extents.error();
    extents_ = *std::move(extents);
    return {};
}

Result<Bytes> FileReader::read(const Extent& extent, ExtentBuffer& buffer) const {
    const auto input = files_->open(place_);
    if (!input) return input.error();
    return extent.codec == codec_none ? read_plain(**input, extent, buffer)
                                      : read_compressed(**input, extent, buffer);
}

Error FileReader::damaged(const Extent& extent, const char* what) const {
    return about(
        Error(Errc::protocol, "damaged: the extent at " + std::to_string(extent.offset) + " " + what),
        place_.path);
}

Result<Bytes> FileReader::read_plain(const Input& input, const Extent& extent, ExtentBuffer& buffer) const {
    const MutableBytes bytes = buffer.of(aligned(extent.bytes));
    Checksum checksum;
    for (std::size_t done = 0; done < bytes.size();) {
        const MutableBytes piece = bytes.subspan(done, std::min(read_bytes, bytes.size() - done));
        if (const Result<void> read = input.read(extent.offset + done, piece); !read) return read.error();
        checksum.add(piece);
        done += piece.size();
    }
    if (checksum.value() != extent.checksum) return damaged(extent, "has another checksum");
    return Bytes(bytes.first(extent.bytes));
}

Result<Bytes> FileReader::read_compressed(const Input& input, const Extent& extent,
                                          ExtentBuffer& buffer) const {
    const MutableBytes records = buffer.of(extent.plain_bytes);
    const std::unique_ptr<Decompressor> decompressor = make_decompressor(records);
    if (decompressor == nullptr)
        return about(Error(Errc::incompatible, "it is compressed, and this ddict is built without zstd"),
                     place_.path);
    const std::uint64_t stored = aligned(extent.bytes);
    std::vector<std::byte> piece(std::min<std::uint64_t>(read_bytes, stored));
    Checksum checksum;
    bool is_good = true;
    for (std::uint64_t done = 0; done < stored; done += piece.size()) {
        piece.resize(std::min<std::uint64_t>(piece.size(), stored - done));
        if (const Result<void> read = input.read(extent.offset + done, piece); !read) return read.error();
        checksum.add(piece);
        const std::uint64_t of_frame =
            std::min<std::uint64_t>(piece.size(), extent.bytes - std::min(extent.bytes, done));
        is_good = is_good && decompressor->add(Bytes(piece).first(of_frame));
    }
    if (checksum.value() != extent.checksum) return damaged(extent, "has another checksum");
    if (!is_good || !decompressor->is_complete()) return damaged(extent, "is no frame of its size");
    return Bytes(records);
}

}  // namespace ddict::persist
