// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict: the dictionary from the command line and from shell scripts. A client like any other: of the
// dictionary it knows nothing but the public headers.
#include <algorithm>
#include <iostream>
#include <new>

#include "tools/commands.h"
#include "tools/error_text.h"
#include "tools/escapes.h"
#include "tools/exit_status.h"
#include "tools/help.h"
#include "tools/named_dictionary.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"

namespace {

using namespace ddict::tools;

int run(const Arguments& arguments) {
    if (arguments.has("--version")) {
        print("ddict " DDICT_VERSION "\n");
        return success;
    }
    const Command* const command = arguments.command();
    if (arguments.has("--man")) {
        print(command == nullptr ? man_page(all_commands(), options_of_all_commands(), DDICT_VERSION)
                                 : man_page(*command, options_of_all_commands(), DDICT_VERSION));
        return success;
    }
    if (!arguments.has("--help")) {
        if (names_dictionary(arguments)) become_within_dictionary(arguments);
        return command->run(arguments);
    }
    print(command == nullptr ? help_text(all_commands(), options_of_all_commands())
                             : help_text(*command, options_of_all_commands()));
    return success;
}

int fail(ExitStatus status, const std::string& why) {
    std::cerr << "ddict: " << printable_text(why) << '\n';
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    std::string help = "ddict --help";
    std::string_view command;
    try {
        reserve_standard_descriptors();
        keep_logs_from_output();
        const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
        for (const Command& known : all_commands()) {
            if (!words.empty() && words[0] == known.name) help = "ddict " + words[0] + " --help";
        }
        const Arguments arguments(words, options_of_all_commands(), all_commands());
        if (arguments.command() != nullptr) command = arguments.command()->name;
        const int status = run(arguments);
        finish_output();
        return status;
    } catch (const UsageError& error) {
        return fail(wrong_call, std::string(error.what()) + "; see " + help);
    } catch (const ddict::Exception& error) {
        return fail(status_of(error.code()), message_of(error.error(), command));
    } catch (const std::bad_alloc&) {
        return fail(other_failure,
                    "not enough memory; a smaller value or a wider limit (ulimit -v) may help");
    } catch (const std::exception& error) {
        return fail(other_failure, error.what());
    } catch (...) {
        return fail(other_failure, "it failed for a reason that is not known");
    }
}
