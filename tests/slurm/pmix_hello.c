/* SPDX-FileCopyrightText: The ddict authors */
/* SPDX-License-Identifier: Apache-2.0 */

/* Every rank publishes its host's name, all wait for each other, and each prints what it got from all:
 * "rank R of N: NAME NAME ...". Shows that a PMIx exchange works across the nodes of a job step. */

#include <pmix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(pmix_status_t status, const char* what) {
    if (status == PMIX_SUCCESS) return;
    fprintf(stderr, "%s: %s\n", what, PMIx_Error_string(status));
    exit(1);
}

static uint32_t fetch_job_size(const pmix_proc_t* self) {
    pmix_proc_t everyone = *self;
    pmix_value_t* value = NULL;
    everyone.rank = PMIX_RANK_WILDCARD;
    check(PMIx_Get(&everyone, PMIX_JOB_SIZE, NULL, 0, &value), "PMIx_Get of the job's size");
    uint32_t size = value->data.uint32;
    PMIX_VALUE_RELEASE(value);
    return size;
}

static void put_host_name(void) {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    pmix_value_t value;
    PMIX_VALUE_CONSTRUCT(&value);
    value.type = PMIX_STRING;
    value.data.string = name;
    check(PMIx_Put(PMIX_GLOBAL, "hello.host", &value), "PMIx_Put");
    check(PMIx_Commit(), "PMIx_Commit");
}

/* Only a fence that collects data is a barrier between nodes. */
static void fence(void) {
    bool collect = true;
    pmix_info_t info;
    PMIX_INFO_LOAD(&info, PMIX_COLLECT_DATA, &collect, PMIX_BOOL);
    check(PMIx_Fence(NULL, 0, &info, 1), "PMIx_Fence");
    PMIX_INFO_DESTRUCT(&info);
}

int main(void) {
    pmix_proc_t self;
    check(PMIx_Init(&self, NULL, 0), "PMIx_Init");
    uint32_t size = fetch_job_size(&self);
    put_host_name();
    fence();

    char line[4096];
    int used = snprintf(line, sizeof line, "rank %u of %u:", self.rank, size);
    for (uint32_t rank = 0; rank < size; ++rank) {
        pmix_proc_t peer = self;
        pmix_value_t* value = NULL;
        peer.rank = rank;
        check(PMIx_Get(&peer, "hello.host", NULL, 0, &value), "PMIx_Get of a host's name");
        if (used < (int)sizeof line) {
            used += snprintf(line + used, sizeof line - (size_t)used, " %s", value->data.string);
        }
        PMIX_VALUE_RELEASE(value);
    }
    check(PMIx_Finalize(NULL, 0), "PMIx_Finalize");
    puts(line);
    fflush(stdout);
    /* Slurm's daemon on this node ends with its last rank, and with it go messages of the fence that it
     * should still pass on: another node would wait for ever. Seldom, and only on a busy machine. */
    usleep(500 * 1000);
    return 0;
}
