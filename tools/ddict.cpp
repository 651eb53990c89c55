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
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace po = boost::program_options;
using ddict::Dictionary;

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
    "  get KEY           print the value, as it is, without a line end\n"
    "  del KEY           remove the pair\n"
    "  keys              print all keys, one a line\n"
    "  size              print the number of pairs\n"
    "  clear             remove all pairs\n"
    "  stats [--json]    what each manager says of itself\n"
    "  destroy           end the dictionary, for everybody\n"
    "\n"
    "Keys that cannot be printed are shown with \\xNN. Exit status: 0 success, 1 no such\n"
    "key, 2 an error, which is told in one line on the standard error output.\n"
    "\n";

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::string printable(const std::string& bytes) {
    std::string out;
    for (const char c : bytes) {
        const auto u = static_cast<unsigned char>(c);
        if (u >= 0x20 && u != 0x7f && c != '\\') {
            out += c;
        } else {
            char escaped[5];
            std::snprintf(escaped, sizeof escaped, "\\x%02x", u);
            out += escaped;
        }
    }
    return out;
}

/// 1536 -> "1.5K". At most six characters.
std::string size_text(std::uint64_t bytes) {
    constexpr const char* units[] = {"B", "K", "M", "G", "T", "P"};
    double amount = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (amount >= 1023.5 && unit + 1 < std::size(units))
        amount /= 1024, ++unit;
    std::ostringstream out;
    out << std::fixed << std::setprecision(unit > 0 && amount < 99.5 ? 1 : 0) << amount << units[unit];
    return out.str();
}

nlohmann::json to_json(const ddict::ManagerStats& s) {
    return {{"manager", s.manager},
            {"node", s.node},
            {"pid", s.pid},
            {"keys", s.keys},
            {"pool_bytes", s.pool_bytes},
            {"used_bytes", s.used_bytes},
            {"free_bytes", s.free_bytes},
            {"largest_free_bytes", s.largest_free_bytes},
            {"index_bytes", s.index_bytes},
            {"sessions", s.sessions},
            {"rejected_messages", s.rejected_messages},
            {"operations",
             {{"put", s.puts},
              {"get", s.gets},
              {"get_hits", s.hits},
              {"contains", s.contains},
              {"erase", s.erases},
              {"clear", s.clears},
              {"scan", s.scans},
              {"refused_put", s.refused_puts}}},
            {"transport", s.transport}};
}

void print_table(const std::vector<ddict::ManagerStats>& all) {
    std::size_t node_width = 4;
    for (const auto& s : all)
        node_width = std::max(node_width, s.node.size());
    const int width = static_cast<int>(node_width);
    std::cout << "manager  " << std::left << std::setw(width) << "node" << std::right
              << "       keys    pool    used  use%        puts        gets  transport\n";
    for (const auto& s : all) {
        const auto percent =
            s.pool_bytes == 0 ? 0.0
                              : 100.0 * static_cast<double>(s.used_bytes) / static_cast<double>(s.pool_bytes);
        std::cout << std::setw(7) << s.manager << "  " << std::left << std::setw(width) << s.node
                  << std::right << std::setw(11) << s.keys << std::setw(8) << size_text(s.pool_bytes)
                  << std::setw(8) << size_text(s.used_bytes) << std::setw(5) << std::fixed
                  << std::setprecision(0) << percent << '%' << std::setw(12) << s.puts << std::setw(12)
                  << s.gets << "  " << s.transport << '\n';
    }
}

std::string read_standard_input() {
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
}

constexpr std::array commands{"put", "get", "del", "keys", "size", "clear", "stats", "destroy"};

/// What stands before the command are options; what follows are its arguments, also when they begin with a
/// dash.
struct CommandLine {
    CommandLine(int argc, char** argv) {
        const std::vector<std::string> words(argv + 1, argv + argc);
        const auto found = std::find_first_of(words.begin(), words.end(), commands.begin(), commands.end());
        po::options_description options;
        options.add_options()("help,h", po::bool_switch(&help))("handle", po::value(&handle))(
            "timeout", po::value(&timeout));
        po::variables_map given;
        po::store(po::command_line_parser(std::vector<std::string>(words.begin(), found))
                      .options(options)
                      .positional({})
                      .run(),
                  given);
        po::notify(given);
        if (timeout && !(*timeout > 0 && *timeout < 1e6)) {
            throw UsageError("--timeout takes a number of seconds above 0");
        }
        if (found == words.end()) return;
        command = *found;
        arguments.assign(found + 1, words.end());
    }

    std::string command;
    std::vector<std::string> arguments;
    std::string handle;
    boost::optional<double> timeout;
    bool help = false;
};

void expect_arguments(const CommandLine& line, std::size_t count, const char* what) {
    if (line.arguments.size() != count) throw UsageError("ddict " + line.command + " takes " + what);
}

Dictionary attach(const CommandLine& line) {
    ddict::AttachOptions options;
    if (line.timeout)
        options.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(*line.timeout * 1000));
    return line.handle.empty() ? Dictionary::attach(options) : Dictionary::attach(line.handle, options);
}

int run_stats(const CommandLine& line) {
    const bool json = line.arguments == std::vector<std::string>{"--json"};
    if (!json) expect_arguments(line, 0, "no argument but --json");
    const auto all = attach(line).stats();
    if (!json) {
        print_table(all);
        return success;
    }
    nlohmann::json report = nlohmann::json::array();
    for (const auto& stats : all)
        report.push_back(to_json(stats));
    std::cout << report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
    return success;
}

int run(const CommandLine& line) {
    const auto& arguments = line.arguments;
    if (line.command == "put") {
        expect_arguments(line, 2, "a key and a value");
        const std::string value = arguments[1] == "-" ? read_standard_input() : arguments[1];
        attach(line).put(arguments[0], value);
        return success;
    }
    if (line.command == "get") {
        expect_arguments(line, 1, "a key");
        // As bytes, so that the shell can read what any program wrote.
        const auto value = attach(line).get<std::vector<std::byte>>(arguments[0]);
        std::cout.write(reinterpret_cast<const char*>(value.data()),
                        static_cast<std::streamsize>(value.size()));
        return success;
    }
    if (line.command == "del") {
        expect_arguments(line, 1, "a key");
        if (attach(line).erase(arguments[0])) return success;
        std::cerr << "ddict: erase of key '" << printable(arguments[0]) << "': not_found\n";
        return no_such_key;
    }
    if (line.command == "keys") {
        expect_arguments(line, 0, "no argument");
        const Dictionary dict = attach(line);
        for (const std::string& key : dict.keys())
            std::cout << printable(key) << '\n';
        return success;
    }
    if (line.command == "size") {
        expect_arguments(line, 0, "no argument");
        std::cout << attach(line).size() << '\n';
        return success;
    }
    if (line.command == "clear") {
        expect_arguments(line, 0, "no argument");
        attach(line).clear();
        return success;
    }
    if (line.command == "destroy") {
        expect_arguments(line, 0, "no argument");
        attach(line).destroy();
        return success;
    }
    if (line.command == "stats") return run_stats(line);
    throw UsageError("which command?");
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const CommandLine line(argc, argv);
        if (line.help) {
            std::cout << usage_text;
            return success;
        }
        const int status = run(line);
        std::cout.flush();
        if (!std::cout) {
            std::cerr << "ddict: cannot write to the standard output\n";
            return failure;
        }
        return status;
    } catch (const UsageError& error) {
        std::cerr << "ddict: " << error.what() << "; see ddict --help\n";
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
