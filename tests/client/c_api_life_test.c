/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ddict/ddict_queue.h>
#include <ddict/ddict_ttl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/client/c_api_test.h"

/** Threads that are registered with the managers, all together. */
static uint64_t sessions(void) {
    ddict_manager_stats all[3];
    size_t count = 0;
    uint64_t sum = 0;
    EXPECT_OK(ddict_stats(dict, all, 3, &count, &error));
    for (size_t i = 0; i < count && i < 3; ++i)
        sum += all[i].sessions;
    return sum;
}

void test_detach_deregisters(void) {
    char* handle = NULL;
    ddict_dictionary* other = NULL;
    const uint64_t before = sessions();
    EXPECT_OK(ddict_serialize(dict, &handle, &error));
    EXPECT_OK(ddict_attach(handle, NULL, &other, &error));
    EXPECT_OK(ddict_clear(other, &error));
    EXPECT(sessions() == before + 3);
    for (uint32_t i = 0; i < 30; ++i) {
        ddict_dictionary* view = NULL;
        EXPECT_OK(ddict_manager(other, i % 3, &view, &error));
        EXPECT_OK(ddict_put(view, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
        ddict_detach(view);
    }
    EXPECT(sessions() == before + 3);
    ddict_detach(other);
    /* A manager learns it a moment later. */
    bool gone = false;
    for (int i = 0; i < 100000 && !gone; ++i)
        gone = sessions() == before;
    EXPECT(gone);
    ddict_free(handle);
}

void test_destroyed_by_another(void) {
    ddict_create_options options;
    ddict_dictionary* owner = NULL;
    ddict_dictionary* other = NULL;
    ddict_dictionary* third = NULL;
    char* handle = NULL;
    char name[16];
    memset(&options, 0, sizeof options);
    options.total_mem = 8u << 20;
    options.name = "mortal";
    EXPECT_OK(ddict_create(&options, &owner, &error));
    EXPECT_OK(ddict_serialize(owner, &handle, &error));
    EXPECT_OK(ddict_attach(handle, NULL, &other, &error));
    EXPECT_OK(ddict_attach(handle, NULL, &third, &error));
    EXPECT_OK(ddict_name(other, name, sizeof name, &error));
    EXPECT(strcmp(name, "mortal") == 0);
    EXPECT_OK(ddict_name(other, name, 4, &error));
    EXPECT(strcmp(name, "mor") == 0);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_name(other, name, 0, &error));
    EXPECT_OK(ddict_destroy(other, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_destroy(other, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_name(other, name, sizeof name, &error));
    EXPECT_CODE(DDICT_DICTIONARY_GONE,
                ddict_put(third, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    EXPECT(error_says("put of key 'k' on manager 0"));
    EXPECT(error.manager_state == DDICT_MANAGER_ENDED);
    EXPECT_CODE(DDICT_DICTIONARY_GONE, ddict_attach(handle, NULL, &other, &error));
    EXPECT_OK(ddict_put(dict, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    ddict_detach(other);
    ddict_detach(third);
    ddict_detach(owner);
    ddict_free(handle);
}

/** The first letter decides: 'a' to 'z' over all managers. */
static uint64_t by_first_letter(ddict_key key, void* calls) {
    ++*(int*)calls;
    return key.bytes == 0 ? 0 : (uint64_t)(*(const char*)key.data - 'a') * (UINT64_MAX / 26);
}

/** The last letter is the manager's number. */
static uint32_t last_letter(ddict_key key, void* calls) {
    ++*(int*)calls;
    return key.bytes == 0 ? 0 : (uint32_t)(((const char*)key.data)[key.bytes - 1] - '0');
}

void test_keys_that_name_their_managers(void) {
    ddict_dictionary* view = NULL;
    int calls = 0;
    EXPECT_OK(ddict_placed_at(dict, last_letter, &calls, &view, &error));
    for (uint32_t manager = 0; manager < 3; ++manager) {
        const char key[] = {'k', (char)('0' + manager), 0};
        uint32_t found = 9;
        EXPECT_OK(ddict_put(view, ddict_text_key(key), ddict_text("x"), DDICT_TEXT, &error));
        EXPECT_OK(ddict_which_manager(view, ddict_text_key(key), &found, &error));
        EXPECT(found == manager);
    }
    EXPECT(calls >= 6);
    ddict_detach(view);
    view = NULL;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_placed_at(dict, NULL, NULL, &view, &error));
    EXPECT(view == NULL);
}

void test_placement(void) {
    ddict_dictionary* view = NULL;
    uint32_t manager = 9;
    int calls = 0;
    EXPECT_OK(ddict_placed_by(dict, by_first_letter, &calls, &view, &error));
    EXPECT_OK(ddict_put(view, ddict_text_key("anna"), ddict_text("first"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_put(view, ddict_text_key("zoe"), ddict_text("last"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_which_manager(view, ddict_text_key("anna"), &manager, &error));
    EXPECT(manager == 0);
    EXPECT_OK(ddict_which_manager(view, ddict_text_key("zoe"), &manager, &error));
    EXPECT(manager == 2);
    EXPECT(calls >= 4);
    ddict_value value;
    EXPECT_OK(ddict_get(view, ddict_text_key("zoe"), DDICT_TEXT, &value, &error));
    EXPECT(strcmp(value.data, "last") == 0);
    ddict_free(value.data);
    uint64_t size = 0;
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == 2);
    ddict_detach(view);
    view = NULL;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_placed_by(dict, NULL, NULL, &view, &error));
    EXPECT(view == NULL);
}

void test_placement_of_bad_keys(void) {
    char long_key[1025];
    uint32_t manager = 9;
    memset(long_key, 'k', sizeof long_key);
    EXPECT_CODE(
        DDICT_TOO_LARGE,
        ddict_which_manager(dict, ddict_typed_key(long_key, sizeof long_key, DDICT_TEXT), &manager, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_which_manager(dict, ddict_text_key(""), &manager, &error));
    EXPECT(manager == 9);
}

void test_absurd_sizes(void) {
    const size_t absurd[] = {SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 50, (size_t)1 << 41};
    const ddict_key key = ddict_text_key("k");
    const ddict_slice text = ddict_text("v");
    const char begin[256] = "errors show how a key begins";
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; ++i) {
        const ddict_slice huge = ddict_bytes(begin, absurd[i]);
        const ddict_pair pair = {key, huge, DDICT_TEXT};
        EXPECT_CODE(DDICT_TOO_LARGE, ddict_put(dict, key, huge, DDICT_TEXT, &error));
        EXPECT(error.need_bytes >= absurd[i]);
        EXPECT_CODE(DDICT_TOO_LARGE,
                    ddict_put(dict, ddict_typed_key(begin, absurd[i], DDICT_TEXT), text, DDICT_TEXT, &error));
        EXPECT_CODE(DDICT_TOO_LARGE, ddict_put_if_absent(dict, key, huge, DDICT_TEXT, NULL, &error));
        EXPECT_CODE(DDICT_TOO_LARGE, ddict_append(dict, key, huge, DDICT_TEXT, NULL, &error));
        EXPECT_CODE(DDICT_TOO_LARGE,
                    ddict_compare_and_swap(dict, key, NULL, &huge, DDICT_TEXT, &(bool){false}, &error));
        EXPECT_CODE(DDICT_TOO_LARGE,
                    ddict_compare_and_swap(dict, key, &huge, &text, DDICT_TEXT, &(bool){false}, &error));
        EXPECT_CODE(DDICT_TOO_LARGE, ddict_wait_for_value(dict, key, huge, DDICT_TEXT, 100, &error));
        EXPECT_CODE(DDICT_TOO_LARGE, ddict_bput(dict, key, huge, DDICT_TEXT, &error));
        EXPECT_CODE(DDICT_TOO_LARGE, ddict_multi_put(dict, &pair, 1, NULL, &error));
    }
    uint64_t size = 9;
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == 0);
    ddict_create_options options;
    ddict_dictionary* other = NULL;
    memset(&options, 0, sizeof options);
    options.total_mem = UINT64_MAX;
    EXPECT(ddict_create(&options, &other, &error) != DDICT_OK && other == NULL);
    EXPECT(error.code == DDICT_NO_SPACE || error.code == DDICT_INVALID_ARGUMENT);
    options.total_mem = 0;
    options.managers_per_node = UINT32_MAX;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_create(&options, &other, &error));
    options.managers_per_node = 1;
    options.launch_timeout_ms = -5;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_create(&options, &other, &error));
    EXPECT(error_says("launch_timeout is -5 ms"));
    options.launch_timeout_ms = 0;
    options.attach.timeout_ms = -1;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_create(&options, &other, &error));
    EXPECT(error_says("timeout is -1 ms"));
}

/** Milliseconds that do not fit into nanoseconds are as good as for ever. */
void test_absurd_timeouts(void) {
    char* handle = NULL;
    ddict_dictionary* other = NULL;
    ddict_create_options options;
    ddict_value value;
    memset(&options, 0, sizeof options);
    options.total_mem = 8u << 20;
    options.launch_timeout_ms = INT64_MAX;
    options.attach.timeout_ms = INT64_MAX;
    options.attach.attach_timeout_ms = INT64_MAX;
    EXPECT_OK(ddict_create(&options, &other, &error));
    if (other == NULL) return;
    EXPECT_OK(ddict_put(other, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_wait_for(other, ddict_text_key("k"), DDICT_TEXT, INT64_MAX, &value, &error));
    ddict_free(value.data);
    ddict_pending* pending = NULL;
    EXPECT_OK(ddict_get_async(other, ddict_text_key("k"), DDICT_TEXT, &pending, &error));
    EXPECT_OK(ddict_pending_wait(pending, INT64_MAX, &value, &error));
    ddict_free(value.data);
    ddict_pending_free(pending);
    EXPECT_OK(ddict_serialize(other, &handle, &error));
    ddict_dictionary* third = NULL;
    EXPECT_OK(ddict_attach(handle, &options.attach, &third, &error));
    EXPECT_OK(ddict_erase(third, ddict_text_key("k"), NULL, &error));
    options.attach.attach_timeout_ms = INT64_MIN;
    ddict_dictionary* fourth = NULL;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_attach(handle, &options.attach, &fourth, &error));
    EXPECT(fourth == NULL);
    ddict_detach(third);
    EXPECT_OK(ddict_destroy(other, &error));
    ddict_detach(other);
    ddict_free(handle);
}

void test_restart(void) {
    ddict_dictionary* other = NULL;
    ddict_create_options options;
    ddict_manager_stats stats;
    size_t count = 0;
    memset(&options, 0, sizeof options);
    options.total_mem = 16 << 20;
    EXPECT_OK(ddict_create(&options, &other, &error));
    if (other == NULL) return;
    EXPECT_OK(ddict_put(other, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_restart(other, 0, &error));
    EXPECT_OK(ddict_stats(other, &stats, 1, &count, &error));
    EXPECT(count == 1 && stats.restarts == 1 && stats.keys == 1);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_restart(other, 1, &error));
    EXPECT_OK(ddict_destroy(other, &error));
    ddict_detach(other);
    options.no_restart = true;
    EXPECT_OK(ddict_create(&options, &other, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_restart(other, 0, &error));
    EXPECT(error_says("--no-restart"));
    EXPECT_OK(ddict_destroy(other, &error));
    ddict_detach(other);
}

void test_kept(void) {
    ddict_dictionary* other = NULL;
    ddict_create_options options;
    ddict_value value;
    uint32_t empty[2];
    size_t count = 0;
    char name[40];
    snprintf(name, sizeof name, "c-kept-%ld", (long)getpid());
    memset(&options, 0, sizeof options);
    options.managers_per_node = 2;
    options.total_mem = 16 << 20;
    options.name = name;
    options.resume = true;
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_create(&options, &other, &error));
    EXPECT(error_says(name));
    options.allow_empty = true;
    EXPECT_OK(ddict_create(&options, &other, &error));
    if (other == NULL) return;
    EXPECT_OK(ddict_empty_managers(other, empty, 2, &count, &error));
    EXPECT(count == 2 && empty[0] == 0 && empty[1] == 1);
    EXPECT_OK(ddict_put(other, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_destroy_and_keep(other, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_destroy_and_keep(other, &error));
    ddict_detach(other);
    other = NULL;
    options.allow_empty = false;
    options.total_mem = 32 << 20;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_create(&options, &other, &error));
    EXPECT(error_says("16M") && error_says("32M"));
    options.total_mem = 16 << 20;
    EXPECT_OK(ddict_create(&options, &other, &error));
    if (other == NULL) return;
    EXPECT_OK(ddict_get(other, ddict_text_key("k"), DDICT_TEXT, &value, &error));
    ddict_free(value.data);
    EXPECT_OK(ddict_empty_managers(other, NULL, 0, &count, &error));
    EXPECT(count == 0);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_empty_managers(other, NULL, 0, NULL, &error));
    EXPECT_OK(ddict_destroy(other, &error));
    ddict_detach(other);
}

void test_default_timeout(void) {
    char* handle = NULL;
    ddict_dictionary* quick = NULL;
    ddict_attach_options options;
    ddict_value value;
    memset(&options, 0, sizeof options);
    options.timeout_ms = 50;
    EXPECT_OK(ddict_serialize(dict, &handle, &error));
    EXPECT_OK(ddict_attach(handle, &options, &quick, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_wait_for(quick, ddict_text_key("nobody"), DDICT_TEXT,
                                              DDICT_DEFAULT_TIMEOUT, &value, &error));
    EXPECT(error_says("wait_for of key 'nobody' on manager"));
    // On a busy machine the manager's own answer may come too late.
    EXPECT(error_says("the key did not appear in time") ||
           error_says("whether the key appeared is not known"));
    EXPECT(error.node[0] != '\0' && error.manager < 3);
    ddict_detach(quick);
    ddict_free(handle);
}

/** What is wrong with a value is seen when it has come. */
void test_errors_found_here_name_everything(void) {
    char node[64];
    uint32_t manager = 9;
    const ddict_key key = ddict_text_key("some key");
    const uint64_t shape[1] = {2};
    double numbers[2] = {1, 2};
    ddict_array array;
    ddict_value value;
    ddict_pending* pending = NULL;
    ddict_frozen* frozen = NULL;
    ddict_slice slice;
    EXPECT_OK(ddict_put(dict, key, ddict_text("none"), DDICT_ARRAY(DDICT_FLOAT64), &error));
    EXPECT_OK(ddict_which_manager(dict, key, &manager, &error));
    EXPECT_OK(ddict_manager_node(dict, manager, node, sizeof node, &error));
    EXPECT_OK(ddict_freeze(dict, &error));
    for (int i = 0; i < 4; ++i) {
        memset(&error, 0, sizeof error);
        switch (i) {
            case 0:
                EXPECT_CODE(DDICT_WRONG_TYPE, ddict_get_array(dict, key, DDICT_FLOAT64, &array, &error));
                break;
            case 1:
                EXPECT_CODE(DDICT_WRONG_TYPE,
                            ddict_get_array_into(dict, key, DDICT_FLOAT64, 1, shape, numbers, &error));
                break;
            case 2:
                EXPECT_OK(ddict_get_async(dict, key, DDICT_TEXT, &pending, &error));
                EXPECT_CODE(DDICT_WRONG_TYPE,
                            ddict_pending_wait(pending, DDICT_DEFAULT_TIMEOUT, &value, &error));
                ddict_pending_free(pending);
                break;
            default:
                EXPECT_CODE(DDICT_WRONG_TYPE,
                            ddict_view_frozen(dict, key, DDICT_TEXT, &frozen, &slice, &error));
        }
        EXPECT(error.manager == manager && strcmp(error.node, node) == 0);
        EXPECT(error_says("of key 'some key' on manager"));
    }
    EXPECT_OK(ddict_unfreeze(dict, &error));
}

void test_errors_name_everything(void) {
    char node[64];
    uint32_t manager = 9;
    ddict_value value;
    const ddict_key key = ddict_text_key("some key");
    EXPECT_OK(ddict_put(dict, key, ddict_text("text"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_which_manager(dict, key, &manager, &error));
    EXPECT_OK(ddict_manager_node(dict, manager, node, sizeof node, &error));
    EXPECT_OK(ddict_freeze(dict, &error));
    for (int i = 0; i < 6; ++i) {
        memset(&error, 0, sizeof error);
        switch (i) {
            case 0:
                EXPECT_CODE(DDICT_FROZEN, ddict_put(dict, key, ddict_text("new"), DDICT_TEXT, &error));
                break;
            case 1:
                EXPECT_CODE(DDICT_FROZEN, ddict_erase(dict, key, NULL, &error));
                break;
            case 2:
                EXPECT_CODE(DDICT_FROZEN,
                            ddict_append(dict, key, ddict_text("more"), DDICT_TEXT, NULL, &error));
                break;
            case 3:
                EXPECT_CODE(DDICT_WRONG_TYPE, ddict_get(dict, key, DDICT_LIST, &value, &error));
                break;
            case 4:
                EXPECT_CODE(DDICT_WRONG_TYPE, ddict_wait_for(dict, key, DDICT_LIST, 1000, &value, &error));
                break;
            default:
                EXPECT_CODE(DDICT_FROZEN, ddict_fetch_add_i64(dict, key, 1, 0, NULL, &error));
        }
        EXPECT(error.manager == manager && strcmp(error.node, node) == 0);
        EXPECT(error.key_bytes == 8 && memcmp(error.key, "some key", 8) == 0);
        EXPECT(error_says("of key 'some key' on manager"));
    }
    EXPECT_OK(ddict_unfreeze(dict, &error));
}

void test_when_space(void) {
    ddict_dictionary* hasty = NULL;
    ddict_dictionary* waiting = NULL;
    static char large[20u << 20];
    const ddict_slice value = ddict_bytes(large, sizeof large);
    char name[16];
    int code = DDICT_OK;
    for (int i = 0; code == DDICT_OK; ++i) {
        snprintf(name, sizeof name, "fill/%d", i);
        code = ddict_put(dict, ddict_text_key(name), value, DDICT_BYTES, &error);
    }
    EXPECT(code == DDICT_NO_SPACE);
    EXPECT_OK(ddict_within(dict, 200, &hasty, &error));
    EXPECT_OK(ddict_when_space(hasty, &waiting, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_put(waiting, ddict_text_key(name), value, DDICT_BYTES, &error));
    EXPECT(error_says("waited for space") && !error.in_doubt);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_when_space(NULL, &waiting, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_when_space(hasty, NULL, &error));
    EXPECT_OK(ddict_clear(dict, &error));
    EXPECT_OK(ddict_put(waiting, ddict_text_key(name), value, DDICT_BYTES, &error));
    ddict_detach(waiting);
    ddict_detach(hasty);
}

void test_times_to_live(void) {
    ddict_dictionary* brief = NULL;
    ddict_value value;
    int64_t left = 0;
    bool present = false;
    const ddict_key key = ddict_text_key("ttl");
    const ddict_slice text = ddict_bytes("v", 1);
    EXPECT_OK(ddict_with_ttl(dict, 3600000, &brief, &error));
    EXPECT_OK(ddict_put(brief, key, text, DDICT_BYTES, &error));
    EXPECT_OK(ddict_time_to_live(dict, key, &left, &error));
    EXPECT(left > 3000000000LL && left <= 3600000000LL);
    EXPECT_OK(ddict_touch(dict, key, DDICT_NO_TTL, &present, &error));
    EXPECT(present);
    EXPECT_OK(ddict_time_to_live(dict, key, &left, &error));
    EXPECT(left == DDICT_NO_TTL);
    EXPECT_OK(ddict_wait_for_while(dict, key, key, DDICT_BYTES, 1000, &value, &error));
    ddict_free(value.data);
    EXPECT_OK(ddict_touch(dict, key, 1, NULL, &error));
    EXPECT_CODE(DDICT_NOT_FOUND,
                ddict_wait_for_while(dict, ddict_text_key("never"), key, DDICT_BYTES, 20000, &value, &error));
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_time_to_live(dict, key, &left, &error));
    EXPECT_OK(ddict_touch(dict, key, 1000, &present, &error));
    EXPECT(!present);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_with_ttl(NULL, 1, &brief, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_time_to_live(dict, key, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_wait_for_while(dict, key, ddict_text_key(""), DDICT_BYTES, 1000, &value, &error));
    ddict_detach(brief);
}

void test_queue(void) {
    ddict_queue* producer = NULL;
    ddict_queue* consumer = NULL;
    ddict_queue_item* item = NULL;
    ddict_queue_info info;
    ddict_queue_options options;
    ddict_value value;
    const double numbers[2] = {0.5, 1.5};
    double copy[2] = {0, 0};
    memset(&options, 0, sizeof options);
    options.bytes = 64;
    options.items = 2;
    EXPECT_OK(ddict_queue_open(dict, "steps", &options, &producer, &error));
    EXPECT_OK(ddict_queue_open(dict, "steps", NULL, &consumer, &error));
    options.items = 3;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_queue_open(dict, "steps", &options, &producer, &error));
    options.lease_ms = -1;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_queue_open(dict, "steps", &options, &producer, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_queue_open(dict, NULL, NULL, &producer, &error));
    EXPECT_OK(ddict_queue_push(producer, ddict_text("first"), DDICT_TEXT, 5000, &error));
    EXPECT_OK(ddict_queue_push(producer, ddict_bytes(numbers, sizeof numbers), DDICT_VECTOR(DDICT_FLOAT64),
                               5000, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_queue_push(producer, ddict_text("x"), DDICT_TEXT, 100, &error));
    EXPECT(error_says("share"));
    EXPECT_OK(ddict_queue_stat(consumer, &info, &error));
    EXPECT(info.items == 2 && info.ready == 2 && info.bytes == 21 && info.bytes_max == 64 && !info.closed);
    EXPECT(info.producers == 1 && info.shares == 1 && info.lease_ms == 10000);

    EXPECT_OK(ddict_queue_next(consumer, DDICT_QUEUE_CLOSED, &item, &error));
    EXPECT(ddict_queue_item_number(item) == 0 && ddict_queue_item_attempt(item) == 1);
    EXPECT(ddict_queue_item_type(item) == DDICT_TEXT && ddict_queue_item_bytes(item) == 5);
    ddict_queue_item_free(item); /* and so it goes back */
    EXPECT_OK(ddict_queue_take(consumer, DDICT_QUEUE_CLOSED, 5000, &item, &error));
    EXPECT(ddict_queue_item_number(item) == 0 && ddict_queue_item_attempt(item) == 2);
    EXPECT_OK(ddict_queue_item_get(item, DDICT_TEXT, &value, &error));
    EXPECT(strcmp(value.data, "first") == 0);
    ddict_free(value.data);
    EXPECT_OK(ddict_queue_item_renew(item, &error));
    EXPECT_OK(ddict_queue_item_finish(item, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_queue_item_finish(item, &error));
    ddict_queue_item_free(item);

    EXPECT_OK(ddict_queue_close(producer, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_queue_push(producer, ddict_text("x"), DDICT_TEXT, 100, &error));
    EXPECT_OK(ddict_queue_take(consumer, DDICT_QUEUE_PRODUCERS_GONE, 5000, &item, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_queue_item_get_into(item, DDICT_VECTOR(DDICT_FLOAT64), copy, 8, &value, &error));
    EXPECT(value.bytes == sizeof copy);
    EXPECT_OK(
        ddict_queue_item_get_into(item, DDICT_VECTOR(DDICT_FLOAT64), copy, sizeof copy, &value, &error));
    EXPECT(copy[0] == 0.5 && copy[1] == 1.5 && value.bytes == sizeof copy);
    EXPECT_OK(ddict_queue_item_finish(item, &error));
    ddict_queue_item_free(item);
    EXPECT_OK(ddict_queue_take(consumer, DDICT_QUEUE_CLOSED, 5000, &item, &error));
    EXPECT(item == NULL);
    EXPECT_OK(ddict_queue_next(consumer, DDICT_QUEUE_CLOSED, &item, &error));
    EXPECT(item == NULL);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_queue_next(consumer, DDICT_QUEUE_CLOSED, NULL, &error));
    EXPECT_OK(ddict_queue_renew(producer, &error));
    EXPECT_OK(ddict_queue_leave(producer, &error));
    EXPECT_OK(ddict_queue_remove(producer, &error));
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_queue_stat(consumer, &info, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_queue_close(NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_queue_item_finish(NULL, &error));
    EXPECT(ddict_queue_item_number(NULL) == 0);
    ddict_queue_item_free(NULL);
    ddict_queue_free(NULL);
    ddict_queue_free(consumer);
    ddict_queue_free(producer);
}
