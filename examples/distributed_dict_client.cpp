// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The first program of the Distributed Dragon Dictionary's documentation, in C++: it makes a dictionary over
// several nodes, has one client process store a pair, and another one, on another node, read it.
//
//   distributed_dict_client --num_nodes 2 --managers_per_node 1 --total_mem_size 2
//
// In a Slurm job the managers are placed on its nodes and each client is started by srun; elsewhere
// everything runs on this machine.
#include <ddict/dictionary.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace po = boost::program_options;

namespace {

/// A client process: it knows nothing but the handle, which it finds in the environment.
int run_client(int client_id) {
    ddict::Dictionary dict = ddict::Dictionary::attach();
    const std::string key = "Hello";
    if (client_id == 1) {
        const std::string value = "Dragon";
        std::cout << "Storing key:" << key << " and value:" << value << " from client id:" << client_id
                  << " into the dictionary" << std::endl;
        dict.put(key, value);
    } else {
        const std::string value = dict.get(key);
        std::cout << "Retrieving value:" << value << " for key:" << key << " for client id:" << client_id
                  << " from the dictionary" << std::endl;
    }
    return 0;
}

int nodes_of_job() {
    const char* const nodes = std::getenv("SLURM_JOB_NUM_NODES");
    return nodes != nullptr ? std::max(std::atoi(nodes), 1) : 1;
}

/// Starts this program again as client `client_id`: on the client_id-th node of the job (from the first one
/// again where there are fewer), or here.
int start_client(int client_id) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    std::vector<std::string> command{self, "--client_id", std::to_string(client_id)};
    if (std::getenv("SLURM_JOB_ID") != nullptr) {
        const int node = (client_id - 1) % nodes_of_job();
        const std::vector<std::string> srun{
            "srun",       "--overlap",           "--nodes=1",
            "--ntasks=1", "--ntasks-per-node=1", "--relative=" + std::to_string(node)};
        command.insert(command.begin(), srun.begin(), srun.end());
    }
    std::vector<char*> argv;
    for (std::string& word : command)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    int status = 0;
    if (posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) != 0 ||
        waitpid(pid, &status, 0) != pid) {
        std::cerr << "cannot run " << argv[0] << '\n';
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run(std::uint32_t num_nodes, std::uint32_t managers_per_node, double total_mem_size_gb) {
    ddict::Dictionary dict = ddict::Dictionary::create(
        {.nodes = num_nodes,
         .managers_per_node = managers_per_node,
         .total_mem = static_cast<std::uint64_t>(total_mem_size_gb * 1024 * 1024 * 1024)});
    setenv("DDICT_HANDLE", dict.serialize().c_str(), 1);
    for (const int client_id : {1, 2}) {
        if (const int status = start_client(client_id); status != 0) {
            std::cerr << "client " << client_id << " failed with exit status " << status << '\n';
            return status;
        }
    }
    std::cout << "Done here. Closing the Distributed Dictionary" << std::endl;
    dict.destroy();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::uint32_t num_nodes = 1;
    std::uint32_t managers_per_node = 1;
    double total_mem_size = 1;
    int client_id = 0;
    po::options_description options("Options");
    // clang-format off
    options.add_options()
        ("help", "show this")
        ("num_nodes", po::value(&num_nodes)->default_value(1), "nodes to place managers on")
        ("managers_per_node", po::value(&managers_per_node)->default_value(1), "managers on each node")
        ("total_mem_size", po::value(&total_mem_size)->default_value(1), "memory of the whole dictionary, in GB")
        ("client_id", po::value(&client_id), "be this client (the program starts its clients itself)");
    // clang-format on
    try {
        po::variables_map given;
        po::store(po::parse_command_line(argc, argv, options), given);
        po::notify(given);
        if (given.count("help") != 0) {
            std::cout << options;
            return 0;
        }
        return client_id > 0 ? run_client(client_id) : run(num_nodes, managers_per_node, total_mem_size);
    } catch (const std::exception& error) {
        std::cerr << "distributed_dict_client: " << error.what() << '\n';
        return 1;
    }
}
