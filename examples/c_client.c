/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A client in C: text, a number, an array, a counter, a walk over the keys.
 *
 *   ddict-launch -- ./c_client
 */
#include <ddict/ddict.h>
#include <stdio.h>
#include <stdlib.h>

static ddict_error error;

/** Ends the program if a call has failed. */
static void check(int code) {
    if (code == DDICT_OK) return;
    char message[512];
    ddict_error_message(&error, message, sizeof message);
    fprintf(stderr, "c_client: %s\n", message);
    exit(EXIT_FAILURE);
}

static void share_text(ddict_dictionary* dict) {
    ddict_value value;
    check(ddict_put(dict, ddict_text_key("Hello"), ddict_text("Dragon"), DDICT_TEXT, &error));
    check(ddict_get(dict, ddict_text_key("Hello"), DDICT_TEXT, &value, &error));
    printf("%s\n", (const char*)value.data);
    ddict_free(value.data);

    int code = ddict_get(dict, ddict_text_key("nobody"), DDICT_TEXT, &value, &error);
    if (code == DDICT_NOT_FOUND) printf("nobody is not there\n");
}

static void share_a_number(ddict_dictionary* dict) {
    const double pi = 3.14159;
    const uint16_t type = DDICT_SCALAR(DDICT_FLOAT64); /* of a value; DDICT_FLOAT64 alone is an element */
    check(ddict_put(dict, ddict_text_key("pi"), ddict_bytes(&pi, sizeof pi), type, &error));

    double number;
    ddict_value value;
    check(ddict_get_into(dict, ddict_text_key("pi"), type, &number, sizeof number, &value, &error));
    printf("pi is %g\n", number);
}

static void share_an_array(ddict_dictionary* dict) {
    double field[2][3] = {{0, 1, 2}, {3, 4, 5}};
    uint64_t shape[2] = {2, 3};
    check(ddict_put_array(dict, ddict_text_key("field"), DDICT_FLOAT64, 2, shape, field, &error));

    ddict_array array;
    check(ddict_get_array(dict, ddict_text_key("field"), DDICT_FLOAT64, &array, &error));
    const double* elements = array.data;
    printf("%d x %d, the last is %g\n", (int)array.shape[0], (int)array.shape[1], elements[array.count - 1]);
    ddict_array_free(&array);

    double copy[2][3];
    check(ddict_get_array_into(dict, ddict_text_key("field"), DDICT_FLOAT64, 2, shape, copy, &error));
}

static void count(ddict_dictionary* dict) {
    int64_t before;
    check(ddict_fetch_add_i64(dict, ddict_text_key("visits"), 1, 0, &before, &error));
    printf("%d visits before this one\n", (int)before);
}

static void list_keys(ddict_dictionary* dict) {
    ddict_cursor* cursor;
    ddict_item item;
    char words[64];
    check(ddict_put(dict, ddict_integer_key(42), ddict_text("x"), DDICT_TEXT, &error));
    check(ddict_scan(dict, NULL, &cursor, &error));
    int code;
    while ((code = ddict_cursor_next(cursor, &item, &error)) == DDICT_OK) {
        ddict_key_in_words(item.key, words, sizeof words); /* 'Hello', 42 */
        puts(words);
    }
    ddict_cursor_free(cursor);
    if (code != DDICT_NOT_FOUND) check(code);
}

int main(void) {
    ddict_dictionary* dict;
    check(ddict_attach(NULL, NULL, &dict, &error));
    share_text(dict);
    share_a_number(dict);
    share_an_array(dict);
    count(dict);
    list_keys(dict);
    ddict_detach(dict);
    return EXIT_SUCCESS;
}
