/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/client/c_api_test.h"

enum { many = 500 };

static char names[many][16];
static ddict_key keys[many];

static void name_keys(void) {
    for (int i = 0; i < many; ++i) {
        snprintf(names[i], sizeof names[i], "key/%d", i);
        keys[i] = ddict_text_key(names[i]);
    }
}

/** Puts key/0 to key/499, each with its number. */
static void put_many(void) {
    static int32_t numbers[many];
    static ddict_pair pairs[many];
    ddict_item_status statuses[many];
    name_keys();
    for (int i = 0; i < many; ++i) {
        numbers[i] = i;
        pairs[i].key = keys[i];
        pairs[i].value = ddict_bytes(&numbers[i], sizeof numbers[i]);
        pairs[i].type = DDICT_SCALAR(DDICT_INT32);
        statuses[i].code = -1;
    }
    EXPECT_OK(ddict_multi_put(dict, pairs, many, statuses, &error));
    for (int i = 0; i < many; ++i) {
        uint32_t manager = 9;
        EXPECT_OK(ddict_which_manager(dict, keys[i], &manager, &error));
        EXPECT(statuses[i].code == DDICT_OK && statuses[i].manager == manager);
    }
}

void test_batches(void) {
    put_many();
    uint64_t size = 0;
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == many);
    EXPECT_OK(ddict_local_size(dict, &size, &error));
    EXPECT(size == many);

    static ddict_value values[many];
    static ddict_item_status statuses[many];
    EXPECT_OK(ddict_erase(dict, keys[7], NULL, &error));
    EXPECT_OK(ddict_multi_get(dict, keys, many, DDICT_SCALAR(DDICT_INT32), values, statuses, &error));
    for (int i = 0; i < many; ++i) {
        EXPECT(statuses[i].code == (i == 7 ? DDICT_NOT_FOUND : DDICT_OK));
        EXPECT(i == 7 ? values[i].data == NULL : *(int32_t*)values[i].data == i);
        ddict_free(values[i].data);
    }
    EXPECT_OK(ddict_put(dict, keys[8], ddict_text("text"), DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_multi_get(dict, keys, 10, DDICT_SCALAR(DDICT_INT32), values, statuses, &error));
    EXPECT(statuses[7].code == DDICT_NOT_FOUND && statuses[8].code == DDICT_WRONG_TYPE &&
           statuses[9].code == DDICT_OK);
    EXPECT(values[8].data == NULL);
    for (int i = 0; i < 10; ++i)
        ddict_free(values[i].data);

    uint64_t erased = 0;
    EXPECT_OK(ddict_multi_erase(dict, keys, many, statuses, &erased, &error));
    EXPECT(erased == many - 1 && statuses[7].code == DDICT_NOT_FOUND && statuses[0].code == DDICT_OK);
    EXPECT_OK(ddict_multi_erase(dict, keys, many, NULL, NULL, NULL));
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == 0);
    EXPECT_OK(ddict_multi_put(dict, NULL, 0, NULL, &error));
    EXPECT_OK(ddict_multi_get(dict, NULL, 0, DDICT_BYTES, NULL, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_multi_get(dict, keys, 1, DDICT_BYTES, NULL, NULL, &error));
}

