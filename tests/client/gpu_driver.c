/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for the driver of a GPU, under the name that CUDA's has (libcuda.so.1): gives out memory as its
 * calls of these names do. The processor cannot reach what cuMemAlloc gives: its addresses are reserved, and
 * no page is there. Managed memory, and pinned memory of the host, it can. */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/mman.h>

enum { cuda_success = 0, cuda_invalid_value = 1, cuda_out_of_memory = 2 };

static int reserve(void** to, size_t bytes, int protection) {
    if (to == NULL || bytes == 0) return cuda_invalid_value;
    void* const memory = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return cuda_out_of_memory;
    *to = memory;
    return cuda_success;
}

int cuMemAlloc_v2(unsigned long long* to, size_t bytes) {
    void* memory = NULL;
    const int outcome = reserve(&memory, bytes, PROT_NONE);
    if (outcome == cuda_success) *to = (unsigned long long)memory;
    return outcome;
}

int cuMemAllocManaged(unsigned long long* to, size_t bytes, unsigned flags) {
    (void)flags;
    void* memory = NULL;
    const int outcome = reserve(&memory, bytes, PROT_READ | PROT_WRITE);
    if (outcome == cuda_success) *to = (unsigned long long)memory;
    return outcome;
}

int cuMemHostAlloc(void** to, size_t bytes, unsigned flags) {
    (void)flags;
    return reserve(to, bytes, PROT_READ | PROT_WRITE);
}
