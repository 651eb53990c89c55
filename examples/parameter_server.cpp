// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Training with a parameter server: in every round the server broadcasts the weights (bput), so that each
// worker reads a copy on its own node (bget); workers send gradients of their part of the data, and the
// server waits for them. What is learnt here: the line y = 3 x - 1.
//
//   ddict-launch --managers-per-node 2 -- parameter_server
#include <ddict/dictionary.h>

#include <cmath>
#include <future>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr int workers = 3;
constexpr int rounds = 300;
constexpr double step = 0.15;

using Vector = std::vector<double>;  // slope, offset

std::string name(const char* what, int round) {
    return std::string(what) + "/" + std::to_string(round);
}

/// Of the mean square error over this worker's points.
Vector gradient_of(const Vector& weights, int worker) {
    constexpr int points = 100;
    Vector gradient(2, 0.0);
    for (int i = 0; i < points; ++i) {
        const double x = static_cast<double>(i * workers + worker) / (points * workers);
        const double error = weights[0] * x + weights[1] - (3 * x - 1);
        gradient[0] += 2 * error * x / points;
        gradient[1] += 2 * error / points;
    }
    return gradient;
}

void work(const ddict::View& dict, int worker) {
    for (int round = 0; round < rounds; ++round) {
        dict.wait_for<int>(name("round", round));  // the weights are everywhere
        const auto weights = dict.bget<Vector>("weights");
        dict.put(name("gradient", round) + "/" + std::to_string(worker), gradient_of(weights, worker));
    }
}

Vector serve(const ddict::View& dict) {
    Vector weights(2, 0.0);
    for (int round = 0; round < rounds; ++round) {
        dict.bput("weights", weights);
        dict.put(name("round", round), round);
        for (int worker = 0; worker < workers; ++worker) {
            const std::string key = name("gradient", round) + "/" + std::to_string(worker);
            const auto gradient = dict.wait_for<Vector>(key);
            for (std::size_t i = 0; i < weights.size(); ++i)
                weights[i] -= step * gradient[i];
            dict.erase(key);
        }
    }
    return weights;
}

}  // namespace

int main() {
    try {
        const auto dict = ddict::Dictionary::attach();
        std::vector<std::future<void>> running;  // what a worker throws comes out of get()
        for (int worker = 0; worker < workers; ++worker)
            running.push_back(std::async(std::launch::async, [&dict, worker] { work(dict, worker); }));
        const Vector weights = serve(dict);
        for (std::future<void>& worker : running)
            worker.get();
        std::cout << "y = " << std::round(weights[0] * 100) / 100 << " x " << (weights[1] < 0 ? "- " : "+ ")
                  << std::round(std::abs(weights[1]) * 100) / 100 << '\n';
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "parameter_server: " << error.what() << '\n';
        return 1;
    }
}
