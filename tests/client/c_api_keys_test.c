/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdlib.h>

#include "tests/client/c_api_test.h"

static bool is_text(ddict_value value, const char* text) {
    return value.type == DDICT_TEXT && value.bytes == strlen(text) && strcmp(value.data, text) == 0;
}

void test_put_and_get(void) {
    ddict_value value;
    bool present = true;
    EXPECT_OK(ddict_contains(dict, ddict_text_key("Hello"), &present, &error));
    EXPECT(!present);
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_get(dict, ddict_text_key("Hello"), DDICT_TEXT, &value, &error));
    EXPECT(error.code == DDICT_NOT_FOUND);
    EXPECT(error.manager < 3);
    EXPECT(error.key_bytes == 5 && memcmp(error.key, "Hello", 5) == 0);
    EXPECT(error_says("get of key 'Hello' on manager"));
    EXPECT_OK(ddict_put(dict, ddict_text_key("Hello"), ddict_text("Dragon"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_contains(dict, ddict_text_key("Hello"), &present, NULL));
    EXPECT(present);
    EXPECT_OK(ddict_get(dict, ddict_text_key("Hello"), DDICT_TEXT, &value, &error));
    EXPECT(is_text(value, "Dragon"));
    ddict_free(value.data);
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_get(dict, ddict_text_key("Hello"), DDICT_VECTOR(DDICT_INT32), &value, &error));
    EXPECT(error_says("stored: text, asked: vector of int32"));
    EXPECT_OK(ddict_get(dict, ddict_text_key("Hello"), DDICT_BYTES, &value, &error));
    EXPECT(is_text(value, "Dragon"));
    ddict_free(value.data);

    uint16_t type = 0;
    uint64_t size = 0;
    EXPECT_OK(ddict_type_and_size(dict, ddict_text_key("Hello"), &type, &size, &error));
    EXPECT(type == DDICT_TEXT && size == 6);
    EXPECT_OK(ddict_type_and_size(dict, ddict_text_key("Hello"), NULL, NULL, NULL));
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_type_and_size(dict, ddict_text_key("nobody"), &type, &size, &error));
    EXPECT(error_says("type_and_size of key 'nobody' on manager"));
    EXPECT(type == DDICT_TEXT && size == 6);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_type_and_size(dict, ddict_text_key(NULL), &type, &size, &error));

    const size_t large = 3u << 20;
    char* bytes = malloc(large);
    for (size_t i = 0; i < large; ++i)
        bytes[i] = (char)(i * 7 % 251);
    EXPECT_OK(ddict_put(dict, ddict_typed_key("\0\1", 2, DDICT_TEXT), ddict_bytes(bytes, large), DDICT_BYTES,
                        &error));
    EXPECT_OK(ddict_get(dict, ddict_typed_key("\0\1", 2, DDICT_TEXT), DDICT_BYTES, &value, &error));
    EXPECT(value.bytes == large && memcmp(value.data, bytes, large) == 0);
    ddict_free(value.data);
    EXPECT_OK(ddict_put(dict, ddict_text_key("empty"), ddict_bytes(NULL, 0), DDICT_TEXT, &error));
    EXPECT_OK(ddict_get(dict, ddict_text_key("empty"), DDICT_TEXT, &value, &error));
    EXPECT(is_text(value, ""));
    ddict_free(value.data);
    free(bytes);
}

void test_get_into_tells_the_size(void) {
    const double numbers[3] = {1, 2, 3};
    double buffer[3] = {0, 0, 0};
    ddict_value value;
    const uint16_t type = DDICT_VECTOR(DDICT_FLOAT64);
    EXPECT_OK(ddict_put(dict, ddict_text_key("v"), ddict_bytes(numbers, sizeof numbers), type, &error));
    memset(&value, 0, sizeof value);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_get_into(dict, ddict_text_key("v"), type, buffer, 16, &value, &error));
    EXPECT(value.bytes == sizeof numbers);
    EXPECT(error.need_bytes == sizeof numbers && error.have_bytes == 16);
    EXPECT(buffer[0] == 0);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_get_into(dict, ddict_text_key("v"), type, NULL, 0, &value, &error));
    EXPECT(value.bytes == sizeof numbers);
    EXPECT_OK(ddict_get_into(dict, ddict_text_key("v"), type, buffer, sizeof buffer, &value, &error));
    EXPECT(value.data == buffer && value.bytes == sizeof buffer && value.type == type);
    EXPECT(buffer[2] == 3);
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_get_into(dict, ddict_text_key("v"), DDICT_TEXT, buffer, 24, &value, &error));
}

