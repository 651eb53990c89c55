/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys of all types in the C API.
 */
#include "tests/client/c_api_test.h"

static bool in_words_is(ddict_key key, const char* words) {
    char text[64];
    return ddict_key_in_words(key, text, sizeof text) == strlen(words) && strcmp(text, words) == 0;
}

void test_number_keys(void) {
    const int32_t narrow = 42;
    const uint16_t narrower = 42;
    const float half = 0.5F;
    bool present = false;
    EXPECT_OK(ddict_put(dict, ddict_integer_key(42), ddict_text("answer"), DDICT_TEXT, &error));
    const ddict_key same[] = {ddict_unsigned_key(42),
                              ddict_typed_key(&narrow, sizeof narrow, DDICT_SCALAR(DDICT_INT32)),
                              ddict_typed_key(&narrower, sizeof narrower, DDICT_SCALAR(DDICT_UINT16))};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; ++i) {
        EXPECT_OK(ddict_contains(dict, same[i], &present, &error));
        EXPECT(present);
        EXPECT(in_words_is(same[i], "42"));
    }
    const ddict_key others[] = {ddict_text_key("42"), ddict_float_key(42),
                                ddict_typed_key(&narrow, sizeof narrow, DDICT_BYTES)};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; ++i) {
        EXPECT_OK(ddict_contains(dict, others[i], &present, &error));
        EXPECT(!present);
    }
    EXPECT_OK(ddict_put(dict, ddict_float_key(0.5), ddict_text("half"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_contains(dict, ddict_typed_key(&half, sizeof half, DDICT_SCALAR(DDICT_FLOAT32)), &present,
                             &error));
    EXPECT(present);
    EXPECT(in_words_is(ddict_float_key(2), "2.0"));
    EXPECT(in_words_is(ddict_text_key("Hello"), "'Hello'"));
    EXPECT_CODE(DDICT_NOT_FOUND,
                ddict_get(dict, ddict_integer_key(-7), DDICT_TEXT, &(ddict_value){0}, &error));
    EXPECT(error.key_type == DDICT_SCALAR(DDICT_INT64));
    EXPECT(error_says("get of key -7 on manager"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_contains(dict, ddict_typed_key(NULL, 0, DDICT_BYTES), &present, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_contains(dict, ddict_typed_key(NULL, 4, DDICT_SCALAR(DDICT_INT32)), &present, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_contains(dict, ddict_text_key(NULL), &present, &error));
    EXPECT(error_says("key is NULL"));
}

void test_what_number_a_key_is(void) {
    int64_t integer = 0;
    uint64_t large = 0;
    double number = 0;
    EXPECT(ddict_key_is_integer(ddict_integer_key(-5), &integer) && integer == -5);
    EXPECT(!ddict_key_is_unsigned(ddict_integer_key(-5), &large));
    EXPECT(ddict_key_is_unsigned(ddict_unsigned_key(UINT64_MAX), &large) && large == UINT64_MAX);
    EXPECT(!ddict_key_is_integer(ddict_unsigned_key(UINT64_MAX), NULL));
    EXPECT(ddict_key_is_integer(ddict_unsigned_key(5), NULL));
    EXPECT(ddict_key_is_float(ddict_float_key(1.5), &number) && number == 1.5);
    EXPECT(!ddict_key_is_float(ddict_integer_key(1), NULL));
    EXPECT(!ddict_key_is_integer(ddict_text_key("5"), NULL));
    EXPECT(!ddict_key_is_integer(ddict_text_key(NULL), NULL));
    EXPECT(in_words_is(ddict_text_key(NULL), "NULL"));
    const double zero = 0;
    EXPECT(ddict_float_key(zero).number == ddict_float_key(-zero).number);
}

void test_cursors_over_typed_keys(void) {
    EXPECT_OK(ddict_put(dict, ddict_text_key("text"), ddict_text("x"), DDICT_TEXT, &error));
    for (int i = 0; i < 10; ++i)
        EXPECT_OK(ddict_put(dict, ddict_integer_key(i), ddict_text("x"), DDICT_TEXT, &error));
    ddict_scan_options options;
    ddict_cursor* cursor = NULL;
    ddict_item item;
    int64_t number = 0;
    int64_t sum = 0;
    int texts = 0;
    EXPECT_OK(ddict_scan(dict, NULL, &cursor, &error));
    while (ddict_cursor_next(cursor, &item, &error) == DDICT_OK) {
        if (ddict_key_is_integer(item.key, &number)) {
            sum += number;
        } else {
            EXPECT(item.key.type == DDICT_TEXT && in_words_is(item.key, "'text'"));
            ++texts;
        }
        bool present = false; /* as it is it can be asked for */
        EXPECT_OK(ddict_contains(dict, item.key, &present, &error));
        EXPECT(present);
    }
    EXPECT(sum == 45 && texts == 1);
    ddict_cursor_free(cursor);

    memset(&options, 0, sizeof options);
    options.prefix = ddict_typed_key("", 0, DDICT_SCALAR(DDICT_INT64));
    int count = 0;
    EXPECT_OK(ddict_scan(dict, &options, &cursor, &error));
    while (ddict_cursor_next(cursor, &item, &error) == DDICT_OK)
        ++count;
    EXPECT(count == 10);
    ddict_cursor_free(cursor);
    options.prefix = ddict_text_key("");
    count = 0;
    EXPECT_OK(ddict_scan(dict, &options, &cursor, &error));
    while (ddict_cursor_next(cursor, &item, &error) == DDICT_OK)
        ++count;
    EXPECT(count == 1);
    ddict_cursor_free(cursor);
}

void test_many_typed_keys(void) {
    enum { many = 100 };
    ddict_key keys[many];
    ddict_pair pairs[many];
    ddict_value values[many];
    ddict_item_status statuses[many];
    for (int i = 0; i < many; ++i) {
        keys[i] = i % 2 == 0 ? ddict_integer_key(i) : ddict_float_key(i);
        pairs[i].key = keys[i];
        pairs[i].value = ddict_bytes(&keys[i].number, sizeof keys[i].number);
        pairs[i].type = DDICT_BYTES;
    }
    EXPECT_OK(ddict_multi_put(dict, pairs, many, NULL, &error));
    EXPECT_OK(ddict_multi_get(dict, keys, many, DDICT_BYTES, values, statuses, &error));
    for (int i = 0; i < many; ++i) {
        EXPECT(memcmp(values[i].data, &keys[i].number, sizeof keys[i].number) == 0);
        ddict_free(values[i].data);
    }
    uint64_t erased = 0;
    EXPECT_OK(ddict_multi_erase(dict, keys, many, NULL, &erased, &error));
    EXPECT(erased == many);
}

void test_bytes_that_are_no_number_are_no_key(void) {
    bool present = false;
    const int64_t number = 5;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_contains(dict, ddict_typed_key("ab", 2, DDICT_SCALAR(DDICT_INT64)), &present, &error));
    EXPECT(error_says("a key of type int64 has other than 2 bytes"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_put(dict, ddict_typed_key("abc", 3, DDICT_SCALAR(DDICT_FLOAT32)), ddict_text("v"),
                          DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_erase(dict, ddict_typed_key("", 0, DDICT_SCALAR(DDICT_UINT16)), NULL, &error));
    const ddict_key keys[] = {ddict_integer_key(1), ddict_typed_key("ab", 2, DDICT_SCALAR(DDICT_INT32))};
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_multi_erase(dict, keys, 2, NULL, NULL, &error));
    EXPECT_OK(ddict_contains(dict, ddict_typed_key(&number, sizeof number, DDICT_SCALAR(DDICT_INT64)),
                             &present, &error));
}

void test_numbers_are_converted(void) {
    const int32_t five = 5;
    const ddict_key key = ddict_text_key("n");
    ddict_value value;
    EXPECT_OK(ddict_put(dict, key, ddict_bytes(&five, sizeof five), DDICT_SCALAR(DDICT_INT32), &error));
    EXPECT_OK(ddict_get(dict, key, DDICT_SCALAR(DDICT_INT64), &value, &error));
    EXPECT(value.bytes == 8 && *(int64_t*)value.data == 5 && value.type == DDICT_SCALAR(DDICT_INT64));
    ddict_free(value.data);
    EXPECT_OK(ddict_wait_for(dict, key, DDICT_SCALAR(DDICT_FLOAT64), DDICT_DEFAULT_TIMEOUT, &value, &error));
    EXPECT(*(double*)value.data == 5);
    ddict_free(value.data);
    int8_t narrow = 0;
    EXPECT_OK(ddict_get_into(dict, key, DDICT_SCALAR(DDICT_INT8), &narrow, 1, &value, &error));
    EXPECT(narrow == 5 && value.data == &narrow && value.bytes == 1);
    ddict_item_status status;
    EXPECT_OK(ddict_multi_get(dict, &key, 1, DDICT_SCALAR(DDICT_FLOAT32), &value, &status, &error));
    EXPECT(*(float*)value.data == 5 && value.bytes == 4);
    ddict_free(value.data);
    ddict_pending* pending = NULL;
    EXPECT_OK(ddict_get_async(dict, key, DDICT_SCALAR(DDICT_UINT16), &pending, &error));
    EXPECT_OK(ddict_pending_wait(pending, DDICT_DEFAULT_TIMEOUT, &value, &error));
    EXPECT(*(uint16_t*)value.data == 5 && value.bytes == 2);
    ddict_free(value.data);
    ddict_pending_free(pending);
    int64_t wide = 0;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_get_into(dict, key, DDICT_SCALAR(DDICT_INT64), &wide, 4, &value, &error));
    EXPECT(error.need_bytes == 8 && error.have_bytes == 4);

    const int32_t large = 300;
    EXPECT_OK(ddict_put(dict, key, ddict_bytes(&large, sizeof large), DDICT_SCALAR(DDICT_INT32), &error));
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_get(dict, key, DDICT_SCALAR(DDICT_INT8), &value, &error));
    EXPECT(error_says("get of key 'n' on manager"));
    EXPECT(error_says("stored: int32 300, asked: int8"));
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_multi_get(dict, &key, 1, DDICT_SCALAR(DDICT_INT8), &value, &status, &error));
    EXPECT(status.code == DDICT_WRONG_TYPE && value.data == NULL);
    EXPECT_CODE(DDICT_WRONG_TYPE, ddict_pop(dict, key, DDICT_SCALAR(DDICT_INT8), &value, &error));
    EXPECT(!error.in_doubt);
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_pop_into(dict, key, DDICT_SCALAR(DDICT_INT8), &narrow, 1, &value, &error));
    EXPECT_OK(ddict_pop(dict, key, DDICT_SCALAR(DDICT_UINT64), &value, &error));
    EXPECT(*(uint64_t*)value.data == 300);
    ddict_free(value.data);
}

void test_structures_by_number(void) {
    const uint16_t number = ddict_structure_number("physics::Particle");
    EXPECT(number > 255 && number < 0x2000);
    EXPECT(number != ddict_structure_number("physics::Cell"));
    EXPECT(ddict_structure_number("physics::Small<unsigned long, 3>") ==
           ddict_structure_number("physics::Small<long unsigned int, 3ul>"));
    EXPECT(ddict_structure_number(NULL) == 0);
    ddict_value value;
    EXPECT_OK(ddict_put(dict, ddict_text_key("p"), ddict_bytes("12345678", 8), DDICT_STRUCTURE_SCALAR(number),
                        &error));
    EXPECT_OK(ddict_get(dict, ddict_text_key("p"), DDICT_STRUCTURE_SCALAR(number), &value, &error));
    ddict_free(value.data);
    EXPECT_CODE(DDICT_WRONG_TYPE,
                ddict_get(dict, ddict_text_key("p"), DDICT_STRUCTURE_SCALAR(7), &value, &error));
    EXPECT(error_says("asked: structure 7"));
}