void test_collected_batch(void) {
    uint64_t stored = 9;
    uint64_t failed = 9;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_end_batch_put(dict, &stored, &failed, &error));
    EXPECT(stored == 0 && failed == 0);
    EXPECT_OK(ddict_start_batch_put(dict, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_start_batch_put(dict, &error));
    name_keys();
    for (int i = 0; i < many; ++i)
        EXPECT_OK(ddict_put(dict, keys[i], ddict_bytes(&i, sizeof i), DDICT_SCALAR(DDICT_INT32), &error));
    EXPECT_OK(ddict_end_batch_put(dict, &stored, &failed, &error));
    EXPECT(stored == many && failed == 0);
    ddict_value value;
    EXPECT_OK(ddict_get(dict, keys[499], DDICT_SCALAR(DDICT_INT32), &value, &error));
    EXPECT(*(int32_t*)value.data == 499);
    ddict_free(value.data);

    /* A view that was made meanwhile collects until the end, and puts at once after it. */
    ddict_dictionary* view = NULL;
    bool there = false;
    EXPECT_OK(ddict_start_batch_put(dict, &error));
    EXPECT_OK(ddict_within(dict, 5000, &view, &error));
    EXPECT_OK(ddict_put(view, ddict_text_key("collected"), ddict_text("v"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_end_batch_put(dict, &stored, &failed, &error));
    EXPECT(stored == 1 && failed == 0);
    EXPECT_OK(ddict_put(view, ddict_text_key("at once"), ddict_text("v"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_contains(dict, ddict_text_key("at once"), &there, &error));
    EXPECT(there);
    ddict_detach(view);
}

void test_failures_of_a_batch(void) {
    ddict_batch_report report;
    char long_key[100];
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_end_batch_put_report(dict, &report, &error));
    memset(long_key, 'k', sizeof long_key);
    EXPECT_OK(ddict_bput(dict, ddict_typed_key(long_key, sizeof long_key, DDICT_TEXT), ddict_text("v"),
                         DDICT_TEXT, &error));
    EXPECT_OK(ddict_start_batch_put(dict, &error));
    EXPECT_OK(ddict_put(dict, ddict_typed_key(long_key, sizeof long_key, DDICT_TEXT), ddict_text("w"),
                        DDICT_TEXT, &error));
    EXPECT_OK(ddict_put(dict, ddict_text_key("good"), ddict_text("w"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_end_batch_put_report(dict, &report, &error));
    EXPECT(report.stored == 1 && report.failed == 1 && report.failure_count == 1);
    EXPECT(report.failures[0].key.bytes == sizeof long_key);
    EXPECT(memcmp(report.failures[0].key.data, long_key, sizeof long_key) == 0);
    error = report.failures[0].error;
    EXPECT(error.code == DDICT_INVALID_ARGUMENT && error.manager < 3 && error.key_cut);
    ddict_batch_report_free(&report);
    EXPECT(report.failures == NULL);
    ddict_batch_report_free(NULL);
    EXPECT_OK(ddict_start_batch_put(dict, &error));
    EXPECT_OK(ddict_put(dict, ddict_text_key("good"), ddict_text("w"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_end_batch_put_report(dict, &report, &error));
    EXPECT(report.stored == 1 && report.failed == 0 && report.failures == NULL);
    ddict_batch_report_free(&report);
    EXPECT_OK(ddict_berase(dict, ddict_typed_key(long_key, sizeof long_key, DDICT_TEXT), NULL, &error));
}

void test_asynchronous(void) {
    ddict_pending* pending[50];
    name_keys();
    for (int i = 0; i < 50; ++i)
        EXPECT_OK(ddict_put_async(dict, keys[i], ddict_text(names[i]), DDICT_TEXT, &pending[i], &error));
    for (int i = 0; i < 50; ++i) {
        EXPECT_OK(ddict_pending_wait(pending[i], DDICT_DEFAULT_TIMEOUT, NULL, &error));
        EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                    ddict_pending_wait(pending[i], DDICT_DEFAULT_TIMEOUT, NULL, &error));
        ddict_pending_free(pending[i]);
    }
    for (int i = 0; i < 50; ++i)
        EXPECT_OK(ddict_get_async(dict, keys[i], DDICT_TEXT, &pending[i], &error));
    for (int i = 0; i < 50; ++i) {
        ddict_value value;
        EXPECT_OK(ddict_pending_wait(pending[i], 5000, &value, &error));
        EXPECT(strcmp(value.data, names[i]) == 0);
        ddict_free(value.data);
        ddict_pending_free(pending[i]);
    }
    ddict_value value;
    EXPECT_OK(ddict_get_async(dict, keys[0], DDICT_LIST, &pending[0], &error));
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_pending_wait(pending[0], 5000, &value, &error));
    EXPECT(error_says("stored: text, asked: list"));
    ddict_pending_free(pending[0]);
    EXPECT_OK(ddict_erase_async(dict, keys[0], &pending[0], &error));
    EXPECT_OK(ddict_pending_wait(pending[0], 5000, NULL, &error));
    ddict_pending_free(pending[0]);
    EXPECT_OK(ddict_erase_async(dict, keys[0], &pending[0], &error));
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_pending_wait(pending[0], 5000, NULL, &error));
    ddict_pending_free(pending[0]);
    EXPECT_OK(ddict_get_async(dict, keys[1], DDICT_TEXT, &pending[0], &error));
    bool ready = false;
    EXPECT_OK(ddict_pending_ready(pending[0], &ready, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_pending_wait(pending[0], -7, &value, &error));
    ddict_pending_free(pending[0]);
    EXPECT_OK(ddict_put_async(dict, keys[2], ddict_text(names[2]), DDICT_TEXT, &pending[0], &error));
    ddict_pending_free(pending[0]);
    EXPECT_OK(ddict_get(dict, keys[2], DDICT_TEXT, &value, &error));
    ddict_free(value.data);
}

void test_cursors(void) {
    put_many();
    EXPECT_OK(ddict_put(dict, ddict_text_key("another"), ddict_text("x"), DDICT_TEXT, &error));
    ddict_scan_options options;
    memset(&options, 0, sizeof options);
    options.prefix = ddict_text_key("key/");
    options.values = true;
    bool seen[many] = {false};
    ddict_cursor* cursor = NULL;
    ddict_item item;
    EXPECT_OK(ddict_scan(dict, &options, &cursor, &error));
    int code;
    int count = 0;
    while ((code = ddict_cursor_next(cursor, &item, &error)) == DDICT_OK) {
        ++count;
        int32_t number = -1;
        EXPECT(item.type == DDICT_SCALAR(DDICT_INT32) && item.value.bytes == sizeof number);
        memcpy(&number, item.value.data, sizeof number);
        EXPECT(number >= 0 && number < many && !seen[number]);
        seen[number] = true;
        uint32_t manager = 9;
        EXPECT_OK(ddict_which_manager(dict, item.key, &manager, &error));
        EXPECT(manager == item.manager);
    }
    EXPECT(code == DDICT_NOT_FOUND && count == many);
    ddict_cursor_free(cursor);

    uint64_t pairs = 0;
    EXPECT_OK(ddict_count_prefix(dict, ddict_text("key/"), &pairs, &error));
    EXPECT(pairs == many);
    EXPECT_OK(ddict_count_prefix(dict, ddict_text(""), &pairs, &error));
    EXPECT(pairs == many + 1);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_count_prefix(dict, ddict_text("key/"), NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_count_prefix(dict, ddict_text(NULL), &pairs, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_erase_prefix(dict, ddict_text(""), &pairs, &error));
    EXPECT(error_says("the prefix is empty"));

    EXPECT_OK(ddict_scan(dict, NULL, &cursor, &error));
    for (count = 0; ddict_cursor_next(cursor, &item, &error) == DDICT_OK; ++count)
        EXPECT(item.value.bytes == 0);
    EXPECT(count == many + 1);
    ddict_cursor_free(cursor);

    memset(&options, 0, sizeof options);
    options.local = true;
    EXPECT_OK(ddict_scan(dict, &options, &cursor, &error));
    for (count = 0; ddict_cursor_next(cursor, &item, &error) == DDICT_OK; ++count)
        continue;
    EXPECT(count == many + 1);
    ddict_cursor_free(cursor);

    EXPECT_OK(ddict_scan(dict, NULL, &cursor, &error));
    EXPECT_OK(ddict_cursor_next(cursor, &item, &error));
    ddict_cursor_free(cursor); /* before its end */
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_cursor_next(NULL, &item, &error));

    EXPECT_OK(ddict_erase_prefix(dict, ddict_text("key/"), &pairs, &error));
    EXPECT(pairs == many);
    EXPECT_OK(ddict_erase_prefix(dict, ddict_text("another"), NULL, NULL));
    EXPECT_OK(ddict_size(dict, &pairs, &error));
    EXPECT(pairs == 0);
}

void test_managers(void) {
    uint32_t count = 0;
    uint32_t manager = 9;
    EXPECT_OK(ddict_manager_count(dict, &count, &error));
    EXPECT(count == 3);
    EXPECT_OK(ddict_local_manager(dict, &manager, &error));
    EXPECT(manager < 3);
    EXPECT_OK(ddict_main_manager(dict, &manager, &error));
    EXPECT(manager < 3);
    uint32_t local[2] = {9, 9};
    size_t locals = 0;
    EXPECT_OK(ddict_local_managers(dict, local, 2, &locals, &error));
    EXPECT(locals == 3 && local[0] == 0 && local[1] == 1);
    char node[256];
    char host[256];
    EXPECT_OK(ddict_manager_node(dict, 2, node, sizeof node, &error));
    EXPECT(gethostname(host, sizeof host) == 0 && strcmp(node, host) == 0);
    EXPECT_OK(ddict_manager_node(dict, 2, node, 2, &error));
    EXPECT(strlen(node) <= 1);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_manager_node(dict, 3, node, sizeof node, &error));

    ddict_dictionary* view = NULL;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_manager(dict, 3, &view, &error));
    EXPECT(view == NULL);
    for (uint32_t i = 0; i < 3; ++i) {
        EXPECT_OK(ddict_manager(dict, i, &view, &error));
        EXPECT_OK(ddict_put(view, ddict_text_key("same key"), ddict_bytes(&i, sizeof i),
                            DDICT_SCALAR(DDICT_UINT32), &error));
        uint64_t size = 0;
        EXPECT_OK(ddict_size(view, &size, &error));
        EXPECT(size == 1);
        EXPECT_OK(ddict_which_manager(view, ddict_text_key("same key"), &manager, &error));
        EXPECT(manager == i);
        EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_destroy(view, &error));
        ddict_detach(view);
    }
    uint64_t size = 0;
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == 3);
}

void test_deadlines(void) {
    ddict_dictionary* quick = NULL;
    ddict_value value;
    EXPECT_OK(ddict_within(dict, 5000, &quick, &error));
    EXPECT_OK(ddict_put(quick, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_get(quick, ddict_text_key("k"), DDICT_TEXT, &value, &error));
    ddict_free(value.data);
    ddict_detach(quick);
    EXPECT_OK(ddict_within(dict, 0, &quick, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_put(quick, ddict_text_key("k"), ddict_text("w"), DDICT_TEXT, &error));
    ddict_detach(quick);
    EXPECT_OK(ddict_within(dict, INT64_MAX, &quick, &error));
    EXPECT_OK(ddict_get(quick, ddict_text_key("k"), DDICT_TEXT, &value, &error));
    EXPECT(strcmp(value.data, "v") == 0);
    ddict_free(value.data);
    ddict_detach(quick);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_within(dict, -2, &quick, &error));

    const int64_t soon = ddict_now_ns() + 50 * 1000000;
    EXPECT_OK(ddict_until(dict, soon, &quick, &error));
    EXPECT_OK(ddict_put(quick, ddict_text_key("k"), ddict_text("w"), DDICT_TEXT, &error));
    for (int i = 0; i < 2; ++i) /* for all calls together */
        EXPECT_CODE(DDICT_TIMEOUT, ddict_wait_for(quick, ddict_text_key("nobody"), DDICT_TEXT,
                                                  DDICT_DEFAULT_TIMEOUT, &value, &error));
    EXPECT(ddict_now_ns() >= soon);
    ddict_detach(quick);
    EXPECT_OK(ddict_until(dict, INT64_MIN, &quick, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_put(quick, ddict_text_key("k"), ddict_text("w"), DDICT_TEXT, &error));
    EXPECT(!error.in_doubt);
    ddict_detach(quick);
}

void test_freeze(void) {
    bool frozen = true;
    ddict_value value;
    EXPECT_OK(ddict_put(dict, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_is_frozen(dict, &frozen, &error));
    EXPECT(!frozen);
    EXPECT_OK(ddict_freeze(dict, &error));
    EXPECT_OK(ddict_is_frozen(dict, &frozen, &error));
    EXPECT(frozen);
    EXPECT_CODE(DDICT_FROZEN, ddict_put(dict, ddict_text_key("k"), ddict_text("w"), DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_FROZEN, ddict_fetch_add_i64(dict, ddict_text_key("n"), 1, 0, NULL, &error));
    EXPECT_CODE(DDICT_FROZEN, ddict_clear(dict, &error));
    EXPECT_OK(ddict_get(dict, ddict_text_key("k"), DDICT_TEXT, &value, &error));
    ddict_free(value.data);
    ddict_frozen* in_place = NULL;
    ddict_slice slice;
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_view_frozen(dict, ddict_text_key("k"), DDICT_LIST, &in_place, &slice, &error));
    EXPECT_CODE(DDICT_NOT_FOUND,
                ddict_view_frozen(dict, ddict_text_key("nobody"), DDICT_TEXT, &in_place, &slice, &error));
    EXPECT(in_place == NULL);
    EXPECT_OK(ddict_view_frozen(dict, ddict_text_key("k"), DDICT_TEXT, &in_place, &slice, &error));
    EXPECT(slice.bytes == 1 && memcmp(slice.data, "v", 1) == 0);
    EXPECT(ddict_frozen_valid(in_place));
    EXPECT_OK(ddict_unfreeze(dict, &error));
    EXPECT_OK(ddict_put(dict, ddict_text_key("k"), ddict_text("w"), DDICT_TEXT, &error));
    EXPECT(!ddict_frozen_valid(in_place));
    ddict_frozen_free(in_place);
    ddict_frozen_free(NULL);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_view_frozen(dict, ddict_text_key("k"), DDICT_TEXT, &in_place, &slice, &error));
}

void test_statistics(void) {
    ddict_manager_stats all[3];
    size_t count = 0;
    put_many();
    EXPECT_OK(ddict_stats(dict, all, 3, &count, &error));
    EXPECT(count == 3);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 3; ++i) {
        EXPECT(all[i].manager == i && all[i].pid > 0);
        EXPECT(all[i].node[0] != '\0' && all[i].transport[0] != '\0');
        EXPECT(all[i].used_bytes + all[i].free_bytes == all[i].pool_bytes);
        EXPECT(!all[i].frozen);
        EXPECT(all[i].operation_count > 0);
        EXPECT(all[i].operations[0].operation != NULL && all[i].operations[0].count > 0);
        sum += all[i].keys;
    }
    EXPECT(sum == many);
    EXPECT_OK(ddict_stats(dict, NULL, 0, &count, &error));
    EXPECT(count == 3);
    EXPECT_OK(ddict_stats(dict, all, 1, &count, &error));
    EXPECT(count == 3);
    EXPECT_OK(ddict_stats_of(dict, 2, &all[0], &error));
    EXPECT(all[0].manager == 2);
    uint64_t reads = 0, reads_after = 0;
    for (uint32_t i = 0; i < 3; ++i) {
        EXPECT_OK(ddict_stats_of(dict, i, &all[i], &error));
        reads += all[i].local_reads;
    }
    bool is_there = false;
    for (int i = 0; i < 17; ++i)
        EXPECT_OK(ddict_contains(dict, ddict_text_key("nobody"), &is_there, &error));
    for (uint32_t i = 0; i < 3; ++i) {
        EXPECT_OK(ddict_stats_of(dict, i, &all[i], &error));
        reads_after += all[i].local_reads;
    }
    EXPECT(reads_after == reads + 17);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_stats_of(dict, 3, &all[0], &error));
}

void test_health_and_profile(void) {
    ddict_manager_health health[3];
    size_t count = 0;
    EXPECT_OK(ddict_health(dict, health, 3, &count, &error));
    EXPECT(count == 3);
    for (uint32_t i = 0; i < 3; ++i)
        EXPECT(health[i].manager == i && health[i].alive && health[i].round_trip_ns > 0 &&
               health[i].error.code == DDICT_OK && !health[i].restarting);
    EXPECT_OK(ddict_profile_reset(dict, &error));
    EXPECT_OK(ddict_put(dict, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    ddict_client_profile profile;
    ddict_operation_profile operations[32];
    EXPECT_OK(ddict_profile(dict, &profile, operations, 32, &count, &error));
    EXPECT(profile.threads >= 1);
    bool has_put = false;
    for (size_t i = 0; i < count; ++i) {
        if (strcmp(operations[i].operation, "put") == 0) has_put = operations[i].count == 1;
    }
    EXPECT(has_put);
}

void test_exceptions_stay_inside(void) {
    /* More pairs than memory can hold: std::length_error inside. */
    const ddict_pair pair = {ddict_text_key("k"), ddict_text("v"), DDICT_TEXT};
    EXPECT_CODE(DDICT_SYSTEM, ddict_multi_put(dict, &pair, SIZE_MAX, NULL, &error));
    EXPECT_CODE(DDICT_SYSTEM, ddict_multi_erase(dict, &pair.key, SIZE_MAX, NULL, NULL, &error));
#ifndef __SANITIZE_ADDRESS__ /* its operator new ends the program and throws nothing */
    /* An array that a shape can have and this machine has not: std::bad_alloc inside. */
    const uint64_t huge[1] = {UINT64_C(1) << 58};
    EXPECT_CODE(DDICT_SYSTEM,
                ddict_put_array(dict, ddict_text_key("a"), DDICT_FLOAT64, 1, huge, huge, &error));
    EXPECT(error_says("out of memory"));
#endif
}

/** That nothing which asks only this process pretends to know something of a handle that is of no use. */
static void expect_nothing_of(ddict_dictionary* gone) {
    uint32_t manager = 9;
    size_t count = 9;
    ddict_client_profile profile;
    ddict_cursor* cursor = NULL;
    char node[8];
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_main_manager(gone, &manager, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_local_manager(gone, &manager, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_local_managers(gone, NULL, 0, &count, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_manager_count(gone, &manager, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_which_manager(gone, ddict_text_key("k"), &manager, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_manager_node(gone, 0, node, sizeof node, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_profile(gone, &profile, NULL, 0, &count, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_profile_reset(gone, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_scan(gone, NULL, &cursor, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_start_batch_put(gone, &error));
    EXPECT(manager == 9 && count == 9 && cursor == NULL);
}

void test_child_of_fork(void) {
    ddict_pending* pending = NULL;
    EXPECT_OK(ddict_put_async(dict, ddict_text_key("a"), ddict_text("v"), DDICT_TEXT, &pending, &error));
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        const int before = failure_count();
        EXPECT_CODE(DDICT_NOT_ATTACHED,
                    ddict_put(dict, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
        EXPECT(error_says("this process is a child of the one that attached"));
        expect_nothing_of(dict);
        EXPECT(error_says("this process is a child of the one that attached"));
        EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_pending_wait(pending, DDICT_DEFAULT_TIMEOUT, NULL, &error));
        ddict_pending_free(pending);
        fflush(stdout);
        _exit(failure_count() == before ? 0 : 1);
    }
    int status = -1;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_OK(ddict_pending_wait(pending, DDICT_DEFAULT_TIMEOUT, NULL, &error));
    ddict_pending_free(pending);
    EXPECT_OK(ddict_put(dict, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
}

void test_detached_and_destroyed(void) {
    char* handle = NULL;
    ddict_dictionary* other = NULL;
    ddict_dictionary* view = NULL;
    EXPECT_OK(ddict_serialize(dict, &handle, &error));
    EXPECT_OK(ddict_attach(handle, NULL, &other, &error));
    EXPECT_OK(ddict_within(other, 1000, &view, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_serialize(view, &handle, &error));
    EXPECT_OK(ddict_put(view, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    ddict_detach(other);
    EXPECT_CODE(DDICT_NOT_ATTACHED,
                ddict_put(view, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    ddict_detach(view);
    ddict_free(handle);

    ddict_create_options options;
    memset(&options, 0, sizeof options);
    options.total_mem = 16u << 20;
    EXPECT_OK(ddict_create(&options, &other, &error));
    EXPECT_OK(ddict_serialize(other, &handle, &error));
    EXPECT_OK(ddict_destroy(other, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED,
                ddict_put(other, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    expect_nothing_of(other);
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_serialize(other, &handle, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_destroy(other, &error));
    ddict_detach(other);
    EXPECT_CODE(DDICT_DICTIONARY_GONE, ddict_attach(handle, NULL, &other, &error));
    ddict_free(handle);
}
