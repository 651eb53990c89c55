// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What managers say of themselves, for Prometheus and what else reads its formats. Names and units follow its
// conventions: docs/watching.md has the table.
#pragma once

#include <string>

#include "tools/activity.h"

namespace ddict::tools {

enum class MetricsFormat {
    openmetrics,  // version 1.0
    prometheus,   // the text format before it, version 0.0.4
};
/// Each metric of each manager has the labels dictionary, manager and node. Of one that did not answer there
/// is ddict_manager_up alone, which is 0.
std::string metrics_text(const Sample& sample, const std::string& dictionary, MetricsFormat format);

}  // namespace ddict::tools
