// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict: the dictionary from the command line and from shell scripts. A client like any other: it uses
// nothing but the public headers.
#include <ddict/dictionary.h>

#include <algorithm>
#include <array>
#include <boost/optional.hpp>
#include <boost/program_options.hpp>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "tools/activity.h"
#include "tools/shown.h"
#include "tools/stats_text.h"
#include "tools/top.h"

namespace {

namespace po = boost::program_options;
using ddict::Dictionary;
using ddict::tools::printable;

constexpr int success = 0;
constexpr int no_such_key = 1;
constexpr int failure = 2;

constexpr const char* usage_text =
    "usage: ddict [--handle HANDLE] [--timeout SECONDS] COMMAND\n"
    "\n"
    "Talks to the dictionary whose handle is in the environment (DDICT_HANDLE). A handle\n"
    "holds a secret, and as an argument others on this machine can see it.\n"
    "\n"
    "  put KEY VALUE     store VALUE; '-' reads it from the standard input\n"
    "  get KEY           print the value, without a line end: a number in decimal, anything\n"
    "                    else as it is\n"
    "  del KEY           remove the pair\n"
    "  pop KEY           remove the pair and print its value, as get does\n"
    "  incr KEY [N]      add N (default 1) to a counter, which begins at 0 when there is no such\n"
    "                    key (what put stores is text); print what it is then\n"
    "  wait KEY [VALUE]  wait until there is such a key, and print its value, or until it has\n"
    "                    this VALUE, a text or a counter's; at most --timeout SECONDS, which may also stand "
    "last\n"
    "  keys [PREFIX]     print all keys, or those that begin with PREFIX, one a line\n"
    "  items [PREFIX]    print key, tab, value; of values that are neither text nor a number\n"
    "                    what they are\n"
    "  size              print the number of pairs\n"
    "  clear             remove all pairs\n"
    "  freeze, unfreeze  refuse all changes from now on, by everybody; allow them again\n"
    "  stats [--json]    what each manager says of itself, or that it does not answer; for\n"
    "                    programs also how fast it answers, and what this command did itself\n"
    "  top               a live screen of what the managers do; q ends it. Where the output is\n"
    "                    no terminal, or with --once, one picture of it as text. --interval\n"
    "                    SECONDS: how often it changes (default 1)\n"
    "  health            whether each manager answers, and how fast\n"
    "  destroy           end the dictionary, for everybody\n"
    "\n"
    "Keys and texts that cannot be printed are shown with \\xNN. Exit status: 0 success, 1 no\n"
    "such key, 2 an error, which is told in one line on the standard error output (stats and\n"
    "health: a manager does not answer).\n"
    "\n";

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// All of it; one that cannot be read is not an empty one. (Streams do not tell the two apart.)
std::string read_standard_input() {
    std::string text;
    std::array<char, 65536> chunk;
    while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), stdin))
        text.append(chunk.data(), got);
    if (std::ferror(stdin) != 0)
        throw std::runtime_error(std::string("cannot read the standard input: ") + std::strerror(errno));
    return text;
}

bool is_command(const std::string& word);

/// What stands before the command are options; what follows are its arguments, also when they begin with a
/// dash.
struct CommandLine {
    CommandLine(int argc, char** argv) {
        const std::vector<std::string> words(argv + 1, argv + argc);
        const auto found = std::find_if(words.begin(), words.end(), is_command);
        po::options_description options;
        options.add_options()("help,h", po::bool_switch(&help))("version", po::bool_switch(&version))(
            "handle", po::value(&handle))("timeout", po::value(&timeout));
        po::variables_map given;
        po::store(po::command_line_parser(std::vector<std::string>(words.begin(), found))
                      .options(options)
                      .positional({})
                      .run(),
                  given);
        po::notify(given);
        check_timeout();
        if (found == words.end()) return;
        command = *found;
        arguments.assign(found + 1, words.end());
        if (command == "wait" && arguments.size() == 2 && arguments.back() == "--timeout")
            throw UsageError("--timeout takes a number of seconds above 0");
        if (command == "wait" && arguments.size() > 2 && *(arguments.end() - 2) == "--timeout") {
            timeout = std::strtod(arguments.back().c_str(), nullptr);
            arguments.resize(arguments.size() - 2);
            check_timeout();
        }
    }

    void check_timeout() const {
        if (timeout && !(*timeout > 0 && *timeout < 1e6))
            throw UsageError("--timeout takes a number of seconds above 0");
    }

    std::string command;
    std::vector<std::string> arguments;
    std::string handle;
    boost::optional<double> timeout;
    bool help = false;
    bool version = false;
};

Dictionary attach(const CommandLine& line) {
    ddict::AttachOptions options;
    if (line.timeout)
        options.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(*line.timeout * 1000));
    return line.handle.empty() ? Dictionary::attach(options) : Dictionary::attach(line.handle, options);
}

