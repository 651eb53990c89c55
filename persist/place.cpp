// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/place.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "os/file_descriptor.h"
#include "persist/file.h"

namespace ddict::persist {
namespace {

namespace fs = std::filesystem;

Error not_there(const fs::path& path) {
    return about(Error(Errc::protocol, "damaged: the commit file names it, and it is not there"), path);
}

class FileOutput final : public Output {
  public:
    FileOutput(os::FileDescriptor file, fs::path path) : file_(std::move(file)), path_(std::move(path)) {}

    Result<void> write(Bytes bytes) override {
        if (const Result<void> written = write_at(file_, offset_, bytes, path_); !written) return written;
        // The medium begins now rather than at the end; where that is not to be had, it begins at the end.
        static_cast<void>(::sync_file_range(file_.fd(), static_cast<off_t>(offset_),
                                            static_cast<off_t>(bytes.size()), SYNC_FILE_RANGE_WRITE));
        offset_ += bytes.size();
        return {};
    }
    bool can_cut() const override { return true; }
    Result<void> cut(std::uint64_t offset) override {
        offset_ = offset;
        if (::ftruncate(file_.fd(), static_cast<off_t>(offset)) != 0)
            return file_error(errno, "writing", path_);
        return {};
    }
    Result<void> finish() override { return sync(file_, path_); }

  private:
    os::FileDescriptor file_;
    fs::path path_;
    std::uint64_t offset_ = 0;
};

class ObjectOutput final : public Output {
  public:
    explicit ObjectOutput(std::unique_ptr<CheckpointStore::Object> object) : object_(std::move(object)) {}

    Result<void> write(Bytes bytes) override { return object_->write(bytes); }
    bool can_cut() const override { return false; }
    Result<void> cut(std::uint64_t) override { return Error(Errc::invalid_argument); }
    Result<void> finish() override { return object_->commit(); }

  private:
    std::unique_ptr<CheckpointStore::Object> object_;
};

class FileInput final : public Input {
  public:
    FileInput(os::FileDescriptor file, fs::path path) : file_(std::move(file)), path_(std::move(path)) {}

    Result<std::uint64_t> size() const override { return size_of(file_, path_); }
    Result<void> read(std::uint64_t offset, MutableBytes bytes) const override {
        return read_at(file_, offset, bytes, path_);
    }

  private:
    os::FileDescriptor file_;
    fs::path path_;
};

class ObjectInput final : public Input {
  public:
    ObjectInput(CheckpointStore& store, std::string name, std::uint64_t bytes)
        : store_(store), name_(std::move(name)), bytes_(bytes) {}

    Result<std::uint64_t> size() const override { return bytes_; }
    Result<void> read(std::uint64_t offset, MutableBytes bytes) const override {
        if (offset > bytes_ || bytes.size() > bytes_ - offset)
            return about(Error(Errc::protocol, "damaged: it ends too early"), name_);
        Result<void> read = store_.read(name_, offset, bytes);
        if (!read && read.error().code == Errc::not_found) return not_there(name_);
        return read;
    }

  private:
    CheckpointStore& store_;
    const std::string name_;
    const std::uint64_t bytes_;
};

}  // namespace

Result<std::unique_ptr<Output>> create_output(const Place& file) {
    if (file.store != nullptr) {
        auto object = file.store->create(file.path.generic_string());
        if (!object) return object.error();
        return std::unique_ptr<Output>(std::make_unique<ObjectOutput>(*std::move(object)));
    }
    Result<os::FileDescriptor> created = create_file(file.path);
    if (!created) return created.error();
    return std::unique_ptr<Output>(std::make_unique<FileOutput>(*std::move(created), file.path));
}

Result<std::shared_ptr<const Input>> open_input(const Place& file) {
    if (file.store != nullptr) {
        const std::string name = file.path.generic_string();
        const Result<std::uint64_t> bytes = file.store->size(name);
        if (!bytes.has_value())
            return bytes.error().code == Errc::not_found ? not_there(file.path) : bytes.error();
        return std::shared_ptr<const Input>(std::make_shared<ObjectInput>(*file.store, name, *bytes));
    }
    Result<os::FileDescriptor> opened = open_file(file.path);
    if (!opened && ::access(file.path.c_str(), F_OK) != 0 && errno == ENOENT) return not_there(file.path);
    if (!opened) return opened.error();
    return std::shared_ptr<const Input>(std::make_shared<FileInput>(*std::move(opened), file.path));
}

}  // namespace ddict::persist
