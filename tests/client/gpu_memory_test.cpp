// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Memory of a GPU that is given to a call is refused in words, wherever a caller's memory goes in: without
// that each of these calls would end the process. There is no GPU: a library of the driver's name gives out
// memory as the driver does (gpu_driver.c), and it is loaded when the program has used its dictionary for a
// while.
#include <ddict/array.h>
#include <ddict/ddict.h>
#include <dlfcn.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t memory_bytes = std::size_t{1} << 20;
constexpr std::uint16_t elements = Codec<std::vector<double>>::type;

class GpuMemoryTest : public SharedDictionaryTest {
  protected:
    static void SetUpTestSuite() {
        SharedDictionaryTest::SetUpTestSuite();
        dict_->put("before", 1);
        ASSERT_EQ(dict_->get<int>("before"), 1);
        driver_ = ::dlopen(DDICT_GPU_DRIVER, RTLD_NOW | RTLD_LOCAL);
        ASSERT_NE(driver_, nullptr) << ::dlerror();
        unsigned long long address = 0;
        ASSERT_EQ(
            of_driver<int (*)(unsigned long long*, std::size_t)>("cuMemAlloc_v2")(&address, memory_bytes), 0);
        device_ = reinterpret_cast<double*>(address);
        ASSERT_EQ(of_driver<int (*)(unsigned long long*, std::size_t, unsigned)>("cuMemAllocManaged")(
                      &address, memory_bytes, 1),
                  0);
        managed_ = reinterpret_cast<double*>(address);
        void* pinned = nullptr;
        ASSERT_EQ(
            of_driver<int (*)(void**, std::size_t, unsigned)>("cuMemHostAlloc")(&pinned, memory_bytes, 0), 0);
        pinned_ = static_cast<double*>(pinned);
        // A driver takes longer than that before it gives out memory.
        const auto begin = std::chrono::steady_clock::now();
        while (std::chrono::steady_clock::now() - begin < 30ms)
            dict_->put("before", 2);
    }
    template <class Function>
    static Function of_driver(const char* name) {
        return reinterpret_cast<Function>(::dlsym(driver_, name));
    }
    static std::span<const double> on_device(std::size_t count) { return {device_, count}; }
    static std::span<double> device_target(std::size_t count) { return {device_, count}; }
    static std::span<const std::byte> device_bytes(std::size_t bytes) {
        return {reinterpret_cast<const std::byte*>(device_), bytes};
    }

    /// Refused, and the text names what was done, the key, and what to do.
    template <class T>
    static void expect_refused(const Result<T>& outcome, const std::string& call) {
        ASSERT_FALSE(outcome.has_value()) << call;
        expect_refusal(outcome.error(), call);
    }
    static void expect_refusal(const Error& error, const std::string& call) {
        const std::string text = error.message();
        EXPECT_EQ(error.code, Errc::invalid_argument) << call << ": " << text;
        EXPECT_FALSE(error.in_doubt) << call << ": " << text;
        for (const char* const part : {"of key 'k'", "a GPU's", "host memory", "cudaMemcpy"})
            EXPECT_NE(text.find(part), std::string::npos) << call << ": " << text;
        EXPECT_EQ(text.find("..."), std::string::npos) << call << ": cut: " << text;
    }

    static inline void* driver_ = nullptr;
    static inline double* device_ = nullptr;
    static inline double* managed_ = nullptr;
    static inline double* pinned_ = nullptr;
};