/// Any value, as its bytes.
class AnyValue final : public ddict::ValueSink {
  public:
    ddict::Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        value.resize(bytes);
        type = value_type;
        return std::span(value);
    }
    std::vector<std::byte> value;
    std::uint16_t type = 0;
};

template <class Number>
std::string number_text(std::span<const std::byte> bytes) {
    Number number{};
    std::memcpy(&number, bytes.data(), sizeof number);
    std::ostringstream out;
    out << std::setprecision(std::numeric_limits<double>::max_digits10 - 2) << +number;
    return out.str();
}

/// A number as text; nothing if the value is none.
std::optional<std::string> as_number(std::span<const std::byte> bytes, std::uint16_t type) {
    std::optional<std::string> text;
    const auto try_as = [&]<class Number>(Number) {
        if (type == ddict::Codec<Number>::type && bytes.size() == sizeof(Number))
            text = number_text<Number>(bytes);
    };
    [&]<class... Numbers>(std::tuple<Numbers...>) {
        (try_as(Numbers{}), ...);
    }(std::tuple<std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t, std::uint16_t,
                 std::uint32_t, std::uint64_t, float, double>());
    return text;
}

/// As bytes, so that the shell can read what any program wrote; numbers in decimal.
void print_value(const AnyValue& any) {
    if (const auto number = as_number(any.value, any.type)) {
        std::cout << *number;
    } else {
        std::cout.write(reinterpret_cast<const char*>(any.value.data()),
                        static_cast<std::streamsize>(any.value.size()));
    }
}

std::string shown(std::span<const std::byte> value, std::uint16_t type) {
    if (const auto number = as_number(value, type)) return *number;
    if (type == ddict::type_text)
        return printable(std::string(reinterpret_cast<const char*>(value.data()), value.size()));
    return "<" + ddict::type_in_words(type) + ", " + std::to_string(value.size()) + " bytes>";
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

int run_put(const CommandLine& line) {
    const std::string& given = line.arguments[1];
    const std::string value = given == "-" ? read_standard_input() : given;
    attach(line).put(line.arguments[0], value);
    return success;
}

int run_get(const CommandLine& line) {
    AnyValue any;
    attach(line).get_bytes(bytes_of(line.arguments[0]), any).value();
    print_value(any);
    return success;
}

int run_del(const CommandLine& line) {
    if (attach(line).erase(line.arguments[0])) return success;
    std::cerr << "ddict: erase of key '" << printable(line.arguments[0]) << "': not_found\n";
    return no_such_key;
}

int run_pop(const CommandLine& line) {
    AnyValue any;
    attach(line).pop_bytes(bytes_of(line.arguments[0]), any).value();
    print_value(any);
    return success;
}

int run_incr(const CommandLine& line) {
    std::int64_t delta = 1;
    if (line.arguments.size() > 1) {
        const std::string& text = line.arguments[1];
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), delta);
        if (error != std::errc() || end != text.data() + text.size())
            throw UsageError("ddict incr takes a whole number, not '" + printable(text) + "'");
    }
    const std::int64_t before = attach(line).fetch_add(line.arguments[0], delta);
    // As the manager adds: around the end of the numbers.
    std::cout << static_cast<std::int64_t>(static_cast<std::uint64_t>(before) +
                                           static_cast<std::uint64_t>(delta))
              << '\n';
    return success;
}

int run_wait(const CommandLine& line) {
    const Dictionary dict = attach(line);
    AnyValue any;
    dict.wait_for_bytes(bytes_of(line.arguments[0]), any).value();
    if (line.arguments.size() < 2) {
        print_value(any);
        return success;
    }
    const std::string& text = line.arguments[1];
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (any.type == ddict::Codec<std::int64_t>::type && error == std::errc() &&
        end == text.data() + text.size()) {
        dict.wait_for_value(line.arguments[0], number);  // a counter
    } else {
        dict.wait_for_value_bytes(bytes_of(line.arguments[0]), bytes_of(text)).value();  // of whatever type
    }
    return success;
}

int run_keys(const CommandLine& line) {
    const Dictionary dict = attach(line);
    for (const std::string& key : dict.keys(line.arguments.empty() ? "" : line.arguments[0]))
        std::cout << printable(key) << '\n';
    return success;
}

int run_items(const CommandLine& line) {
    const Dictionary dict = attach(line);
    const std::string prefix = line.arguments.empty() ? "" : line.arguments[0];
    ddict::Cursor cursor = dict.cursor({.prefix = prefix, .values = true});
    while (cursor.next().value()) {
        std::cout << printable(cursor.key_as().value()) << '\t' << shown(cursor.value(), cursor.value_type())
                  << '\n';
    }
    return success;
}

int run_size(const CommandLine& line) {
    std::cout << attach(line).size() << '\n';
    return success;
}

int run_clear(const CommandLine& line) {
    attach(line).clear();
    return success;
}

