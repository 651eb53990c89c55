// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <zstd.h>

#include <new>
#include <string>
#include <vector>

#include "persist/compression.h"

namespace ddict::persist {
namespace {

// A file system of several GB/s is not to wait for it.
constexpr int level = 1;
// What a frame may ask a reader to keep, as a power of two: more than that level ever does.
constexpr int window_log_max = 23;

class ZstdCompressor final : public Compressor {
  public:
    ZstdCompressor() : context_(::ZSTD_createCCtx()), out_(::ZSTD_CStreamOutSize()) {
        if (context_ == nullptr) throw std::bad_alloc();
        ::ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
    }

    std::size_t compress(Bytes plain, MutableBytes into) noexcept override {
        begin();
        const std::size_t bytes =
            ::ZSTD_compress2(context_.get(), into.data(), into.size(), plain.data(), plain.size());
        return ::ZSTD_isError(bytes) != 0 ? 0 : bytes;
    }

    void begin() noexcept override { ::ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_only); }
    Result<void> add(Bytes piece, const Write& write) override {
        return go_on(piece, ZSTD_e_continue, write);
    }
    Result<void> end(const Write& write) override { return go_on({}, ZSTD_e_end, write); }

  private:
    struct Free {
        void operator()(ZSTD_CCtx* context) const noexcept { ::ZSTD_freeCCtx(context); }
    };

    Result<void> go_on(Bytes piece, ZSTD_EndDirective directive, const Write& write) {
        ZSTD_inBuffer in{piece.data(), piece.size(), 0};
        for (bool done = false; !done;) {
            ZSTD_outBuffer out{out_.data(), out_.size(), 0};
            const std::size_t left = ::ZSTD_compressStream2(context_.get(), &out, &in, directive);
            if (::ZSTD_isError(left) != 0)
                return Error(Errc::system, std::string("compressing by zstd: ") + ::ZSTD_getErrorName(left));
            if (out.pos > 0) {
                if (const Result<void> written = write(Bytes(out_).first(out.pos)); !written) return written;
            }
            done = directive == ZSTD_e_end ? left == 0 : in.pos == in.size;
        }
        return {};
    }

    std::unique_ptr<ZSTD_CCtx, Free> context_;
    std::vector<std::byte> out_;
};

class ZstdDecompressor final : public Decompressor {
  public:
    explicit ZstdDecompressor(MutableBytes into)
        : context_(::ZSTD_createDCtx()), out_{into.data(), into.size(), 0} {
        if (context_ == nullptr) throw std::bad_alloc();
        ::ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, window_log_max);
    }

    bool add(Bytes piece) noexcept override {
        ZSTD_inBuffer in{piece.data(), piece.size(), 0};
        while (is_good_ && in.pos < in.size) {
            const std::size_t consumed = in.pos;
            const std::size_t made = out_.pos;
            const std::size_t left = has_ended_ ? 0 : ::ZSTD_decompressStream(context_.get(), &out_, &in);
            is_good_ = ::ZSTD_isError(left) == 0 && (in.pos > consumed || out_.pos > made);
            has_ended_ = left == 0;
        }
        return is_good_;
    }
    bool is_complete() const noexcept override { return is_good_ && has_ended_ && out_.pos == out_.size; }

  private:
    struct Free {
        void operator()(ZSTD_DCtx* context) const noexcept { ::ZSTD_freeDCtx(context); }
    };

    std::unique_ptr<ZSTD_DCtx, Free> context_;
    ZSTD_outBuffer out_;
    bool has_ended_ = false;
    bool is_good_ = true;
};

}  // namespace

bool can_compress() noexcept {
    return true;
}

std::unique_ptr<Compressor> make_compressor() {
    return std::make_unique<ZstdCompressor>();
}

std::unique_ptr<Decompressor> make_decompressor(MutableBytes into) {
    return std::make_unique<ZstdDecompressor>(into);
}

}  // namespace ddict::persist