/// Sent within the message, as a payload, and as a large one.
constexpr std::size_t counts[] = {1, 100, 1000, 100'000};

TEST_F(GpuMemoryTest, APutFromItIsRefused) {
    for (const std::size_t count : counts) {
        SCOPED_TRACE(count);
        const auto values = on_device(count);
        expect_refused(dict_->try_put("k", values), "put");
        expect_refused(dict_->try_put_if_absent("k", values), "put_if_absent");
        expect_refused(dict_->try_put_if_present("k", values), "put_if_present");
        expect_refused(dict_->try_bput("k", values), "bput");
        expect_refused(dict_->put_async("k", values).try_wait(), "put_async");
        expect_refused(dict_->try_put("k", ArrayView<const double>(device_, {count})), "put of an array");
        expect_refused(dict_->put_async("k", ArrayView<const double>(device_, {count})).try_wait(),
                       "put_async of an array");
        const std::vector<std::byte> header(16);
        const std::vector<std::span<const std::byte>> parts{header, device_bytes(count * sizeof(double))};
        const KeyBytes key = std::as_bytes(std::span(std::string_view("k")));
        expect_refused(dict_->put_parts(key, parts, elements), "put_parts");
        expect_refused(dict_->put_parts_if(PutCondition::absent, key, parts, elements), "put_parts_if");
        expect_refused(dict_->broadcast_put_parts(key, parts, elements), "broadcast_put_parts");
        EXPECT_FALSE(dict_->contains("k"));
    }
}

TEST_F(GpuMemoryTest, AChangeByItIsRefused) {
    for (const std::size_t count : {1UL, 100UL, 4000UL}) {
        SCOPED_TRACE(count);
        const auto values = on_device(count);
        const KeyBytes key = std::as_bytes(std::span(std::string_view("k")));
        const auto bytes = device_bytes(values.size_bytes());
        expect_refused(dict_->append_bytes(key, bytes, elements), "append");
        expect_refused(dict_->swap_bytes(key, std::nullopt, bytes, elements), "compare_and_swap, desired");
        expect_refused(dict_->swap_bytes(key, bytes, std::nullopt, elements), "compare_and_swap, expected");
        expect_refused(dict_->within(1s).wait_for_value_bytes(key, bytes, elements), "wait_for_value");
        EXPECT_FALSE(dict_->contains("k"));
    }
}

TEST_F(GpuMemoryTest, OfABatchOnlyThatItemIsRefused) {
    for (const std::size_t count : counts) {
        SCOPED_TRACE(count);
        const std::vector<double> host{1, 2, 3};
        const std::map<std::string, std::span<const double>> pairs{{"host", host}, {"k", on_device(count)}};
        expect_refused(dict_->try_update(pairs), "update");
        EXPECT_EQ(dict_->get<std::vector<double>>("host"), host);
        dict_->clear();

        const auto put = dict_->try_multi_put(pairs);
        ASSERT_EQ(put.size(), 2U);
        EXPECT_TRUE(put[0].ok());
        EXPECT_EQ(put[1].code, Errc::invalid_argument);
        EXPECT_EQ(dict_->get<std::vector<double>>("host"), host);

        auto batch = dict_->batch();
        expect_refused(batch.try_put("k", on_device(count)), "put of a batch");
        expect_refused(batch.try_bput("k", on_device(count)), "bput of a batch");
        batch.put("host", std::span<const double>(host));
        batch.commit();

        View collecting = *dict_;
        collecting.start_batch_put();
        expect_refused(collecting.try_put("k", on_device(count)), "collected put");
        expect_refused(collecting.try_put("k", ArrayView<const double>(device_, {count})), "collected array");
        collecting.end_batch_put();
        EXPECT_FALSE(dict_->contains("k"));
        dict_->clear();
    }
}

TEST_F(GpuMemoryTest, AGetIntoItIsRefused) {
    for (Dictionary* const dict : {dict_.get(), by_message_.get()}) {
        for (const std::size_t count : counts) {
            SCOPED_TRACE(count);
            const std::vector<double> host(count, 1.5);
            dict_->put("k", host);
            expect_refused(dict->try_get_into("k", device_target(count)), "get_into");
            expect_refused(dict->try_wait_for_into("k", device_target(count)), "wait_for_into");
            expect_refused(dict->try_pop_into("k", device_target(count)), "pop_into");
            EXPECT_EQ(dict->get<std::vector<double>>("k"), host) << "what was popped is back";
            dict_->put("k", ArrayView<const double>(host.data(), {count}));
            ArrayView<double> array(device_, {count});
            expect_refused(dict->try_get_into("k", array), "get_into an array");
            expect_refused(dict->try_pop_into("k", array), "pop_into an array");
            EXPECT_EQ(dict->get<Array<double>>("k").elements()[count - 1], 1.5);
        }
    }
}

TEST_F(GpuMemoryTest, FromCToo) {
    char* handle = nullptr;
    ddict_dictionary* dict = nullptr;
    ddict_error error;
    ASSERT_EQ(ddict_attach(dict_->serialize().c_str(), nullptr, &dict, &error), DDICT_OK);
    const ddict_key key = ddict_text_key("k");
    const auto refused = [&error](int code, const std::string& call) {
        char text[512];
        ddict_error_message(&error, text, sizeof text);
        const std::string message = text;
        EXPECT_EQ(code, DDICT_INVALID_ARGUMENT) << call << ": " << message;
        EXPECT_NE(message.find("of key 'k'"), std::string::npos) << call << ": " << message;
        EXPECT_NE(message.find("a GPU's"), std::string::npos) << call << ": " << message;
    };
    for (const std::size_t count : counts) {
        SCOPED_TRACE(count);
        const ddict_slice slice = ddict_bytes(device_, count * sizeof(double));
        const std::uint64_t shape[] = {count};
        const std::uint16_t type = DDICT_VECTOR(DDICT_FLOAT64);
        refused(ddict_put(dict, key, slice, type, &error), "ddict_put");
        refused(ddict_put_if_absent(dict, key, slice, type, nullptr, &error), "ddict_put_if_absent");
        refused(ddict_bput(dict, key, slice, type, &error), "ddict_bput");
        refused(ddict_put_array(dict, key, DDICT_FLOAT64, 1, shape, device_, &error), "ddict_put_array");
        ddict_value none;
        bool swapped = false;
        refused(ddict_get_or(dict, key, type, slice, &none, &error), "ddict_get_or");
        refused(ddict_append(dict, key, slice, type, nullptr, &error), "ddict_append");
        refused(ddict_compare_and_swap(dict, key, nullptr, &slice, type, &swapped, &error),
                "ddict_compare_and_swap");
        refused(ddict_wait_for_value(dict, key, slice, type, 1000, &error), "ddict_wait_for_value");
        const ddict_pair pair{key, slice, type};
        ddict_item_status status{};
        refused(ddict_multi_put(dict, &pair, 1, &status, &error), "ddict_multi_put");
        EXPECT_EQ(status.code, DDICT_INVALID_ARGUMENT);
        ddict_pending* pending = nullptr;
        ASSERT_EQ(ddict_put_async(dict, key, slice, type, &pending, &error), DDICT_OK);
        refused(ddict_pending_wait(pending, 1000, nullptr, &error), "ddict_put_async");
        ddict_pending_free(pending);
        ASSERT_EQ(ddict_start_batch_put(dict, &error), DDICT_OK);
        refused(ddict_put(dict, key, slice, type, &error), "ddict_put of a batch");
        ASSERT_EQ(ddict_end_batch_put(dict, nullptr, nullptr, &error), DDICT_OK);
        EXPECT_FALSE(dict_->contains("k"));

        const std::vector<double> host(count, 1.5);
        const std::size_t bytes = count * sizeof(double);
        ddict_value value;
        dict_->put("k", host);
        refused(ddict_get_into(dict, key, type, device_, bytes, &value, &error), "ddict_get_into");
        refused(ddict_pop_into(dict, key, type, device_, bytes, &value, &error), "ddict_pop_into");
        refused(ddict_wait_for_into(dict, key, type, 1000, device_, bytes, &value, &error),
                "ddict_wait_for_into");
        EXPECT_EQ(dict_->get<std::vector<double>>("k"), host);
        dict_->put("k", ArrayView<const double>(host.data(), {count}));
        refused(ddict_get_array_into(dict, key, DDICT_FLOAT64, 1, shape, device_, &error),
                "ddict_get_array_into");
        dict_->erase("k");
    }
    dict_->put("k", 1.5F);  // which is converted first
    ddict_value value;
    refused(ddict_get_into(dict, key, DDICT_SCALAR(DDICT_FLOAT64), device_, sizeof(double), &value, &error),
            "ddict_get_into, of another number");
    ddict_free(handle);
    ddict_detach(dict);
}

TEST_F(GpuMemoryTest, ManagedAndPinnedMemoryIsTheHostsToo) {
    for (double* const memory : {managed_, pinned_}) {
        for (const std::size_t count : counts) {
            SCOPED_TRACE(count);
            std::fill_n(memory, count, 2.5);
            dict_->put("k", std::span<const double>(memory, count));
            dict_->put("array", ArrayView<const double>(memory, {count}));
            std::memset(memory, 0, count * sizeof(double));
            EXPECT_EQ(dict_->get_into("k", std::span<double>(memory, count)), count);
            EXPECT_EQ(memory[count - 1], 2.5);
            std::memset(memory, 0, count * sizeof(double));
            ArrayView<double> array(memory, {count});
            dict_->get_into("array", array);
            EXPECT_EQ(memory[0], 2.5);
        }
    }
}

/// The kernel is asked about some bytes in a row, which must not be those behind the end of what there is.
TEST_F(GpuMemoryTest, MemoryAtTheEndOfAMappingIsGood) {
    char* const last = reinterpret_cast<char*>(managed_) + memory_bytes - 1;
    *last = 'x';
    dict_->put("k", std::span<const char>(last, 1));
    EXPECT_EQ(dict_->get<std::vector<char>>("k"), std::vector<char>{'x'});
    *last = 0;
    EXPECT_EQ(dict_->get_into("k", std::span<char>(last, 1)), 1U);
    EXPECT_EQ(*last, 'x');
}

}  // namespace
}  // namespace ddict
