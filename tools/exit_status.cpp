// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/exit_status.h"

namespace ddict::tools {

ExitStatus status_of(Errc code) {
    switch (code) {
        case Errc::not_found:
            return no_such_key;
        case Errc::too_large:
        case Errc::invalid_argument:
        case Errc::wrong_type:
        case Errc::not_attached:
        case Errc::bad_handle:
            return wrong_call;
        case Errc::timeout:
            return timed_out;
        case Errc::manager_lost:
        case Errc::dictionary_gone:
            return unreachable;
        case Errc::no_space:
        case Errc::incompatible:
        case Errc::access_denied:
        case Errc::protocol:
        case Errc::system:
        case Errc::frozen:
        case Errc::busy:
        case Errc::checkpoint_retired:
            return other_failure;
    }
    return other_failure;
}

}  // namespace ddict::tools