int run_freeze(const CommandLine& line) {
    attach(line).freeze();
    return success;
}

int run_unfreeze(const CommandLine& line) {
    attach(line).unfreeze();
    return success;
}

int run_destroy(const CommandLine& line) {
    attach(line).destroy();
    return success;
}

int run_stats(const CommandLine& line) {
    const bool json = line.arguments == std::vector<std::string>{"--json"};
    if (!json && !line.arguments.empty()) throw UsageError("ddict stats takes no argument but --json");
    const Dictionary dict = attach(line);
    const ddict::tools::Sample sample = ddict::tools::ask_each(dict);
    std::cout << (json ? ddict::tools::stats_json(sample, dict.profile())
                       : ddict::tools::stats_table(sample));
    const bool all_alive = std::none_of(sample.managers.begin(), sample.managers.end(),
                                        [](const auto& manager) { return manager.lost.has_value(); });
    return all_alive ? success : failure;
}

int run_top(const CommandLine& line) {
    ddict::tools::TopOptions options;
    for (std::size_t i = 0; i < line.arguments.size(); ++i) {
        if (line.arguments[i] == "--once") {
            options.once = true;
        } else if (line.arguments[i] == "--interval" && i + 1 < line.arguments.size()) {
            const double seconds = std::strtod(line.arguments[++i].c_str(), nullptr);
            if (!(seconds >= 0.1 && seconds <= 3600))
                throw UsageError("ddict top --interval takes seconds, from 0.1 to 3600");
            options.interval = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
        } else {
            throw UsageError("ddict top takes --once and --interval SECONDS");
        }
    }
    return ddict::tools::run_top(attach(line), options);
}

int run_health(const CommandLine& line) {
    int status = success;
    for (const ddict::ManagerHealth& health : attach(line).health()) {
        std::cout << "manager " << health.manager << " on " << (health.node.empty() ? "?" : health.node)
                  << ": ";
        if (health.alive()) {
            std::cout << "alive, " << health.round_trip.count() / 1000 << " us\n";
        } else {
            std::cout << health.error->message() << '\n';
            status = failure;
        }
    }
    return status;
}

struct Command {
    int (*run)(const CommandLine& line);
    std::size_t arguments_min;
    std::size_t arguments_max;
    const char* takes;  // for people
};

const std::map<std::string, Command> commands{
    {"put", {run_put, 2, 2, "a key and a value"}},
    {"get", {run_get, 1, 1, "a key"}},
    {"del", {run_del, 1, 1, "a key"}},
    {"pop", {run_pop, 1, 1, "a key"}},
    {"incr", {run_incr, 1, 2, "a key, and how much to add"}},
    {"wait", {run_wait, 1, 2, "a key, and a value to wait for"}},
    {"keys", {run_keys, 0, 1, "a prefix at the most"}},
    {"items", {run_items, 0, 1, "a prefix at the most"}},
    {"size", {run_size, 0, 0, "no argument"}},
    {"clear", {run_clear, 0, 0, "no argument"}},
    {"freeze", {run_freeze, 0, 0, "no argument"}},
    {"unfreeze", {run_unfreeze, 0, 0, "no argument"}},
    {"stats", {run_stats, 0, 1, "no argument but --json"}},
    {"top", {run_top, 0, 3, "--once and --interval SECONDS"}},
    {"health", {run_health, 0, 0, "no argument"}},
    {"destroy", {run_destroy, 0, 0, "no argument"}},
};

bool is_command(const std::string& word) {
    return commands.contains(word);
}

int run(const CommandLine& line) {
    const auto found = commands.find(line.command);
    if (found == commands.end()) throw UsageError("which command?");
    const Command& command = found->second;
    const std::size_t count = line.arguments.size();
    if (count < command.arguments_min || count > command.arguments_max)
        throw UsageError("ddict " + line.command + " takes " + command.takes);
    return command.run(line);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const CommandLine line(argc, argv);
        int status = success;
        if (line.help) {
            std::cout << usage_text;
        } else if (line.version) {
            std::cout << "ddict " << DDICT_VERSION << '\n';
        } else {
            status = run(line);
        }
        std::cout.flush();
        if (!std::cout) {
            std::cerr << "ddict: cannot write to the standard output\n";
            return failure;
        }
        return status;
    } catch (const UsageError& error) {
        std::cerr << "ddict: " << error.what() << "; see ddict --help\n";
    } catch (const po::too_many_positional_options_error&) {
        std::cerr << "ddict: there is no such command; see ddict --help\n";
    } catch (const po::error& error) {
        std::cerr << "ddict: " << error.what() << "; see ddict --help\n";
    } catch (const ddict::Exception& error) {
        std::cerr << "ddict: " << error.what() << '\n';
        if (error.code() == ddict::Errc::not_found) return no_such_key;
    } catch (const std::exception& error) {
        std::cerr << "ddict: " << error.what() << '\n';
    }
    return failure;
}
