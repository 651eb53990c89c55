// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/status.h"

#include <gtest/gtest.h>

#include <string>

namespace ddict::ucx {
namespace {

/// A kernel or a sandbox that refuses this process something says nothing about managers.
TEST(Status, WhatThisProcessLacksIsNoLossOfAManager) {
    for (int status = UCS_ERR_LAST + 1; status < 0; ++status) {
        const Error own = to_error(static_cast<ucs_status_t>(status), "creating a worker of UCX");
        EXPECT_NE(own.code, Errc::manager_lost) << own.detail.data();
    }
    const Error refused = to_error(UCS_ERR_SHMEM_SEGMENT, "creating a worker of UCX");
    EXPECT_EQ(refused.code, Errc::system);
    EXPECT_NE(std::string(refused.detail.data()).find("UCX_TLS=^sysv"), std::string::npos);
    EXPECT_EQ(peer_error(UCS_ERR_SHMEM_SEGMENT, "connecting to a peer").code, Errc::manager_lost);
    EXPECT_EQ(lost_error(UCS_ERR_CONNECTION_RESET).code, Errc::manager_lost);
}

/// Where no way leads from here, as to a process that has begun while its cable was out.
TEST(Status, NoWayToAPeerIsNothingAgainstTheManager) {
    const Error none = peer_error(UCS_ERR_UNREACHABLE, "connecting to a peer");
    EXPECT_EQ(none.code, Errc::manager_lost);
    EXPECT_EQ(none.manager_state, ManagerState::unreachable);
    EXPECT_EQ(peer_error(UCS_ERR_CONNECTION_RESET, "connecting to a peer").manager_state,
              ManagerState::unknown);
    EXPECT_EQ(lost_error(UCS_ERR_UNREACHABLE).manager_state, ManagerState::unknown);
    EXPECT_EQ(to_error(UCS_ERR_UNREACHABLE, "creating a worker of UCX").manager_state, ManagerState::unknown);
}

}  // namespace
}  // namespace ddict::ucx
