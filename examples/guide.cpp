// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The tasks of docs/user_guide.md, one function each; the guide quotes them, and the tests run them.
//
//   ddict-launch --managers-per-node 2 -- ./guide
#include <ddict/array.h>
#include <ddict/dictionary.h>
#include <ddict/record.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

void check(bool good, const char* what) {
    if (!good) throw std::logic_error(what);
}

void first_steps() {
    auto dict = ddict::Dictionary::attach();  // finds the job's dictionary in the environment

    dict.put("Hello", "Dragon");
    std::string value = dict.get("Hello");

    dict.put("temperature", 21.5);
    double temperature = dict.get<double>("temperature");

    dict.put(42, std::vector<float>{1, 2, 3});  // keys are text, numbers, bytes
    auto numbers = dict.get<std::vector<float>>(42);

    check(value == "Dragon" && temperature == 21.5 && numbers.size() == 3, "first steps");
}

void missing_keys(ddict::Dictionary& dict) {
    if (auto found = dict.find("nobody")) std::cout << *found << '\n';

    int retries = dict.get_or("retries", 3);
    bool there = dict.contains("retries");
    bool erased = dict.erase("retries");

    // What a value is, without the value.
    if (auto info = dict.type_and_size("field"))
        std::cout << ddict::type_in_words(info->type) << ", " << info->bytes << " bytes\n";

    check(retries == 3 && !there && !erased, "missing keys");
}

void keys(ddict::Dictionary& dict) {
    dict.put(42, "an integer");
    dict.put("42", "two characters: another key");
    dict.put(42.0, "a float: a third one");
    std::string same = dict.get(std::int64_t{42});  // "an integer"

    for (const ddict::AnyKey& key : dict.keys<ddict::AnyKey>()) {  // keys of all types
        if (key.is<int>()) std::cout << key.as<int>() << '\n';
    }

    check(same == "an integer" && dict.get("42").starts_with("two"), "keys");
}

void change(ddict::Dictionary& dict) {
    bool first = dict.put_if_absent("leader", "me");  // false: somebody else was quicker
    bool changed = dict.put_if_present("leader", "another");
    std::optional<std::string> leader = dict.pop("leader");  // removed, and given to one client only

    dict.append("log", "one line\n");  // a new value, or more of the one that is there

    check(first && changed && leader == "another", "change");
}

void share_an_array(ddict::Dictionary& dict) {
    const std::uint64_t rows = 100;
    const std::uint64_t columns = 200;
    ddict::Array<double> field({rows, columns});
    field(2, 3) = 1.5;
    dict.put("field", field);

    // Elsewhere: the shape comes with it.
    auto copy = dict.get<ddict::Array<double>>("field");
    double element = copy(2, 3);

    // Again and again into the same memory.
    for (int step = 0; step < 3; ++step)
        dict.get_into("field", copy);

    // Memory of your own: a span gets as many elements as there are, which is also what is returned.
    std::vector<float> part(16);
    dict.put("part", std::vector<float>{1, 2, 3});
    std::uint64_t elements = dict.get_into("part", std::span(part));
    auto taken = dict.pop_into("part", std::span(part));  // nothing if there was no such pair

    std::vector<double> mine(rows * columns);
    dict.get_into("field", ddict::ArrayView<double>(mine.data(), {rows, columns}));
    dict.put("mine", ddict::ArrayView<const double>(mine.data(), {rows, columns}));

    check(copy.extent(1) == columns && element == 1.5 && mine[2 * columns + 3] == 1.5, "share an array");
    check(elements == 3 && taken == 3 && part[2] == 3, "values into memory that is there");
}

void count_words(ddict::Dictionary& dict, const std::vector<std::string>& words) {
    for (const std::string& word : words)
        dict.fetch_add("count/" + word);  // atomic, from any number of clients; begins at 0

    for (const auto& [word, count] : dict.items<std::string, std::int64_t>("count/"))
        std::cout << word << ": " << count << '\n';
}

