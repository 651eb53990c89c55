// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/private_segments.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string_view>

namespace ddict::ucx {
namespace {

constexpr int rights_of_others = S_IRWXG | S_IRWXO;
constexpr std::string_view redirected_name = "shmget";

std::atomic<std::uint64_t> segments_made{0};

/// What UCX's libraries call instead of the C library's.
int private_shmget(key_t key, std::size_t bytes, int flags) {
    const int id = ::shmget(key, bytes, flags & ~rights_of_others);
    if (id >= 0) segments_made.fetch_add(1, std::memory_order_relaxed);
    return id;
}

bool is_library_of_ucx(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    return name.starts_with("libucs") || name.starts_with("libuct") || name.starts_with("libucp");
}

/// What is needed of one loaded library.
struct Library {
    ElfW(Addr) base = 0;
    const ElfW(Sym) * symbols = nullptr;
    const char* names = nullptr;
    ElfW(Addr) read_only_begin = 0;  // made so by the dynamic linker once it had filled it
    ElfW(Addr) read_only_end = 0;

    // Most dynamic linkers store addresses, some offsets.
    ElfW(Addr) at(ElfW(Addr) value) const { return value < base ? base + value : value; }
};

bool write_word(const Library& library, ElfW(Addr) address, void* value) {
    const auto page_bytes = static_cast<ElfW(Addr)>(::sysconf(_SC_PAGESIZE));
    const bool read_only = address >= library.read_only_begin && address < library.read_only_end;
    auto* page = reinterpret_cast<void*>(address / page_bytes * page_bytes);
    if (read_only && ::mprotect(page, page_bytes, PROT_READ | PROT_WRITE) != 0) return false;
    __atomic_store_n(reinterpret_cast<void**>(address), value, __ATOMIC_RELEASE);
    if (read_only) ::mprotect(page, page_bytes, PROT_READ);
    return true;
}

/// Redirects what the entries [first, first + bytes) lead to; false if a word of them cannot be written.
bool redirect(const Library& library, ElfW(Addr) first, ElfW(Addr) bytes) {
    const auto* entry = reinterpret_cast<const ElfW(Rela)*>(first);
    const auto* end = reinterpret_cast<const ElfW(Rela)*>(first + bytes);
    for (; entry != end; ++entry) {
#if __ELF_NATIVE_CLASS == 64
        const std::uint64_t symbol = ELF64_R_SYM(entry->r_info);
#else
        const std::uint32_t symbol = ELF32_R_SYM(entry->r_info);
#endif
        if (symbol == 0 || entry->r_addend != 0) continue;
        if (library.names + library.symbols[symbol].st_name != redirected_name) continue;
        if (!write_word(library, library.base + entry->r_offset, reinterpret_cast<void*>(&private_shmget)))
            return false;
    }
    return true;
}

struct Search {
    unsigned libraries = 0;
    bool good = true;
};

int visit(dl_phdr_info* info, std::size_t, void* data) {
    auto& search = *static_cast<Search*>(data);
    if (!is_library_of_ucx(info->dlpi_name)) return 0;
    Library library{.base = info->dlpi_addr};
    const auto page_bytes = static_cast<ElfW(Addr)>(::sysconf(_SC_PAGESIZE));
    const ElfW(Dyn)* dynamic = nullptr;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr)& header = info->dlpi_phdr[i];
        if (header.p_type == PT_DYNAMIC)
            dynamic = reinterpret_cast<const ElfW(Dyn)*>(library.base + header.p_vaddr);
        if (header.p_type != PT_GNU_RELRO) continue;
        const ElfW(Addr) begin = library.base + header.p_vaddr;
        library.read_only_begin = begin / page_bytes * page_bytes;
        library.read_only_end = (begin + header.p_memsz) / page_bytes * page_bytes;
    }
    ElfW(Addr) calls = 0;
    ElfW(Addr) calls_bytes = 0;
    ElfW(Addr) others = 0;
    ElfW(Addr) others_bytes = 0;
    bool understood = true;
    for (; dynamic != nullptr && dynamic->d_tag != DT_NULL; ++dynamic) {
        const ElfW(Addr) value = dynamic->d_un.d_ptr;
        switch (dynamic->d_tag) {
            case DT_SYMTAB:
                library.symbols = reinterpret_cast<const ElfW(Sym)*>(library.at(value));
                break;
            case DT_STRTAB:
                library.names = reinterpret_cast<const char*>(library.at(value));
                break;
            case DT_JMPREL:
                calls = library.at(value);
                break;
            case DT_PLTRELSZ:
                calls_bytes = value;
                break;
            case DT_PLTREL:
                understood = understood && value == DT_RELA;
                break;
            case DT_RELA:
                others = library.at(value);
                break;
            case DT_RELASZ:
                others_bytes = value;
                break;
            default:
                break;
        }
    }
    understood = understood && library.symbols != nullptr && library.names != nullptr;
    search.good = search.good && understood && redirect(library, calls, calls_bytes) &&
                  redirect(library, others, others_bytes);
    ++search.libraries;
    return 0;
}

/// UCX may stay loaded for another user of it when the library with these functions goes.
void stay_loaded() {
    Dl_info own{};
    if (::dladdr(reinterpret_cast<void*>(&private_shmget), &own) != 0)
        ::dlopen(own.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace

bool make_segments_private() {
    static std::mutex one_at_a_time;
    static const bool stays = [] {
        stay_loaded();
        return true;
    }();
    static_cast<void>(stays);
    const std::lock_guard lock(one_at_a_time);
    Search search;
    ::dl_iterate_phdr(&visit, &search);
    return search.good && search.libraries != 0;
}

std::uint64_t private_segments_made() noexcept {
    return segments_made.load(std::memory_order_relaxed);
}

}  // namespace ddict::ucx
