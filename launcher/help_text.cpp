// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>

#include "launcher/options.h"

namespace ddict::launcher {
namespace {

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
    std::string out;
    std::size_t column = indent;
    while (!text.empty()) {
        const std::size_t space = text.find(' ');
        const std::string_view word = text.substr(0, space);
        if (column > indent && column + 1 + word.size() > width) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        } else if (column > indent) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    }
    return out;
}

}  // namespace

std::string help_text() {
    std::string out =
        "Brings up a dictionary, runs a command that finds it, and takes it down again.\n"
        "\n"
        "  ddict-launch [options] -- COMMAND [ARGUMENT...]\n"
        "  ddict-launch start [options] [--export]   leave one running; prints its handle,\n"
        "                                            or with --export a line for eval\n"
        "  ddict-launch stop [--name NAME] [--keep]  end it; with --keep for --resume\n"
        "  ddict-launch status [--name NAME] [--json]  your dictionaries that run, of start and of\n"
        "                                            commands, and what is kept on this host\n"
        "  ddict-launch env [--name NAME]            the line that makes a shell find it, as\n"
        "                                            start --export prints it\n"
        "  ddict-launch exec [--name NAME] -- COMMAND [ARGUMENT...]\n"
        "                                            run a command that finds it, in its job if\n"
        "                                            this host is not of that\n"
        "  ddict-launch restart --manager N [--name NAME]  have another process take the place\n"
        "                                            of a manager, and its pairs over; as 'ddict\n"
        "                                            restart N' does where DDICT_HANDLE is set\n"
        "  ddict-launch discard --name NAME          give back the memory of what is kept under\n"
        "                                            this name, there\n"
        "  ddict-launch serve [options]              for programs: prints 'ready HANDLE' or\n"
        "                                            'error CODE: REASON'; ends with its stdin\n"
        "  ddict-launch --check [options]            can it work here? looks at each node and tries\n"
        "                                            the network between them; 0 or 1\n"
        "  ddict-launch --help or -h, --version\n"
        "\n"
        "In a Slurm job the managers are placed on the job's nodes, with --hosts on those of a\n"
        "file (PBS, LSF, hosts with ssh), elsewhere on this machine.\n"
        "The command finds the dictionary by the variables DDICT_HANDLE and DDICT_NAME, and\n"
        "what srun starts in a job by SLURM_DDICT_HANDLE, whatever it exports.\n"
        "\n"
        "stop, status, env, exec and restart find a dictionary by its name, that of this job or\n"
        "host first; with --job N that of another job of yours, by its name if it has several.\n"
        "\n"
        "Managers accept connections of this host, in a job also of its other nodes, with\n"
        "--hosts of all hosts of the file; DDICT_ALLOW_HOSTS names further ones, or all.\n"
        "\n"
        "Options, and the environment variables that stand in for them (the option wins):\n";
    for (const OptionText& text : option_texts()) {
        out += "  --" + std::string(text.option) + (text.value.empty() ? "" : " ") + std::string(text.value) +
               ", " + std::string(text.variable) + " [" + std::string(text.preset) + "]\n        " +
               wrapped(text.meaning, 8, 80) + "\n";
    }
    out +=
        "\n"
        "DDICT_UCX_NET_DEVICES and DDICT_UCX_TLS choose the network; so every option of UCX can be\n"
        "set for ddict alone. UCX_NET_DEVICES and the like, which are for MPI as well, count\n"
        "where these are not set.\n"
        "\n"
        "Signals that would end ddict-launch go to the command instead (TERM, INT, USR1, ...),\n"
        "and the dictionary serves until the command has ended. Before it runs, and after it\n"
        "has ended, the first cancels in good order and the second by force; a save at the\n"
        "end is given up by the second, too. A dictionary of\n"
        "start ends by stop, or with its job; outside a job also by INT, TERM or HUP.\n"
        "\n"
        "Exit status: the command's own; 128+N if it was killed by signal N; 127 if it is not\n"
        "found, 126 if it cannot be run; 3 with --fail-on-loss if it ended with 0, but keys were\n"
        "lost; 1 if the dictionary could not be brought up, loaded\n"
        "or saved; 2 if the options are wrong, or do not fit the job; 128+N if cancelled by\n"
        "signal N before the command ran. status: 0 if a dictionary is running, 1 if\n"
        "not, 3 if that, or what is kept, is not known. stop: 0 if it has ended, also if a\n"
        "client had destroyed it. exec: the command's, or as of ddict: 2 if there are several,\n"
        "4 if there is none within reach, 6 if that is not known, and 255 if ssh to its host\n"
        "fails. restart: that of 'ddict\n"
        "restart': 0 when the new process answers.\n"
        "Where env or start --export fail they print 'false', so that eval fails as well.\n";
    return out;
}

}  // namespace ddict::launcher
