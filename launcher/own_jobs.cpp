// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/own_jobs.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <vector>

#include "os/child_process.h"
#include "slurm/time_left.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds slurm_timeout{10};

/// The words of a command's output.
Result<std::vector<std::string>> words_of(const std::vector<std::string>& command,
                                          const os::Environment& environment) {
    const auto ran = os::capture_output(command, environment, slurm_timeout);
    if (!ran || !ran->status.success()) return Error(Errc::system, command[0] + " does not answer");
    std::istringstream text(ran->output);
    std::vector<std::string> words;
    for (std::string word; text >> word;)
        words.push_back(std::move(word));
    return words;
}

}  // namespace

Result<bool> OwnJobs::has(const Step& step) {
    // Numbers of jobs of another cluster, in a home directory that both have, mean nothing here.
    if (!step.cluster.empty() && own_cluster() != step.cluster)
        return Error(Errc::system, "it is of the cluster " + step.cluster +
                                       (own_cluster().empty() ? ", and Slurm does not say which this one is"
                                                              : ", this one is " + own_cluster()));
    const Result<Answer>& known = answer();
    if (!known)
        return Error(Errc::system, std::string(known.error().detail.data()) + " about job " + step.job);
    // Steps are counted from 0 again when a job has been put back into the queue.
    const auto restarts = known->restarts.find(step.job);
    const std::string& of_step = step.restarts.empty() ? "0" : step.restarts;
    if (restarts != known->restarts.end() && restarts->second != of_step) return false;
    return known->steps.contains(step.id);
}

const Result<OwnJobs::Answer>& OwnJobs::answer() {
    if (answer_) return *answer_;
    // All partitions, also those that this user may not use any more; and with the numbers of the jobs, since
    // those of an array's steps are its own ("25_2.0").
    const auto ask = [&](const char* what, const char* fields) {
        return words_of(
            {"squeue", "--all", "--noheader", "--users=" + std::to_string(::geteuid()), what, fields},
            slurm::without_squeue_settings(environment_));
    };
    const auto steps = ask("--steps", "--Format=JobID:20,StepID:80");
    if (!steps) return answer_.emplace(steps.error());
    const auto jobs = ask("--states=all", "--Format=JobID:20,RestartCnt:20");
    if (!jobs) return answer_.emplace(jobs.error());
    Answer answer;
    for (std::size_t i = 0; i + 1 < steps->size(); i += 2) {
        const std::string& step = (*steps)[i + 1];
        answer.steps.insert((*steps)[i] + step.substr(std::min(step.rfind('.'), step.size())));
    }
    for (std::size_t i = 0; i + 1 < jobs->size(); i += 2)
        answer.restarts[(*jobs)[i]] = (*jobs)[i + 1];
    return answer_.emplace(std::move(answer));
}

const std::string& OwnJobs::own_cluster() {
    if (own_cluster_) return *own_cluster_;
    own_cluster_.emplace(os::value_of(environment_, "SLURM_CLUSTER_NAME"));
    if (!own_cluster_->empty()) return *own_cluster_;
    // ClusterName = NAME
    const auto words = words_of({"scontrol", "show", "config"}, environment_);
    for (std::size_t i = 0; words && i + 2 < words->size(); ++i) {
        if ((*words)[i] == "ClusterName" && (*words)[i + 1] == "=") *own_cluster_ = (*words)[i + 2];
    }
    return *own_cluster_;
}

}  // namespace ddict::launcher
