// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/error.h>

#include <charconv>
#include <cstring>
#include <tuple>

#include <ddict/key_bytes.h>

#include "base/bytes.h"
#include "base/limits.h"

namespace ddict {
namespace {

static_assert(std::tuple_size_v<decltype(Error::node)> == limits::node_name_bytes_max + 1);

template <std::size_t N>
void copy_text(std::array<char, N>& to, std::string_view from) noexcept {
    const std::size_t n = from.copy(to.data(), N - 1);
    to[n] = '\0';
    if (n < from.size()) std::memcpy(to.data() + N - 4, "...", 3);
}

void append_printable(std::string& out, std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    for (const char c : bytes) {
        const auto u = static_cast<unsigned char>(c);
        if (u >= 0x20 && u < 0x7f && c != '\\' && c != '\'') {
            out += c;
        } else {
            out += "\\x";
            out += digits[u >> 4];
            out += digits[u & 15];
        }
    }
}

std::string_view advice_when_lost(const Error& error) noexcept {
    if (error.operation == Operation::attach)
        return "it has ended ('ddict-launch status' shows what runs), or this process cannot reach its nodes "
               "(network namespace, DDICT_UCX_NET_DEVICES, DDICT_UCX_TLS), or they refuse this host "
               "(DDICT_ALLOW_HOSTS of ddict-launch)";
    switch (error.manager_state) {
        case ManagerState::ended:
            return "what it held is lost; the keys of other managers are not affected";
        case ManagerState::silent:
        case ManagerState::unreachable:
            return "it may live all the same: 'ddict health' shows which managers answer; try again, or work "
                   "with the keys of the others";
        default:
            return "'ddict health' shows which managers answer";
    }
}

std::string_view advice_after_deadline(const Error& error) noexcept {
    switch (error.manager_state) {
        case ManagerState::answered:
            if (error.detail[0] != '\0') return {};  // says it itself
            return "its manager answers: wait for longer";
        case ManagerState::silent:
        case ManagerState::unreachable:
            return "the manager may be stopped, overloaded or cut off: 'ddict health' shows which answer; "
                   "raise "
                   "the deadline or try again";
        default:
            return "raise the deadline or try again";
    }
}

/// What to do, where the code alone says it. Errors with a text of their own say it there.
std::string_view advice(const Error& error) noexcept {
    switch (error.code) {
        case Errc::no_space:
            return "erase keys, or start the dictionary with a larger --total-mem";
        case Errc::too_large:
            if (error.have_bytes == limits::key_bytes_max) return "take a shorter key, or a hash of it";
            if (error.detail[0] != '\0') return {};
            return "store it in smaller pieces, or give each manager more memory";
        case Errc::timeout:
            return advice_after_deadline(error);
        case Errc::manager_lost:
            return advice_when_lost(error);
        case Errc::dictionary_gone:
            return "start a new one and attach to that";
        case Errc::not_attached:
            if (error.operation != Operation::attach) return {};
            return "run under ddict-launch, or: eval \"$(ddict-launch start --export)\"";
        case Errc::bad_handle:
            return "copy it again, whole";
        case Errc::incompatible:
            return "use the same versions of ddict and UCX on both sides";
        case Errc::access_denied:
            return "use the handle that the dictionary's own launcher printed";
        case Errc::frozen:
            return "unfreeze the dictionary first, unless it is read-only";
        case Errc::busy:
            return "try again, or with fewer operations at once";
        case Errc::checkpoint_retired:
            return "go on at a checkpoint that is kept: sync_to_newest_checkpoint";
        default:
            return {};
    }
}

template <class Number>
Number number_of(KeyBytes key) {
    Number number{};
    std::memcpy(&number, key.data(), sizeof number);
    return number;
}

/// Numbers as numbers, with their type where it is not the usual one.
bool append_number(std::string& out, KeyBytes key) {
    if (key.size() != 8) return false;
    switch (key.type()) {
        case key_type_int64:
            out += std::to_string(number_of<std::int64_t>(key));
            return true;
        case key_type_uint64:
            out += std::to_string(number_of<std::uint64_t>(key)) + " (uint64)";
            return true;
        case key_type_float64: {
            char digits[32];
            const auto end = std::to_chars(digits, digits + sizeof digits, number_of<double>(key)).ptr;
            const std::string_view text(digits, static_cast<std::size_t>(end - digits));
            out += text;
            if (text.find_first_not_of("-0123456789") == std::string_view::npos) out += ".0";
            return true;
        }
        default:
            return false;
    }
}

/// Of these the key is a prefix of keys.
bool is_about_prefix(Operation operation) noexcept {
    return operation == Operation::scan || operation == Operation::count_prefix ||
           operation == Operation::erase_prefix;
}

void append_key(std::string& out, KeyBytes key, bool cut) {
    if (!cut && append_number(out, key)) return;
    out += '\'';
    append_printable(out, text_of(key));
    out += cut ? "...'" : "'";
    if (key.type() != type_text) out += " (" + type_in_words(key.type()) + ")";
}

}  // namespace

std::string_view name(Errc code) noexcept {
    if (code == Errc{}) return "ok";
    switch (code) {
        case Errc::not_found:
            return "not_found";
        case Errc::no_space:
            return "no_space";
        case Errc::too_large:
            return "too_large";
        case Errc::invalid_argument:
            return "invalid_argument";
        case Errc::wrong_type:
            return "wrong_type";
        case Errc::timeout:
            return "timeout";
        case Errc::manager_lost:
            return "manager_lost";
        case Errc::dictionary_gone:
            return "dictionary_gone";
        case Errc::not_attached:
            return "not_attached";
        case Errc::bad_handle:
            return "bad_handle";
        case Errc::incompatible:
            return "incompatible";
        case Errc::access_denied:
            return "access_denied";
        case Errc::frozen:
            return "frozen";
        case Errc::busy:
            return "busy";
        case Errc::checkpoint_retired:
            return "checkpoint_retired";
        case Errc::protocol:
            return "protocol";
        case Errc::system:
            return "system";
    }
    return "unknown";
}

std::string_view name(Operation operation) noexcept {
    switch (operation) {
        case Operation::none:
            return "operation";
        case Operation::create:
            return "create";
        case Operation::attach:
            return "attach";
        case Operation::detach:
            return "detach";
        case Operation::destroy:
            return "destroy";
        case Operation::put:
            return "put";
        case Operation::get:
            return "get";
        case Operation::contains:
            return "contains";
        case Operation::erase:
            return "erase";
        case Operation::size:
            return "size";
        case Operation::clear:
            return "clear";
        case Operation::scan:
            return "scan";
        case Operation::stats:
            return "stats";
        case Operation::ping:
            return "ping";
        case Operation::directory:
            return "directory";
        case Operation::launch:
            return "launch";
        case Operation::pop:
            return "pop";
        case Operation::compare_and_swap:
            return "compare_and_swap";
        case Operation::fetch_add:
            return "fetch_add";
        case Operation::append:
            return "append";
        case Operation::wait_for:
            return "wait_for";
        case Operation::batch_get:
            return "batch_get";
        case Operation::batch_put:
            return "batch_put";
        case Operation::batch_erase:
            return "batch_erase";
        case Operation::broadcast_put:
            return "broadcast_put";
        case Operation::broadcast_get:
            return "broadcast_get";
        case Operation::broadcast_erase:
            return "broadcast_erase";
        case Operation::freeze:
            return "freeze";
        case Operation::view:
            return "view";
        case Operation::type_and_size:
            return "type_and_size";
        case Operation::count_prefix:
            return "count_prefix";
        case Operation::erase_prefix:
            return "erase_prefix";
        case Operation::cancel_wait:
            return "cancel_wait";
        case Operation::wait_for_any:
            return "wait_for_any";
        case Operation::restart:
            return "restart";
        case Operation::save:
            return "save";
        case Operation::load:
            return "load";
        case Operation::checkpoints:
            return "checkpoints";
        case Operation::persist:
            return "persist";
        case Operation::restore:
            return "restore";
        case Operation::touch:
            return "touch";
        case Operation::time_to_live:
            return "time_to_live";
    }
    return "operation";
}

std::string_view name(ManagerState state) noexcept {
    switch (state) {
        case ManagerState::unknown:
            return "unknown";
        case ManagerState::answered:
            return "answered";
        case ManagerState::silent:
            return "silent";
        case ManagerState::unreachable:
            return "unreachable";
        case ManagerState::ended:
            return "ended";
    }
    return "unknown";
}

Errc errc_named(std::string_view text) noexcept {
    for (std::uint16_t code = 1; code <= errc_last; ++code) {
        if (name(static_cast<Errc>(code)) == text) return static_cast<Errc>(code);
    }
    return Errc::system;
}

Error& Error::set_key(std::string_view text) noexcept {
    key_bytes_shown = static_cast<std::uint8_t>(text.copy(key.data(), key.size()));
    key_cut = text.size() > key.size();
    key_type = type_text;
    return *this;
}

Error& Error::set_key(KeyBytes typed) noexcept {
    set_key(text_of(typed));
    key_type = typed.type();
    return *this;
}

Error& Error::set_node(std::string_view host) noexcept {
    copy_text(node, host);
    return *this;
}

Error& Error::set_detail(std::string_view text) noexcept {
    copy_text(detail, text);
    return *this;
}

std::string in_words(KeyBytes key) {
    std::string out;
    append_key(out, key, false);
    return out;
}

std::string Error::message() const {
    std::string out;
    if (operation != Operation::none) out += name(operation);
    if (key_bytes_shown > 0) {
        const bool is_prefix = is_about_prefix(operation) && code != Errc::wrong_type;
        out += out.empty() ? "key " : is_prefix ? " of prefix " : " of key ";
        append_key(out, {bytes_of({key.data(), key_bytes_shown}), key_type}, key_cut);
    }
    if (manager != no_manager) out += (out.empty() ? "manager " : " on manager ") + std::to_string(manager);
    if (node[0] != '\0') out += (out.empty() ? "node (" : " (") + std::string(node.data()) + ")";
    if (!out.empty()) out += ": ";
    out += name(code);
    if (detail[0] != '\0') out += std::string(": ") + detail.data();
    if (need_bytes > 0 || have_bytes > 0) {
        out += ": needs " + std::to_string(need_bytes) + (need_bytes == 1 ? " byte, " : " bytes, ") +
               (code == Errc::too_large ? "the limit is " : "has ") + std::to_string(have_bytes);
    }
    if (in_doubt) out += "; it may or may not have taken effect";
    // The texts of launch and create say themselves what to do about it: it is not about keys.
    if (const std::string_view what_to_do = advice(*this);
        !what_to_do.empty() && operation != Operation::launch && operation != Operation::create) {
        out += "; ";
        out += what_to_do;
    }
    return out;
}

}  // namespace ddict