/// Raises the largest value seen so far: read, change, and try again if somebody else was quicker.
void raise_to(ddict::View dict, const std::string& key, std::int64_t value) {
    if (dict.put_if_absent(key, value)) return;
    std::int64_t seen = dict.get<std::int64_t>(key);
    while (seen < value && !dict.compare_and_swap(key, seen, value))
        seen = dict.get<std::int64_t>(key);
}

void wait_for_a_result(ddict::Dictionary& dict) {
    std::thread producer([&dict] { dict.put("result", 42); });

    int result = dict.wait_for<int>("result");             // as soon as there is one
    dict.within(5s).wait_for_value("result", 42);          // as soon as it is this
    auto late = dict.within(10ms).try_wait_for("nobody");  // an error, not an exception

    auto first = dict.wait_for_any<int>({"result", "failure"});  // first.index and first.value

    producer.join();
    check(result == 42 && late.error().code == ddict::Errc::timeout, "wait for a result");
    check(first.index == 0 && first.value == 42, "wait for any");
}

void many_at_once(ddict::Dictionary& dict) {
    std::map<std::string, double> pairs{{"a", 1}, {"b", 2}, {"c", 3}};
    dict.multi_put(pairs);

    std::vector<std::string> keys{"a", "b", "nobody"};
    auto values = dict.multi_get<double>(keys);  // std::optional<double> each

    for (const auto& item : dict.try_multi_get<double>(keys)) {
        if (!item) std::cout << ddict::name(item.code()) << '\n';
    }

    std::uint64_t erased = dict.multi_erase(keys);

    auto batch = dict.batch();
    for (int i = 0; i < 1000; ++i)
        batch.put(i, i * i);
    batch.commit();  // all are stored, or this throws; a batch that is not committed does nothing

    dict.start_batch_put();  // as calls: from here on, puts are collected, and sent as messages fill
    for (int i = 1000; i < 2000; ++i)
        dict.put(i, i * i);
    dict.end_batch_put();

    check(values[1] == 2.0 && !values[2] && erased == 2 && dict.get<int>(31) == 961 &&
              dict.get<int>(1031) == 1062961,
          "many at once");
}

void meanwhile(ddict::Dictionary& dict) {
    std::vector<ddict::Pending<void>> puts;
    for (int i = 0; i < 100; ++i)
        puts.push_back(dict.put_async(i, "value " + std::to_string(i)));
    // ... do something else ...
    for (auto& put : puts)
        put.wait();

    ddict::Pending<std::string> pending = dict.get_async(7);
    std::string value = pending.wait();

    check(value == "value 7", "meanwhile");
}

void look_at_all(ddict::Dictionary& dict) {
    dict.put("user/ann", 1);
    dict.put("user/bob", 2);

    for (const std::string& key : dict.keys("user/"))  // the managers look for the prefix
        std::cout << key << '\n';

    int sum = 0;
    for (const auto& [key, value] : dict.items<std::string, int>("user/")) {
        sum += value;
        if (sum > 100) break;  // at any time
    }

    auto cursor = dict.cursor({.prefix = "user/", .values = true});  // without exceptions
    for (;;) {
        const ddict::Result<bool> next = cursor.next();
        if (!next.has_value()) std::cerr << next.error().message() << '\n';
        if (!next.has_value() || !*next) break;  // an error, or no more pairs
        std::cout << cursor.key_as().value_or("no text") << '\n';
    }

    std::uint64_t here = dict.local_size();  // on this node's managers

    std::uint64_t users = dict.count_prefix("user/");  // nothing is sent but the number
    std::uint64_t erased = dict.erase_prefix("user/");

    check(sum == 3 && here <= dict.size() + erased && users == 2 && erased == 2, "look at all");
}

void broadcast(ddict::Dictionary& dict) {
    std::vector<float> weights(1000, 0.5f);
    dict.bput("weights", weights);  // a copy at every manager

    auto nearest = dict.bget<std::vector<float>>("weights");  // from this node, if it has a manager
    dict.berase("weights");

    check(nearest == weights, "broadcast");
}

