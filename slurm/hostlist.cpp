// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/hostlist.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace ddict::slurm {

namespace {

constexpr std::size_t digits_max = 18;       // so that every number fits into 64 bits
constexpr std::size_t name_bytes_max = 255;  // so that a list cannot stand for far more bytes than names

struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::size_t width = 0;  // of every number in it, filled up with zeros
};

// A piece of one item of the list: fixed text, or a bracket with the ranges that it stands for.
struct Piece {
    std::string text;
    std::vector<Range> ranges;
};

std::string padded(std::uint64_t number, std::size_t width) {
    std::string digits = std::to_string(number);
    if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
    return digits;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool ends_text(char c) {
    return c == ',' || c == '[' || c == ']';
}
bool printable(char c) {
    return c > ' ' && c < 0x7f;
}

// Reads the list from left to right. The first fault stops it.
class Parser {
  public:
    Parser(std::string_view text, std::size_t hosts_limit) : text_(text), limit_(hosts_limit) {}

    Result<std::vector<std::string>> parse() {
        if (text_.empty()) return std::move(hosts_);
        do {
            item();
        } while (!fault_ && take(','));
        if (!fault_ && at_ < text_.size()) fail("unexpected character");
        if (fault_) return *fault_;
        return std::move(hosts_);
    }

  private:
    void item() {
        std::vector<Piece> pieces;
        std::uint64_t names = 1;
        std::size_t name_bytes = 0;  // of the longest
        while (!fault_ && at_ < text_.size() && text_[at_] != ',' && text_[at_] != ']') {
            pieces.push_back(take('[') ? bracket() : fixed());
            names = times(names, pieces.back());
            name_bytes += longest(pieces.back());
            if (!fault_ && (name_bytes > name_bytes_max || pieces.size() > name_bytes_max))
                return fail("a name is too long");
            if (!fault_ && names > limit_ - hosts_.size()) return fail_too_many();
        }
        if (!fault_ && pieces.empty()) fail("a name is missing");
        if (!fault_) append_names(pieces);
    }

    Piece fixed() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && !ends_text(text_[at_])) {
            if (!printable(text_[at_])) return fail("unexpected character"), Piece{};
            ++at_;
        }
        return {std::string(text_.substr(begin, at_ - begin)), {}};
    }

    Piece bracket() {
        Piece piece;
        do {
            piece.ranges.push_back(range());
        } while (!fault_ && take(','));
        if (!fault_ && !take(']')) fail("']' is missing");
        return piece;
    }

    Range range() {
        Range result;
        const std::size_t begin = at_;
        result.first = result.last = number();
        result.width = at_ - begin;
        if (!fault_ && take('-')) result.last = number();
        if (!fault_ && result.last < result.first) fail("a range runs backwards");
        return result;
    }

    std::uint64_t number() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && is_digit(text_[at_]))
            ++at_;
        if (at_ == begin) return fail("a number is missing"), 0;
        if (at_ - begin > digits_max) return fail("a number is too long"), 0;
        std::uint64_t value = 0;
        std::from_chars(text_.data() + begin, text_.data() + at_, value);
        return value;
    }

    static std::size_t longest(const Piece& piece) {
        std::size_t bytes = piece.text.size();
        for (const Range& range : piece.ranges)
            bytes = std::max(bytes, padded(range.last, range.width).size());
        return bytes;
    }

    // How many names there are with one more piece; above the limit it does not matter how many.
    std::uint64_t times(std::uint64_t names, const Piece& piece) const {
        if (piece.ranges.empty()) return names;
        std::uint64_t numbers = 0;
        for (const Range& range : piece.ranges) {
            const std::uint64_t more = range.last - range.first;
            if (more >= limit_) return limit_ + 1;
            numbers += more + 1;
            if (numbers > limit_) return limit_ + 1;
        }
        return numbers > limit_ / names ? limit_ + 1 : names * numbers;
    }

    // Slurm's order: the last bracket runs fastest, after it the first, the second and so on.
    void append_names(const std::vector<Piece>& pieces) {
        std::size_t last_bracket = pieces.size();
        for (std::size_t i = 0; i < pieces.size(); ++i)
            if (!pieces[i].ranges.empty()) last_bracket = i;
        std::vector<std::string> names = {""};
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const auto ends = pieces[i].ranges.empty() ? std::vector{pieces[i].text} : numbers(pieces[i]);
            std::vector<std::string> longer;
            if (i == last_bracket)
                for (const std::string& name : names)
                    for (const std::string& end : ends)
                        longer.push_back(name + end);
            else
                for (const std::string& end : ends)
                    for (const std::string& name : names)
                        longer.push_back(name + end);
            names = std::move(longer);
        }
        hosts_.insert(hosts_.end(), names.begin(), names.end());
    }

    static std::vector<std::string> numbers(const Piece& bracket) {
        std::vector<std::string> all;
        for (const Range& range : bracket.ranges)
            for (std::uint64_t n = range.first; n <= range.last; ++n)
                all.push_back(padded(n, range.width));
        return all;
    }

    bool take(char c) {
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    void fail(const char* what) {
        const std::string shown(text_.substr(0, 80));
        fault_ = Error(Errc::invalid_argument, std::string("list of nodes: ") + what + " at character " +
                                                   std::to_string(at_ + 1) + " of '" + shown + "'");
    }
    void fail_too_many() {
        fault_ =
            Error(Errc::invalid_argument, "list of nodes: it stands for more than " + std::to_string(limit_) +
                                              " nodes: '" + std::string(text_.substr(0, 80)) + "'");
    }

    const std::string_view text_;
    const std::uint64_t limit_;
    std::size_t at_ = 0;
    std::vector<std::string> hosts_;
    std::optional<Error> fault_;
};

struct NumberedName {
    std::string_view prefix;
    std::string_view digits;  // may be empty
    std::uint64_t number = 0;
};

NumberedName split(std::string_view name) {
    std::size_t digits = 0;
    while (digits < name.size() && digits < digits_max && is_digit(name[name.size() - 1 - digits]))
        ++digits;
    NumberedName result{name.substr(0, name.size() - digits), name.substr(name.size() - digits)};
    std::from_chars(result.digits.data(), result.digits.data() + result.digits.size(), result.number);
    return result;
}

}  // namespace

Result<std::vector<std::string>> expand_hostlist(std::string_view text, std::size_t hosts_limit) {
    return Parser(text, hosts_limit).parse();
}

std::string compress_hostlist(std::span<const std::string> hosts) {
    std::string list;
    for (std::size_t i = 0; i < hosts.size();) {
        const NumberedName head = split(hosts[i]);
        std::string ranges;
        std::size_t taken = 0;
        while (i < hosts.size()) {
            const NumberedName first = split(hosts[i]);
            if (first.digits.empty() || first.prefix != head.prefix) break;
            std::uint64_t last = first.number;
            for (++i, ++taken; i < hosts.size(); ++i, ++taken) {
                const NumberedName next = split(hosts[i]);
                if (next.prefix != head.prefix || next.digits != padded(last + 1, first.digits.size())) break;
                ++last;
            }
            if (!ranges.empty()) ranges += ',';
            ranges += first.digits;
            if (last != first.number) ranges += '-' + padded(last, first.digits.size());
        }
        if (!list.empty()) list += ',';
        if (taken == 0)
            list += hosts[i++];
        else if (taken == 1)
            list += hosts[i - 1];
        else
            list.append(head.prefix).append("[").append(ranges).append("]");
    }
    return list;
}

}  // namespace ddict::slurm
