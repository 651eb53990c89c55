/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0 */
#include <ddict/ddict.h>
#include <stdio.h>
#include <string.h>

#include "tests/python/partner.h"

static const uint64_t shape[2] = {2, 2};
static const float elements[4] = {0.5F, 1, 1.5F, 2};
static const double vector[2] = {1.5, 2.5};

static int failures = 0;

static void expect(int good, const char* what, const ddict_error* error) {
    if (good) return;
    ++failures;
    fprintf(stderr, "in C: %s is not as it was put (%d)\n", what, error->code);
}

static void put(ddict_dictionary* dict) {
    ddict_error error;
    int code = ddict_put(dict, ddict_text_key("c text"), ddict_text("from C"), DDICT_TEXT, &error);
    expect(code == DDICT_OK, "the text", &error);
    code = ddict_put_array(dict, ddict_integer_key(5), DDICT_FLOAT32, 2, shape, elements, &error);
    expect(code == DDICT_OK, "the array", &error);
    code = ddict_put(dict, ddict_float_key(0.5), ddict_bytes(vector, sizeof vector),
                     DDICT_VECTOR(DDICT_FLOAT64), &error);
    expect(code == DDICT_OK, "the vector", &error);
    code = ddict_put(dict, ddict_text_key("c own"), ddict_bytes("abc", 3), DDICT_USER_TYPE(7), &error);
    expect(code == DDICT_OK, "the type of its own", &error);
}

static void check(ddict_dictionary* dict) {
    ddict_error error;
    ddict_value value = {0};
    ddict_array array = {0};
    int code = ddict_get(dict, ddict_text_key("c text"), DDICT_TEXT, &value, &error);
    expect(code == DDICT_OK && strcmp(value.data, "from C") == 0, "the text", &error);
    ddict_free(value.data);
    code = ddict_get_array(dict, ddict_integer_key(5), DDICT_FLOAT32, &array, &error);
    expect(code == DDICT_OK && array.rank == 2 && array.shape[0] == 2 &&
               memcmp(array.data, elements, sizeof elements) == 0,
           "the array", &error);
    ddict_array_free(&array);
    code = ddict_get(dict, ddict_float_key(0.5), DDICT_VECTOR(DDICT_FLOAT64), &value, &error);
    expect(code == DDICT_OK && value.bytes == sizeof vector && memcmp(value.data, vector, sizeof vector) == 0,
           "the vector", &error);
    ddict_free(value.data);
    code = ddict_get(dict, ddict_text_key("c own"), DDICT_USER_TYPE(7), &value, &error);
    expect(code == DDICT_OK && value.bytes == 3 && memcmp(value.data, "abc", 3) == 0, "the type of its own",
           &error);
    ddict_free(value.data);
}

int partner_in_c(int puts) {
    ddict_dictionary* dict = NULL;
    ddict_error error;
    if (ddict_attach(NULL, NULL, &dict, &error) != DDICT_OK) return 1;
    if (puts != 0) {
        put(dict);
    } else {
        check(dict);
    }
    ddict_detach(dict);
    return failures;
}