void test_get_or(void) {
    ddict_value value;
    EXPECT_OK(ddict_get_or(dict, ddict_text_key("nobody"), DDICT_TEXT, ddict_text("else"), &value, &error));
    EXPECT(is_text(value, "else"));
    ddict_free(value.data);
    EXPECT_OK(ddict_put(dict, ddict_text_key("somebody"), ddict_text("here"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_get_or(dict, ddict_text_key("somebody"), DDICT_TEXT, ddict_text("else"), &value, &error));
    EXPECT(is_text(value, "here"));
    ddict_free(value.data);
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_get_or(dict, ddict_text_key("somebody"), DDICT_LIST, ddict_text(""), &value, &error));
}

void test_pop_and_erase(void) {
    ddict_value value;
    bool erased = true;
    EXPECT_OK(ddict_put(dict, ddict_text_key("a"), ddict_text("1"), DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_pop(dict, ddict_text_key("a"), DDICT_MAP, &value, &error));
    EXPECT_OK(ddict_pop(dict, ddict_text_key("a"), DDICT_TEXT, &value, &error));
    EXPECT(is_text(value, "1"));
    ddict_free(value.data);
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_pop(dict, ddict_text_key("a"), DDICT_TEXT, &value, &error));
    EXPECT_OK(ddict_erase(dict, ddict_text_key("a"), &erased, &error));
    EXPECT(!erased);
    EXPECT_OK(ddict_put(dict, ddict_text_key("a"), ddict_text("1"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_erase(dict, ddict_text_key("a"), &erased, &error));
    EXPECT(erased);
    EXPECT_OK(ddict_erase(dict, ddict_text_key("a"), NULL, NULL));
}

void test_conditional_puts(void) {
    bool stored = true;
    EXPECT_OK(ddict_put_if_present(dict, ddict_text_key("k"), ddict_text("1"), DDICT_TEXT, &stored, &error));
    EXPECT(!stored);
    EXPECT_OK(ddict_put_if_absent(dict, ddict_text_key("k"), ddict_text("2"), DDICT_TEXT, &stored, &error));
    EXPECT(stored);
    EXPECT_OK(ddict_put_if_absent(dict, ddict_text_key("k"), ddict_text("3"), DDICT_TEXT, &stored, &error));
    EXPECT(!stored);
    EXPECT_OK(ddict_put_if_present(dict, ddict_text_key("k"), ddict_text("4"), DDICT_TEXT, NULL, &error));
    ddict_value value;
    EXPECT_OK(ddict_get(dict, ddict_text_key("k"), DDICT_TEXT, &value, &error));
    EXPECT(is_text(value, "4"));
    ddict_free(value.data);
}

void test_compare_and_swap(void) {
    const ddict_slice one = ddict_text("one");
    const ddict_slice two = ddict_text("two");
    bool swapped = false;
    EXPECT_OK(ddict_compare_and_swap(dict, ddict_text_key("k"), &one, &two, DDICT_TEXT, &swapped, &error));
    EXPECT(!swapped);
    EXPECT_OK(ddict_compare_and_swap(dict, ddict_text_key("k"), NULL, &one, DDICT_TEXT, &swapped, &error));
    EXPECT(swapped);
    EXPECT_OK(ddict_compare_and_swap(dict, ddict_text_key("k"), NULL, &two, DDICT_TEXT, &swapped, &error));
    EXPECT(!swapped);
    EXPECT_OK(ddict_compare_and_swap(dict, ddict_text_key("k"), &one, &two, DDICT_LIST, &swapped, &error));
    EXPECT(!swapped);
    EXPECT_OK(ddict_compare_and_swap(dict, ddict_text_key("k"), &one, &two, DDICT_TEXT, &swapped, &error));
    EXPECT(swapped);
    EXPECT_OK(ddict_compare_and_swap(dict, ddict_text_key("k"), &two, NULL, DDICT_TEXT, &swapped, &error));
    EXPECT(swapped);
    bool present = true;
    EXPECT_OK(ddict_contains(dict, ddict_text_key("k"), &present, &error));
    EXPECT(!present);
}

void test_fetch_add(void) {
    int64_t before = 1;
    EXPECT_OK(ddict_fetch_add_i64(dict, ddict_text_key("i"), 5, 0, &before, &error));
    EXPECT(before == 0);
    EXPECT_OK(ddict_fetch_add_i64(dict, ddict_text_key("i"), -7, 0, &before, &error));
    EXPECT(before == 5);
    EXPECT_OK(ddict_fetch_add_i64(dict, ddict_text_key("i"), 0, 0, &before, NULL));
    EXPECT(before == -2);
    uint64_t counted = 0;
    EXPECT_OK(ddict_fetch_add_u64(dict, ddict_text_key("u"), 1, UINT64_MAX, &counted, &error));
    EXPECT(counted == UINT64_MAX);
    EXPECT_OK(ddict_fetch_add_u64(dict, ddict_text_key("u"), 1, 9, &counted, &error));
    EXPECT(counted == 0);
    double sum = 1;
    EXPECT_OK(ddict_fetch_add_f64(dict, ddict_text_key("d"), 0.5, 2, &sum, &error));
    EXPECT_OK(ddict_fetch_add_f64(dict, ddict_text_key("d"), 0.25, 0, &sum, &error));
    EXPECT(sum == 2.5);
    EXPECT_OK(ddict_fetch_add_f64(dict, ddict_text_key("d"), 0.25, 0, NULL, &error));
    EXPECT_OK(ddict_put(dict, ddict_text_key("text"), ddict_text("no number"), DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_fetch_add_i64(dict, ddict_text_key("text"), 1, 0, &before, &error));
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_fetch_add_i64(dict, ddict_text_key("d"), 1, 0, &before, &error));
    const int16_t narrow = 7;
    EXPECT_OK(ddict_put(dict, ddict_text_key("narrow"), ddict_bytes(&narrow, sizeof narrow),
                        DDICT_SCALAR(DDICT_INT16), &error));
    EXPECT_OK(ddict_fetch_add_i64(dict, ddict_text_key("narrow"), 1, 0, &before, &error));
    EXPECT(before == 7);
    EXPECT_OK(ddict_fetch_add_f64(dict, ddict_text_key("narrow"), 0.5, 0, &sum, &error));
    EXPECT(sum == 8);
    ddict_value value;
    EXPECT_OK(ddict_get(dict, ddict_text_key("i"), DDICT_SCALAR(DDICT_INT64), &value, &error));
    EXPECT(value.bytes == 8 && *(int64_t*)value.data == -2);
    ddict_free(value.data);
}

void test_append(void) {
    uint64_t bytes = 0;
    EXPECT_OK(ddict_append(dict, ddict_text_key("log"), ddict_text("one"), DDICT_TEXT, &bytes, &error));
    EXPECT(bytes == 3);
    EXPECT_OK(ddict_append(dict, ddict_text_key("log"), ddict_text(" two"), DDICT_TEXT, &bytes, &error));
    EXPECT(bytes == 7);
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_append(dict, ddict_text_key("log"), ddict_text(""),
                                               DDICT_VECTOR(DDICT_INT8), NULL, &error));
    ddict_value value;
    EXPECT_OK(ddict_get(dict, ddict_text_key("log"), DDICT_TEXT, &value, &error));
    EXPECT(is_text(value, "one two"));
    ddict_free(value.data);
}

static void* put_result(void* code) {
    *(int*)code = ddict_put(dict, ddict_text_key("result"), ddict_text("done"), DDICT_TEXT, NULL);
    return NULL;
}

void test_wait_for(void) {
    ddict_value value;
    EXPECT_CODE(DDICT_TIMEOUT,
                ddict_wait_for(dict, ddict_text_key("result"), DDICT_TEXT, 20, &value, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_wait_for(dict, ddict_text_key("result"), DDICT_TEXT, 0, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_wait_for(dict, ddict_text_key("result"), DDICT_TEXT, -5, &value, &error));
    pthread_t thread;
    int code = -1;
    EXPECT(pthread_create(&thread, NULL, put_result, &code) == 0);
    EXPECT_OK(
        ddict_wait_for(dict, ddict_text_key("result"), DDICT_TEXT, DDICT_DEFAULT_TIMEOUT, &value, &error));
    EXPECT(is_text(value, "done"));
    ddict_free(value.data);
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(code == DDICT_OK);
    const ddict_key key = ddict_text_key("result");
    EXPECT_OK(ddict_wait_for_value(dict, key, ddict_text("done"), DDICT_TEXT, 5000, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_wait_for_value(dict, key, ddict_text("other"), DDICT_TEXT, 20, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_wait_for_value(dict, key, ddict_text("done"), DDICT_LIST, 20, &error));
}

void test_wait_for_any(void) {
    const ddict_key keys[3] = {ddict_text_key("nobody"), ddict_text_key("here"), ddict_text_key("else")};
    size_t index = 9;
    ddict_value value;
    EXPECT_OK(ddict_put(dict, keys[1], ddict_text("value"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_wait_for_any(dict, keys, 3, DDICT_TEXT, 20000, &index, &value, &error));
    EXPECT(index == 1 && is_text(value, "value"));
    ddict_free(value.data);
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_wait_for_any(dict, keys, 3, DDICT_SCALAR(DDICT_INT32), 20000, &index, &value, &error));
    EXPECT(error_says("wait_for_any of key 'here'"));
    EXPECT_OK(ddict_erase(dict, keys[1], NULL, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_wait_for_any(dict, keys, 3, DDICT_TEXT, 20, &index, &value, &error));
    EXPECT(error_says("none of the 3 keys"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_wait_for_any(dict, keys, 0, DDICT_TEXT, 20, &index, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_wait_for_any(dict, NULL, 3, DDICT_TEXT, 20, &index, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_wait_for_any(dict, keys, 3, DDICT_TEXT, 20, NULL, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_wait_for_any(dict, keys, 3, DDICT_TEXT, 20, &index, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_wait_for_any(dict, keys, 3, DDICT_TEXT, -2, &index, &value, &error));
}

void test_broadcasts(void) {
    ddict_value value;
    bool erased = false;
    EXPECT_OK(ddict_start_batch_put(dict, &error));
    EXPECT_OK(ddict_bput(dict, ddict_text_key("weights"), ddict_text("v0"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_end_batch_put(dict, NULL, NULL, &error));
    EXPECT_OK(ddict_bput(dict, ddict_text_key("weights"), ddict_text("v1"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_bget(dict, ddict_text_key("weights"), DDICT_TEXT, &value, &error));
    EXPECT(is_text(value, "v1"));
    ddict_free(value.data);
    for (uint32_t manager = 0; manager < 3; ++manager) {
        ddict_dictionary* one = NULL;
        EXPECT_OK(ddict_manager(dict, manager, &one, &error));
        EXPECT_OK(ddict_get(one, ddict_text_key("weights"), DDICT_TEXT, &value, &error));
        EXPECT(is_text(value, "v1"));
        ddict_free(value.data);
        ddict_detach(one);
    }
    EXPECT_OK(ddict_berase(dict, ddict_text_key("weights"), &erased, &error));
    EXPECT(erased);
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_bget(dict, ddict_text_key("weights"), DDICT_TEXT, &value, &error));
}

void test_arrays(void) {
    const float numbers[6] = {0, 1, 2, 3, 4, 5};
    const uint64_t shape[2] = {2, 3};
    const uint64_t turned[2] = {3, 2};
    ddict_array array;
    EXPECT_OK(ddict_put_array(dict, ddict_text_key("a"), DDICT_FLOAT32, 2, shape, numbers, &error));
    EXPECT_OK(ddict_get_array(dict, ddict_text_key("a"), DDICT_FLOAT32, &array, &error));
    EXPECT(array.rank == 2 && array.shape[0] == 2 && array.shape[1] == 3 && array.count == 6);
    EXPECT(array.element == DDICT_FLOAT32);
    EXPECT((uintptr_t)array.data % 16 == 0);
    EXPECT(memcmp(array.data, numbers, sizeof numbers) == 0);
    ddict_array_free(&array);
    EXPECT(array.data == NULL);
    ddict_array_free(&array);
    float buffer[6] = {9, 9, 9, 9, 9, 9};
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_get_array_into(dict, ddict_text_key("a"), DDICT_FLOAT32, 2, turned, buffer, &error));
    EXPECT(error_says("stored: array of 2 x 3, asked: array of 3 x 2"));
    EXPECT(buffer[0] == 9);
    EXPECT_OK(ddict_get_array_into(dict, ddict_text_key("a"), DDICT_FLOAT32, 2, shape, buffer, &error));
    EXPECT(memcmp(buffer, numbers, sizeof numbers) == 0);
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_get_array(dict, ddict_text_key("a"), DDICT_FLOAT64, &array, &error));
    EXPECT(error_says("stored: array of float32, asked: array of float64"));
    const int64_t one = 42;
    EXPECT_OK(ddict_put_array(dict, ddict_text_key("one"), DDICT_INT64, 0, NULL, &one, &error));
    EXPECT_OK(ddict_get_array(dict, ddict_text_key("one"), DDICT_INT64, &array, &error));
    EXPECT(array.rank == 0 && array.count == 1 && *(int64_t*)array.data == 42);
    ddict_array_free(&array);
    const uint64_t none[3] = {2, 0, 3};
    EXPECT_OK(ddict_put_array(dict, ddict_text_key("none"), DDICT_COMPLEX128, 3, none, NULL, &error));
    EXPECT_OK(ddict_get_array(dict, ddict_text_key("none"), DDICT_COMPLEX128, &array, &error));
    EXPECT(array.count == 0 && array.shape[2] == 3);
    ddict_array_free(&array);
}

void test_absurd_arrays(void) {
    const uint64_t overflowing[2] = {UINT64_C(1) << 40, UINT64_C(1) << 40};
    const uint64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const double number = 1;
    ddict_array array;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_put_array(dict, ddict_text_key("a"), DDICT_FLOAT64, 2, overflowing, &number, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_put_array(dict, ddict_text_key("a"), DDICT_FLOAT64, 9, nine, &number, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_put_array(dict, ddict_text_key("a"), DDICT_STRUCTURE, 1, nine, &number, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_put_array(dict, ddict_text_key("a"), DDICT_FLOAT64, 1, NULL, &number, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_put_array(dict, ddict_text_key("a"), DDICT_FLOAT64, 1, nine, NULL, &error));
    /* Bytes of another program that are no array, though they say so. */
    EXPECT_OK(ddict_put(dict, ddict_text_key("bad"), ddict_bytes(overflowing, sizeof overflowing),
                        DDICT_ARRAY(DDICT_FLOAT64), &error));
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_get_array(dict, ddict_text_key("bad"), DDICT_FLOAT64, &array, &error));
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_get_array(dict, ddict_text_key("a"), DDICT_FLOAT64, &array, &error));
}

/** Of values that came by any call. */
void test_arrays_in_bytes(void) {
    const double numbers[4] = {1, 2, 3, 4};
    const uint64_t shape[2] = {2, 2};
    const ddict_key key = ddict_text_key("a");
    ddict_array array;
    ddict_value value;
    EXPECT_OK(ddict_put_array(dict, key, DDICT_FLOAT64, 2, shape, numbers, &error));
    EXPECT_OK(ddict_wait_for(dict, key, DDICT_ARRAY(DDICT_FLOAT64), 5000, &value, &error));
    EXPECT_OK(
        ddict_array_in(ddict_bytes(value.data, value.bytes), value.type, DDICT_FLOAT64, &array, &error));
    EXPECT(array.rank == 2 && array.shape[1] == 2 && array.count == 4 && array.element == DDICT_FLOAT64);
    EXPECT(memcmp(array.data, numbers, sizeof numbers) == 0 && (uintptr_t)array.data % 16 == 0);
    EXPECT((char*)array.data > (char*)value.data && array.memory == NULL);
    ddict_array_free(&array);
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_array_in(ddict_bytes(value.data, value.bytes), value.type,
                                                 DDICT_FLOAT32, &array, &error));
    EXPECT(error_says("stored: array of float64, asked: array of float32"));
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_array_in(ddict_bytes(value.data, value.bytes - 1), value.type,
                                                 DDICT_FLOAT64, &array, &error));
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_array_in(ddict_bytes(NULL, 0), value.type, DDICT_FLOAT64, &array, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_array_in(ddict_bytes(NULL, 8), value.type, DDICT_FLOAT64, &array, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_array_in(ddict_bytes(value.data, value.bytes), value.type, 3, &array, &error));
    ddict_free(value.data);

    ddict_scan_options options;
    ddict_cursor* cursor = NULL;
    ddict_item item;
    memset(&options, 0, sizeof options);
    options.values = true;
    EXPECT_OK(ddict_scan(dict, &options, &cursor, &error));
    EXPECT_OK(ddict_cursor_next(cursor, &item, &error));
    EXPECT_OK(ddict_array_in(item.value, item.type, DDICT_FLOAT64, &array, &error));
    EXPECT(memcmp(array.data, numbers, sizeof numbers) == 0);
    ddict_cursor_free(cursor);

    ddict_frozen* frozen = NULL;
    ddict_slice slice;
    EXPECT_OK(ddict_freeze(dict, &error));
    EXPECT_OK(ddict_view_frozen(dict, key, DDICT_ARRAY(DDICT_FLOAT64), &frozen, &slice, &error));
    EXPECT_OK(ddict_array_in(slice, DDICT_ARRAY(DDICT_FLOAT64), DDICT_FLOAT64, &array, &error));
    EXPECT(memcmp(array.data, numbers, sizeof numbers) == 0 && (uintptr_t)array.data % 8 == 0);
    ddict_frozen_free(frozen);
    EXPECT_OK(ddict_unfreeze(dict, &error));
}

void test_types_in_words(void) {
    char words[32];
    EXPECT(ddict_type_in_words(DDICT_ARRAY(DDICT_FLOAT64), words, sizeof words) == 16);
    EXPECT(strcmp(words, "array of float64") == 0);
    EXPECT(ddict_type_in_words(DDICT_ARRAY(DDICT_FLOAT64), words, 6) == 16);
    EXPECT(strcmp(words, "array") == 0);
    EXPECT(ddict_type_in_words(DDICT_USER_TYPE(7), NULL, 0) == 11);
    EXPECT(strcmp(ddict_code_name(DDICT_NOT_FOUND), "not_found") == 0);
    EXPECT(strcmp(ddict_code_name(DDICT_OK), "ok") == 0);
    EXPECT(strcmp(ddict_code_name(99), "unknown") == 0);
    EXPECT(ddict_error_message(NULL, words, sizeof words) == 0);
}

/** DDICT_FLOAT64 where DDICT_SCALAR(DDICT_FLOAT64) is meant. */
void test_elements_are_no_types(void) {
    double number = 1.5;
    const ddict_key key = ddict_text_key("k");
    const ddict_slice bytes = ddict_bytes(&number, sizeof number);
    const uint16_t wrong = DDICT_FLOAT64;
    ddict_value value;
    ddict_item_status status;
    ddict_pair pair = {key, bytes, wrong};
    ddict_pending* pending = NULL;
    ddict_frozen* frozen = NULL;
    ddict_slice slice;
    ddict_array array;
    bool flag;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put(dict, key, bytes, wrong, &error));
    EXPECT(error_says("type 51 is that of an element, not of a value: DDICT_SCALAR(DDICT_FLOAT64) is meant"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put(dict, key, bytes, DDICT_STRUCTURE, &error));
    EXPECT(error_says("DDICT_SCALAR(DDICT_STRUCTURE) is meant"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put(dict, key, bytes, DDICT_INT8, &error));
    EXPECT(error_says("DDICT_SCALAR(DDICT_INT8) is meant"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put_if_absent(dict, key, bytes, wrong, &flag, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put_if_present(dict, key, bytes, wrong, &flag, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_get(dict, key, wrong, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_get_into(dict, key, wrong, &number, sizeof number, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_get_or(dict, key, wrong, bytes, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_pop(dict, key, wrong, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_compare_and_swap(dict, key, NULL, &bytes, wrong, &flag, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_append(dict, key, bytes, wrong, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_wait_for(dict, key, wrong, 0, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_wait_for_value(dict, key, bytes, wrong, 0, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_bput(dict, key, bytes, wrong, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_bget(dict, key, wrong, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_multi_put(dict, &pair, 1, &status, &error));
    EXPECT(status.code == DDICT_INVALID_ARGUMENT);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_multi_get(dict, &key, 1, wrong, &value, &status, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put_async(dict, key, bytes, wrong, &pending, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_get_async(dict, key, wrong, &pending, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_view_frozen(dict, key, wrong, &frozen, &slice, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_array_in(bytes, wrong, DDICT_FLOAT64, &array, &error));
    EXPECT(pending == NULL && frozen == NULL);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_get_array(dict, key, DDICT_SCALAR(DDICT_FLOAT64), &array, &error));
    EXPECT(error_says("one is written DDICT_FLOAT64, without DDICT_SCALAR"));
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_get(dict, key, DDICT_BYTES, &value, &error));
    EXPECT_OK(ddict_put(dict, key, bytes, DDICT_SCALAR(DDICT_FLOAT64), &error));
}

void test_bad_arguments(void) {
    ddict_value value;
    bool flag;
    char longest[1025];
    memset(longest, 'k', sizeof longest);
    const ddict_key key = ddict_text_key("k");
    const ddict_slice text = ddict_text("v");
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put(dict, ddict_text_key(""), text, DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_TOO_LARGE,
                ddict_put(dict, ddict_typed_key(longest, 1025, DDICT_TEXT), text, DDICT_TEXT, &error));
    EXPECT(error.need_bytes == 1025 && error.have_bytes == 1024);
    EXPECT_OK(ddict_put(dict, ddict_typed_key(longest, 1024, DDICT_TEXT), text, DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put(NULL, key, text, DDICT_TEXT, &error));
    EXPECT(error_says("dictionary is NULL"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_put(dict, ddict_typed_key(NULL, 3, DDICT_TEXT), text, DDICT_TEXT, NULL));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put(dict, key, ddict_bytes(NULL, 3), DDICT_TEXT, NULL));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put(dict, key, ddict_text(NULL), DDICT_TEXT, NULL));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_put(dict, ddict_text_key(NULL), text, DDICT_TEXT, NULL));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_get(dict, key, DDICT_TEXT, NULL, NULL));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_get_into(dict, key, DDICT_TEXT, NULL, 8, &value, NULL));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_contains(dict, key, NULL, NULL));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_compare_and_swap(dict, key, NULL, NULL, DDICT_TEXT, NULL, NULL));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_compare_and_swap(dict, key, &(ddict_slice){NULL, 1}, NULL, DDICT_TEXT, &flag, NULL));
    ddict_dictionary* other = NULL;
    ddict_attach_options options;
    memset(&options, 0, sizeof options);
    options.timeout_ms = -1;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_attach("x", &options, &other, &error));
    EXPECT_CODE(DDICT_BAD_HANDLE, ddict_attach("no handle", NULL, &other, &error));
    EXPECT(other == NULL);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_attach("x", NULL, NULL, &error));
    unsetenv("DDICT_HANDLE");
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_attach(NULL, NULL, &other, &error));
    ddict_free(NULL);
    ddict_detach(NULL);
    ddict_cursor_free(NULL);
    ddict_pending_free(NULL);
    ddict_array_free(NULL);
}