void freeze_and_read(ddict::Dictionary& dict) {
    ddict::Array<double> table({100, 10});
    table(99, 9) = 1.5;
    dict.put("table", table);
    dict.freeze();  // from here on, writes fail with Errc::frozen

    auto value = dict.view_frozen("table");  // of a manager on this node: no message, no copy
    ddict::ArrayView<const double> in_place = ddict::array_in<double>(value).value();
    double last = in_place(99, 9);
    bool right = value.valid();  // nobody has unfrozen the dictionary meanwhile

    auto refused = dict.try_put("table", 1);
    dict.unfreeze();

    check(last == 1.5 && right && refused.error().code == ddict::Errc::frozen, "freeze and read");
}

void deadlines_and_errors(ddict::Dictionary& dict) {
    auto quick = dict.within(200ms);  // a view: the same dictionary, another deadline; costs nothing
    quick.put("key", "value");

    try {
        quick.get<int>("key");
    } catch (const ddict::Exception& failure) {
        std::cout << failure.what() << '\n';  // what, which key, which manager, what to do
    }

    ddict::Result<std::string> value = quick.try_get("nobody");  // the same without exceptions
    if (!value && value.error().code == ddict::Errc::not_found) std::cout << "nobody is not there\n";

    const auto known = dict.partial_keys("ke");
    for (const std::string& key : known.value)
        std::cout << key << '\n';
    for (const ddict::MissingManager& one : known.missing)
        std::cerr << one.error.message() << '\n';

    check(!value && known.complete(), "deadlines and errors");
}

void wait_for_space(ddict::Dictionary& dict) {
    auto waiting = dict.within(30s).when_space();
    waiting.put("step", std::vector<double>(1000));  // waits while the manager's pool is full
    check(dict.contains("step"), "what waited for space");
}

void keys_that_end(ddict::Dictionary& dict) {
    auto lease = dict.with_ttl(10s);
    lease.put("workers/7", "n3");  // gone 10 s after it was stored, whatever has become of this program
    dict.touch("workers/7", 10s);  // 10 s more from now; false: it is gone already
    auto left = dict.time_to_live("workers/7");
    bool alone = lease.put_if_absent("lock", "n3");
    check(left.has_value() && alone, "keys that end by themselves");

    dict.touch("workers/7", 300ms);
    try {
        auto result = dict.wait_for_while("result/7", "workers/7");
    } catch (const ddict::Exception& gone) {
        dict.put("todo/7", "again");  // its worker has gone: somebody else does it
    }
    check(dict.contains("todo/7"), "a wait for one that has gone");
    dict.erase("todo/7");
    dict.erase("lock");
}

void several_dictionaries(ddict::Dictionary& dict) {
    auto scratch = ddict::Dictionary::create({.total_mem = 64 << 20, .name = "scratch"});
    scratch.put("key", "of the other one");
    std::string handle = scratch.handle();  // a secret: whoever has it can attach

    auto again = ddict::Dictionary::attach(handle);
    std::string value = again.get("key");

    scratch.destroy();
    check(value == "of the other one" && !dict.contains("key of the other one"), "several dictionaries");
}

void keep_it_for_the_next_step() {
    auto first = ddict::Dictionary::create({.total_mem = 64 << 20, .name = "sweep"});
    first.put("key", "of the first");
    first.destroy({.keep_pools = true});

    auto second = ddict::Dictionary::create({.total_mem = 64 << 20, .name = "sweep", .resume = true});
    std::string found = second.get("key");
    second.destroy();
    check(found == "of the first", "keep it for the next step");
}

void persist_each_step() {
    const std::string steps =
        (std::filesystem::temp_directory_path() / ("ddict-guide-" + std::to_string(::getpid()))).string();
    auto dict = ddict::Dictionary::create({.total_mem = 64 << 20,
                                           .name = "persisted",
                                           .working_set = 2,
                                           .persist_path = steps,
                                           .persist_count = 10});
    for (int step = 0; step < 4; ++step) {
        dict.put("step", step);
        dict.persist();     // all that is seen at this object's checkpoint: steps/persisted/000001, ...
        dict.checkpoint();  // the next one
    }
    std::vector<std::uint32_t> ids = dict.persisted_ids();  // 0, 1, 2, 3
    dict.restore(1);                                        // in the place of all that is there
    int step = dict.get<int>("step");                       // 1, and dict.checkpoint_id() is 1
    dict.destroy();

    auto later = ddict::Dictionary::create(
        {.total_mem = 64 << 20, .name = "persisted", .persist_path = steps, .restore_from = 3});
    check(ids.size() == 4 && step == 1 && later.get<int>("step") == 3, "persist each step");
    later.destroy();
    std::filesystem::remove_all(steps);
}

