// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A simulation makes results, others work on them as they appear: wait_for needs no polling, whoever comes
// first. Consumers draw tickets with fetch_add, so that each result is taken by one of them.
//
//   ddict-launch -- bash -c 'producer_consumer produce 100 & producer_consumer consume 100 & wait'
//   ddict-launch -- producer_consumer          all in one process: a producer and three consumers
#include <ddict/dictionary.h>

#include <chrono>
#include <future>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;

std::string result_key(std::int64_t number) {
    return "result/" + std::to_string(number);
}

void produce(const ddict::View& dict, std::int64_t results) {
    for (std::int64_t number = 0; number < results; ++number)
        dict.put(result_key(number), std::vector<double>(1000, static_cast<double>(number)));
}

/// Returns the sum of what this consumer has taken.
double consume(const ddict::View& dict, std::int64_t results) {
    double sum = 0;
    for (;;) {
        const std::int64_t ticket = dict.fetch_add("tickets");
        if (ticket >= results) return sum;
        const auto result = dict.within(20s).wait_for<std::vector<double>>(result_key(ticket));
        sum += std::accumulate(result.begin(), result.end(), 0.0) / static_cast<double>(result.size());
        dict.erase(result_key(ticket));  // it has done its duty
    }
}

void run_all(const ddict::View& dict) {
    constexpr std::int64_t results = 200;
    std::vector<std::future<double>> consumers;  // what a consumer throws comes out of get()
    for (int i = 0; i < 3; ++i)
        consumers.push_back(std::async(std::launch::async, [&] { return consume(dict, results); }));
    produce(dict, results);
    double sum = 0;
    for (std::future<double>& consumer : consumers)
        sum += consumer.get();
    std::cout << "results " << results << ", their sum " << sum << ", left "
              << dict.try_keys("result/").value().size() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
    const std::string role = argc > 1 ? argv[1] : "";
    try {
        const auto dict = ddict::Dictionary::attach();
        if (role.empty()) {
            run_all(dict);
        } else if (role == "produce" && argc == 3) {
            produce(dict, std::stoll(argv[2]));
        } else if (role == "consume" && argc == 3) {
            std::cout << "consumed " << consume(dict, std::stoll(argv[2])) << '\n';
        } else {
            std::cerr << "usage: producer_consumer [produce N | consume N]\n";
            return 2;
        }
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "producer_consumer: " << error.what() << '\n';
        return 1;
    }
}