void where_keys_live(ddict::Dictionary& dict) {
    std::uint32_t owner = dict.which_manager("key");  // a pure function, no message
    ddict::View nearby = dict.manager(dict.main_manager());
    nearby.put("scratch", 1);                // on that manager, whatever the hash
    int value = nearby.get<int>("scratch");  // found through the same view
    std::uint32_t managers = dict.manager_count();

    check(owner < managers && value == 1, "where keys live");
}

void statistics(ddict::Dictionary& dict) {
    for (const ddict::ManagerStats& manager : dict.stats())
        std::cout << manager.manager << " on " << manager.node << ": " << manager.keys << " keys, "
                  << manager.free_bytes << " bytes free\n";

    for (const ddict::ManagerHealth& manager : dict.health()) {
        if (!manager.alive()) std::cout << manager.error->message() << '\n';
    }

    for (const ddict::OperationProfile& operation : dict.profile().operations) {
        if (operation.samples == 0) continue;  // one of 16 is timed
        std::cout << ddict::name(operation.operation) << ": " << operation.count << ", half of them within "
                  << operation.p50.count() << " ns\n";
    }

    check(dict.stats().size() == dict.manager_count(), "statistics");
}

struct Particle {
    std::string name;
    double mass = 0;
    std::vector<double> position;
};

}  // namespace

template <>
struct ddict::Codec<Particle> {
    static constexpr std::uint16_t type = ddict::user_type(7);
    static std::vector<std::byte> encode(const Particle& particle) {
        return ddict::Writer().field(particle.name).field(particle.mass).field(particle.position).take();
    }
    static ddict::Result<Particle> decode(std::span<const std::byte> bytes) {
        Particle particle;
        ddict::Reader in(bytes);
        in.field(particle.name).field(particle.mass).field(particle.position);
        return in.finish(std::move(particle));
    }
};

namespace {

void types_of_your_own(ddict::Dictionary& dict) {
    dict.put("electron", Particle{"electron", 0.511, {0, 0, 1}});
    Particle particle = dict.get<Particle>("electron");

    dict.put("names", std::vector<std::string>{"ann", "bob"});
    dict.put("table", std::map<std::string, std::vector<int>>{{"odd", {1, 3}}, {"even", {2}}});

    check(particle.position.at(2) == 1, "types of your own");
}

}  // namespace

int main() {
    try {
        first_steps();
        auto dict = ddict::Dictionary::attach();
        keys(dict);
        missing_keys(dict);
        change(dict);
        share_an_array(dict);
        count_words(dict, {"to", "be", "or", "not", "to", "be"});
        check(dict.get<std::int64_t>("count/be") == 2, "count words");
        raise_to(dict, "largest", 5);
        raise_to(dict, "largest", 3);
        raise_to(dict, "largest", 8);
        check(dict.get<std::int64_t>("largest") == 8, "raise to");
        wait_for_a_result(dict);
        many_at_once(dict);
        meanwhile(dict);
        look_at_all(dict);
        broadcast(dict);
        freeze_and_read(dict);
        deadlines_and_errors(dict);
        wait_for_space(dict);
        keys_that_end(dict);
        several_dictionaries(dict);
        keep_it_for_the_next_step();
        persist_each_step();
        where_keys_live(dict);
        statistics(dict);
        types_of_your_own(dict);
    } catch (const std::exception& failure) {
        std::cerr << "guide: " << failure.what() << '\n';
        return 1;
    }
    std::cout << "all tasks done\n";
}
